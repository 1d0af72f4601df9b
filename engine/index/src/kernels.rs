//! The inner loops: dot products of one query with many rows, and the squared distance that graphs are built on.
//!
//! The only module of the workspace that may hold `unsafe`: calling code that was compiled for a wider instruction
//! set, after asking the processor for it, and loading vectors. Every version adds into 16 independent lanes, adds those
//! in one fixed order and never fuses products, so all return the same bits, and padding a row with zeros does not
//! change them: an index answers alike on every machine. (Left to itself, LLVM vectorised
//! the final sum at the price of the loop.)
#![allow(unsafe_code)]

mod coded;
pub(crate) mod fine;
pub(crate) mod int16;
pub(crate) mod int8;
#[cfg(target_arch = "x86_64")]
mod int8_x86;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Values per step; one 512-bit register.
pub(crate) const LANES: usize = 16;

/// How many rows ahead memory is asked for; chosen so that the lines of 256-byte rows in flight about fill the line buffers.
const PREFETCH_ROWS: usize = 4;

/// Rows to score: `values` holds one row every `stride` values; row `i` counts as multiplied by `scales[i]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) scales: Option<&'a [f32]>,
    /// Score −|query − row|² instead of the product; scales are not looked at then.
    pub(crate) by_distance: bool,
}

impl Rows<'_> {
    /// The query without the padding that these rows lack: steps must line up.
    #[inline(always)]
    fn fitting<'q>(&self, query: &'q [f32]) -> &'q [f32] {
        query.get(..self.stride).unwrap_or(query)
    }

    #[inline(always)]
    fn scale(&self, row: usize) -> f32 {
        self.scales.map_or(1.0, |scales| scales.get(row).copied().unwrap_or(0.0))
    }

    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        let start = row * self.stride;
        self.values.get(start..start + self.stride).unwrap_or_default()
    }
}

/// One way to multiply and add: the versions of the two inner loops for one instruction set.
trait Lanes {
    fn dot(query: &[f32], row: &[f32], scale: f32) -> f32;
    fn squared_distance(left: &[f32], right: &[f32]) -> f32;
}

