//! Kafka to state: consume, decode, validate, dead-letter, apply; and the producer that writes the log.
//!
//! **Must not know**: what a record does to a profile (that is `faces_core`, behind the port [`faces_core::record::Apply`]), gRPC, HTTP,
//! metrics, how slates are made. It reads every partition by explicit assignment, so that each replica sees everything.
//!
//! The way through: [`topics`] names where records lie, [`consumer`] reads them, [`decode`] and [`validate`] turn bytes into domain
//! records or into a [`Reason`] for the dead letters, [`progress`] says how far it got. The way back: [`encode`] and [`producer`].
//! What was refused can be read and sent round again: [`letters`]. Whoever copies the log elsewhere reads it by [`tail`].
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod cluster;
pub mod config;
pub mod consumer;
pub mod decode;
pub mod embedded;
pub mod encode;
pub mod letters;
pub mod positions;
pub mod producer;
pub mod progress;
pub mod reason;
pub mod tail;
pub mod topics;
pub mod validate;

mod client;
mod dead_letter;
mod format;
mod framing;
mod give_way;
mod message;
mod wire;

pub use cluster::Cluster;
pub use config::IngestConfig;
pub use consumer::{Boundary, Ingest, IngestError};
pub use give_way::give_way;
pub use positions::{LastRecord, Position, Positions};
pub use producer::{LogRecord, LogWriter, WriteError, WriterConfig};
pub use progress::Progress;
pub use reason::Reason;
pub use topics::{TopicKind, Topics};
