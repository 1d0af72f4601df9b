//! The words in which an index is asked and answers.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::error::IndexError;
use crate::file::Parts;
use crate::metric::Metric;
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::vectors::Vectors;

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
/// An index knows the effort it was tuned to ([`VectorIndex::effort`]); a search need not say.
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
    /// Its similarity to the query under the index's [`Metric`]; larger is better, always finite.
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

/// An immutable index over rows of vectors: a snapshot that any number of threads search at once.
pub trait VectorIndex: Send + Sync + Debug {
    /// How it answers.
    fn kind(&self) -> IndexKind;

    /// What its scores mean.
    fn metric(&self) -> Metric;

    /// What it keeps of its rows.
    fn storage(&self) -> RowStorage {
        if self.vectors().is_some() { RowStorage::Full } else { RowStorage::Compact }
    }

    /// The number of rows.
    fn len(&self) -> usize {
        self.parts().table.len()
    }

    /// Whether there is no row at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of values in a row, and in a query.
    fn dimension(&self) -> usize {
        self.parts().table.dimension()
    }

    /// The rows it was built over, as they were given; `None` where it keeps them [compact](RowStorage::Compact).
    fn vectors(&self) -> Option<&Vectors> {
        self.parts().table.vectors()
    }

    /// Writes a row to `values`, which is cleared first: as it was given, or as far as [`storage`](Self::storage) keeps it.
    /// False past the end. Some 20 ns, and the wait for memory.
    fn row_into(&self, row: u32, values: &mut Vec<f32>) -> bool {
        values.clear();
        let table = self.parts().table;
        let is_row = (row as usize) < table.len();
        if is_row {
            values.resize(table.dimension(), 0.0);
            table.fill(row, values);
        }
        is_row
    }

    /// Bytes in memory: rows, codes, and what leads to them.
    fn memory_bytes(&self) -> usize;

    /// The effort of a search that names none.
    fn effort(&self) -> Effort;

    /// Finds the best rows. `found` is cleared, then holds `min(k, allowed rows)` rows (no row twice), best first,
    /// equal scores by ascending row. Every answered row is allowed and, unless the search is
    /// [rough](Search::is_rough), carries its true score; an approximate kind may miss a row, never invent one. Under inner product and cosine a zero query scores every row 0, so the first
    /// allowed rows are the answer.
    ///
    /// Allocates nothing once `scratch` and `found` have grown to their size.
    ///
    /// # Errors
    /// [`IndexError::QueryDimension`], [`IndexError::QueryValue`] or [`IndexError::FilterRows`]; `found` is empty then.
    fn search(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) -> Result<(), IndexError>;

    /// Answers many searches at once, `found[i]` to `searches[i]`, each as [`search`](Self::search) would (an approximate kind
    /// finds the same rows). Where they look at the same rows, those come from memory once for all: worth it from two
    /// searches on when the codes exceed the caches. `found` is resized; its lists are reused.
    ///
    /// # Errors
    /// As [`search`](Self::search), for the first search that is refused; all lists are empty then.
    fn search_batch(
        &self,
        searches: &[Search<'_>],
        scratch: &mut Scratch,
        found: &mut Vec<Vec<Neighbour>>,
    ) -> Result<(), IndexError> {
        found.resize_with(searches.len(), Vec::new);
        let mut pairs = searches.iter().zip(found.iter_mut());
        let outcome = pairs.try_for_each(|(search, found)| self.search(search, scratch, found));
        if outcome.is_err() {
            found.iter_mut().for_each(Vec::clear);
        }
        outcome
    }

    /// The scores of given `rows` in their order: what [`search`](Self::search) would say of them, for candidates
    /// that come from elsewhere. `scores` is cleared first. One dot product a row.
    ///
    /// # Errors
    /// As [`search`](Self::search), and [`IndexError::RowUnknown`]; `scores` is empty then.
    fn score(&self, query: &[f32], rows: &[u32], scratch: &mut Scratch, scores: &mut Vec<f32>) -> Result<(), IndexError>;

    /// What a file of this index holds; [`write`](crate::write()) asks for it.
    fn parts(&self) -> Parts<'_>;
}
