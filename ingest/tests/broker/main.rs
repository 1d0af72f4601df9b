//! The crate's contract over a real broker: what is written is applied once, bad records end in the dead letters, nothing is lost.
//!
//! Conditions are waited for with a deadline; nothing here asserts how long something took.
#![allow(clippy::unwrap_used)] // clippy's leave for tests does not reach their helpers

mod dead_letters;
mod fates;
mod faults;
mod group;
mod pressure;
mod reading;
mod resuming;
mod support;
mod tailing;
mod writing;
