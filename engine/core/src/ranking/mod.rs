//! From a profile to a slate, in stages: [`Source`] (retrieval) → [`Filter`] → features → [`Scorer`] → [`Selector`].
//!
//! Every candidate is accounted for: a filter says what it removed. Ids stay integers until the answer is encoded. The same state
//! gives the same slate: scores are finite by type and ties go by the items' names.

pub mod alike;
pub mod blend;
mod by_number;
pub mod candidate;
pub mod condition;
pub mod explain;
pub(crate) mod fast;
pub mod features;
pub mod filters;
pub mod model;
pub mod own_model;
pub mod pipeline;
pub mod query;
pub mod ranker;
pub mod regime;
pub mod rerank;
pub mod rules;
pub mod scratch;
pub mod source_kind;
pub mod source_set;
pub mod sources;
pub mod stage;
pub mod tastes;
pub mod trees;
mod weights;

pub use candidate::{Candidate, CandidateSet, Placed, Score};
pub use condition::Condition;
pub use features::Features;
pub use model::{Model, Near, Relation};
pub use own_model::{NoScores, OwnModel};
pub use pipeline::{Pipeline, RankingOptions, ScoredBy, Slate};
pub use query::{Query, Signal};
pub use ranker::Ranker;
pub use regime::{Regime, Segment};
pub use scratch::Scratch;
pub use source_kind::SourceKind;
pub use source_set::SourceSet;
pub use stage::{Filter, Scorer, Selector, Source};
pub use trees::{Split, TREE_DEPTH, TREE_LEAVES, Tree};
