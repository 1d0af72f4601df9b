//! The line that moves while a run goes on. Goes to standard error, and stays silent where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{latency::for_people, tally::Tally};

/// A bar over `length` units with a message; hidden when `quiet`.
#[must_use]
pub fn bar(length: u64, unit: &str, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    let template = format!("{{bar:24}} {{pos}}/{{len}} {unit}  {{msg}}");
    bar.set_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Shows how far a run of load is.
pub fn show(bar: &ProgressBar, tally: &Tally, elapsed: Duration) {
    bar.set_position(elapsed.as_secs().min(bar.length().unwrap_or(u64::MAX)));
    bar.set_message(format!(
        "sent {}  answered {}  errors {}  bad {}  p50 {} ms  p99 {} ms",
        tally.sent,
        tally.answered,
        tally.errors_total(),
        tally.bad_slates,
        for_people(tally.latencies.quantile_ms(0.5)),
        for_people(tally.latencies.quantile_ms(0.99)),
    ));
}
