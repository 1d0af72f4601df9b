//! What a run of load found, for machines and for people.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    latency::for_people,
    open_loop::{Driven, LoadPlan},
    schedule::Rate,
    tally::{BadSlates, GENERATOR_SATURATED, GenerationSeen},
    target::Target,
};

/// Send lag p99 above which the generator is said to have been the bottleneck: the latencies hold that much of its own delay.
pub const SEND_LAG_P99_MS_MAX: f64 = 1.0;

/// The result of `faces-loadtest recommend`; field names are the keys of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Where the load went.
    pub target: String,
    /// Business unit asked for.
    pub bu: String,
    /// Items asked for.
    pub page_size: u8,
    /// Deadline of each request.
    pub deadline_ms: u64,
    /// Seed of schedule and people.
    pub seed: u64,
    /// Arrivals a second that were asked for.
    pub rate_asked_per_s: f64,
    /// Arrivals a second that came due.
    pub rate_per_s: f64,
    /// Good slates inside the deadline, a second of the run including the wait for the last answers.
    pub goodput_per_s: f64,
    /// How long requests came due.
    pub offered_s: f64,
    /// Until the last request was over.
    pub elapsed_s: f64,
    /// Requests that came due.
    pub due: u64,
    /// Requests that left; the others are `generator_saturated` or `generator_late`.
    pub sent: u64,
    /// Slates inside the deadline, bad ones included.
    pub answered: u64,
    /// Latency from the instant at which the request was due; null when nothing came back. Requests that ran into the deadline count.
    pub p50_ms: Option<f64>,
    /// As `p50_ms`.
    pub p90_ms: Option<f64>,
    /// As `p50_ms`.
    pub p99_ms: Option<f64>,
    /// As `p50_ms`.
    pub p999_ms: Option<f64>,
    /// As `p50_ms`.
    pub max_ms: Option<f64>,
    /// Errors by gRPC code or kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// Slates with a fault.
    pub bad_slates: u64,
    /// The faults.
    pub bad_slates_by_kind: BadSlates,
    /// First message of each kind of error, and the first duplicate item.
    pub samples: BTreeMap<&'static str, String>,
    /// Generations that answered, in order of their first answer.
    pub generations: Vec<GenerationSeen>,
    /// Delay between due and sent, the generator's own.
    pub send_lag_p50_ms: Option<f64>,
    /// As `send_lag_p50_ms`.
    pub send_lag_p99_ms: Option<f64>,
    /// Requests allowed under way at once.
    pub in_flight_max: usize,
    /// Whether the generator was the bottleneck: its send lag p99 is above a millisecond.
    pub generator_limited: bool,
    /// Whether it was stopped before the schedule's end.
    pub stopped_early: bool,
    /// What to bear in mind when reading the figures.
    pub notes: Vec<String>,
}

impl LoadReport {
    /// Draws up the report of a run.
    #[must_use]
    pub fn new(target: &Target, plan: &LoadPlan, rate: Rate, driven: &Driven) -> Self {
        let tally = &driven.tally;
        let offered_s = driven.offered_for.as_secs_f64();
        let elapsed_s = offered_s.max(tally.last_at.as_secs_f64());
        let send_lag_p99_ms = tally.send_lags.quantile_ms(0.99);
        let saturated = tally.errors.get(GENERATOR_SATURATED).copied().unwrap_or(0);
        let late = send_lag_p99_ms.is_some_and(|lag_ms| lag_ms > SEND_LAG_P99_MS_MAX);
        Self {
            target: target.uri().to_string(),
            bu: plan.bu.clone(),
            page_size: plan.page_size,
            deadline_ms: u64::try_from(plan.deadline.as_millis()).unwrap_or(u64::MAX),
            seed: plan.seed,
            rate_asked_per_s: rate.per_second(),
            rate_per_s: per_second(tally.due, offered_s),
            goodput_per_s: per_second(tally.good(), elapsed_s),
            offered_s,
            elapsed_s,
            due: tally.due,
            sent: tally.sent,
            answered: tally.answered,
            p50_ms: tally.latencies.quantile_ms(0.5),
            p90_ms: tally.latencies.quantile_ms(0.9),
            p99_ms: tally.latencies.quantile_ms(0.99),
            p999_ms: tally.latencies.quantile_ms(0.999),
            max_ms: tally.latencies.max_ms(),
            errors: tally.errors.clone(),
            bad_slates: tally.bad_slates,
            bad_slates_by_kind: tally.bad_slates_by_kind,
            samples: tally.samples.clone(),
            generations: tally.generations(),
            send_lag_p50_ms: tally.send_lags.quantile_ms(0.5),
            send_lag_p99_ms,
            in_flight_max: plan.in_flight_max,
            generator_limited: late,
            stopped_early: driven.stopped_early,
            notes: notes(driven, send_lag_p99_ms.filter(|_| late), saturated, plan.in_flight_max),
        }
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn notes(driven: &Driven, late_ms: Option<f64>, saturated: u64, in_flight_max: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(lag_ms) = late_ms {
        notes.push(format!(
            "the generator was the bottleneck: its send lag p99 is {lag_ms:.2} ms (above {SEND_LAG_P99_MS_MAX} ms), which the \
             latencies include; lower --rate, raise --threads, or give it a core of its own"
        ));
    }
    if saturated > 0 {
        notes.push(format!(
            "{saturated} requests never left, because {in_flight_max} were under way: the server fell behind by more than that, \
             or --in-flight-max is too low for this rate and deadline"
        ));
    }
    if driven.stopped_early {
        notes.push("stopped before the end of the schedule: the figures cover what was due until then".to_owned());
    }
    if driven.tally.latencies.count() == 0 {
        notes.push("nothing came back, so there is no latency".to_owned());
    }
    notes
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<16}{value}");
        row("target", format!("{}  bu {}  page size {}  seed {}", self.target, self.bu, self.page_size, self.seed))?;
        row("offered", format!("{:.1}/s of {}/s asked, for {:.1} s", self.rate_per_s, self.rate_asked_per_s, self.offered_s))?;
        row("goodput", format!("{:.1}/s inside {} ms", self.goodput_per_s, self.deadline_ms))?;
        row("requests", format!("{} due, {} sent, {} answered", self.due, self.sent, self.answered))?;
        let latencies = [self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.max_ms].map(for_people);
        let [p50, p90, p99, p999, max] = latencies;
        row("latency ms", format!("p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  max {max}"))?;
        row("send lag ms", format!("p50 {}  p99 {}", for_people(self.send_lag_p50_ms), for_people(self.send_lag_p99_ms)))?;
        let kinds = self.bad_slates_by_kind;
        row(
            "bad slates",
            format!(
                "{} (empty {}, short {}, overlong {}, duplicate {})",
                self.bad_slates, kinds.empty, kinds.short, kinds.overlong, kinds.duplicate
            ),
        )?;
        row("errors", self.errors.values().sum::<u64>().to_string())?;
        for (kind, count) in &self.errors {
            let sample = self.samples.get(kind).map_or("", String::as_str);
            row("", format!("{kind} {count}  {sample}"))?;
        }
        for (position, seen) in self.generations.iter().enumerate() {
            let id = if seen.generation_id.is_empty() { "(none)" } else { &seen.generation_id };
            let name = if position == 0 { "generations" } else { "" };
            row(name, format!("{id}  {} answers, {:.2} to {:.2} s", seen.answers, seen.first_s, seen.last_s))?;
        }
        for note in &self.notes {
            row("note", note.clone())?;
        }
        Ok(())
    }
}
