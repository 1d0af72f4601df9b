//! What every index promises, checked from outside: answers against an oracle, filters, odd input, files.

mod answers;
mod data;
mod edges;
mod files;
mod filters;
