//! Offline quality: a log is replayed in time order through the served code, and the answers are scored.
//!
//! Leakage is impossible by construction: before a query at time *t*, exactly the events with time < *t* have been applied, and
//! the generation was trained on a log cut at or before *t*.

mod examples;
mod metrics;
mod queries;
mod replay;

pub use metrics::{Metrics, Scorecard};
pub use queries::{Query, QuerySet, read_queries};
pub use replay::{Inputs, Replay, ReplayOptions};
