//! What a scenario came to, for machines and for people.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{beside::Beside, phase::PhaseReport, slo::Verdict, watch::Sample};
use crate::{cli::PeakArgs, target::Target};

/// The result of a scenario; field names are keys of `--json`. Figures without a phase are those of the one that the scenario is about: at
/// capacity, at the highest multiple, of the last piece, of midnight.
#[derive(Clone, Debug, Serialize)]
pub struct PeakReport {
    /// Which one.
    pub scenario: &'static str,
    /// Where the load went.
    pub target: String,
    /// Business unit asked for.
    pub bu: String,
    /// Items asked for.
    pub page_size: u8,
    /// Deadline of each request.
    pub deadline_ms: u64,
    /// Arrivals a second that came due.
    pub rate_per_s: f64,
    /// Good answers inside the deadline, a second.
    pub goodput_per_s: f64,
    /// Latency from when a request was due; null when nothing came back.
    pub p50_ms: Option<f64>,
    /// As `p50_ms`.
    pub p99_ms: Option<f64>,
    /// As `p50_ms`.
    pub p999_ms: Option<f64>,
    /// Errors by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// Good answers below full service.
    pub degraded: u64,
    /// Processor time of the server for each good slate; null without its admin page.
    pub server_cpu_us_per_answer: Option<f64>,
    /// What only this scenario finds.
    #[serde(flatten)]
    pub finding: Finding,
    /// Whether the generator was the bottleneck in any phase.
    pub generator_limited: bool,
    /// The limits, and whether they hold.
    pub verdicts: Vec<Verdict>,
    /// Whether all of them hold, no command failed, and nothing was stopped before its end.
    pub holds: bool,
    /// Every phase.
    pub phases: Vec<PhaseReport>,
    /// What the server said meanwhile, once a second.
    pub server: Vec<Sample>,
}

/// What one scenario finds and others do not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Finding {
    /// Highest rate at which the SLO held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_per_s: Option<f64>,
    /// Whether it held at every rate that was tried, so that capacity is at least that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_is_lower_bound: Option<bool>,
    /// Longest time from the end of an overload to the last request answered below full service or refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_s: Option<f64>,
    /// Growth of the server's memory, as a share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_growth: Option<f64>,
    /// Events that the log acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_written: Option<u64>,
    /// Events that were refused, or whose fate is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_refused: Option<u64>,
    /// Commands that ran beside the load.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<Beside>,
}

impl Finding {
    /// What is said of it beside phases and limits, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let capacity = self.capacity_per_s.map(|rate| match self.capacity_is_lower_bound {
            Some(true) => {
                format!("capacity, per second: at least {rate:.1} (no step broke the SLO: try more --steps, or a higher --from)")
            }
            _ => format!("capacity, per second: {rate:.1}"),
        });
        let recovery = self.recovery_s.map(|seconds| format!("recovery, s: {seconds:.1}"));
        capacity.into_iter().chain(recovery).collect()
    }
}

impl PeakReport {
    /// Draws up the report; `headline` is the phase that the scenario is about.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the report, and it is called in four places")]
    pub fn new(
        scenario: &'static str,
        arguments: &PeakArgs,
        target: &Target,
        phases: Vec<PhaseReport>,
        server: Vec<Sample>,
        verdicts: Vec<Verdict>,
        headline: Option<&PhaseReport>,
        finding: Finding,
    ) -> Self {
        Self {
            scenario,
            target: target.uri().to_string(),
            bu: arguments.target.bu.clone(),
            page_size: arguments.page_size,
            deadline_ms: arguments.deadline_ms,
            rate_per_s: headline.map_or(0.0, |phase| phase.rate_per_s),
            goodput_per_s: headline.map_or(0.0, |phase| phase.goodput_per_s),
            p50_ms: headline.and_then(|phase| phase.p50_ms),
            p99_ms: headline.and_then(|phase| phase.p99_ms),
            p999_ms: headline.and_then(|phase| phase.p999_ms),
            errors: headline.map(|phase| phase.errors.clone()).unwrap_or_default(),
            degraded: headline.map_or(0, |phase| phase.counts.degraded),
            server_cpu_us_per_answer: headline.and_then(|phase| phase.server_cpu_us_per_answer),
            generator_limited: phases.iter().any(|phase| phase.generator_limited),
            holds: !verdicts.is_empty()
                && !phases.iter().any(|phase| phase.stopped_early)
                && verdicts.iter().all(|verdict| verdict.holds)
                && finding.commands.iter().all(|command| command.succeeded),
            finding,
            verdicts,
            phases,
            server,
        }
    }

    /// Good answers of all phases.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.phases.iter().map(|phase| phase.counts.good).sum()
    }
}

impl fmt::Display for PeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}  {}  bu {}  page size {}  deadline {} ms",
            self.scenario, self.target, self.bu, self.page_size, self.deadline_ms
        )?;
        self.phases.iter().try_for_each(|phase| writeln!(f, "{}", phase.line()))?;
        self.finding.lines().iter().try_for_each(|line| writeln!(f, "{line}"))?;
        for verdict in &self.verdicts {
            let found = verdict.found.map_or_else(|| "not known".to_owned(), |found| format!("{found:.4}"));
            writeln!(f, "{} {}: {found} (limit {})", if verdict.holds { "ok  " } else { "FAIL" }, verdict.what, verdict.limit)?;
        }
        for Beside { option, command, outcome, succeeded, .. } in &self.finding.commands {
            writeln!(f, "{} {option} `{command}`: {outcome}", if *succeeded { "ok  " } else { "FAIL" })?;
        }
        if self.server.is_empty() && self.verdicts.iter().any(|verdict| verdict.found.is_none()) {
            writeln!(
                f,
                "note: the server's memory, processor time and view of the log are known from its admin page alone (--admin)"
            )?;
        }
        if self.phases.iter().any(|phase| phase.stopped_early) {
            writeln!(f, "note: stopped before its end, so that it does not pass: what was to come is not known")?;
        }
        if self.generator_limited {
            writeln!(
                f,
                "note: the generator was the bottleneck in the phases marked so: the server was offered less than was asked, or later; \
                 give it a core of its own, or the server less"
            )?;
        }
        Ok(())
    }
}
