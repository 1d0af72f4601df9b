//! What every index can be asked, whatever its kind.

use std::fmt::Debug;

use crate::error::IndexError;
use crate::metric::Metric;
use crate::parts::Parts;
use crate::scratch::Scratch;
use crate::search::{Effort, IndexKind, Neighbour, RowStorage, Search};
use crate::vectors::Vectors;

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
