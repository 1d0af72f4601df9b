//! What a run is held against: a TOML file of limits, or the defaults.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::error::LoadError;

/// Limits. A key that is left out has its default; an unknown one is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    /// Longest 99th percentile of latency at capacity, in soaks and on the plateau of a festival.
    pub p99_ms_max: f64,
    /// Smallest share of requests answered well there.
    pub good_share_min: f64,
    /// Largest share of answers below full service at capacity.
    pub degraded_share_max: f64,
    /// Smallest goodput under overload, as a share of the peak's: at 2, 5 and 10 times capacity. Between them the next larger multiple counts.
    pub goodput_share_min_2x: f64,
    /// As at 2.
    pub goodput_share_min_5x: f64,
    /// As at 2.
    pub goodput_share_min_10x: f64,
    /// Smallest share of critical requests answered well, where they alone are below half of capacity.
    pub critical_good_share_min: f64,
    /// Longest time from the end of an overload to full service.
    pub recovery_seconds_max: f64,
    /// Largest growth of the server's memory over a soak, as a share.
    pub rss_growth_max: f64,
    /// Largest growth of it from capacity to after the last overload: requests under way and buffers of connections, which are bounded.
    pub overload_rss_growth_max: f64,
    /// Largest growth of the 99th percentile from the first to the last third of a soak, as a share.
    pub p99_drift_max: f64,
    /// Longest age of the server's view of the log in a festival.
    pub view_age_seconds_max: f64,
}

impl Default for Slo {
    fn default() -> Self {
        Self {
            p99_ms_max: 50.0,
            good_share_min: 0.999,
            degraded_share_max: 0.01,
            goodput_share_min_2x: 0.95,
            goodput_share_min_5x: 0.8,
            goodput_share_min_10x: 0.5,
            critical_good_share_min: 0.999,
            recovery_seconds_max: 10.0,
            rss_growth_max: 0.03,
            overload_rss_growth_max: 0.25,
            p99_drift_max: 0.5,
            view_age_seconds_max: 5.0,
        }
    }
}

impl Slo {
    /// Reads a file; without one, the defaults.
    ///
    /// # Errors
    /// [`LoadError::Slo`] with the key or line that is wrong.
    pub fn read(path: Option<&Path>) -> Result<Self, LoadError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let wrong = |why: String| LoadError::Slo { path: path.to_owned(), why };
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))
    }

    /// Smallest share of the peak's goodput at a multiple of capacity.
    #[must_use]
    pub fn goodput_share_min(&self, multiple: f64) -> f64 {
        match multiple {
            multiple if multiple <= 2.0 => self.goodput_share_min_2x,
            multiple if multiple <= 5.0 => self.goodput_share_min_5x,
            _ => self.goodput_share_min_10x,
        }
    }
}

/// One limit and what was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What is limited.
    pub what: String,
    /// The limit.
    pub limit: f64,
    /// What was found; null where nothing could be.
    pub found: Option<f64>,
    /// Whether it holds. What could not be found does not.
    pub holds: bool,
}

impl Verdict {
    /// `found` is to be at most `limit`.
    #[must_use]
    pub fn at_most(what: impl Into<String>, limit: f64, found: Option<f64>) -> Self {
        Self { what: what.into(), limit, found, holds: found.is_some_and(|found| found <= limit) }
    }

    /// `found` is to be at least `limit`.
    #[must_use]
    pub fn at_least(what: impl Into<String>, limit: f64, found: Option<f64>) -> Self {
        Self { what: what.into(), limit, found, holds: found.is_some_and(|found| found >= limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_differs_from_the_defaults_and_nothing_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slo.toml");
        fs::write(&path, "p99_ms_max = 20.0\n").unwrap();
        assert_eq!(Slo::read(Some(&path)).unwrap(), Slo { p99_ms_max: 20.0, ..Slo::default() });
        fs::write(&path, "p99_max = 20.0\n").unwrap();
        let refused = Slo::read(Some(&path)).unwrap_err().to_string();
        assert!(refused.contains("p99_max") && refused.contains("slo.toml"), "{refused}");
        assert_eq!(Slo::read(None).unwrap(), Slo::default());
    }

    #[test]
    fn what_is_not_known_does_not_hold() {
        assert!(Verdict::at_most("x", 1.0, Some(1.0)).holds && Verdict::at_least("x", 1.0, Some(1.0)).holds);
        assert!(!Verdict::at_most("x", 1.0, None).holds && !Verdict::at_least("x", 1.0, None).holds);
        assert!(!Verdict::at_most("x", 1.0, Some(f64::NAN)).holds);
        assert_eq!([1.0, 2.0, 3.0, 5.0, 10.0].map(|times| Slo::default().goodput_share_min(times)), [0.95, 0.95, 0.8, 0.8, 0.5]);
    }
}
