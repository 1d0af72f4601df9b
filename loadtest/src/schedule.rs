//! When requests are due: a Poisson process, fixed before the first request leaves.

use std::{str::FromStr, time::Duration};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::error::LoadError;

/// Arrivals a second: above 0, at most 200,000.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(f64);

impl Rate {
    /// More than any one generator can send; a schedule this dense stays bounded in memory because it is drawn as it is needed.
    const PER_SECOND_MAX: f64 = 200_000.0;

    /// A rate of `per_second` arrivals.
    ///
    /// # Errors
    /// [`LoadError::OutOfRange`] unless it is above 0 and at most 200,000.
    pub fn new(per_second: f64) -> Result<Self, LoadError> {
        if per_second > 0.0 && per_second <= Self::PER_SECOND_MAX {
            Ok(Self(per_second))
        } else {
            Err(LoadError::OutOfRange {
                name: "rate",
                value: per_second.to_string(),
                allowed: "above 0, at most 200000 a second",
            })
        }
    }

    /// Arrivals a second.
    #[must_use]
    pub const fn per_second(self) -> f64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        Self::new(text.parse().unwrap_or(f64::NAN))
    }
}

/// How long arrivals go on: above 0, at most two hours, so that a forgotten generator stops by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunLength(Duration);

impl RunLength {
    const SECONDS_MAX: f64 = 7_200.0;

    /// A run of `seconds`.
    ///
    /// # Errors
    /// [`LoadError::OutOfRange`] unless it is above 0 and at most 7,200.
    pub fn from_seconds(seconds: f64) -> Result<Self, LoadError> {
        if seconds > 0.0 && seconds <= Self::SECONDS_MAX {
            Ok(Self(Duration::from_secs_f64(seconds)))
        } else {
            Err(LoadError::OutOfRange {
                name: "run length",
                value: seconds.to_string(),
                allowed: "above 0, at most 7200 seconds",
            })
        }
    }

    /// The length.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for RunLength {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        Self::from_seconds(text.parse().unwrap_or(f64::NAN))
    }
}

/// Offsets from the start at which requests are due, ascending: gaps are independent and exponential with mean 1 / rate.
///
/// The same seed gives the same schedule on every machine. O(1) memory, about 20 ns an arrival.
#[derive(Clone, Debug)]
pub struct Schedule {
    random: ChaCha8Rng,
    gap_mean_s: f64,
    due_s: f64,
    end_s: f64,
}

impl Schedule {
    /// The schedule of `rate` over `length` under `seed`.
    #[must_use]
    pub fn new(rate: Rate, length: RunLength, seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            gap_mean_s: 1.0 / rate.per_second(),
            due_s: 0.0,
            end_s: length.duration().as_secs_f64(),
        }
    }

    /// How long arrivals go on.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.end_s)
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let uniform: f64 = self.random.random();
        // 1 - uniform lies in (0, 1], so the logarithm is finite.
        self.due_s -= (1.0 - uniform).ln() * self.gap_mean_s;
        (self.due_s < self.end_s).then(|| Duration::from_secs_f64(self.due_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(per_second: f64, seconds: f64, seed: u64) -> Vec<Duration> {
        Schedule::new(Rate::new(per_second).unwrap(), RunLength::from_seconds(seconds).unwrap(), seed).collect()
    }

    #[test]
    fn count_and_gaps_are_those_of_a_poisson_process() {
        let due = schedule(2_000.0, 100.0, 7);
        // Count: mean 200,000, standard deviation sqrt(200,000) = 447; four of them.
        assert!((due.len() as f64 - 200_000.0).abs() < 4.0 * 447.0, "{} arrivals", due.len());
        let gaps_s: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean_s = gaps_s.iter().sum::<f64>() / gaps_s.len() as f64;
        let variance = gaps_s.iter().map(|gap| (gap - mean_s).powi(2)).sum::<f64>() / gaps_s.len() as f64;
        assert!((mean_s / 0.000_5 - 1.0).abs() < 0.01, "mean gap {mean_s}");
        // Exponential gaps: the standard deviation equals the mean, and a share 1 - 1/e lies below it. Even spacing would give 0 and 1/2.
        assert!((variance.sqrt() / mean_s - 1.0).abs() < 0.02, "deviation {}", variance.sqrt());
        let below_mean = gaps_s.iter().filter(|gap| **gap < mean_s).count() as f64 / gaps_s.len() as f64;
        assert!((below_mean - (1.0 - (-1.0_f64).exp())).abs() < 0.01, "{below_mean} of the gaps are below the mean");
    }

    #[test]
    fn a_schedule_is_ascending_bounded_and_a_function_of_its_seed() {
        let due = schedule(500.0, 3.0, 1);
        assert!(due.is_sorted());
        assert!(due.last().is_some_and(|last| *last < Duration::from_secs(3)));
        assert_eq!(due, schedule(500.0, 3.0, 1));
        assert_ne!(due, schedule(500.0, 3.0, 2));
    }

    #[test]
    fn unbounded_runs_are_refused() {
        for text in ["0", "-1", "NaN", "inf", "200001", "fast"] {
            assert!(text.parse::<Rate>().is_err(), "rate {text}");
        }
        for text in ["0", "-1", "NaN", "inf", "7201", "long"] {
            assert!(text.parse::<RunLength>().is_err(), "run length {text}");
        }
        assert!("7200".parse::<RunLength>().is_ok());
    }
}
