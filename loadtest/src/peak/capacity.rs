//! `faces-loadtest capacity`: the highest rate at which the SLO holds. Doubles until it does not, then halves the gap.

use std::future::Future;

use super::{
    phase::{PhaseReport, Stage},
    report::{Finding, PeakReport},
    slo::{Slo, Verdict},
};
use crate::{
    cli::{CapacityArgs, PeakArgs},
    error::LoadError,
    schedule::Rate,
    target::Target,
};

/// Runs the search until it is done or until `stop`.
///
/// # Errors
/// When the run can't start.
pub async fn run(arguments: &CapacityArgs, target: &Target, stop: impl Future<Output = ()>) -> Result<PeakReport, LoadError> {
    let peak = &arguments.peak;
    let (slo, mut stage) = (Slo::read(peak.slo.as_deref())?, Stage::open(peak, target).await?);
    let mut stop = std::pin::pin!(stop);
    let mut phases: Vec<PhaseReport> = Vec::new();
    let (mut holds, mut fails) = (0.0, None::<f64>);
    let mut rate = arguments.from.per_second();
    for step in 0..arguments.steps {
        let Ok(asked) = Rate::new(rate) else { break }; // more than any generator offers
        let name = format!("step {}", step + 1);
        let report = stage.phase(&name, asked, arguments.step_seconds, stop.as_mut()).await?;
        let is_stopped = report.stopped_early;
        let is_held = verdicts(&slo, &report).iter().all(|verdict| verdict.holds);
        phases.push(report); // a search that was stopped is told by its last step
        if is_stopped {
            break;
        }
        if is_held {
            holds = rate;
        } else {
            fails = Some(rate);
        }
        rate = match fails {
            None => rate * 2.0,
            Some(fails) => (holds + fails) / 2.0,
        };
        if fails.is_some_and(|fails| fails - holds < fails * arguments.resolution) {
            break;
        }
    }
    // Where no step was finished, nothing is known.
    let is_known = phases.iter().any(|phase| !phase.stopped_early);
    let known = is_known.then_some((holds, fails.is_none()));
    let (capacity_per_s, capacity_is_lower_bound) = known.unzip();
    let finding = Finding { capacity_per_s, capacity_is_lower_bound, ..Finding::default() };
    Ok(report(peak, target, &slo, phases, stage, finding))
}

/// What a step is held against.
fn verdicts(slo: &Slo, report: &PhaseReport) -> Vec<Verdict> {
    vec![
        Verdict::at_most("p99, ms", slo.p99_ms_max, report.p99_ms),
        Verdict::at_least("share answered well", slo.good_share_min, Some(report.counts.good_share())),
        Verdict::at_most("share of answers below full service", slo.degraded_share_max, Some(report.degraded_share())),
    ]
}

fn report(peak: &PeakArgs, target: &Target, slo: &Slo, phases: Vec<PhaseReport>, stage: Stage, finding: Finding) -> PeakReport {
    let holds = finding.capacity_per_s.unwrap_or_default();
    let best = phases.iter().rfind(|phase| phase.rate_asked_per_s == holds).cloned();
    let found = Verdict {
        what: "a rate at which all of it holds, per second".into(),
        limit: 0.0,
        found: finding.capacity_per_s,
        holds: holds > 0.0,
    };
    let mut verdicts = best.as_ref().map(|best| verdicts(slo, best)).unwrap_or_default();
    verdicts.push(found);
    let headline = best.clone().or_else(|| phases.first().cloned());
    PeakReport::new("capacity", peak, target, phases, stage.close(), verdicts, headline.as_ref(), finding)
}
