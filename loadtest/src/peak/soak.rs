//! `faces-loadtest soak`: one rate for long, in pieces, looking for what grows: memory, latency, errors.

use std::future::Future;

use super::{
    phase::{PhaseReport, Stage},
    report::{Finding, PeakReport},
    slo::{Slo, Verdict},
};
use crate::{
    cli::SoakArgs,
    error::LoadError,
    schedule::{Rate, RunLength},
    target::Target,
};

/// Runs the scenario until it is done or until `stop`.
///
/// # Errors
/// When the run can't start.
pub async fn run(arguments: &SoakArgs, target: &Target, stop: impl Future<Output = ()>) -> Result<PeakReport, LoadError> {
    let peak = &arguments.peak;
    let (slo, mut stage) = (Slo::read(peak.slo.as_deref())?, Stage::open(peak, target).await?);
    let seconds = arguments.seconds.duration().as_secs_f64() / f64::from(arguments.pieces);
    let (rate, length): (Rate, _) = (arguments.rate, RunLength::from_seconds(seconds)?);
    let mut phases: Vec<PhaseReport> = Vec::new();
    let mut stop = std::pin::pin!(stop);
    for piece in 1..=arguments.pieces {
        phases.push(stage.phase(&format!("piece {piece}"), rate, length, stop.as_mut()).await?);
        if phases.last().is_some_and(|phase| phase.stopped_early) {
            break;
        }
    }
    let verdicts = verdicts(&slo, &phases);
    let headline = phases.last().cloned();
    let finding = Finding { rss_growth: growth(&phases), ..Finding::default() };
    Ok(PeakReport::new("soak", peak, target, phases, stage.close(), verdicts, headline.as_ref(), finding))
}

/// Of memory, after the first piece, in which tables and caches fill.
fn growth(phases: &[PhaseReport]) -> Option<f64> {
    let (first, last) = (phases.first()?.server_rss_bytes?, phases.last()?.server_rss_bytes?);
    (phases.len() > 1).then_some(last / first - 1.0)
}

fn verdicts(slo: &Slo, phases: &[PhaseReport]) -> Vec<Verdict> {
    let third = (phases.len() / 3).max(1);
    let p99 = |part: &[PhaseReport]| {
        let mut found: Vec<f64> = part.iter().filter_map(|phase| phase.p99_ms).collect();
        found.sort_by(f64::total_cmp);
        found.get(found.len() / 2).copied()
    };
    let first = phases.get(..third).and_then(p99);
    let last = phases.get(phases.len().saturating_sub(third)..).and_then(p99);
    let drift = first.zip(last).map(|(first, last)| last / first - 1.0);
    let worst = phases.iter().map(|phase| phase.counts.good_share()).reduce(f64::min);
    vec![
        Verdict::at_most("growth of the server's memory after the first piece", slo.rss_growth_max, growth(phases)),
        Verdict::at_most("growth of p99 from the first third to the last (medians)", slo.p99_drift_max, drift),
        Verdict::at_least("share answered well in the worst piece", slo.good_share_min, worst),
    ]
}
