//! The books of a phase: what became of every request, by second, by criticality, by level.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use faces_proto::v1::ServiceLevel;
use serde::Serialize;
use tokio::time::Instant;

use super::mix::{Answer, Criticality};
use crate::{error::LoadError, latency::Latencies, open_loop::Books, tally::GENERATOR_LATE};

/// How a request ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How much it mattered.
    pub criticality: Criticality,
    /// The generator's own delay.
    pub send_lag: Duration,
    /// From when it was due to when it was over.
    pub latency: Duration,
    /// From the start of the phase to when it was due.
    pub due_at: Duration,
    /// What came back inside the deadline.
    pub fate: Fate,
}

/// What came back.
#[derive(Clone, Debug)]
pub enum Fate {
    /// An answer.
    Answered(Answer),
    /// Nothing at the deadline.
    Late,
    /// An error.
    Error {
        /// Name of the gRPC code.
        code: &'static str,
        /// Its message.
        message: String,
    },
}

/// Requests and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Came due.
    pub due: u64,
    /// Answered inside the deadline with nothing wrong.
    pub good: u64,
    /// Answered inside the deadline, but with a slate that is wrong.
    pub bad: u64,
    /// Of the good, those below full service.
    pub degraded: u64,
    /// Refused, late, not sent.
    pub errors: u64,
}

impl Counts {
    /// Share of what came due that was answered well; 1 where nothing came due.
    #[must_use]
    pub fn good_share(&self) -> f64 {
        if self.due == 0 { 1.0 } else { self.good as f64 / self.due as f64 }
    }
}

/// One second of a phase.
#[derive(Clone, Debug)]
pub struct Second {
    /// Requests that came due in it.
    pub counts: Counts,
    /// Good answers by level.
    pub levels: BTreeMap<&'static str, u64>,
    /// Their latencies to two digits, and the waits of those that got no answer.
    pub latencies: Latencies,
}

/// The books.
#[derive(Clone, Debug)]
pub struct PhaseBooks {
    start: Instant,
    /// All of it.
    pub counts: Counts,
    /// By criticality, the most critical first.
    pub by_criticality: [Counts; 3],
    /// Slates in good answers: a batch holds several.
    pub slates: u64,
    /// Good answers by level.
    pub levels: BTreeMap<&'static str, u64>,
    /// Errors by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// First message of each kind.
    pub samples: BTreeMap<&'static str, String>,
    /// As in each second.
    pub latencies: Latencies,
    /// The generator's own delay.
    pub send_lags: Latencies,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// When the last request was due that was answered below full service or refused, from the start; `None` while there is none.
    pub last_degraded_at: Option<Duration>,
}

impl PhaseBooks {
    /// Empty books of a phase that starts at `start`.
    ///
    /// # Errors
    /// As [`Latencies::new`].
    pub fn new(start: Instant) -> Result<Self, LoadError> {
        Ok(Self {
            start,
            counts: Counts::default(),
            by_criticality: [Counts::default(); 3],
            slates: 0,
            levels: BTreeMap::new(),
            errors: BTreeMap::new(),
            samples: BTreeMap::new(),
            latencies: Latencies::new()?,
            send_lags: Latencies::new()?,
            seconds: Vec::new(),
            last_degraded_at: None,
        })
    }

    /// When the phase began.
    #[must_use]
    pub const fn start(&self) -> Instant {
        self.start
    }

    fn second(&mut self, at: Duration) -> Option<&mut Second> {
        let place = usize::try_from(at.as_secs()).unwrap_or(0);
        while self.seconds.len() <= place {
            let latencies = Latencies::coarse().ok()?;
            self.seconds.push(Second { counts: Counts::default(), levels: BTreeMap::new(), latencies });
        }
        self.seconds.get_mut(place)
    }

    fn each(&mut self, finished: &Finished, count: impl Fn(&mut Counts)) {
        count(&mut self.counts);
        self.by_criticality.get_mut(finished.criticality as usize).into_iter().for_each(&count);
        self.second(finished.due_at).into_iter().for_each(|second| count(&mut second.counts));
    }

    fn note_error(&mut self, kind: &'static str, message: &str) {
        *self.errors.entry(kind).or_default() += 1;
        self.samples.entry(kind).or_insert_with(|| message.to_owned());
    }

    fn note_degraded(&mut self, finished: &Finished) {
        self.last_degraded_at = self.last_degraded_at.max(Some(finished.due_at));
    }

    fn record(&mut self, finished: &Finished) {
        self.latencies.record(finished.latency);
        self.second(finished.due_at).into_iter().for_each(|second| second.latencies.record(finished.latency));
    }
}

/// Books that several threads keep.
#[derive(Clone, Debug)]
pub struct SharedBooks(Arc<Mutex<PhaseBooks>>);

impl SharedBooks {
    /// Shares `books`.
    #[must_use]
    pub fn new(books: PhaseBooks) -> Self {
        Self(Arc::new(Mutex::new(books)))
    }

