//! Whether the log that the candidate was made from is new enough, and all of it.

use super::{Bound, Case, Finding, Gate, GateLimits, NOTHING_SERVED, share};

const HOUR_MS: f64 = 3_600_000.0;

/// Hours that the log ends before what is served knows of or, where a bound on age is set, before now: the one nearer its bound.
pub(super) fn inputs(case: &Case<'_>, limits: &GateLimits) -> Finding {
    let hours_before = |end_ms: i64| (end_ms.saturating_sub(case.newest_ms)) as f64 / HOUR_MS;
    let judged = |hours: f64, hours_max: f64, than: &str| {
        let said = if hours > 0.0 { format!("{hours:.1} h before {than}") } else { format!("not before {than}") };
        Finding::judged(Gate::Inputs, Bound::AtMost, hours.max(0.0), hours_max, format!("the log ends {said}"))
    };
    let behind = case.serving.map(|serving| {
        let than = format!("the log of {}", serving.manifest.id);
        judged(hours_before(serving.manifest.cut_off_ms), limits.behind_hours_max, &than)
    });
    let aged = (limits.age_hours_max > 0.0).then(|| judged(hours_before(case.now_ms), limits.age_hours_max, "now"));
    let findings = [aged, behind];
    let refused = findings.iter().flatten().find(|finding| finding.outcome == super::Outcome::Refused).cloned();
    let [aged, behind] = findings;
    refused.or(behind).or(aged).unwrap_or_else(|| Finding::skipped(Gate::Inputs, NOTHING_SERVED))
}

/// Interactions, as a share of those that the served generation was made from.
pub(super) fn log(case: &Case<'_>, limits: &GateLimits) -> Finding {
    let here = case.candidate.manifest.counts.interactions;
    let judged = |value, threshold, detail| Finding::judged(Gate::Log, Bound::AtLeast, value, threshold, detail);
    match case.serving {
        // An empty log passes nowhere, whatever is served.
        _ if here == 0 => {
            judged(0.0, limits.interactions_share_min.max(f64::MIN_POSITIVE), "the log holds no interactions".into())
        }
        None => Finding::skipped(Gate::Log, NOTHING_SERVED),
        Some(serving) => {
            let there = serving.manifest.counts.interactions;
            judged(share(here, there), limits.interactions_share_min, format!("{here} interactions, {there} before"))
        }
    }
}
