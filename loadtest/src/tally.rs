//! The books of one run: what was due, what was sent, what came back and how late.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{error::LoadError, latency::Latencies, slate::SlateFaults};

/// Kind of error for requests that never left, because as many as allowed were under way.
pub const GENERATOR_SATURATED: &str = "generator_saturated";
/// Kind of error for requests that never left, because the generator got to them only after their deadline.
pub const GENERATOR_LATE: &str = "generator_late";
/// Kind of error for requests whose task broke inside the generator.
pub const GENERATOR_FAILED: &str = "generator_failed";
/// Generations told apart in one run; further ones are added up under [`OTHER_GENERATIONS`].
const GENERATIONS_MAX: usize = 64;
const OTHER_GENERATIONS: &str = "(others)";

/// What became of one request that was sent.
#[derive(Clone, Debug)]
pub struct Finished {
    /// From when it was due to when it was sent: the generator's own delay.
    pub send_lag: Duration,
    /// From when it was due to when it was over.
    pub latency: Duration,
    /// From the start of the run to when it was over.
    pub at: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With a slate, inside the deadline.
    Slate {
        /// Generation that answered.
        generation_id: String,
        /// What is wrong with the slate.
        faults: SlateFaults,
    },
    /// At the deadline, without an answer.
    DeadlineExceeded,
    /// With an error status.
    Error {
        /// Name of the gRPC code.
        code: &'static str,
        /// Message of the status.
        message: String,
    },
}

/// Bad slates by what is wrong; a slate can be wrong in more than one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BadSlates {
    /// Without items.
    pub empty: u64,
    /// With fewer items than asked for.
    pub short: u64,
    /// With more items than asked for.
    pub overlong: u64,
    /// With an item more than once.
    pub duplicate: u64,
}

/// Answers of one generation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GenerationSeen {
    /// The generation; empty before the server's first.
    pub generation_id: String,
    /// Answers it gave.
    pub answers: u64,
    /// Seconds from the start to its first answer.
    pub first_s: f64,
    /// Seconds from the start to its last answer.
    pub last_s: f64,
}

/// Counts and distributions of one run.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests that were due.
    pub due: u64,
    /// Requests that left.
    pub sent: u64,
    /// Requests that came back with a slate inside the deadline.
    pub answered: u64,
    /// Slates with a fault, each counted once.
    pub bad_slates: u64,
    /// The faults.
    pub bad_slates_by_kind: BadSlates,
    /// Errors by gRPC code or kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// First message of each kind of error, first example of a bad slate.
    pub samples: BTreeMap<&'static str, String>,
    /// Latency of slates and, with the time they waited, of requests that ran into the deadline. Other errors are left out: a
    /// refusal is quick and would flatter the median.
    pub latencies: Latencies,
    /// The generator's own delay.
    pub send_lags: Latencies,
    /// When the last request was over.
    pub last_at: Duration,
    generations: BTreeMap<String, GenerationSeen>,
}

impl Tally {
    /// Empty books.
    ///
    /// # Errors
    /// As [`Latencies::new`].
    pub fn new() -> Result<Self, LoadError> {
        Ok(Self {
            due: 0,
            sent: 0,
            answered: 0,
            bad_slates: 0,
            bad_slates_by_kind: BadSlates::default(),
            errors: BTreeMap::new(),
            samples: BTreeMap::new(),
            latencies: Latencies::new()?,
            send_lags: Latencies::new()?,
            last_at: Duration::ZERO,
            generations: BTreeMap::new(),
        })
    }

    /// Enters a request that is over.
    pub fn finish(&mut self, finished: Finished) {
        self.send_lags.record(finished.send_lag);
        self.last_at = self.last_at.max(finished.at);
        match finished.outcome {
            Outcome::Slate { generation_id, faults } => {
                self.latencies.record(finished.latency);
                self.answered += 1;
                self.see_generation(generation_id, finished.at);
                if faults.is_bad() {
                    self.enter_faults(faults);
                }
            }
            Outcome::DeadlineExceeded => {
                self.latencies.record(finished.latency);
                self.error("DEADLINE_EXCEEDED", "no answer inside the deadline");
            }
            Outcome::Error { code, message } => self.error(code, &message),
        }
    }

    /// Enters a request that the generator got to so late that sending it was pointless.
    pub fn too_late(&mut self, send_lag: Duration) {
        self.send_lags.record(send_lag);
        self.error(GENERATOR_LATE, "its deadline had passed before the generator could send it");
    }

    /// Enters an error of `kind`.
    pub fn error(&mut self, kind: &'static str, message: &str) {
        *self.errors.entry(kind).or_default() += 1;
        self.samples.entry(kind).or_insert_with(|| message.to_owned());
    }

    /// Slates inside the deadline with nothing wrong.
    #[must_use]
    pub const fn good(&self) -> u64 {
        self.answered - self.bad_slates
    }

    /// Errors of every kind.
    #[must_use]
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The generations that answered, in the order of their first answer.
    #[must_use]
    pub fn generations(&self) -> Vec<GenerationSeen> {
        let mut seen: Vec<_> = self.generations.values().cloned().collect();
        seen.sort_by(|a, b| a.first_s.total_cmp(&b.first_s).then_with(|| a.generation_id.cmp(&b.generation_id)));
        seen
    }

    fn enter_faults(&mut self, faults: SlateFaults) {
        self.bad_slates += 1;
        let kinds = &mut self.bad_slates_by_kind;
        kinds.empty += u64::from(faults.empty);
        kinds.short += u64::from(faults.short);
        kinds.overlong += u64::from(faults.overlong);
        kinds.duplicate += u64::from(faults.duplicate.is_some());
        if let Some(item_id) = faults.duplicate {
            self.samples.entry("duplicate_item").or_insert(item_id);
        }
    }

    fn see_generation(&mut self, generation_id: String, at: Duration) {
        let known = self.generations.contains_key(&generation_id) || self.generations.len() < GENERATIONS_MAX;
        let name = if known { generation_id } else { OTHER_GENERATIONS.to_owned() };
        let at_s = at.as_secs_f64();
        let seen = self.generations.entry(name).or_insert_with_key(|name| GenerationSeen {
            generation_id: name.clone(),
            answers: 0,
            first_s: at_s,
            last_s: at_s,
        });
        seen.answers += 1;
        seen.first_s = seen.first_s.min(at_s);
        seen.last_s = seen.last_s.max(at_s);
    }
}
