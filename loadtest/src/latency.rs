//! Latencies as HDR histograms: exact counts, two or three significant digits, no averaging away of the tail.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::LoadError;

/// Longest latency told apart; no deadline allowed here is longer.
const LATENCY_US_MAX: u64 = 120_000_000;

/// A distribution of latencies from a microsecond to two minutes.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    /// None yet; three significant digits, 150 kB.
    ///
    /// # Errors
    /// Never with the bounds used here; the histogram's constructor says it can.
    pub fn new() -> Result<Self, LoadError> {
        Self::with_digits(3)
    }

    /// None yet; two significant digits, 20 kB: for distributions of which a long run has thousands.
    ///
    /// # Errors
    /// As [`Latencies::new`].
    pub fn coarse() -> Result<Self, LoadError> {
        Self::with_digits(2)
    }

    fn with_digits(digits: u8) -> Result<Self, LoadError> {
        Ok(Self { histogram: Histogram::new_with_bounds(1, LATENCY_US_MAX, digits)? })
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX);
        self.histogram.saturating_record(latency_us);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Milliseconds below or at which a share `quantile` (0 to 1) of them lies; `None` while there are none.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        (!self.histogram.is_empty()).then(|| self.histogram.value_at_quantile(quantile) as f64 / 1_000.0)
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> Option<f64> {
        self.quantile_ms(1.0)
    }
}

/// A latency in milliseconds for people, `-` where there is none.
#[must_use]
pub fn for_people(latency_ms: Option<f64>) -> String {
    latency_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_ones_are_right_to_a_hundredth() {
        let (mut fine, mut coarse) = (Latencies::new().unwrap(), Latencies::coarse().unwrap());
        for n in 1..=10_000_u64 {
            let latency = Duration::from_micros(37 * n);
            fine.record(latency);
            coarse.record(latency);
        }
        for quantile in [0.001, 0.5, 0.99, 1.0] {
            let (fine, coarse) = (fine.quantile_ms(quantile).unwrap(), coarse.quantile_ms(quantile).unwrap());
            assert!((coarse / fine - 1.0).abs() < 0.01, "{quantile}: {coarse} and {fine} ms");
        }
        assert_eq!(coarse.count(), 10_000);
    }
}
