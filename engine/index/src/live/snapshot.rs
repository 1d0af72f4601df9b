//! One state of a live index, and how it is asked.

use std::sync::Arc;

use crate::error::IndexError;
use crate::exact::Exact;
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{Neighbour, Search};
use crate::vector_index::VectorIndex;

/// Base and tail as they were at one moment.
#[derive(Debug)]
pub struct LiveSnapshot {
    pub(super) base: Arc<dyn VectorIndex>,
    /// Rows of the base that count; `None` is all.
    pub(super) live: Option<RowSet>,
    pub(super) tail: Arc<Tail>,
    /// Rows of the tail that count; `None` is all.
    pub(super) tail_live: Option<RowSet>,
}

/// New vectors, and whose they are, ascending.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) index: Exact,
    pub(super) handles: Vec<u32>,
}

/// Working memory for searches, one per thread.
#[derive(Debug, Default)]
pub struct LiveScratch {
    scratch: Scratch,
    allowed: Vec<Allowed>,
    rows: Vec<u32>,
    tail_scores: Vec<f32>,
    tail_found: Vec<Neighbour>,
    tail_lists: Vec<Vec<Neighbour>>,
}

/// What a search may answer, in the rows of base and tail.
#[derive(Debug)]
struct Allowed {
    base: RowSet,
    tail: RowSet,
}

impl LiveSnapshot {
    /// Finds the best rows of base and tail, best first, equal scores by handle. A neighbour's `row` is its handle, and so are
    /// the rows of `search.allowed`, which may cover any number of them; `search.effort` is for the base.
    ///
    /// A filter costs a copy of its bits.
    ///
    /// # Errors
    /// As [`VectorIndex::search`], but for [`IndexError::FilterRows`].
    pub fn search(&self, search: &Search<'_>, scratch: &mut LiveScratch, found: &mut Vec<Neighbour>) -> Result<(), IndexError> {
        let LiveScratch { scratch, allowed, tail_found, .. } = scratch;
        self.allow(std::slice::from_ref(search), allowed);
        self.base.search(&self.of_base(search, allowed.first()), scratch, found)?;
        if self.tail.handles.is_empty() {
            return Ok(());
        }
        self.tail.index.search(&self.of_tail(search, allowed.first()), scratch, tail_found)?;
        self.merge(search.k, tail_found, found);
        Ok(())
    }

    /// Answers many searches at once, each as [`search`](Self::search) would; see [`VectorIndex::search_batch`].
    ///
    /// # Errors
    /// As [`search`](Self::search), for the first search that is refused; all lists are empty then.
    pub fn search_batch(
        &self,
        searches: &[Search<'_>],
        scratch: &mut LiveScratch,
        found: &mut Vec<Vec<Neighbour>>,
    ) -> Result<(), IndexError> {
        let LiveScratch { scratch, allowed, tail_lists, .. } = scratch;
        self.allow(searches, allowed);
        let of_base: Vec<_> = searches.iter().zip(&*allowed).map(|(search, of)| self.of_base(search, Some(of))).collect();
        self.base.search_batch(&of_base, scratch, found)?;
        if self.tail.handles.is_empty() {
            return Ok(());
        }
        let of_tail: Vec<_> = searches.iter().zip(&*allowed).map(|(search, of)| self.of_tail(search, Some(of))).collect();
        self.tail.index.search_batch(&of_tail, scratch, tail_lists)?;
        for ((search, tail_found), found) in searches.iter().zip(tail_lists).zip(found) {
            self.merge(search.k, tail_found, found);
        }
        Ok(())
    }

    /// Works out what each search may answer, in the rows of base and tail.
    fn allow(&self, searches: &[Search<'_>], allowed: &mut Vec<Allowed>) {
        if allowed.len() < searches.len() {
            allowed.resize_with(searches.len(), || Allowed { base: RowSet::empty(0), tail: RowSet::empty(0) });
        }
        for (search, Allowed { base, tail }) in searches.iter().zip(allowed) {
            let Some(wanted) = search.allowed else { continue };
            match &self.live {
                Some(live) => base.assign_both(wanted, live, self.base.len()),
                None => base.assign(wanted, self.base.len()),
            }
            tail.reset(self.tail.handles.len());
            let is_live = |row| self.tail_live.as_ref().is_none_or(|live| live.contains(row));
            for (row, handle) in (0..).zip(&self.tail.handles) {
                if is_live(row) && wanted.contains(*handle) {
                    tail.insert(row);
                }
            }
        }
    }

    fn of_base<'a>(&'a self, search: &Search<'a>, allowed: Option<&'a Allowed>) -> Search<'a> {
        let wanted = search.allowed.and(allowed).map(|allowed| &allowed.base);
        Search { allowed: wanted.or(self.live.as_ref()), ..*search }
    }

