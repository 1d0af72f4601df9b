//! What "similar" means for an index.

use serde::{Deserialize, Serialize};

/// The similarity that ranks rows; larger is better. Fixed when an index is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Σ qᵢ·xᵢ: the length of a row counts. The score of factor models, where length carries popularity.
    InnerProduct,
    /// Σ qᵢ·xᵢ ÷ (|q|·|x|), from −1 to 1: only direction counts. A vector shorter than 1e-30 has no direction; its
    /// score is 0 against everything.
    Cosine,
    /// −Σ (qᵢ − xᵢ)²: the squared Euclidean distance, negated so that larger is nearer. 0 is the best there is.
    L2,
}

impl Metric {
    /// The metric's name in configuration files and manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InnerProduct => "inner_product",
            Self::Cosine => "cosine",
            Self::L2 => "l2",
        }
    }
}
