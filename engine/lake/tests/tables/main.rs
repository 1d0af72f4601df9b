//! Prepared tables, over lakes in folders: one program, as each that holds DataFusion takes minutes to build.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod archives;
#[cfg(feature = "cluster")]
mod cluster;
mod differential;
mod lake;
mod refusals;
mod replaying;
mod resuming;
