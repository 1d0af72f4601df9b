//! Whether answers got worse with a new generation: what is counted of them, who asked lately, and when to go back.
//!
//! Counts and clocks are told to the [`Overseer`], which decides; [`crate::swap`] acts. Of who asked, a bounded ring of the latest is kept
//! in memory: to warm a generation up before it serves, and for [`crate::mirrored`].

mod counts;
mod overseer;
mod recent;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use counts::{Counts, Health};
pub use overseer::{Cause, Overseer};
pub use recent::{Asked, RecentQueries};

/// When a generation is taken back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchOver {
    /// How long answers are watched after a swap, and how long before is looked back, minutes. 0: not at all.
    pub minutes: f64,
    /// Calls before the swap and after it, without which nothing is judged.
    pub calls_min: u64,
    /// By how much the share of calls that fail may rise.
    pub failed_share_rise_max: f64,
    /// By how much the share of empty slates may rise.
    pub empty_share_rise_max: f64,
    /// What the time that 99 of 100 calls keep to may be multiplied by.
    pub latency_ratio_max: f64,
}

impl Default for WatchOver {
    fn default() -> Self {
        Self { minutes: 10.0, calls_min: 500, failed_share_rise_max: 0.01, empty_share_rise_max: 0.05, latency_ratio_max: 3.0 }
    }
}

impl WatchOver {
    /// How long answers are watched.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::try_from_secs_f64(self.minutes * 60.0).unwrap_or_default()
    }

    /// Key, value, whether it fits, and what it must be.
    #[must_use]
    pub fn ranges(&self) -> [(&'static str, f64, bool, &'static str); 5] {
        let share = |key, value: f64| (key, value, (0.0..=1.0).contains(&value), "a number from 0 to 1");
        let (minutes, ratio) = (self.minutes, self.latency_ratio_max);
        [
            ("generations.watch_over.minutes", minutes, (0.0..=1_440.0).contains(&minutes), "from 0 to 1440"),
            ("generations.watch_over.calls_min", self.calls_min as f64, self.calls_min >= 1, "at least 1"),
            share("generations.watch_over.failed_share_rise_max", self.failed_share_rise_max),
            share("generations.watch_over.empty_share_rise_max", self.empty_share_rise_max),
            ("generations.watch_over.latency_ratio_max", ratio, ratio >= 1.0, "a number of at least 1"),
        ]
    }
}
