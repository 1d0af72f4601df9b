//! The x86-64 versions of the int8 loops: AVX-512 VNNI, and AVX2 by 16-bit products (its own byte product saturates).

use std::arch::x86_64::{
    __m256i, __m512, __m512i, _CMP_GE_OQ, _mm_add_epi32, _mm_cvtsi128_si32, _mm_shuffle_epi32, _mm256_add_epi32,
    _mm256_and_si256, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_slli_epi16, _mm256_srai_epi16, _mm256_srli_epi16, _mm256_storeu_si256, _mm512_add_epi32,
    _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_load_si512, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mul_ps, _mm512_reduce_add_epi32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_storeu_ps,
};
use std::ops::Range;

use super::coded::{Ask, BLOCK, BlockRows, Coded, Hit, LINE, Line, Spread, scan_by, sum_picked_by};

/// Blocks summed together: each load of a query word serves all of them, and their sums hide each other's latency.
const TOGETHER: usize = 4;

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn scan_vnni(
    query: &Coded<'_>,
    rows: &BlockRows<'_>,
    blocks: Range<usize>,
    floor: f32,
    hits_max: usize,
    hits: &mut Vec<Hit>,
) -> usize {
    let words = query.words.get(..rows.lines).unwrap_or(query.words);
    let mut block = blocks.start;
    while block + TOGETHER <= blocks.end {
        let Some(codes) = rows.codes.get(block * rows.lines..(block + TOGETHER) * rows.lines) else {
            return blocks.end;
        };
        for (at, sums) in (block..).zip(sums_together(words, query.start, codes, rows.lines)) {
            collect(query, rows, at, sums, floor, hits);
        }
        block += TOGETHER;
        if hits.len() >= hits_max {
            return block;
        }
    }
    while block < blocks.end {
        let codes = rows.codes.get(block * rows.lines..(block + 1) * rows.lines).unwrap_or_default();
        let sums = sums_alone(words, query.start, codes);
        collect(query, rows, block, sums, floor, hits);
        block += 1;
    }
    block
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn sums_together(words: &[i32], start: i32, codes: &[Line], lines: usize) -> [__m512i; TOGETHER] {
    let mut sums = [_mm512_set1_epi32(start); TOGETHER];
    let ahead = codes.as_ptr_range().end;
    let (one, rest) = codes.split_at_checked(lines).unwrap_or_default();
    let (two, rest) = rest.split_at_checked(lines).unwrap_or_default();
    let (three, four) = rest.split_at_checked(lines).unwrap_or_default();
    for (((((word, one), two), three), four), at) in words.iter().zip(one).zip(two).zip(three).zip(four).zip(0usize..) {
        // The next group, in order: four streams within a page are more than the processor foresees.
        for next in 0..TOGETHER {
            super::prefetch_line(ahead.wrapping_add(at * TOGETHER + next).cast());
        }
        let word = _mm512_set1_epi32(*word);
        let [first, second, third, fourth] = &mut sums;
        *first = _mm512_dpbusd_epi32(*first, load(one), word);
        *second = _mm512_dpbusd_epi32(*second, load(two), word);
        *third = _mm512_dpbusd_epi32(*third, load(three), word);
        *fourth = _mm512_dpbusd_epi32(*fourth, load(four), word);
    }
    sums
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn scan_together_vnni<const QUERIES: usize>(
    asks: &mut [Ask<'_>; QUERIES],
    rows: &BlockRows<'_>,
    blocks: Range<usize>,
    hits_max: usize,
) -> usize {
    let queries = asks.each_ref().map(|ask| ask.query);
    let words = queries.each_ref().map(|query| query.words.get(..rows.lines).unwrap_or(query.words));
    let mut block = blocks.start;
    while block + TOGETHER <= blocks.end {
        let Some(codes) = rows.codes.get(block * rows.lines..(block + TOGETHER) * rows.lines) else {
            return blocks.end;
        };
        let Some(group) = Group::of(rows, block) else {
            return blocks.end;
        };
        let all_sums = sums_of_many(words, queries.each_ref().map(|query| query.start), codes, rows.lines);
        let mut is_full = false;
        for (Ask { query, floor, hits }, sums) in asks.iter_mut().zip(all_sums) {
            group.collect(query, sums, *floor, hits);
            is_full |= hits.len() >= hits_max;
        }
        block += TOGETHER;
        if is_full {
            return block;
        }
    }
    while block < blocks.end {
        let codes = rows.codes.get(block * rows.lines..(block + 1) * rows.lines).unwrap_or_default();
        for (Ask { query, floor, hits }, words) in asks.iter_mut().zip(words) {
            collect(query, rows, block, sums_alone(words, query.start, codes), *floor, hits);
        }
        block += 1;
    }
    block
}

/// The sums of four blocks for each query: every line of codes is loaded once for all of them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn sums_of_many<const QUERIES: usize>(
    words: [&[i32]; QUERIES],
    starts: [i32; QUERIES],
    codes: &[Line],
    lines: usize,
) -> [[__m512i; TOGETHER]; QUERIES] {
    let mut sums = [[_mm512_setzero_si512(); TOGETHER]; QUERIES];
    for (sums, start) in sums.iter_mut().zip(starts) {
        *sums = [_mm512_set1_epi32(start); TOGETHER];
    }
    let ahead = codes.as_ptr_range().end;
    let (one, rest) = codes.split_at_checked(lines).unwrap_or_default();
    let (two, rest) = rest.split_at_checked(lines).unwrap_or_default();
    let (three, four) = rest.split_at_checked(lines).unwrap_or_default();
    // Whole lines that every query has words for, so that the loop asks once.
    let lines = words.iter().fold(lines, |lines, words| lines.min(words.len()));
    for ((((one, two), three), four), at) in one.iter().zip(two).zip(three).zip(four).zip(0..lines) {
        for next in 0..TOGETHER {
            super::prefetch_line(ahead.wrapping_add(at * TOGETHER + next).cast());
        }
        let lines = [load(one), load(two), load(three), load(four)];
        for (sums, words) in sums.iter_mut().zip(words) {
            // SAFETY: every query has at least `lines` words, and `at` is below that.
            let word = _mm512_set1_epi32(unsafe { *words.get_unchecked(at) });
            for (sum, line) in sums.iter_mut().zip(lines) {
                *sum = _mm512_dpbusd_epi32(*sum, line, word);
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn sums_alone(words: &[i32], start: i32, codes: &[Line]) -> __m512i {
    let mut sums = [_mm512_set1_epi32(start), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()];
    let (groups, rest) = codes.as_chunks::<TOGETHER>();
    let (word_groups, rest_words) = words.as_chunks::<TOGETHER>();
    for (words, lines) in word_groups.iter().zip(groups) {
        for ((sum, word), line) in sums.iter_mut().zip(words).zip(lines) {
            *sum = _mm512_dpbusd_epi32(*sum, load(line), _mm512_set1_epi32(*word));
        }
    }
    for ((sum, word), line) in sums.iter_mut().zip(rest_words).zip(rest) {
        *sum = _mm512_dpbusd_epi32(*sum, load(line), _mm512_set1_epi32(*word));
    }
    let [first, second, third, fourth] = sums;
    _mm512_add_epi32(_mm512_add_epi32(first, second), _mm512_add_epi32(third, fourth))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn collect(query: &Coded<'_>, rows: &BlockRows<'_>, block: usize, sums: __m512i, floor: f32, hits: &mut Vec<Hit>) {
    let (Some(scales), Some(spread)) = (rows.scales.get(block), rows.spreads.get(block)) else {
        return;
    };
    // SAFETY: sixteen values are read from a reference to sixteen, at any alignment.
    let scales = unsafe { _mm512_loadu_ps(scales.as_ptr()) };
    let mut scores = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_mul_ps(scales, _mm512_set1_ps(query.scale)));
    if let Some(biases) = rows.biases.get(block) {
        // SAFETY: as above.
        scores = _mm512_add_ps(scores, unsafe { _mm512_loadu_ps(biases.as_ptr()) });
    }
    let least = _mm512_set1_ps(floor - query.margin(spread));
    push_reaching(block, _mm512_cmp_ps_mask::<_CMP_GE_OQ>(scores, least), scores, hits);
}

/// Appends the rows of a block that are marked, in order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn push_reaching(block: usize, mut reaching: u16, scores: __m512, hits: &mut Vec<Hit>) {
    if reaching == 0 {
        return;
    }
    let mut lanes = [0.0f32; BLOCK];
    // SAFETY: sixteen values are written to a reference to sixteen, at any alignment.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), scores) };
    while reaching != 0 {
        let lane = reaching.trailing_zeros() as usize;
        reaching &= reaching - 1;
        if let Some(&score) = lanes.get(lane) {
            hits.push(Hit { slot: (block * BLOCK + lane) as u32, score });
        }
    }
}

/// What four blocks have beside their codes, at hand for several queries.
struct Group<'a> {
    block: usize,
    scales: &'a [[f32; BLOCK]; TOGETHER],
    biases: Option<&'a [[f32; BLOCK]; TOGETHER]>,
    norms: [f32; TOGETHER],
    errors: [f32; TOGETHER],
    rests: [f32; TOGETHER],
    slacks: [f32; TOGETHER],
}

impl<'a> Group<'a> {
    #[inline]
    fn of(rows: &BlockRows<'a>, block: usize) -> Option<Self> {
        let spreads = rows.spreads.get(block..)?.first_chunk::<TOGETHER>()?;
        Some(Self {
            block,
            scales: rows.scales.get(block..)?.first_chunk()?,
            biases: rows.biases.get(block..).and_then(<[_]>::first_chunk),
            norms: spreads.map(|spread| spread.norm),
            errors: spreads.map(|spread| spread.error),
            rests: spreads.map(|spread| spread.rest),
            slacks: spreads.map(|spread| spread.slack),
        })
    }

    /// What `collect` does for one block, for four: the rows that reach the floor are rare, so all are asked about at once.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn collect(&self, query: &Coded<'_>, sums: [__m512i; TOGETHER], floor: f32, hits: &mut Vec<Hit>) {
        let spreads = self.norms.iter().zip(&self.errors).zip(self.rests.iter().zip(&self.slacks));
        let mut leasts = [0.0f32; TOGETHER];
        for (least, ((&norm, &error), (&rest, &slack))) in leasts.iter_mut().zip(spreads) {
            *least = floor - query.margin(&Spread { norm, error, rest, slack });
        }
        let scale = _mm512_set1_ps(query.scale);
        let mut scores = [_mm512_setzero_ps(); TOGETHER];
        let mut masks = [0u16; TOGETHER];
        for ((score, sums), scales) in scores.iter_mut().zip(sums).zip(self.scales) {
            // SAFETY: sixteen values are read from a reference to sixteen, at any alignment.
            let scales = unsafe { _mm512_loadu_ps(scales.as_ptr()) };
            *score = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_mul_ps(scales, scale));
        }
        if let Some(biases) = self.biases {
            for (score, biases) in scores.iter_mut().zip(biases) {
                // SAFETY: as above.
                *score = _mm512_add_ps(*score, unsafe { _mm512_loadu_ps(biases.as_ptr()) });
            }
        }
        for ((mask, score), least) in masks.iter_mut().zip(scores).zip(leasts) {
            *mask = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(score, _mm512_set1_ps(least));
        }
        if masks == [0; TOGETHER] {
            return;
        }
        for ((at, reaching), scores) in (self.block..).zip(masks).zip(scores) {
            push_reaching(at, reaching, scores, hits);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn sum_picked_vnni(query: &Coded<'_>, rows: &[Line], lines_per_row: usize, picked: &[u32], sums: &mut Vec<i32>) {
    sum_picked_by(query, rows, lines_per_row, picked, sums, |words, start, row| {
        let mut lanes = _mm512_setzero_si512();
        for (words, line) in words.as_chunks::<{ LINE / 4 }>().0.iter().zip(row) {
            // SAFETY: sixteen words are read from a reference to sixteen, at any alignment.
            let words = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
            lanes = _mm512_dpbusd_epi32(lanes, load(line), words);
        }
        start + _mm512_reduce_add_epi32(lanes)
    });
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> __m512i {
    // SAFETY: 64 bytes are read from a reference to 64, whose type is aligned to 64.
    unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast()) }
}

#[target_feature(enable = "avx2")]
pub(super) fn scan_avx2(
    query: &Coded<'_>,
    rows: &BlockRows<'_>,
    blocks: Range<usize>,
    floor: f32,
    hits_max: usize,
    hits: &mut Vec<Hit>,
) -> usize {
    scan_by(query, rows, blocks, floor, hits_max, hits, |words, start, codes| {
        let mut halves = [_mm256_set1_epi32(start); 2];
        for (word, line) in words.iter().zip(codes) {
            let word = _mm256_set1_epi32(*word);
            for (half, codes) in halves.iter_mut().zip(load_halves(line)) {
                *half = _mm256_add_epi32(*half, quads(codes, word));
            }
        }
        let mut sums = [0; BLOCK];
        for (sums, half) in sums.as_chunks_mut::<{ BLOCK / 2 }>().0.iter_mut().zip(halves) {
            // SAFETY: eight sums are written to a reference to eight, at any alignment.
            unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), half) };
        }
        sums
    })
}

#[target_feature(enable = "avx2")]
pub(super) fn sum_picked_avx2(query: &Coded<'_>, rows: &[Line], lines_per_row: usize, picked: &[u32], sums: &mut Vec<i32>) {
    sum_picked_by(query, rows, lines_per_row, picked, sums, |words, start, row| {
        let mut lanes = _mm256_setzero_si256();
        for (words, line) in words.as_chunks::<{ LINE / 4 }>().0.iter().zip(row) {
            for (words, codes) in words.as_chunks::<{ LINE / 8 }>().0.iter().zip(load_halves(line)) {
                // SAFETY: eight words are read from a reference to eight, at any alignment.
                let words = unsafe { _mm256_loadu_si256(words.as_ptr().cast()) };
                lanes = _mm256_add_epi32(lanes, quads(codes, words));
            }
        }
        let four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        start + _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
    });
}

/// The sum of four products in each 32-bit lane: even and odd bytes widened to 16 bits, multiplied and added in pairs.
#[inline]
#[target_feature(enable = "avx2")]
fn quads(codes: __m256i, words: __m256i) -> __m256i {
    let even = _mm256_and_si256(codes, _mm256_set1_epi32(0x00FF_00FF));
    let odd = _mm256_srli_epi16::<8>(codes);
    let even_words = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(words));
    let odd_words = _mm256_srai_epi16::<8>(words);
    _mm256_add_epi32(_mm256_madd_epi16(even, even_words), _mm256_madd_epi16(odd, odd_words))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_halves(line: &Line) -> [__m256i; 2] {
    let start: *const __m256i = std::ptr::from_ref(line).cast();
    // SAFETY: 32 bytes and 32 more are read from a reference to 64, at any alignment.
    unsafe { [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))] }
}
