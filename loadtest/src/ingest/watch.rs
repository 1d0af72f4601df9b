//! Looks again and again how far a server is and what it costs.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    error::IngestError,
    procfs::{self, Usage},
    server::{self, Server},
};

/// A server that makes no headway for so long is given up: the broker has lost events, or something hangs.
const STALL_PATIENCE: Duration = Duration::from_secs(30);
const FIRST_ANSWER_PATIENCE: Duration = Duration::from_secs(30);
const METRIC: &str = "faces_ingest_records_total{outcome=\"";
/// All records; the sum of the other outcomes.
pub const CONSUMED: &str = "consumed";

/// Records by what became of them.
pub type Outcomes = BTreeMap<String, u64>;

/// What is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    /// Its admin pages.
    pub admin: SocketAddr,
    /// Its process.
    pub pid: Option<u32>,
    /// The server itself, when it is ours.
    pub server: Option<&'a Server>,
}

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events to wait for.
    pub events: u64,
    /// Time between two looks.
    pub sample: Duration,
    /// When to give up.
    pub timeout: Duration,
    /// A broker whose cost is wanted too.
    pub broker_pid: Option<u32>,
}

/// One look.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Records so far.
    pub outcomes: Outcomes,
    /// What the server has cost so far.
    pub usage: Option<Usage>,
    /// Processor time of the broker so far.
    pub broker_cpu_s: Option<f64>,
    /// Processor time of the machine so far, and its processors.
    pub machine: Option<(f64, usize)>,
}

impl Sample {
    /// Records that are done with.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.outcomes.get(CONSUMED).copied().unwrap_or(0)
    }
}

/// Why watching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was consumed.
    Complete,
    /// No headway for half a minute.
    Stalled,
    /// Time was up.
    Timeout,
    /// A signal.
    Stopped,
}

/// The window that counts, and the last look.
#[derive(Clone, Debug)]
pub struct Watched {
    /// First look with something consumed; the one before it, when by then too much was done already.
    pub first: Sample,
    /// Last look.
    pub last: Sample,
    /// Why it was the last.
    pub end: End,
}

impl Watch<'_> {
    /// Looks until all events are consumed, or there is no more hope. `on_look` hears how many there are and how many a second.
    ///
    /// # Errors
    /// A server that ends or does not answer.
    pub fn run(&self, limits: &Limits, stop: &AtomicBool, mut on_look: impl FnMut(u64, f64)) -> Result<Watched, IngestError> {
        let began = Instant::now();
        let mut before = self.first_look(limits)?;
        let mut first: Option<Sample> = (before.consumed() > 0).then(|| before.clone());
        let mut headway = Instant::now();
        let mut due = Instant::now();
        loop {
            due += limits.sample;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due = due.max(Instant::now().checked_sub(limits.sample).unwrap_or(due)); // no burst of looks after a slow one
            let Some(sample) = self.look(limits) else { return Err(self.gone()) };
            let consumed = sample.consumed();
            if consumed > before.consumed() {
                headway = Instant::now();
            }
            if first.is_none() && consumed > 0 {
                // Too much by the first look: then what came before it counts too, with the pause until it began.
                first = Some(if consumed > limits.events / 5 { before.clone() } else { sample.clone() });
            }
            if let Some(first) = &first {
                let seconds = sample.at.duration_since(first.at).as_secs_f64();
                on_look(consumed, (consumed - first.consumed()) as f64 / seconds.max(1e-9));
            }
            let end = if consumed >= limits.events {
                Some(End::Complete)
            } else if stop.load(Ordering::Relaxed) {
                Some(End::Stopped)
            } else if headway.elapsed() >= STALL_PATIENCE {
                Some(End::Stalled)
            } else if began.elapsed() >= limits.timeout {
                Some(End::Timeout)
            } else {
                None
            };
            if let Some(end) = end {
                return Ok(Watched { first: first.unwrap_or(before), last: sample, end });
            }
            before = sample;
        }
    }

    fn first_look(&self, limits: &Limits) -> Result<Sample, IngestError> {
        let deadline = Instant::now() + FIRST_ANSWER_PATIENCE;
        loop {
            if let Some(sample) = self.look(limits) {
                let has_metric = !sample.outcomes.is_empty();
                return if has_metric { Ok(sample) } else { Err(IngestError::NoMetric) };
            }
            if Instant::now() >= deadline || self.server.is_none_or(|server| server.ended().is_some()) {
                return Err(self.gone());
            }
            thread::sleep(limits.sample);
        }
    }

    fn look(&self, limits: &Limits) -> Option<Sample> {
        let page = server::page(self.admin, "/metrics")?;
        let at = Instant::now();
        Some(Sample {
            at,
            outcomes: outcomes(&page),
            usage: self.pid.and_then(Usage::of),
            broker_cpu_s: limits.broker_pid.and_then(Usage::cpu_seconds_of),
            machine: procfs::machine_busy(),
        })
    }

    fn gone(&self) -> IngestError {
        match self.server {
            Some(server) => {
                let status =
                    server.ended().map_or_else(|| "it still runs, but does not answer".to_owned(), |end| end.to_string());
                IngestError::Ended { status, log: server.log() }
            }
            None => IngestError::Admin { url: format!("http://{}", self.admin) },
        }
    }
}

/// Records by outcome, from a page of metrics.
fn outcomes(page: &str) -> Outcomes {
    let lines = page.lines().filter_map(|line| line.strip_prefix(METRIC));
    let parts = lines.filter_map(|line| line.split_once("\"}"));
    parts.filter_map(|(outcome, value)| Some((outcome.to_owned(), value.trim().parse::<f64>().ok()? as u64))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_metrics_is_read() {
        let page = "# TYPE faces_ingest_records_total counter\nfaces_ingest_records_total{outcome=\"applied\"} 12\n\
                    faces_ingest_records_total{outcome=\"consumed\"} 1.5e1\nfaces_items 3\n";
        assert_eq!(outcomes(page), Outcomes::from([("applied".to_owned(), 12), ("consumed".to_owned(), 15)]));
        assert!(outcomes("faces_items 3\n").is_empty());
    }
}
