//! Sums of products of 16-bit whole numbers: one vector with every row of a matrix.
//!
//! Sums wrap at 32 bits, which is associative: every version returns the same bits. That nothing is lost is up to the caller
//! (`basis` keeps lengths so short that no sum can leave the range).

#[cfg(target_arch = "x86_64")]
use super::x86;

/// Values in a 512-bit register; vectors and rows are padded with zeros to whole ones.
pub(crate) const STEP: usize = 32;

/// Σ of products of `vector`, whole steps long, with each row of `matrix`, as long; the sums replace what is in `sums`.
#[inline]
pub(crate) fn project(vector: &[i16], matrix: &[i16], sums: &mut Vec<i32>) {
    sums.clear();
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    {
        if x86::has_vnni() {
            // SAFETY: the function demands AVX-512 F, BW and VNNI, which this processor has.
            return unsafe { by_x86::project_vnni(vector, matrix, sums) };
        }
        if x86::has_avx2() {
            // SAFETY: the function demands AVX2, which this processor has.
            return unsafe { by_x86::project_avx2(vector, matrix, sums) };
        }
    }
    project_by(vector, matrix, sums, portable);
}

#[inline(always)]
fn project_by(vector: &[i16], matrix: &[i16], sums: &mut Vec<i32>, sum_of: impl Fn(&[[i16; STEP]], &[[i16; STEP]]) -> i32) {
    let vector = vector.as_chunks::<STEP>().0;
    let rows = matrix.as_chunks::<STEP>().0.chunks_exact(vector.len().max(1));
    sums.extend(rows.map(|row| sum_of(vector, row)));
}

/// Any processor; the oracle of the other versions.
fn portable(left: &[[i16; STEP]], right: &[[i16; STEP]]) -> i32 {
    let pairs = left.iter().flatten().zip(right.iter().flatten());
    pairs.fold(0, |sum, (left, right)| sum.wrapping_add(i32::from(*left) * i32::from(*right)))
}

#[cfg(target_arch = "x86_64")]
mod by_x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_shuffle_epi32, _mm256_add_epi32, _mm256_castsi256_si128,
        _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_setzero_si256, _mm512_dpwssd_epi32,
        _mm512_loadu_si512, _mm512_reduce_add_epi32, _mm512_setzero_si512,
    };

    use super::{STEP, project_by};

    /// Rows summed together: their sums hide each other's latency, and each load of the vector serves all.
    const TOGETHER: usize = 4;

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn project_vnni(vector: &[i16], matrix: &[i16], sums: &mut Vec<i32>) {
        let steps = vector.as_chunks::<STEP>().0;
        let mut groups = matrix.chunks_exact((TOGETHER * vector.len()).max(1));
        for group in groups.by_ref() {
            let mut rows = group.as_chunks::<STEP>().0.chunks_exact(steps.len().max(1));
            let (Some(one), Some(two), Some(three), Some(four)) = (rows.next(), rows.next(), rows.next(), rows.next()) else {
                return;
            };
            let mut lanes = [_mm512_setzero_si512(); TOGETHER];
            let ahead: *const i8 = group.as_ptr_range().end.cast();
            let [first, second, third, fourth] = &mut lanes;
            for (((((step, one), two), three), four), at) in steps.iter().zip(one).zip(two).zip(three).zip(four).zip(0usize..) {
                // The next group, in order: four streams are more than the processor foresees.
                for next in 0..TOGETHER {
                    crate::kernels::prefetch_line(ahead.wrapping_add((at * TOGETHER + next) * size_of::<[i16; STEP]>()));
                }
                let step = load(step);
                *first = _mm512_dpwssd_epi32(*first, load(one), step);
                *second = _mm512_dpwssd_epi32(*second, load(two), step);
                *third = _mm512_dpwssd_epi32(*third, load(three), step);
                *fourth = _mm512_dpwssd_epi32(*fourth, load(four), step);
            }
            sums.extend(lanes.map(|lanes| _mm512_reduce_add_epi32(lanes)));
        }
        project_by(vector, groups.remainder(), sums, |left, right| {
            let mut lanes = _mm512_setzero_si512();
            for (left, right) in left.iter().zip(right) {
                lanes = _mm512_dpwssd_epi32(lanes, load(left), load(right));
            }
            _mm512_reduce_add_epi32(lanes)
        });
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn project_avx2(vector: &[i16], matrix: &[i16], sums: &mut Vec<i32>) {
        project_by(vector, matrix, sums, |left, right| {
            let mut lanes = [_mm256_setzero_si256(); 2];
            for (left, right) in left.iter().zip(right) {
                for ((lanes, left), right) in lanes.iter_mut().zip(load_halves(left)).zip(load_halves(right)) {
                    *lanes = _mm256_add_epi32(*lanes, _mm256_madd_epi16(left, right));
                }
            }
            let [low, high] = lanes;
            let eight = _mm256_add_epi32(low, high);
            let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
            let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
            _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
        });
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(step: &[i16; STEP]) -> __m512i {
        // SAFETY: 32 values are read from a reference to 32, at any alignment.
        unsafe { _mm512_loadu_si512(step.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_halves(step: &[i16; STEP]) -> [__m256i; 2] {
        let start: *const __m256i = step.as_ptr().cast();
        // SAFETY: 16 values and 16 more are read from a reference to 32, at any alignment.
        unsafe { [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_version_equals_the_portable_one(steps in 0usize..6, rows in 0usize..11, seed: u64, cut in 0usize..3) {
            let mut state = seed;
            let mut next = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as i16).max(-i16::MAX)
            };
            // An odd start makes the slices misaligned.
            let vector: Vec<i16> = (0..cut + steps * STEP).map(|_| next()).collect();
            let matrix: Vec<i16> = (0..cut + rows * steps * STEP).map(|_| next()).collect();
            let (vector, matrix) = (&vector[cut..], &matrix[cut..]);
            let mut expected = Vec::new();
            project_by(vector, matrix, &mut expected, portable);
            prop_assert_eq!(expected.len(), if steps > 0 { rows } else { 0 });
            let mut found = vec![9];
            project(vector, matrix, &mut found);
            prop_assert_eq!(&found, &expected);
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            if x86::has_avx2() {
                let mut found = Vec::new();
                // SAFETY: this processor has AVX2.
                unsafe { by_x86::project_avx2(vector, matrix, &mut found) };
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
