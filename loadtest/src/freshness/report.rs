//! What a run of trials found, for machines and for people.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{
    FreshnessPlan,
    background::BackgroundReport,
    books::{Books, Sightings},
};
use crate::{
    latency::{Latencies, for_people},
    target::Target,
};

/// The result of `faces-loadtest freshness`; field names are the keys of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct FreshnessReport {
    /// Where the events went.
    pub target: String,
    /// Business unit of the events.
    pub bu: String,
    /// Type of the events.
    pub event: &'static str,
    /// Pause between two looks; the times are late by up to this plus one call.
    pub poll_ms: u64,
    /// Pause between the two looks before the event.
    pub settle_ms: u64,
    /// When an event was given up.
    pub timeout_ms: u64,
    /// Trials that were run.
    pub trials: u32,
    /// Trials whose event was acknowledged.
    pub written: u32,
    /// From the call of WriteEvents to its acknowledgement.
    pub acknowledged: Visibility,
    /// From the call of WriteEvents to a profile with the event.
    pub profile: Visibility,
    /// From the call of WriteEvents to another slate.
    pub slate: Visibility,
    /// Errors by gRPC code or kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// First message of each kind of error.
    pub samples: BTreeMap<&'static str, String>,
    /// Whether it was stopped before the last trial.
    pub stopped_early: bool,
    /// What ran beside the trials, if anything did.
    pub background: Option<BackgroundReport>,
}

/// How long a sign took to show.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Visibility {
    /// Trials in which it showed; the percentiles are of these.
    pub seen: u64,
    /// Trials in which it did not show in time.
    pub missed: u32,
    /// Trials not timed, because the slate differed by itself before the event.
    pub unstable: u32,
    /// Half took at most this.
    pub p50_ms: Option<f64>,
    /// Nine in ten took at most this.
    pub p90_ms: Option<f64>,
    /// All but one in a hundred took at most this.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
}

impl Visibility {
    fn new(seen: &Latencies, missed: u32, unstable: u32) -> Self {
        Self {
            seen: seen.count(),
            missed,
            unstable,
            p50_ms: seen.quantile_ms(0.5),
            p90_ms: seen.quantile_ms(0.9),
            p99_ms: seen.quantile_ms(0.99),
            max_ms: seen.max_ms(),
        }
    }

    fn of(sightings: &Sightings) -> Self {
        Self::new(&sightings.seen, sightings.missed, sightings.unstable)
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, max] = [self.p50_ms, self.p90_ms, self.p99_ms, self.max_ms].map(for_people);
        write!(f, "p50 {p50}  p90 {p90}  p99 {p99}  max {max}  ({} seen", self.seen)?;
        if self.missed > 0 {
            write!(f, ", {} missed", self.missed)?;
        }
        if self.unstable > 0 {
            write!(f, ", {} not timed: the slate changed by itself", self.unstable)?;
        }
        f.write_str(")")
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl FreshnessReport {
    pub(super) fn new(plan: &FreshnessPlan, target: &Target, books: &Books, stopped_early: bool) -> Self {
        Self {
            target: target.uri().to_string(),
            bu: plan.bu.clone(),
            event: plan.event.as_str_name(),
            poll_ms: ms(plan.poll),
            settle_ms: ms(plan.settle),
            timeout_ms: ms(plan.timeout),
            trials: books.trials,
            written: books.written,
            acknowledged: Visibility::new(&books.acknowledged, 0, 0),
            profile: Visibility::of(&books.profile),
            slate: Visibility::of(&books.slate),
            errors: books.errors.clone(),
            samples: books.samples.clone(),
            stopped_early,
            background: None,
        }
    }
}

impl fmt::Display for FreshnessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<24}{value}");
        row("target", format!("{}  bu {}  {}", self.target, self.bu, self.event))?;
        row("trials", format!("{} run, {} written", self.trials, self.written))?;
        row("acknowledged ms", self.acknowledged.to_string())?;
        row("event -> profile ms", self.profile.to_string())?;
        row("event -> other slate ms", self.slate.to_string())?;
        row("errors", self.errors.values().sum::<u64>().to_string())?;
        for (kind, count) in &self.errors {
            row("", format!("{kind} {count}  {}", self.samples.get(kind).map_or("", String::as_str)))?;
        }
        row("resolution", format!("times are late by up to {} ms (--poll-ms) and one call", self.poll_ms))?;
        if self.stopped_early {
            row("note", "stopped before the last trial".to_owned())?;
        }
        self.background.as_ref().map_or(Ok(()), |background| background.fmt(f))
    }
}