    fn of_tail<'a>(&'a self, search: &Search<'a>, allowed: Option<&'a Allowed>) -> Search<'a> {
        let wanted = search.allowed.and(allowed).map(|allowed| &allowed.tail);
        Search { allowed: wanted.or(self.tail_live.as_ref()), effort: None, ..*search }
    }

    /// Puts what the tail found among what the base found.
    fn merge(&self, k: usize, of_tail: &[Neighbour], found: &mut Vec<Neighbour>) {
        let named = |of: &Neighbour| Some(Neighbour { row: *self.tail.handles.get(of.row as usize)?, ..*of });
        found.extend(of_tail.iter().filter_map(named));
        found.sort_unstable_by(|left, right| right.score.total_cmp(&left.score).then(left.row.cmp(&right.row)));
        found.truncate(k);
    }

    /// The scores of given handles in their order, whether or not they may be answered; see [`VectorIndex::score`]. Of a
    /// removed handle it is the base's vector that counts.
    ///
    /// # Errors
    /// As [`VectorIndex::score`], for a handle that has no vector.
    pub fn score(
        &self,
        query: &[f32],
        handles: &[u32],
        scratch: &mut LiveScratch,
        scores: &mut Vec<f32>,
    ) -> Result<(), IndexError> {
        let LiveScratch { scratch, rows, tail_scores, .. } = scratch;
        let is_of_base = |handle: &&u32| self.tail.row(**handle).is_none();
        rows.clear();
        rows.extend(handles.iter().filter(is_of_base));
        self.base.score(query, rows, scratch, scores)?;
        if rows.len() == handles.len() {
            return Ok(());
        }
        rows.clear();
        rows.extend(handles.iter().filter_map(|handle| self.tail.row(*handle)));
        self.tail.index.score(query, rows, scratch, tail_scores)?;
        // Both lists are in the order of the handles: put each in its place, from the last one on.
        let mut base_left = scores.len();
        scores.resize(handles.len(), 0.0);
        for (place, handle) in handles.iter().enumerate().rev() {
            let score = if self.tail.row(*handle).is_some() {
                tail_scores.pop()
            } else {
                base_left -= 1;
                scores.get(base_left).copied()
            };
            if let (Some(score), Some(place)) = (score, scores.get_mut(place)) {
                *place = score;
            }
        }
        Ok(())
    }

    /// Whether a handle has a vector; which, [`score`](Self::score) says.
    #[must_use]
    pub fn has_vector(&self, handle: u32) -> bool {
        (handle as usize) < self.base.len() || self.tail.row(handle).is_some()
    }

    /// Writes the vector of a handle to `values`, which is cleared first; whether it has one. Which vector that is,
    /// [`score`](Self::score) says; how exactly it is kept, [`VectorIndex::row_into`].
    pub fn row_into(&self, handle: u32, values: &mut Vec<f32>) -> bool {
        match self.tail.row(handle) {
            Some(row) => self.tail.index.row_into(row, values),
            None => self.base.row_into(handle, values),
        }
    }
}

impl Tail {
    fn row(&self, handle: u32) -> Option<u32> {
        self.handles.binary_search(&handle).ok().map(|row| row as u32)
    }
}
