//! `faces-rebuild`: from event, item and link tables to a published, checked generation on disk.
//!
//! ```text
//! tables ─► training::Log ─► train: popularity, co-visitation, content, embeddings, indexes ─► Generation ─► Store
//! ```
//!
//! - [`tables`] streams rows out of CSV, CSV + zstd and Parquet;
//! - [`training`] makes them a [`Log`]: items by row, interactions by person, both checked, cut at a time if asked;
//! - [`prepared`] takes a log and its counts from where they were prepared, if it is too large to be counted here;
//! - [`train()`] makes a [`Generation`], deterministic for a log and parameters: nothing after the log's cut-off, the
//!   order of the input and the number of threads never show in it;
//! - [`gates`] say whether it may be published;
//! - [`Store`] publishes generations whole or not at all, and loads nothing that does not check.
//!
//! **What this crate must not know.** Who serves a generation or how a slate is made from it; Kafka, gRPC, an async
//! runtime. It reads files and writes files. Progress is told to a callback and drawn by the caller.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod content;
pub mod cooccurrence;
pub mod covisitation;
pub mod embedding;
mod embeddings;
pub mod gates;
pub mod generation;
mod interests;
mod neighbour_lists;
mod pace;
pub mod popularity;
pub mod prepared;
pub mod ranker;
mod seed;
pub mod tables;
mod train;
pub mod training;

pub use embedding::EmbeddingSource;
pub use embeddings::{Embeddings, unit};
pub use generation::{Generation, GenerationError, GenerationId, Manifest, Space, Store, UnitIndex};
pub use neighbour_lists::NeighbourLists;
pub use pace::Pace;
pub use popularity::Popularity;
pub use prepared::Prepared;
pub use ranker::TrainedRanker;
pub use seed::{NeighbourSeed, Seed};
pub use train::{RebuildError, Stage, TrainParams, train, train_at, train_prepared};
pub use training::{Interaction, Log, TrainingItem};