    /// What they say.
    pub fn read(&self) -> MutexGuard<'_, PhaseBooks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books for SharedBooks {
    type Finished = Finished;

    fn due(&mut self, due: Instant) {
        self.read().due(due);
    }

    fn sent(&mut self) {}

    fn too_late(&mut self, send_lag: Duration) {
        self.read().too_late(send_lag);
    }

    fn error(&mut self, kind: &'static str, message: &str) {
        self.read().error(kind, message);
    }

    fn finish(&mut self, finished: Finished) {
        self.read().finish(finished);
    }
}

/// A level in a report.
#[must_use]
pub const fn level_name(level: ServiceLevel) -> &'static str {
    match level {
        ServiceLevel::Unspecified => "unnamed",
        ServiceLevel::Full => "full",
        ServiceLevel::Lean => "lean",
        ServiceLevel::CoVisitation => "co_visitation",
        ServiceLevel::Cached => "cached",
        ServiceLevel::Popular => "popular",
    }
}

impl Books for PhaseBooks {
    type Finished = Finished;

    fn due(&mut self, due: Instant) {
        self.counts.due += 1;
        let at = due.saturating_duration_since(self.start);
        self.second(at).into_iter().for_each(|second| second.counts.due += 1);
    }

    fn sent(&mut self) {}

    fn too_late(&mut self, send_lag: Duration) {
        self.send_lags.record(send_lag);
        self.error(GENERATOR_LATE, "its deadline had passed before the generator could send it");
    }

    fn error(&mut self, kind: &'static str, message: &str) {
        self.counts.errors += 1;
        self.note_error(kind, message);
    }

    fn finish(&mut self, finished: Finished) {
        self.send_lags.record(finished.send_lag);
        self.by_criticality.get_mut(finished.criticality as usize).into_iter().for_each(|counts| counts.due += 1);
        match &finished.fate {
            Fate::Answered(answer) if answer.is_bad => {
                self.record(&finished);
                self.each(&finished, |counts| counts.bad += 1);
            }
            Fate::Answered(answer) => {
                self.record(&finished);
                // A server that does not name levels has but one.
                let is_degraded = !matches!(answer.level, ServiceLevel::Full | ServiceLevel::Unspecified);
                self.each(&finished, |counts| {
                    counts.good += 1;
                    counts.degraded += u64::from(is_degraded);
                });
                if is_degraded {
                    self.note_degraded(&finished);
                }
                self.slates += answer.slates;
                let name = level_name(answer.level);
                *self.levels.entry(name).or_default() += 1;
                if let Some(second) = self.second(finished.due_at) {
                    *second.levels.entry(name).or_default() += 1;
                }
            }
            Fate::Late => {
                self.record(&finished);
                self.each(&finished, |counts| counts.errors += 1);
                self.note_error("DEADLINE_EXCEEDED", "no answer inside the deadline");
            }
            &Fate::Error { code, ref message } => {
                self.note_degraded(&finished);
                self.each(&finished, |counts| counts.errors += 1);
                self.note_error(code, message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(criticality: Criticality, second: u64, fate: Fate) -> Finished {
        let (send_lag, latency) = (Duration::ZERO, Duration::from_millis(3));
        Finished { criticality, send_lag, latency, due_at: Duration::from_secs(second), fate }
    }

    #[test]
    fn every_request_is_counted_once_in_each_book() {
        let start = Instant::now();
        let mut books = PhaseBooks::new(start).unwrap();
        let answer = |level, is_bad| Fate::Answered(Answer { level, slates: 1, is_bad });
        let refused = Fate::Error { code: "UNAVAILABLE", message: "full".to_owned() };
        for (criticality, second, fate) in [
            (Criticality::Critical, 0, answer(ServiceLevel::Full, false)),
            (Criticality::Default, 0, answer(ServiceLevel::Popular, false)),
            (Criticality::Default, 2, answer(ServiceLevel::Full, true)),
            (Criticality::Sheddable, 2, refused),
            (Criticality::Sheddable, 2, Fate::Late),
        ] {
            books.due(start + Duration::from_secs(second));
            books.finish(finished(criticality, second, fate));
        }
        assert_eq!(books.counts, Counts { due: 5, good: 2, bad: 1, degraded: 1, errors: 2 });
        let [critical, default, sheddable] = books.by_criticality;
        assert_eq!((critical.good_share(), default.good_share(), sheddable.good_share()), (1.0, 0.5, 0.0));
        assert_eq!(books.levels, BTreeMap::from([("full", 1), ("popular", 1)]));
        assert_eq!(books.errors, BTreeMap::from([("UNAVAILABLE", 1), ("DEADLINE_EXCEEDED", 1)]));
        assert_eq!(books.latencies.count(), 4, "a refusal is quick and would flatter the rest");
        assert_eq!(books.last_degraded_at, Some(Duration::from_secs(2)), "what is refused is not served in full");
        assert_eq!(books.seconds.iter().map(|second| second.counts.due).collect::<Vec<_>>(), [2, 0, 3]);
    }
}
