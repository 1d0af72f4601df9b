//! The x86-64 versions of the inner loops.
//!
//! The types here are only named inside functions that were compiled for their instruction set and are called after
//! asking the processor (`kernel!` in the parent); everything is inlined into those.

use std::arch::x86_64::{
    __m128, __m256, __m512, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps, _mm256_add_ps,
    _mm256_castpd_ps, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_sub_ps, _mm512_add_ps, _mm512_castps_pd, _mm512_castps512_ps256, _mm512_extractf64x4_pd,
    _mm512_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_sub_ps,
};

use super::{LANES, Lanes, padded};

#[inline(always)]
pub(super) fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
}

#[inline(always)]
pub(super) fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

/// Whether the processor has the int8 dot product on 512-bit registers.
#[inline(always)]
pub(super) fn has_vnni() -> bool {
    std::arch::is_x86_feature_detected!("avx512vnni") && std::arch::is_x86_feature_detected!("avx512bw") && has_avx512()
}

/// Sixteen lanes in one register.
pub(super) struct Avx512;

/// Sixteen lanes in two registers.
pub(super) struct Avx2;

impl Lanes for Avx512 {
    #[inline(always)]
    fn dot(query: &[f32], row: &[f32], scale: f32) -> f32 {
        // SAFETY: named only inside functions compiled for AVX-512F (see the module).
        unsafe { avx512_dot(query, row, scale) }
    }

    #[inline(always)]
    fn squared_distance(left: &[f32], right: &[f32]) -> f32 {
        // SAFETY: named only inside functions compiled for AVX-512F (see the module).
        unsafe { avx512_squared_distance(left, right) }
    }
}

impl Lanes for Avx2 {
    #[inline(always)]
    fn dot(query: &[f32], row: &[f32], scale: f32) -> f32 {
        // SAFETY: named only inside functions compiled for AVX2 (see the module).
        unsafe { avx2_dot(query, row, scale) }
    }

