//! One ID: which source keys are the same person, reversibly.
//!
//! A statement (link or unlink) is a last-writer-wins register per (canonical pair of keys, evidence); a pair is *live* while any
//! evidence for it stands. Who is one person is a **pure function of the set of live pairs** ([`partition`]), never of the order
//! in which they came: link then unlink equals never linked, exactly. Nothing is merged in place, so nothing can be lost.
//!
//! [`graph`] maintains that function step by step; tests hold it against [`partition`] computed from scratch.

pub mod edge;
pub mod graph;
pub mod link;
mod many;
pub mod node;
pub mod partition;

pub use edge::{Edge, Stated};
pub use graph::{IdentityGraph, Linked};
pub use link::{Confidence, Evidence, KeyPair, Operation, Register, Statement};
pub use node::Node;
pub use partition::{Limits, LivePair};
