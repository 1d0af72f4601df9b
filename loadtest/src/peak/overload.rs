//! `faces-loadtest overload`: at capacity, then at multiples of it, then less than it, and back to full service.

use std::future::Future;

use super::{
    phase::{PhaseReport, Stage},
    report::{Finding, PeakReport},
    slo::{Slo, Verdict},
};
use crate::{
    cli::OverloadArgs,
    error::LoadError,
    schedule::{Rate, RunLength},
    target::Target,
};

/// Load after each overload, as a share of capacity.
const REST: f64 = 0.5;

/// Runs the scenario until it is done or until `stop`.
///
/// # Errors
/// When the run can't start.
pub async fn run(arguments: &OverloadArgs, target: &Target, stop: impl Future<Output = ()>) -> Result<PeakReport, LoadError> {
    let (peak, capacity) = (&arguments.peak, arguments.capacity.per_second());
    let rate = |share| Rate::new(capacity * share);
    let rest = (rate(REST)?, RunLength::from_seconds(arguments.rest_seconds.into())?);
    let mut steps = vec![
        ("warm-up".to_owned(), rest.0, arguments.seconds),
        ("at capacity".to_owned(), arguments.capacity, arguments.seconds),
    ];
    for multiple in &arguments.multiples {
        steps.push((format!("{multiple} x"), rate(*multiple)?, arguments.seconds));
        steps.push((format!("after {multiple} x"), rest.0, rest.1));
    }
    let (slo, mut stage) = (Slo::read(peak.slo.as_deref())?, Stage::open(peak, target).await?);
    let mut phases: Vec<PhaseReport> = Vec::new();
    let mut stop = std::pin::pin!(stop);
    for (name, rate, length) in steps {
        phases.push(stage.phase(&name, rate, length, stop.as_mut()).await?);
        if phases.last().is_some_and(|phase| phase.stopped_early) {
            break;
        }
    }
    let verdicts = verdicts(&slo, &phases, &arguments.multiples, peak.critical_share);
    let recovery_s = rests(&phases).map(|phase| phase.degraded_until_s).reduce(f64::max);
    let headline = phases.iter().max_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s)).cloned();
    let finding = Finding { recovery_s, ..Finding::default() };
    Ok(PeakReport::new("overload", peak, target, phases, stage.close(), verdicts, headline.as_ref(), finding))
}

fn rests(phases: &[PhaseReport]) -> impl Iterator<Item = &PhaseReport> {
    phases.iter().filter(|phase| phase.name.starts_with("after "))
}

fn verdicts(slo: &Slo, phases: &[PhaseReport], multiples: &[f64], critical_share: f64) -> Vec<Verdict> {
    let of = |name: &str| phases.iter().find(|phase| phase.name == name);
    let Some(at_capacity) = of("at capacity") else { return Vec::new() };
    let reference = at_capacity.goodput_per_s;
    // What overloads are held against: one that went badly would make any of them look well.
    let mut verdicts = vec![Verdict::at_least(
        "goodput at capacity, as a share of what came due",
        slo.goodput_share_min(1.0),
        Some(at_capacity.counts.good_share()),
    )];
    let overloads = phases.iter().filter(|phase| phase.name.ends_with(" x") && !phase.name.starts_with("after "));
    for (multiple, phase) in multiples.iter().zip(overloads) {
        let share = phase.goodput_per_s / reference.max(1e-9);
        verdicts.push(Verdict::at_least(
            format!("goodput at {multiple} x, as a share of that at capacity"),
            slo.goodput_share_min(*multiple),
            Some(share),
        ));
        if multiple * critical_share < 0.5 {
            let found = Some(phase.critical.good_share());
            verdicts.push(Verdict::at_least(
                format!("critical requests answered well at {multiple} x"),
                slo.critical_good_share_min,
                found,
            ));
        }
    }
    for phase in rests(phases) {
        let what = format!("seconds to full service {}", phase.name);
        let found = (phase.counts.good > phase.counts.degraded).then_some(phase.degraded_until_s); // else there was none
        verdicts.push(Verdict::at_most(what, slo.recovery_seconds_max, found));
    }
    let rss = |phase: &PhaseReport| phase.server_rss_bytes;
    let grown = phases.iter().skip(1).find_map(rss).zip(phases.last().and_then(rss)).map(|(first, last)| last / first - 1.0);
    verdicts.push(Verdict::at_most("growth of the server's memory since it was at capacity", slo.overload_rss_growth_max, grown));
    verdicts
}
