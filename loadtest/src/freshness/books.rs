//! The books of a run of trials.

use std::collections::BTreeMap;

use super::trial::{Failure, Look, TrialOutcome};
use crate::{error::LoadError, latency::Latencies};

/// Counts and distributions of a run of trials.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) trials: u32,
    pub(super) written: u32,
    pub(super) acknowledged: Latencies,
    pub(super) profile: Sightings,
    pub(super) slate: Sightings,
    pub(super) errors: BTreeMap<&'static str, u64>,
    pub(super) samples: BTreeMap<&'static str, String>,
}

/// When a sign was seen, and how often it was not.
#[derive(Debug)]
pub(super) struct Sightings {
    pub(super) seen: Latencies,
    pub(super) missed: u32,
    pub(super) unstable: u32,
}

impl Sightings {
    fn new() -> Result<Self, LoadError> {
        Ok(Self { seen: Latencies::new()?, missed: 0, unstable: 0 })
    }
}

impl Books {
    pub(super) fn new() -> Result<Self, LoadError> {
        Ok(Self {
            trials: 0,
            written: 0,
            acknowledged: Latencies::new()?,
            profile: Sightings::new()?,
            slate: Sightings::new()?,
            errors: BTreeMap::new(),
            samples: BTreeMap::new(),
        })
    }

    pub(super) fn enter(&mut self, outcome: TrialOutcome) {
        self.trials += 1;
        match outcome {
            TrialOutcome::Failed(failure) => self.enter_failure(failure),
            TrialOutcome::Written(written) => {
                self.written += 1;
                self.acknowledged.record(written.acknowledged);
                let failures = [enter_look(&mut self.profile, written.profile), enter_look(&mut self.slate, written.slate)];
                failures.into_iter().flatten().for_each(|failure| self.enter_failure(failure));
            }
        }
    }

    fn enter_failure(&mut self, failure: Failure) {
        *self.errors.entry(failure.kind).or_default() += 1;
        self.samples.entry(failure.kind).or_insert(failure.message);
    }
}

fn enter_look(sightings: &mut Sightings, look: Look) -> Option<Failure> {
    match look {
        Look::Seen(after) => sightings.seen.record(after),
        Look::Missed => sightings.missed += 1,
        Look::Unstable => sightings.unstable += 1,
        Look::Failed(failure) => return Some(failure),
    }
    None
}
