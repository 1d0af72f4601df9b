//! One stretch of load at one rate.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    books::{Counts, PhaseBooks, Second, SharedBooks},
    lane::{self, Lane, Load},
    mix::Mix,
    watch::{Sample, Watch},
};
use crate::{
    cli::PeakArgs,
    connections,
    error::LoadError,
    latency::for_people,
    open_loop::Bounds,
    people::People,
    progress,
    report::SEND_LAG_P99_MS_MAX,
    schedule::{Rate, RunLength},
    target::Target,
};

/// Everything that phases of a run share.
#[derive(Debug)]
pub struct Stage {
    mix: Arc<Mix>,
    lanes: Vec<Lane>,
    bounds: Bounds,
    seed: u64,
    bar: ProgressBar,
    watch: Watch,
    phases: u64,
}

/// What a phase came to; field names are keys of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseReport {
    /// What it was for.
    pub name: String,
    /// Seconds from the start of the run.
    pub began_s: f64,
    /// How long requests came due.
    pub seconds: f64,
    /// Arrivals a second that were asked for.
    pub rate_asked_per_s: f64,
    /// Arrivals a second that came due.
    pub rate_per_s: f64,
    /// Good answers inside the deadline, a second.
    pub goodput_per_s: f64,
    /// Latency from when a request was due; what got no answer counts with its wait.
    pub p50_ms: Option<f64>,
    /// As `p50_ms`.
    pub p99_ms: Option<f64>,
    /// As `p50_ms`.
    pub p999_ms: Option<f64>,
    /// All requests.
    pub counts: Counts,
    /// Requests that were sent, by criticality.
    pub critical: Counts,
    /// As `critical`.
    pub default: Counts,
    /// As `critical`.
    pub sheddable: Counts,
    /// Good answers by level.
    pub levels: BTreeMap<&'static str, u64>,
    /// Errors by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// First message of each kind.
    pub samples: BTreeMap<&'static str, String>,
    /// Processor time of the server for each good slate, refusals included; null without its admin page.
    pub server_cpu_us_per_answer: Option<f64>,
    /// Processors that the server kept busy.
    pub server_cpu_cores: Option<f64>,
    /// Its memory at the end.
    pub server_rss_bytes: Option<f64>,
    /// Seconds from the start of the phase to the last request answered below full service or refused; 0 for none.
    pub degraded_until_s: f64,
    /// The generator's own delay.
    pub send_lag_p99_ms: Option<f64>,
    /// Whether the generator was the bottleneck: then the server was offered less, or later, than it says.
    pub generator_limited: bool,
    /// Whether it was stopped before its end.
    pub stopped_early: bool,
    /// Second by second, for the report's plots.
    #[serde(skip)]
    pub by_second: Vec<Second>,
}

impl Stage {
    /// Opens connections and learns what can be asked.
    ///
    /// # Errors
    /// A target or admin page that is refused or not there, people that can't be read, a unit without items.
    pub async fn open(arguments: &PeakArgs, target: &Target) -> Result<Self, LoadError> {
        let common = &arguments.target;
        Watch::check(arguments.admin)?;
        let people = match &arguments.people {
            Some(path) => People::listed(path, arguments.zipf.unwrap_or(0.0))?,
            None => People::numbered(&common.bu, arguments.people_count as usize, arguments.zipf.unwrap_or(1.0))?,
        };
        let lanes = lane::open(target, arguments.connections, arguments.mix_connections, arguments.shares()).await?;
        let first = connections::connect(target).await?;
        let mix = Arc::new(Mix::learn(first, &common.bu, arguments.page_size, people).await?);
        let bounds =
            Bounds { deadline: Duration::from_millis(arguments.deadline_ms), in_flight_max: arguments.in_flight_max as usize };
        let bar = progress::bar(0, "s", common.json);
        Ok(Self { mix, lanes, bounds, seed: common.seed, bar, watch: Watch::start(arguments.admin), phases: 0 })
    }

    /// Loads the server at `rate` for `length`, or until `stop`.
    ///
    /// # Errors
    /// No thread for the pace.
    pub async fn phase(
        &mut self,
        name: &str,
        rate: Rate,
        length: RunLength,
        stop: impl Future<Output = ()>,
    ) -> Result<PhaseReport, LoadError> {
        self.phases += 1;
        let (before, began_s) = (self.watch.now(), self.watch.elapsed_s());
        let books = SharedBooks::new(PhaseBooks::new(Instant::now())?);
        self.bar.reset();
        self.bar.set_length(length.duration().as_secs());
        let on_tick = |books: &SharedBooks, elapsed: Duration| {
            self.bar.set_position(elapsed.as_secs());
            self.bar.set_message(live(name, rate, &books.read()));
        };
        let load = Load { mix: &self.mix, bounds: self.bounds, rate, length, seed: self.seed.wrapping_add(self.phases) };
        let offered = lane::run(&self.lanes, &load, &books, stop, on_tick).await?;
        let books = books.read().clone();
        let report = PhaseReport::new(name, rate, began_s, offered, books, before.zip(self.watch.now()));
        if !self.bar.is_hidden() {
            self.bar.println(report.line());
        }
        Ok(report)
    }

