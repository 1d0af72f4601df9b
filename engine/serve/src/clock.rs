//! The wall clock, in one place: everything below this crate is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

use faces_core::ids::EventTime;

/// Now, in event time.
#[must_use]
pub fn now() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
