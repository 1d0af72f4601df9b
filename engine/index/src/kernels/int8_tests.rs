//! Every version against the portable one: whole numbers, so equal, not close.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
struct Case {
    words: Vec<i32>,
    codes: Vec<Line>,
    scales: Vec<[f32; BLOCK]>,
    biases: Vec<[f32; BLOCK]>,
    spreads: Vec<Spread>,
    lines: usize,
    /// Words left out in front, so that the query starts at any alignment.
    cut: usize,
}

fn case() -> impl Strategy<Value = Case> {
    (1usize..40, 0usize..14, any::<u64>(), any::<bool>(), 0usize..3).prop_map(|(lines, blocks, seed, biased, cut)| {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let line = |next: &mut dyn FnMut() -> u32| Line(std::array::from_fn(|_| 1 + (next() % 255) as u8));
        let unit = |next: &mut dyn FnMut() -> u32| next() as f32 / u32::MAX as f32;
        Case {
            words: (0..cut + lines.next_multiple_of(LINE / QUAD))
                .map(|_| i32::from_le_bytes(std::array::from_fn(|_| ((next() % 255) as i32 - 127) as i8 as u8)))
                .collect(),
            codes: (0..lines * blocks).map(|_| line(&mut next)).collect(),
            scales: (0..blocks).map(|_| std::array::from_fn(|_| unit(&mut next))).collect(),
            biases: (0..if biased { blocks } else { 0 }).map(|_| std::array::from_fn(|_| -100.0 * unit(&mut next))).collect(),
            spreads: (0..blocks)
                .map(|_| Spread { norm: unit(&mut next), error: unit(&mut next), rest: unit(&mut next), slack: 0.5 })
                .collect(),
            lines,
            cut,
        }
    })
}

impl Case {
    fn query(&self) -> Coded<'_> {
        let words = &self.words[self.cut..];
        Coded { words, start: -77, scale: 0.25, by_norm: 1.5, by_error: 0.25, by_rest: 0.75, by_nature: 0.125 }
    }

    fn rows(&self) -> BlockRows<'_> {
        BlockRows { codes: &self.codes, lines: self.lines, scales: &self.scales, biases: &self.biases, spreads: &self.spreads }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_scan_equals_the_portable_one(case in case(), floor in -2e4f32..2e4, hits_max in 0usize..60) {
        let (query, rows) = (case.query(), case.rows());
        let blocks = case.spreads.len();
        let mut expected = Vec::new();
        let expected_end = scan_by(&query, &rows, 0..blocks, floor, hits_max, &mut expected, Portable::sums);
        let mut versions: Vec<(usize, Vec<Hit>)> = Vec::new();
        let mut found = Vec::new();
        versions.push((scan(&query, &rows, 0..blocks, floor, hits_max, &mut found), found));
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        if x86::has_avx2() {
            let mut found = Vec::new();
            // SAFETY: this processor has AVX2.
            let end = unsafe { int8_x86::scan_avx2(&query, &rows, 0..blocks, floor, hits_max, &mut found) };
            versions.push((end, found));
        }
        for (end, found) in versions {
            // A version may go on alone through the last, incomplete group.
            prop_assert_eq!(end, expected_end);
            prop_assert_eq!(&found, &expected);
        }
    }

    #[test]
    fn scanning_together_finds_what_each_finds_alone(
        case in case(),
        floors in prop::array::uniform4(-2e4f32..2e4),
        hits_max in 0usize..60,
        shifts in prop::array::uniform4(0usize..3),
    ) {
        let rows = case.rows();
        let blocks = case.spreads.len();
        // Queries that differ in words, start and scale.
        let mut all_words = [case.words.clone(), case.words.clone(), case.words.clone(), case.words.clone()];
        for (words, shift) in all_words.iter_mut().zip(shifts) {
            words.rotate_left(shift);
        }
        let query = |at: usize| {
            let start = -77 + at as i32;
            Coded { words: &all_words[at][case.cut..], start, scale: 0.25 + at as f32, by_norm: 1.5, by_error: 0.25, by_rest: 0.75, by_nature: 0.125 }
        };
        let mut expected = [(); 4].map(|()| Vec::new());
        let mut oracle = expected.each_mut();
        let mut at = 0..;
        let mut asks = oracle.each_mut().map(|hits| {
            let at = at.next().unwrap();
            Ask { query: query(at), floor: floors[at], hits }
        });
        let expected_end = scan_in_turn(&mut asks, &rows, 0..blocks, hits_max);
        let mut found = [(); 4].map(|()| Vec::new());
        let mut places = found.each_mut();
        let mut at = 0..;
        let mut asks = places.each_mut().map(|hits| {
            let at = at.next().unwrap();
            Ask { query: query(at), floor: floors[at], hits }
        });
        prop_assert_eq!(scan_together(&mut asks, &rows, 0..blocks, hits_max), expected_end);
        prop_assert_eq!(&found, &expected);
        for (at, found) in found.iter().enumerate() {
            let mut alone = Vec::new();
            scan_by(&query(at), &rows, 0..expected_end, floors[at], usize::MAX, &mut alone, Portable::sums);
            prop_assert_eq!(found, &alone);
        }
    }

    #[test]
    fn every_sum_of_rows_equals_the_portable_one(case in case(), picked in prop::collection::vec(0u32..40, 0..30)) {
        let query = case.query();
        let per_row = query.words.len() / (LINE / QUAD);
        let mut expected = Vec::new();
        sum_picked_by(&query, &case.codes, per_row, &picked, &mut expected, Portable::row_sum);
        let mut found = Vec::new();
        sum_picked(&query, &case.codes, per_row, &picked, &mut found);
        prop_assert_eq!(&found, &expected);
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        if x86::has_avx2() {
            let mut found = Vec::new();
            // SAFETY: this processor has AVX2.
            unsafe { int8_x86::sum_picked_avx2(&query, &case.codes, per_row, &picked, &mut found) };
            prop_assert_eq!(&found, &expected);
        }
    }
}

#[test]
fn the_largest_sums_do_not_overflow_or_saturate() {
    let words = vec![i32::from_le_bytes([127; 4]); 256];
    let codes = vec![Line([255; LINE]); 256];
    let start = -OFFSET * 127 * 1024;
    assert_eq!(Portable::sums(&words, start, &codes), [127 * 127 * 1024; BLOCK]);
    let query = Coded { words: &words, start, scale: 1.0, by_norm: 0.0, by_error: 0.0, by_rest: 0.0, by_nature: 0.0 };
    let (scales, spreads) = ([[1.0; BLOCK]], [Spread::default()]);
    let rows = BlockRows { codes: &codes, lines: 256, scales: &scales, biases: &[], spreads: &spreads };
    let mut hits = Vec::new();
    assert_eq!(scan(&query, &rows, 0..1, 0.0, 99, &mut hits), 1);
    assert!(hits.len() == BLOCK && hits.iter().all(|hit| hit.score == 16_516_096.0));
    let mut sums = Vec::new();
    sum_picked(&query, &codes, 16, &[0, 99], &mut sums);
    assert_eq!(sums, [127 * 127 * 1024, start]);
}