    #[inline(always)]
    fn squared_distance(left: &[f32], right: &[f32]) -> f32 {
        // SAFETY: named only inside functions compiled for AVX2 (see the module).
        unsafe { avx2_squared_distance(left, right) }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn avx512_dot(query: &[f32], row: &[f32], scale: f32) -> f32 {
    let (query_chunks, query_rest) = query.as_chunks::<LANES>();
    let (row_chunks, row_rest) = row.as_chunks::<LANES>();
    let scales = _mm512_set1_ps(scale);
    let mut lanes = _mm512_setzero_ps();
    for (query_chunk, row_chunk) in query_chunks.iter().zip(row_chunks) {
        let scaled = _mm512_mul_ps(load_512(row_chunk), scales);
        lanes = _mm512_add_ps(lanes, _mm512_mul_ps(load_512(query_chunk), scaled));
    }
    if !query_rest.is_empty() {
        let scaled = _mm512_mul_ps(load_512(&padded(row_rest)), scales);
        lanes = _mm512_add_ps(lanes, _mm512_mul_ps(load_512(&padded(query_rest)), scaled));
    }
    sum_512(lanes)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn avx512_squared_distance(left: &[f32], right: &[f32]) -> f32 {
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    let mut lanes = _mm512_setzero_ps();
    for (left_chunk, right_chunk) in left_chunks.iter().zip(right_chunks) {
        let difference = _mm512_sub_ps(load_512(left_chunk), load_512(right_chunk));
        lanes = _mm512_add_ps(lanes, _mm512_mul_ps(difference, difference));
    }
    if !left_rest.is_empty() {
        let difference = _mm512_sub_ps(load_512(&padded(left_rest)), load_512(&padded(right_rest)));
        lanes = _mm512_add_ps(lanes, _mm512_mul_ps(difference, difference));
    }
    sum_512(lanes)
}

#[inline]
#[target_feature(enable = "avx2")]
fn avx2_dot(query: &[f32], row: &[f32], scale: f32) -> f32 {
    let (query_chunks, query_rest) = query.as_chunks::<LANES>();
    let (row_chunks, row_rest) = row.as_chunks::<LANES>();
    let scales = _mm256_set1_ps(scale);
    let mut lanes = [_mm256_setzero_ps(); 2];
    let step = |lanes: [__m256; 2], query_chunk: &[f32; LANES], row_chunk: &[f32; LANES]| {
        let ([low, high], [query_low, query_high], [row_low, row_high]) = (lanes, load_256(query_chunk), load_256(row_chunk));
        [
            _mm256_add_ps(low, _mm256_mul_ps(query_low, _mm256_mul_ps(row_low, scales))),
            _mm256_add_ps(high, _mm256_mul_ps(query_high, _mm256_mul_ps(row_high, scales))),
        ]
    };
    for (query_chunk, row_chunk) in query_chunks.iter().zip(row_chunks) {
        lanes = step(lanes, query_chunk, row_chunk);
    }
    if !query_rest.is_empty() {
        lanes = step(lanes, &padded(query_rest), &padded(row_rest));
    }
    sum_256(lanes)
}

#[inline]
#[target_feature(enable = "avx2")]
fn avx2_squared_distance(left: &[f32], right: &[f32]) -> f32 {
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    let mut lanes = [_mm256_setzero_ps(); 2];
    let step = |lanes: [__m256; 2], left_chunk: &[f32; LANES], right_chunk: &[f32; LANES]| {
        let ([low, high], [left_low, left_high], [right_low, right_high]) = (lanes, load_256(left_chunk), load_256(right_chunk));
        let (low_difference, high_difference) = (_mm256_sub_ps(left_low, right_low), _mm256_sub_ps(left_high, right_high));
        [
            _mm256_add_ps(low, _mm256_mul_ps(low_difference, low_difference)),
            _mm256_add_ps(high, _mm256_mul_ps(high_difference, high_difference)),
        ]
    };
    for (left_chunk, right_chunk) in left_chunks.iter().zip(right_chunks) {
        lanes = step(lanes, left_chunk, right_chunk);
    }
    if !left_rest.is_empty() {
        lanes = step(lanes, &padded(left_rest), &padded(right_rest));
    }
    sum_256(lanes)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_512(chunk: &[f32; LANES]) -> __m512 {
    // SAFETY: sixteen values are read from a reference to sixteen, at any alignment.
    unsafe { _mm512_loadu_ps(chunk.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_256(chunk: &[f32; LANES]) -> [__m256; 2] {
    let start = chunk.as_ptr();
    // SAFETY: eight values and eight more are read from a reference to sixteen, at any alignment.
    unsafe { [_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(LANES / 2))] }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sum_512(lanes: __m512) -> f32 {
    let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes)));
    let eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), high);
    sum_128(_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum_256([low, high]: [__m256; 2]) -> f32 {
    let eight = _mm256_add_ps(low, high);
    sum_128(_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight)))
}

/// Lanes 0 and 2, 1 and 3, then the two sums: the order of the portable version.
#[inline]
#[target_feature(enable = "avx2")]
fn sum_128(four: __m128) -> f32 {
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Portable;
    use super::*;

    proptest! {
        #[test]
        fn every_version_returns_the_same_bits(
            pairs in prop::collection::vec((-1e3f32..1e3, -1e3f32..1e3), 0..150),
            scale in 0.1f32..2.0,
            cut in 0usize..3,
        ) {
            let (left, right): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            // An odd start makes the slices misaligned.
            let (left, right) = (&left[cut.min(left.len())..], &right[cut.min(right.len())..]);
            let expected = [Portable::dot(left, right, scale), Portable::squared_distance(left, right)].map(f32::to_bits);
            if has_avx512() {
                let found = [Avx512::dot(left, right, scale), Avx512::squared_distance(left, right)].map(f32::to_bits);
                prop_assert_eq!(found, expected);
            }
            if has_avx2() {
                let found = [Avx2::dot(left, right, scale), Avx2::squared_distance(left, right)].map(f32::to_bits);
                prop_assert_eq!(found, expected);
            }
        }
    }
}
