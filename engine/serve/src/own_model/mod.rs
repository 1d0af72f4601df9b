//! A ranking model of the user's own: what it is asked with, for how long, and when it is left alone.
//!
//! ```text
//! file ─ onnx (feature `onnx`) ─► RowScorer ─ trial (at load) ─► Guarded: chunks, budget, breaker, metrics ─► core's port OwnModel
//! ```
//!
//! Everything but `onnx` is free of the runtime and built always; another runtime is another [`RowScorer`]. Nothing here knows persons,
//! items or the wire.

mod breaker;
mod columns;
mod guarded;
mod load;
#[cfg(feature = "onnx")]
mod onnx;
mod trial;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::{
    columns::Columns,
    load::{LoadError, Problem, behind_guards, for_replay, for_serving},
};

/// Rows that a model is asked for at once. Between two such chunks the clock is looked at, so it is also how far over its budget a model can go.
pub const CHUNK_ROWS: usize = 64;

/// Which model, and how long it may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnModelConfig {
    /// The file, in ONNX. Empty: there is none.
    pub path: PathBuf,
    /// Longest time that scoring the candidates of one request may take, microseconds.
    pub budget_us: u64,
    /// Names of the features that it takes, in its order. Empty: as the file says, or all.
    #[serde(deserialize_with = "crate::config::texts")]
    pub features: Vec<String>,
}

impl Default for OwnModelConfig {
    fn default() -> Self {
        Self { path: PathBuf::new(), budget_us: 500, features: Vec::new() }
    }
}

/// A model that scores rows of numbers, each row by itself.
pub trait RowScorer: Send + Sync {
    /// Appends [`CHUNK_ROWS`] scores, for as many rows of as many numbers as there are features; rows beyond the candidates are zeros.
    ///
    /// # Errors
    /// When the model can't be evaluated.
    fn score(&self, rows: &[f32], scores: &mut Vec<f32>) -> anyhow::Result<()>;
}
