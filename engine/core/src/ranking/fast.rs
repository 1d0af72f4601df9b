//! Logarithm and power of two, as near as ranking needs them, in a few additions and multiplications that compilers turn into
//! vector instructions: the ones of the standard library are a call each, and a request asks for thousands.

/// `log2(x)` to 0.00002, for normal `x` above 0; what lies below counts as the smallest of these.
#[must_use]
pub(crate) fn log2(x: f32) -> f32 {
    let bits = x.max(f32::MIN_POSITIVE).to_bits();
    let exponent = (bits >> 23) as f32 - 127.0;
    let m = f32::from_bits(bits & 0x007F_FFFF | 0x3F80_0000) - 1.0; // 0 to 1
    // Least squares with the error's maximum flattened, held to 0 and 1 at the ends.
    let c = m - 0.5;
    let bend = 0.339_790_37 + c * (-0.152_614_56 + c * (0.080_703_02 - c * 0.045_148_84));
    exponent + m * (1.0 + (1.0 - m) * bend)
}

/// `2^x` to a relative 0.000003, for `x` from −126 to 127; what lies outside counts as the end.
#[must_use]
pub(crate) fn exp2(x: f32) -> f32 {
    const TO_WHOLE: f32 = 12_582_912.0; // adding 1.5 · 2²³ leaves no bits below the point
    let x = x.clamp(-126.0, 127.0);
    let shifted = x + TO_WHOLE;
    let f = x - (shifted - TO_WHOLE); // −½ to ½
    let power = 1.0 + f * (0.693_121_8 + f * (0.240_247_46 + f * (0.055_917_866 + f * 0.009_570_053)));
    let whole = shifted.to_bits().wrapping_sub(TO_WHOLE.to_bits());
    f32::from_bits(power.to_bits().wrapping_add(whole << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_exact_ones_everywhere() {
        for n in 0..100_000 {
            let x = n as f32 / 400.0 - 125.0;
            let (near, exact) = (exp2(x), x.exp2());
            assert!((near / exact - 1.0).abs() < 1e-5, "2^{x} = {exact}, not {near}");
            assert!((log2(exact) - exact.log2()).abs() < 5e-5, "log2 of {exact} = {}, not {}", exact.log2(), log2(exact));
        }
        assert_eq!([exp2(0.0), exp2(3.0), log2(1.0), log2(8.0)], [1.0, 8.0, 0.0, 3.0]);
        assert!(exp2(f32::NEG_INFINITY) < 2e-38 && exp2(-1e9) < 2e-38 && log2(0.0) == -126.0);
    }
}
