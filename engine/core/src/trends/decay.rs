//! Forward decay: what a span of time weighs, for one half-life.

/// Spans are weighed from landmarks this many half-lives apart: the same for every process, and far inside what a f64 holds.
const LANDMARK_HALF_LIVES: i32 = 400;

#[derive(Debug)]
pub(super) struct Decay {
    powers: Box<[f64]>, // 2^(n / half-life) for every span of one half-life
}

impl Decay {
    pub(super) fn new(half_life_spans: f64) -> Self {
        let spans = (half_life_spans.round() as i32).max(1);
        Self { powers: (0..spans).map(|n| (f64::from(n) / f64::from(spans)).exp2()).collect() }
    }

    /// Spans in one half-life.
    pub(super) const fn half_life(&self) -> i32 {
        self.powers.len() as i32
    }

    /// The landmark from which `span` and what lies around it are weighed.
    pub(super) const fn landmark_of(&self, span: i32) -> i32 {
        let apart = LANDMARK_HALF_LIVES.saturating_mul(self.half_life());
        span.div_euclid(apart) * apart
    }

    /// `2^((span − landmark) / half-life)`: a table for the fraction, the exponent's bits for the rest.
    pub(super) fn weight_of(&self, span: i32, landmark: i32) -> f64 {
        let passed = span.saturating_sub(landmark);
        let (whole, part) = (passed.div_euclid(self.half_life()), passed.rem_euclid(self.half_life()));
        let scale = if (-1022..=1023).contains(&whole) { f64::from_bits(((whole + 1023) as u64) << 52) } else { 0.0 };
        self.powers.get(part as usize).map_or(0.0, |power| power * scale)
    }
}
