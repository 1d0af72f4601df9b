//! What every index promises, checked from outside: answers against an oracle, filters, odd input, files.
#![allow(clippy::unwrap_used)] // clippy allows it in tests, but not in the helpers that tests share

mod answers;
mod compact;
mod data;
mod edges;
mod files;
mod filters;
mod long;
