//! Load and freshness measured from the outside, truthfully.
//!
//! **Must not know**: anything of the engine. It speaks `faces.v1` over gRPC, the topics of the log and the
//! admin pages, and nothing else, so that it can be pointed at any
//! deployment, and so that a fault in the server can't hide behind a type shared with it.
//!
//! The load is an *open loop*: [`schedule`] fixes when requests are due, whatever the server does; [`pace`] releases them at those
//! instants; [`open_loop`] sends each to a person drawn by [`people`] and takes its latency from the instant at which it was *due*,
//! so that a stalled server shows in every request it held up (no coordinated omission; G. Tene, "How NOT to Measure Latency").
//! [`tally`] keeps the books and [`report`] prints them. [`freshness`] asks the other question: how long until an event is seen?
//! [`ingest`] asks the third: how fast does a server come through a full log? [`peak`] asks the fourth: what can it take, and what does it do
//! with more? [`broker`] is a log to stand beside the first two.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod broker;
pub mod cli;
pub mod connections;
pub mod error;
pub mod freshness;
pub mod ingest;
pub mod latency;
pub mod open_loop;
pub mod output;
pub mod pace;
pub mod peak;
pub mod people;
pub mod progress;
pub mod report;
pub mod run;
pub mod schedule;
pub mod slate;
pub mod status;
pub mod tally;
pub mod target;
