//! `faces-lake`: the batch rebuild's heavy part, as SQL over a data lake.
//!
//! ```text
//! Parquet by day, local or in an object store ─► survey (every footer) ─► steps of SQL ─► prepared tables + manifest
//! ```
//!
//! - [`sources`] finds files; [`survey`] refuses a file that is not whole or has other columns, before anything is counted;
//! - [`queries`] holds the SQL, [`prepare`] runs it step by step: a step's output is there whole or not at all, so a run that was
//!   killed goes on from its last step;
//! - [`session`] is where SQL runs: in this process within a memory limit, or the same plans on a Ballista cluster.
//!
//! Every sum is of whole numbers, so who added what in which order does not show: one process and a cluster give equal tables.
//!
//! **What this crate must not know.** How anything is trained or served. It knows SQL and files; the rules that training goes by (who
//! is one person, what an event weighs) it asks of `faces-rebuild`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bytes;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod command;
mod content;
mod error;
mod items;
mod persons;
pub mod prepare;
pub mod queries;
pub mod session;
pub mod sources;
mod steps;
mod stores;
pub mod survey;

pub use error::LakeError;
pub use prepare::{Request, prepare};
pub use session::{Limits, Session};
