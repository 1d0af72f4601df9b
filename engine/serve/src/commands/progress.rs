//! Progress on long work: drawn on standard error, and only where a person looks on.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` things.
#[must_use]
pub fn bar(total: u64, things: &'static str) -> ProgressBar {
    let template = "{msg:>14} {bar:40} {human_pos}/{human_len} {per_sec} eta {eta}";
    drawn(ProgressBar::new(total), template, things)
}

/// A bar over bytes.
#[must_use]
pub fn bytes(total: u64, things: &'static str) -> ProgressBar {
    let template = "{msg:>14} {bar:40} {bytes}/{total_bytes} eta {eta}";
    drawn(ProgressBar::new(total), template, things)
}

/// A line that says how far work without an end is.
#[must_use]
pub fn line(things: &'static str) -> ProgressBar {
    drawn(ProgressBar::new_spinner(), "{spinner} {msg}", things)
}

fn drawn(bar: ProgressBar, template: &str, things: &'static str) -> ProgressBar {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(things);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
