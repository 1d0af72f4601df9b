//! Which rows are worth a look in `f32`: those whose score by codes, give or take its error, may be among the best `k`.
//!
//! The floor is the k-th best of the scores' lower ends. A row whose upper end is below it cannot be an answer, so with proven
//! margins nothing is missed, ties included, however many rows that leaves: mostly a few dozen; all, if all are identical.

use std::ops::Range;

use crate::codes::{Blocks, QueryCode, Slab};
use crate::kernels::int8::{Ask, BLOCK, Hit, scan, scan_together, sum_picked};
use crate::top::{Key, Top};
use crate::work::Work;

/// Hits after which a scan comes back to raise the floor.
const HITS_MAX: usize = 16;

/// Candidates kept before those that fell below the floor are dropped.
const CANDIDATES_MIN: usize = 512;

#[derive(Debug, Clone, Copy)]
struct Candidate {
    upper: f32,
    slot: u32,
}

/// The rows that may be among the best so far.
#[derive(Debug, Default)]
pub(crate) struct Shortlist {
    pub(crate) hits: Vec<Hit>,
    lower: Top,
    /// A floor that is known otherwise.
    least: f32,
    limit: usize,
    candidates: Vec<Candidate>,
    candidates_max: usize,
    picked: Vec<u32>,
    sums: Vec<i32>,
}

impl Shortlist {
    /// Starts anew, for the best `k`.
    pub(crate) fn reset(&mut self, k: usize) {
        self.lower.reset(k);
        (self.least, self.limit) = (f32::NEG_INFINITY, k);
        self.candidates.clear();
        self.candidates_max = CANDIDATES_MIN;
    }

    /// The score that a row must be able to reach.
    #[inline]
    pub(crate) fn floor(&self) -> f32 {
        self.lower.worst().map_or(self.least, |worst| worst.score().max(self.least))
    }

    /// Notes a row that scores this, give or take the margin.
    #[inline]
    pub(crate) fn offer(&mut self, score: f32, margin: f32, slot: u32) {
        if score + margin >= self.floor() {
            self.lower.push(Key::new(score - margin, slot));
            self.candidates.push(Candidate { upper: score + margin, slot });
        }
    }

    /// Raises the floor by the finer codes of the most promising rows so far: worth it where margins are wide.
    pub(crate) fn sharpen(&mut self, query: &QueryCode, slab: &Slab, work: &mut Work) {
        self.prune();
        let Self { limit, candidates, picked, sums, .. } = self;
        if *limit == 0 || candidates.len() <= *limit {
            return;
        }
        candidates.select_nth_unstable_by(*limit - 1, |left, right| right.upper.total_cmp(&left.upper));
        picked.clear();
        picked.extend(candidates.iter().take(*limit).map(|candidate| candidate.slot));
        sums.clear();
        let code = query.coded();
        slab.prefetch_marks(picked);
        sum_picked(&code, &slab.codes, slab.lines_per_row, picked, sums);
        work.refined += picked.len() as u64;
        // The least of `k` lower ends.
        let lower = |(&slot, &sum): (&u32, &i32)| slab.score(&code, slot, sum) - slab.margin(&code, slot);
        self.least = self.least.max(picked.iter().zip(sums.iter()).map(lower).fold(f32::INFINITY, f32::min));
        self.prune();
    }

    /// Looks at the rows of these blocks whose slots are in `slots` and `admits`.
    pub(crate) fn scan(&mut self, query: &QueryCode, blocks: &Blocks, slots: Range<usize>, admits: impl Fn(u32) -> bool) {
        let (coded, rows) = (query.coded(), blocks.rows());
        let end = slots.end.div_ceil(BLOCK);
        let mut block = slots.start / BLOCK;
        while block < end {
            self.hits.clear();
            block = scan(&coded, &rows, block..end, self.floor(), HITS_MAX, &mut self.hits);
            self.take_hits(query, blocks, &slots, &admits);
        }
    }

    /// Takes in the rows hit whose slots are in `slots` and `admits`.
    #[inline]
    fn take_hits(&mut self, query: &QueryCode, blocks: &Blocks, slots: &Range<usize>, admits: impl Fn(u32) -> bool) {
        let coded = query.coded();
        for hit in &self.hits {
            if !slots.contains(&(hit.slot as usize)) || !admits(hit.slot) {
                continue;
            }
            let margin = coded.margin(&blocks.spread(hit.slot));
            let lower = Key::new(hit.score - margin, hit.slot);
            self.lower.push(lower);
            self.candidates.push(Candidate { upper: hit.score + margin, slot: hit.slot });
        }
        if self.candidates.len() > self.candidates_max {
            self.prune();
            self.candidates_max = (2 * self.candidates.len()).max(CANDIDATES_MIN);
        }
    }

    /// What [`scan`](Self::scan) does, for several queries in one pass over the codes; `admits` is told whose turn it is.
    pub(crate) fn scan_many<const QUERIES: usize>(
        mut lanes: [(&QueryCode, &mut Self); QUERIES],
        blocks: &Blocks,
        slots: Range<usize>,
        admits: impl Fn(usize, u32) -> bool,
    ) {
        let rows = blocks.rows();
        let end = slots.end.div_ceil(BLOCK);
        let mut block = slots.start / BLOCK;
        while block < end {
            let mut asks = lanes.each_mut().map(|(query, shortlist)| {
                let floor = shortlist.floor();
                shortlist.hits.clear();
                Ask { query: query.coded(), floor, hits: &mut shortlist.hits }
            });
            block = scan_together(&mut asks, &rows, block..end, HITS_MAX);
            for (turn, (query, shortlist)) in lanes.iter_mut().enumerate() {
                shortlist.take_hits(query, blocks, &slots, |slot| admits(turn, slot));
            }
        }
    }

    fn prune(&mut self) {
        let floor = self.floor();
        self.candidates.retain(|candidate| candidate.upper >= floor);
    }

    /// The best `k` by the lower ends of their scores, which are those given.
    pub(crate) fn best(&self) -> impl Iterator<Item = Key> + '_ {
        self.lower.kept()
    }

    /// Writes the slots that are left and the upper ends of their scores to `left`, which is cleared first.
    pub(crate) fn finish(&mut self, left: &mut Vec<Key>) {
        self.prune();
        left.clear();
        left.extend(self.candidates.iter().map(|candidate| Key::new(candidate.upper, candidate.slot)));
    }
}