    /// Items that can be asked for.
    #[must_use]
    pub fn items(&self) -> Vec<String> {
        self.mix.items().to_vec()
    }

    /// Ends the run; what was seen of the server.
    #[must_use]
    pub fn close(self) -> Vec<Sample> {
        self.bar.finish_and_clear();
        self.watch.finish()
    }
}

/// The line that moves.
fn live(name: &str, rate: Rate, books: &PhaseBooks) -> String {
    let p99 = for_people(books.latencies.quantile_ms(0.99));
    let counts = &books.counts;
    let levels: Vec<String> = books.levels.iter().map(|(level, count)| format!("{level} {count}")).collect();
    format!(
        "{name} {:.0}/s: good {} errors {} p99 {p99} ms; {}",
        rate.per_second(),
        counts.good,
        counts.errors,
        levels.join(", ")
    )
}

impl PhaseReport {
    fn new(
        name: &str,
        rate: Rate,
        began_s: f64,
        (offered_for, stopped_early): (Duration, bool),
        books: PhaseBooks,
        server: Option<(Sample, Sample)>,
    ) -> Self {
        let seconds = offered_for.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let cpu = server.and_then(|(before, after)| Some((after.cpu_s? - before.cpu_s?, after.at_s - before.at_s)));
        let cpu = cpu.filter(|(cpu_s, _)| *cpu_s >= 0.0); // less than before: another process, started meanwhile
        let send_lag_p99_ms = books.send_lags.quantile_ms(0.99);
        let [critical, default, sheddable] = books.by_criticality;
        Self {
            name: name.to_owned(),
            began_s,
            seconds,
            rate_asked_per_s: rate.per_second(),
            rate_per_s: per_second(books.counts.due),
            goodput_per_s: per_second(books.counts.good),
            p50_ms: books.latencies.quantile_ms(0.5),
            p99_ms: books.latencies.quantile_ms(0.99),
            p999_ms: books.latencies.quantile_ms(0.999),
            counts: books.counts,
            critical,
            default,
            sheddable,
            server_cpu_us_per_answer: cpu.filter(|_| books.slates > 0).map(|(cpu_s, _)| 1e6 * cpu_s / books.slates as f64),
            server_cpu_cores: cpu.map(|(cpu_s, wall_s)| cpu_s / wall_s.max(1e-9)),
            server_rss_bytes: server.and_then(|(_, after)| after.rss_bytes),
            degraded_until_s: books.last_degraded_at.map_or(0.0, |at| at.as_secs_f64()),
            send_lag_p99_ms,
            generator_limited: send_lag_p99_ms.is_some_and(|lag_ms| lag_ms > SEND_LAG_P99_MS_MAX),
            levels: books.levels,
            errors: books.errors,
            samples: books.samples,
            stopped_early,
            by_second: books.seconds,
        }
    }

    /// Share of good answers below full service.
    #[must_use]
    pub fn degraded_share(&self) -> f64 {
        if self.counts.good == 0 { 0.0 } else { self.counts.degraded as f64 / self.counts.good as f64 }
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let [p50, p99] = [self.p50_ms, self.p99_ms].map(for_people);
        let levels: Vec<String> = self.levels.iter().map(|(level, count)| format!("{level} {count}")).collect();
        let errors: Vec<String> = self.errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let cpu = self.server_cpu_us_per_answer.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}"));
        let limited = if self.generator_limited { "  GENERATOR-LIMITED" } else { "" };
        format!(
            "{:<14}{:>8.0}/s due {:>8.0}/s good  p50 {p50} p99 {p99} ms  cpu {cpu} us  critical {:.2} %  [{}]  [{}]{limited}",
            self.name,
            self.rate_per_s,
            self.goodput_per_s,
            100.0 * self.critical.good_share(),
            levels.join(", "),
            errors.join(", "),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_of_two_processes_is_no_difference() {
        let report = |before, after| {
            let mut books = PhaseBooks::new(Instant::now()).unwrap();
            books.slates = 1;
            let sample = |at_s, cpu_s| Sample { at_s, cpu_s: Some(cpu_s), ..Sample::default() };
            let server = Some((sample(0.0, before), sample(2.0, after)));
            let report = PhaseReport::new("x", Rate::new(1.0).unwrap(), 0.0, (Duration::from_secs(2), false), books, server);
            (report.server_cpu_us_per_answer, report.server_cpu_cores)
        };
        assert_eq!(report(1.0, 2.0), (Some(1e6), Some(0.5)));
        assert_eq!(report(9.0, 0.5), (None, None), "it was started anew meanwhile");
    }
}
