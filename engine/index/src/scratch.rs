//! Memory that a search needs and gives back: reused, so that a query allocates nothing once a thread is warm.

use std::collections::BinaryHeap;

use crate::codes::QueryCode;
use crate::error::IndexError;
use crate::refine::Refinement;
use crate::search::Neighbour;
use crate::shortlist::Shortlist;
use crate::top::{Key, Top};
use crate::work::Work;

/// Working memory for searches: one per thread, for any index, of any size. It grows to the largest index and effort
/// it has seen (an eighth of a byte a row, plus some 40 bytes a candidate; as much again for each query of a batch) and holds nothing from one query to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) query: Vec<f32>,
    pub(crate) picked: Vec<u32>,
    pub(crate) scores: Vec<f32>,
    pub(crate) best: Top,
    pub(crate) sorted: Vec<Key>,
    pub(crate) frontier: BinaryHeap<Key>,
    pub(crate) met: Vec<Met>,
    pub(crate) visited: Visited,
    pub(crate) code: QueryCode,
    pub(crate) shortlist: Shortlist,
    pub(crate) refinement: Refinement,
    pub(crate) sums: Vec<i32>,
    /// The query against compact centres of cells.
    pub(crate) centre_code: QueryCode,
    pub(crate) cells: Vec<Key>,
    /// One for each query of a batch.
    pub(crate) batch: Vec<Scratch>,
    pub(crate) visits: Vec<(u32, u32)>,
    pub(crate) is_waiting: bool,
    pub(crate) work: Work,
}

impl Scratch {
    /// Empty; the first searches fill it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a batch: `scan` gets a scratch for each search, a list of visits, and a list of answers for each. Where it refuses a search,
    /// no answers are left.
    pub(crate) fn run_batch(
        &mut self,
        searches: usize,
        found: &mut Vec<Vec<Neighbour>>,
        scan: impl FnOnce(&mut [Self], &mut Vec<(u32, u32)>, &mut [Vec<Neighbour>]) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        found.resize_with(searches, Vec::new);
        let (mut lanes, mut visits) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.visits));
        lanes.resize_with(searches.max(lanes.len()), Self::new);
        let outcome = scan(&mut lanes, &mut visits, found);
        (self.batch, self.visits) = (lanes, visits);
        if outcome.is_err() {
            found.iter_mut().for_each(Vec::clear);
        }
        outcome
    }

    /// Moves the best rows to `found`, best first.
    pub(crate) fn answer(&mut self, found: &mut Vec<Neighbour>) {
        self.best.drain_into(&mut self.sorted);
        found.clear();
        found.extend(self.sorted.iter().map(|key| Neighbour { row: key.id(), score: key.score() }));
    }
}

/// A node that a walk met, by score.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) key: Key,
    /// Whether its neighbours were looked at.
    pub(crate) is_open: bool,
}

/// Which nodes a walk has seen: one bit each, so that the set of a whole catalogue stays in the nearest cache.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
}

impl Visited {
    /// Forgets all, and makes room for `nodes` nodes. 125 kB are cleared for a million nodes.
    pub(crate) fn reset(&mut self, nodes: usize) {
        self.words.clear();
        self.words.resize(nodes.div_ceil(u64::BITS as usize), 0);
    }

    /// Marks `node`; true when it was not marked before. A node past the end counts as marked.
    #[inline]
    pub(crate) fn insert(&mut self, node: u32) -> bool {
        let Some(word) = self.words.get_mut((node / u64::BITS) as usize) else {
            return false;
        };
        let bit = 1 << (node % u64::BITS);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
