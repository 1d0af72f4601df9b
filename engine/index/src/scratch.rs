//! Memory that a search needs and gives back: reused, so that a query allocates nothing once a thread is warm.

use std::collections::BinaryHeap;

use crate::top::{Key, Top};

/// Working memory for searches: one per thread, for any index, of any size. It grows to the largest index and effort
/// it has seen (an eighth of a byte a row, plus some 40 bytes a candidate) and holds nothing from one query to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) query: Vec<f32>,
    pub(crate) picked: Vec<u32>,
    pub(crate) scores: Vec<f32>,
    pub(crate) best: Top,
    pub(crate) sorted: Vec<Key>,
    pub(crate) frontier: BinaryHeap<Key>,
    pub(crate) visited: Visited,
}

impl Scratch {
    /// Empty; the first searches fill it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
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
