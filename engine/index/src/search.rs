//! The words in which an index is asked and answers.

use serde::{Deserialize, Serialize};

use crate::rows::RowSet;

/// How an index finds its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexKind {
    /// Scans the codes of every row (or of the longest, where that proves the answer). Recall 1, cost linear in rows.
    Exact,
    /// Scans the codes of the rows in the cells nearest to the query. Recall and cost rise with [`Effort`].
    Ivf,
    /// Walks a neighbour graph. Recall and cost rise with [`Effort`].
    Graph,
}

impl IndexKind {
    /// The kind's name in configuration files and manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Ivf => "ivf",
            Self::Graph => "graph",
        }
    }
}

/// How hard an approximate search looks: more is better and dearer, about linearly. What it counts is the kind's:
///
/// | kind | counts | when `k` is large |
/// |---|---|---|
/// | [`IndexKind::Exact`] | nothing: every answer is right | |
/// | [`IndexKind::Ivf`] | cells looked at | past 100 answers, in proportion more cells; at least as many as hold 2·`k` rows |
/// | [`IndexKind::Graph`] | candidates kept in play (`ef_search`) | at least `k` |
///
/// An index knows the effort it was tuned to ([`VectorIndex::effort`](crate::VectorIndex::effort)); a search need not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Effort(pub u32);

impl Default for Effort {
    /// 64: for a graph, recall@10 of .99 under cosine and .97 under inner product on 50,000 × 64 synthetic rows in 400
    /// clusters.
    fn default() -> Self {
        Self(64)
    }
}

/// One question to an index.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The vector to compare with, of the index's dimension; its length does not matter under cosine.
    pub query: &'a [f32],
    /// How many rows to find. More than there are (or than are allowed) finds all of them; 0 finds none.
    pub k: usize,
    /// How hard to look; `None` is the effort that the index was tuned to.
    pub effort: Option<Effort>,
    /// The rows that may be answered; `None` is all of them. It must cover exactly the index's rows.
    pub allowed: Option<&'a RowSet>,
    /// Whether codes may have the last word: cheaper, for who scores what is found by other means. Which rows are the best `k`, in which
    /// order and with which score is then right to within some 3 % of |q|·|x|. Kinds may give true scores all the same.
    pub is_rough: bool,
}

impl<'a> Search<'a> {
    /// Asks for the `k` best of all rows, with the index's own effort.
    #[must_use]
    pub fn new(query: &'a [f32], k: usize) -> Self {
        Self { query, k, effort: None, allowed: None, is_rough: false }
    }

    /// The same question with another effort.
    #[must_use]
    pub fn with_effort(self, effort: Effort) -> Self {
        Self { effort: Some(effort), ..self }
    }

    /// The same question, to be answered by codes alone.
    #[must_use]
    pub fn roughly(self) -> Self {
        Self { is_rough: true, ..self }
    }

    /// The same question about these rows only.
    #[must_use]
    pub fn within(self, allowed: &'a RowSet) -> Self {
        Self { allowed: Some(allowed), ..self }
    }
}

/// One row of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// The row's number among those that the index was built over.
    pub row: u32,
    /// Its similarity to the query under the index's [`Metric`](crate::Metric); larger is better, always finite.
    pub score: f32,
}

/// What an index keeps of its rows, beside the codes that it scans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowStorage {
    /// The rows as they were given, in `f32`: scores are those of the rows given.
    #[default]
    Full,
    /// 12 bits a value, of which the codes are eight; under cosine the rows' directions only. Rows and scores are what these bits
    /// say: each value is within m ÷ 4,064 of the one given (m: the largest magnitude in its row, less the mean of all rows
    /// under cosine and L2), so a score is within |q|·√d·m ÷ 4,064 of the one of the row given (under L2, with
    /// e = √d·m ÷ 4,064, within 2·|q − x|·e + e²). A tenth of that is usual: some 2⁻¹⁴ of |q|·|x| at d = 64.
    Compact,
}
