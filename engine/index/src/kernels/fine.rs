//! From 12 bits a value back to `f32`: an int8 code, as blocks hold it, and four more bits.
//!
//! Value by value a product and a sum, never fused, so every version returns the same bits. The code is written so that the
//! compiler turns it into vector instructions; compiled once for each instruction set.

use super::int8::{LINE, Line, OFFSET, QUAD};
#[cfg(target_arch = "x86_64")]
use super::x86;

/// What four bits are stored as more than.
pub(crate) const FINE_OFFSET: i32 = 8;

/// Steps of the fine code in one of the coarse.
pub(crate) const FINE_STEPS: i32 = 16;

/// A row's fine codes: byte `i` of ⌈d ÷ 2⌉ holds value `i` in its low half and value `i + ⌈d ÷ 2⌉` in its high.
#[inline(always)]
pub(crate) fn fine_bytes(dimension: usize) -> usize {
    dimension.div_ceil(2)
}

/// Writes (code · 16 + fine) · `step` + centre, value by value. An empty `centre` is zero. `codes` and `fines` are in stored form.
#[inline]
pub(crate) fn unpack(codes: &[u8], fines: &[u8], step: f32, centre: &[f32], values: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_avx512() {
            // SAFETY: the function demands AVX-512F, which this processor has.
            return unsafe { unpack_avx512(codes, fines, step, centre, values) };
        }
        if x86::has_avx2() {
            // SAFETY: the function demands AVX2, which this processor has.
            return unsafe { unpack_avx2(codes, fines, step, centre, values) };
        }
    }
    unpack_any(codes, fines, step, centre, values);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn unpack_avx512(codes: &[u8], fines: &[u8], step: f32, centre: &[f32], values: &mut [f32]) {
    unpack_any(codes, fines, step, centre, values);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn unpack_avx2(codes: &[u8], fines: &[u8], step: f32, centre: &[f32], values: &mut [f32]) {
    unpack_any(codes, fines, step, centre, values);
}

#[inline(always)]
fn unpack_any(codes: &[u8], fines: &[u8], step: f32, centre: &[f32], values: &mut [f32]) {
    let half = fine_bytes(values.len());
    let (low_codes, high_codes) = codes.split_at_checked(half).unwrap_or_default();
    let Some((low, high)) = values.split_at_mut_checked(half) else {
        return;
    };
    for ((value, code), fine) in low.iter_mut().zip(low_codes).zip(fines) {
        *value = wide(*code, *fine & 15) * step;
    }
    for ((value, code), fine) in high.iter_mut().zip(high_codes).zip(fines) {
        *value = wide(*code, *fine >> 4) * step;
    }
    for (value, centre) in values.iter_mut().zip(centre) {
        *value += *centre;
    }
}

#[inline(always)]
fn wide(code: u8, fine: u8) -> f32 {
    ((i32::from(code) - OFFSET) * FINE_STEPS + i32::from(fine) - FINE_OFFSET) as f32
}

/// Copies the codes of one row of a block, `lane` of its 16, to `codes`: four a line.
#[inline(always)]
pub(crate) fn pick_lane(lines: &[Line], lane: usize, codes: &mut [u8]) {
    for (quad, line) in codes.as_chunks_mut::<QUAD>().0.iter_mut().zip(lines) {
        if let Some(of_lane) = line.0.as_chunks::<QUAD>().0.get(lane % (LINE / QUAD)) {
            *quad = *of_lane;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_version_equals_the_plain_one(
            codes in prop::collection::vec(any::<u8>(), 1..200),
            noise in prop::collection::vec(any::<u8>(), 100),
            step in 0.0f32..3.0,
            is_centred: bool,
        ) {
            let dimension = codes.len();
            let half = fine_bytes(dimension);
            let centre: Vec<f32> = codes.iter().map(|code| f32::from(*code) * 0.3).take(if is_centred { dimension } else { 0 }).collect();
            let oracle = (0..dimension).map(|at| {
                let fine = noise[at % half] >> if at < half { 0 } else { 4 } & 15;
                let wide = (i32::from(codes[at]) - 128) * 16 + i32::from(fine) - 8;
                wide as f32 * step + centre.get(at).copied().unwrap_or(0.0)
            });
            let oracle: Vec<u32> = oracle.map(|value| (value + 0.0).to_bits()).collect();
            let check = |unpack: &dyn Fn(&mut [f32])| {
                let mut values = vec![f32::NAN; dimension];
                unpack(&mut values);
                values.iter().map(|value| (value + 0.0).to_bits()).collect::<Vec<_>>()
            };
            let fines = &noise[..half];
            prop_assert_eq!(&check(&|values| unpack(&codes, fines, step, &centre, values)), &oracle);
            prop_assert_eq!(&check(&|values| unpack_any(&codes, fines, step, &centre, values)), &oracle);
            #[cfg(target_arch = "x86_64")]
            if x86::has_avx2() {
                // SAFETY: this processor has AVX2.
                prop_assert_eq!(&check(&|values| unsafe { unpack_avx2(&codes, fines, step, &centre, values) }), &oracle);
            }
        }

        #[test]
        fn a_lane_is_its_quads(bytes in prop::collection::vec(any::<u8>(), LINE * 3), lane in 0usize..16) {
            let lines: Vec<Line> = bytes.as_chunks::<LINE>().0.iter().map(|line| Line(*line)).collect();
            let mut codes = [0; 12];
            pick_lane(&lines, lane, &mut codes);
            let expected: Vec<u8> = (0..12).map(|at| bytes[at / 4 * LINE + lane * 4 + at % 4]).collect();
            prop_assert_eq!(codes.as_slice(), expected);
        }
    }
}