/// Defines a kernel: the safe entry that asks the processor, and one compiled version of `$body` per instruction set.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident = $body:ident($($arg:ident: $type:ty),*) $(-> $out:ty)?) => {
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name($($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512($($arg: $type),*) $(-> $out)? {
                    $body::<x86::Avx512>($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) $(-> $out)? {
                    $body::<x86::Avx2>($($arg),*)
                }
                if x86::has_avx512() {
                    // SAFETY: `avx512` demands AVX-512F, which this processor has.
                    return unsafe { avx512($($arg),*) };
                }
                if x86::has_avx2() {
                    // SAFETY: `avx2` demands AVX2, which this processor has.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body::<Portable>($($arg),*)
        }
    };
}

kernel! {
    /// Scores of the consecutive rows from `first`, one for each place in `scores`.
    score_range = score_range_by(query: &[f32], rows: Rows<'_>, first: usize, scores: &mut [f32])
}

kernel! {
    /// Scores of the `picked` rows, in that order, appended to `scores`. A row past the end scores 0.
    score_picked = score_picked_by(query: &[f32], rows: Rows<'_>, picked: &[u32], scores: &mut Vec<f32>)
}

kernel! {
    /// Σ (aᵢ − bᵢ)², never negative.
    squared_distance = squared_distance_by(left: &[f32], right: &[f32]) -> f32
}

kernel! {
    /// Writes values as stored codes (`int8`); returns their scale, and the distance between the values and what the codes say.
    encode = encode_by(values: &[f32], codes: &mut [u8]) -> (f32, f32)
}

kernel! {
    /// The length of a vector, in double precision, so that neither very large nor very small values are lost.
    norm = norm_by(values: &[f32]) -> f64
}

/// Vectors whose values are all smaller than this are coded as zeros.
pub(crate) const VALUE_MIN: f32 = 1e-30;

/// Adding it leaves a small float rounded to a whole number in the low bits.
pub(crate) const ROUNDER: f32 = 12_582_912.0;

#[inline(always)]
fn encode_by<L: Lanes>(values: &[f32], codes: &mut [u8]) -> (f32, f32) {
    /// Covers the last rounding.
    const ROUNDING: f32 = 1e-5;
    let mut largest = [0.0f32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks.iter().chain([&padded(rest)]) {
        for (largest, value) in largest.iter_mut().zip(chunk) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
    let largest = largest.iter().fold(0.0f32, |largest, value| largest.max(*value));
    if largest < VALUE_MIN {
        for (code, _) in codes.iter_mut().zip(values) {
            *code = int8::OFFSET as u8;
        }
        return (0.0, norm_by::<L>(values) as f32);
    }
    let (scale, inverse) = (largest / 127.0, 127.0 / largest);
    let mut lanes = [0.0f64; LANES];
    let mut step = |values: &[f32; LANES]| {
        let mut stored = [0u8; LANES];
        for ((value, code), lane) in values.iter().zip(&mut stored).zip(&mut lanes) {
            let rounded = value * inverse + ROUNDER;
            *code = (rounded.to_bits() as u8).wrapping_add(int8::OFFSET as u8);
            let off = f64::from(*value) - f64::from(rounded - ROUNDER) * f64::from(scale);
            *lane += off * off;
        }
        stored
    };
    let mut places = codes.chunks_mut(LANES);
    for (chunk, place) in chunks.iter().zip(places.by_ref()) {
        if let Some(place) = place.first_chunk_mut::<LANES>() {
            *place = step(chunk);
        }
    }
    if let Some(place) = places.next().filter(|_| !rest.is_empty()) {
        let stored = step(&padded(rest));
        for (code, stored) in place.iter_mut().zip(stored).take(rest.len()) {
            *code = stored;
        }
    }
    (scale, lanes.iter().sum::<f64>().sqrt() as f32 * (1.0 + ROUNDING))
}

#[inline(always)]
fn norm_by<L: Lanes>(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks.iter().chain([&padded(rest)]) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value) * f64::from(*value);
        }
    }
    lanes.iter().sum::<f64>().sqrt()
}

#[inline(always)]
fn score_range_by<L: Lanes>(query: &[f32], rows: Rows<'_>, first: usize, scores: &mut [f32]) {
    let query = rows.fitting(query);
    for (score, row) in scores.iter_mut().zip(first..) {
        *score = score_one::<L>(query, &rows, row);
    }
}

#[inline(always)]
fn score_picked_by<L: Lanes>(query: &[f32], rows: Rows<'_>, picked: &[u32], scores: &mut Vec<f32>) {
    let query = rows.fitting(query);
    for &row in picked.iter().take(PREFETCH_ROWS) {
        prefetch(rows.row(row as usize));
    }
    for (at, &row) in picked.iter().enumerate() {
        if let Some(&ahead) = picked.get(at + PREFETCH_ROWS) {
            prefetch(rows.row(ahead as usize));
        }
        scores.push(score_one::<L>(query, &rows, row as usize));
    }
}

#[inline(always)]
fn score_one<L: Lanes>(query: &[f32], rows: &Rows<'_>, row: usize) -> f32 {
    if rows.by_distance {
        0.0 - L::squared_distance(query, rows.row(row)) // 0 − 0 is 0, where −(0) would be −0
    } else {
        L::dot(query, rows.row(row), rows.scale(row))
    }
}

#[inline(always)]
fn squared_distance_by<L: Lanes>(left: &[f32], right: &[f32]) -> f32 {
    L::squared_distance(left, right)
}

/// The shorter end of a vector as a whole step: the zeros added change no sum.
#[inline(always)]
fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut whole = [0.0; LANES];
    for (place, value) in whole.iter_mut().zip(rest) {
        *place = *value;
    }
    whole
}

/// Any processor; what the other versions must equal bit for bit.
struct Portable;

impl Portable {
    #[inline(always)]
    fn add(lanes: &mut [f32; LANES], left: &[f32; LANES], right: &[f32; LANES], term: impl Fn(f32, f32) -> f32) {
        for ((lane, left_value), right_value) in lanes.iter_mut().zip(left).zip(right) {
            *lane += term(*left_value, *right_value);
        }
    }

    #[inline(always)]
    fn fold(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
        let (left_chunks, left_rest) = left.as_chunks::<LANES>();
        let (right_chunks, right_rest) = right.as_chunks::<LANES>();
        let mut lanes = [0.0f32; LANES];
        for (left_chunk, right_chunk) in left_chunks.iter().zip(right_chunks) {
            Self::add(&mut lanes, left_chunk, right_chunk, &term);
        }
        if !left_rest.is_empty() {
            Self::add(&mut lanes, &padded(left_rest), &padded(right_rest), &term);
        }
        Self::sum(lanes)
    }

    /// Adds the lanes pairwise, halving their number.
    #[inline(always)]
    #[allow(clippy::indexing_slicing)] // both indices are below LANES by the loop bounds
    fn sum(mut lanes: [f32; LANES]) -> f32 {
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn dot(query: &[f32], row: &[f32], scale: f32) -> f32 {
        Self::fold(query, row, |query_value, row_value| query_value * (row_value * scale))
    }

    #[inline(always)]
    fn squared_distance(left: &[f32], right: &[f32]) -> f32 {
        Self::fold(left, right, |left_value, right_value| (left_value - right_value) * (left_value - right_value))
    }
}

/// Asks for a row's cache lines early.
#[inline(always)]
fn prefetch(row: &[f32]) {
    for value in row.iter().step_by(LANES) {
        prefetch_line(std::ptr::from_ref(value).cast());
    }
}

/// Asks for a cache line early; a hint, without effect on results.
#[inline(always)]
fn prefetch_line(line: *const i8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching neither reads nor writes as far as the program can tell, at whatever address, and SSE is
        // part of every x86-64 processor.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The oracle: one addition after another, in double precision.
    fn dot_oracle(query: &[f32], row: &[f32], scale: f32) -> f64 {
        query.iter().zip(row).map(|(a, b)| f64::from(*a) * (f64::from(*b) * f64::from(scale))).sum()
    }

    fn magnitude(query: &[f32], row: &[f32]) -> f64 {
        query.iter().zip(row).map(|(a, b)| f64::from((a * b).abs())).sum::<f64>() + 1e-30
    }

    fn pair() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        (1usize..130).prop_flat_map(|length| {
            let values = || prop::collection::vec(-100.0f32..100.0, length);
            (values(), values())
        })
    }

    proptest! {
        #[test]
        fn kernels_agree_with_the_oracle((query, row) in pair(), scale in 0.1f32..2.0) {
            let scales = [scale];
            let rows = Rows { values: &row, stride: row.len(), scales: Some(&scales), by_distance: false };
            let mut score = [0.0];
            score_range(&query, rows, 0, &mut score);
            let tolerance = 1e-5 * f64::from(scale) * magnitude(&query, &row);
            prop_assert!((f64::from(score[0]) - dot_oracle(&query, &row, scale)).abs() <= tolerance);

            let distance: f64 = query.iter().zip(&row).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            let found = squared_distance(&query, &row);
            prop_assert!(found >= 0.0 && (f64::from(found) - distance).abs() <= 1e-5 * distance);
        }

        #[test]
        fn every_version_padding_and_offset_gives_the_same_bits((query, row) in pair(), offset in 0usize..5) {
            let portable = Portable::dot(&query, &row, 1.0);
            prop_assert_eq!(squared_distance(&query, &row).to_bits(), Portable::squared_distance(&query, &row).to_bits());

            let mut shifted = vec![f32::NAN; offset];
            shifted.extend(&row);
            let rows = Rows { values: &shifted[offset..], stride: row.len(), scales: None, by_distance: false };
            let mut scores = Vec::new();
            score_picked(&query, rows, &[0, 0, 7], &mut scores);
            prop_assert_eq!(scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>(), [portable.to_bits(), portable.to_bits(), 0]);

            let mut padded_query = query.clone();
            padded_query.resize(query.len().next_multiple_of(LANES), 0.0);
            scores.clear();
            score_picked(&padded_query, rows, &[0], &mut scores);
            prop_assert_eq!(scores[0].to_bits(), portable.to_bits(), "a padded query over rows that are not");
            let mut range = [0.0];
            score_range(&padded_query, Rows { by_distance: true, ..rows }, 0, &mut range);
            prop_assert_eq!(range[0].to_bits(), (0.0 - Portable::squared_distance(&query, &row)).to_bits());
        }

        #[test]
        fn nan_is_never_hidden((query, mut row) in pair(), place: prop::sample::Index) {
            let at = place.index(row.len());
            row[at] = f32::NAN;
            prop_assert!(Portable::dot(&query, &row, 1.0).is_nan());
            prop_assert!(squared_distance(&query, &row).is_nan());
        }
    }

    #[test]
    fn empty_input_scores_zero() {
        let rows = Rows { values: &[], stride: 4, scales: None, by_distance: false };
        let mut scores = Vec::new();
        score_picked(&[1.0; 4], rows, &[0, 3], &mut scores);
        assert_eq!(scores, [0.0, 0.0]);
        assert_eq!(squared_distance(&[], &[]), 0.0);
    }
}
