//! One state of a live index, and how it is asked.

use std::sync::Arc;

use crate::error::IndexError;
use crate::exact::Exact;
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{Effort, Neighbour, Search, VectorIndex};

/// Base and tail as they were at one version.
#[derive(Debug)]
pub struct LiveSnapshot {
    pub(super) version: u64,
    pub(super) base: Arc<dyn VectorIndex>,
    pub(super) handles: Arc<Vec<u32>>,
    /// Rows of the base that count; `None` is all.
    pub(super) live: Option<RowSet>,
    pub(super) tail: Exact,
    pub(super) tail_handles: Vec<u32>,
}

/// Which handles a search may answer, worked out for one snapshot.
#[derive(Debug, Clone)]
pub struct LiveFilter {
    version: u64,
    base: RowSet,
    tail: RowSet,
}

/// One vector of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveNeighbour {
    /// Whose vector.
    pub handle: u32,
    /// As [`Neighbour::score`].
    pub score: f32,
}

/// Working memory for searches, one per thread.
#[derive(Debug, Default)]
pub struct LiveScratch {
    scratch: Scratch,
    rows: Vec<Neighbour>,
}

impl LiveSnapshot {
    /// How many changes it has seen.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The filter that lets through what `allows` does, asked once for each handle: some 10 ns each, so keep it for the searches
    /// of a request.
    #[must_use]
    pub fn filter(&self, mut allows: impl FnMut(u32) -> bool) -> LiveFilter {
        let is_live = |row| self.live.as_ref().is_none_or(|live| live.contains(row));
        let mut allows_at = |handles: &[u32], row: u32| handles.get(row as usize).is_some_and(|handle| allows(*handle));
        let base = RowSet::from_fn(self.handles.len(), |row| is_live(row) && allows_at(&self.handles, row));
        let tail = RowSet::from_fn(self.tail_handles.len(), |row| allows_at(&self.tail_handles, row));
        LiveFilter { version: self.version, base, tail }
    }

    /// Finds the best `k` of base and tail, best first, equal scores by handle. `effort` is for the base.
    ///
    /// # Errors
    /// As [`VectorIndex::search`]; [`IndexError::FilterRows`] too for a filter made for another version.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        effort: Option<Effort>,
        filter: Option<&LiveFilter>,
        scratch: &mut LiveScratch,
        found: &mut Vec<LiveNeighbour>,
    ) -> Result<(), IndexError> {
        found.clear();
        if let Some(filter) = filter.filter(|filter| filter.version != self.version) {
            return Err(IndexError::FilterRows { found: filter.base.len(), expected: self.handles.len() });
        }
        let LiveScratch { scratch, rows } = scratch;
        let allowed = filter.map(|filter| &filter.base).or(self.live.as_ref());
        self.base.search(&Search { query, k, effort, allowed }, scratch, rows)?;
        found.extend(rows.iter().filter_map(|neighbour| named(&self.handles, neighbour)));
        let allowed = filter.map(|filter| &filter.tail);
        self.tail.search(&Search { query, k, effort: None, allowed }, scratch, rows)?;
        found.extend(rows.iter().filter_map(|neighbour| named(&self.tail_handles, neighbour)));
        found.sort_unstable_by(|left, right| right.score.total_cmp(&left.score).then(left.handle.cmp(&right.handle)));
        found.truncate(k);
        Ok(())
    }

    /// Shows `take` every handle that may be answered, with its vector as the base keeps it. (A rebuild that starts from these
    /// forgets what is unavailable, and what compact rows lost; it should start from what its caller keeps.)
    pub fn for_each(&self, mut take: impl FnMut(u32, &[f32])) {
        let mut values = Vec::new();
        for (row, handle) in (0..).zip(self.handles.iter()) {
            if self.live.as_ref().is_none_or(|live| live.contains(row)) && self.base.row_into(row, &mut values) {
                take(*handle, &values);
            }
        }
        for (row, handle) in (0..).zip(&self.tail_handles) {
            if self.tail.row_into(row, &mut values) {
                take(*handle, &values);
            }
        }
    }
}

fn named(handles: &[u32], neighbour: &Neighbour) -> Option<LiveNeighbour> {
    let handle = *handles.get(neighbour.row as usize)?;
    Some(LiveNeighbour { handle, score: neighbour.score })
}
