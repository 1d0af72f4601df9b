//! The exact kind: an int8 scan that proves which rows may be answers, and their scores in `f32`. It misses nothing, so it is
//! also the oracle that approximate kinds are measured against; its own oracle is the plain `f32` scan ([`Table::scan`]).

use std::sync::Arc;

use crate::batch::scan_by_fours;
use crate::codes::{Blocks, Frame, Packed, Rigour, Slab};
use crate::error::IndexError;
use crate::finish;
use crate::full::Full;
use crate::kernels::int8::BLOCK;
use crate::metric::Metric;
use crate::norms::{bound, longest_first, norm};
use crate::parts::Parts;
use crate::query::{Direction, prepare};
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{Effort, IndexKind, Neighbour, RowStorage, Search};
use crate::table::{Given, Table};
use crate::vector_index::VectorIndex;
use crate::vectors::Vectors;

/// Blocks between two looks at the bound, where rows are read from the longest on.
const BLOCKS_BY_NORM: usize = 4;

/// Blocks that a batch scans for one query after another: some 64 kB of codes at d = 64, which stay in the second cache.
const BLOCKS_PER_TURN: usize = 64;

/// Turns of a batch between two looks at the floor.
const TURNS_TO_SHARPEN: usize = 8;

/// Scoring an allowed row in `f32`, somewhere in memory, costs as much as scanning this many rows' codes in order.
const PICK_COST: usize = 14;

/// Up to this many rows the plain scan is as quick as coding the query.
const PLAIN_ROWS_MAX: usize = 64;

/// Rows scanned before the floor is sharpened first, where codes are of leading columns.
const FIRST_TURN: usize = 512;

/// Queries tried to see how many rows are scanned.
const TRIALS: usize = 32;

/// How far a scan from the longest row on came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    /// Rows passed, allowed or not.
    pub(crate) passed: usize,
    /// Whether no row beyond them can be among the best.
    pub(crate) is_exact: bool,
}

/// The rows, their codes, and under inner product their order by length where that pays. Memory: the vectors, the blocks, codes of
/// all columns where blocks hold leading ones, and 4 bytes a row for that order.
#[derive(Debug)]
pub(crate) struct Exact {
    table: Table,
    blocks: Arc<Blocks>,
    /// Codes of all columns, where blocks hold leading ones.
    fine: Option<Slab>,
    order: Option<Vec<u32>>,
    /// Rows that an unfiltered search passes, about.
    rows_passed: usize,
}

impl Exact {
    pub(crate) fn new(vectors: Vectors, metric: Metric) -> Self {
        Self::over(Full::new(vectors, metric))
    }

    pub(crate) fn over(full: Full) -> Self {
        let frame = Frame::of(&full);
        Self::of(Given::Full(full, frame))
    }

    /// Over rows whose frame is known.
    pub(crate) fn of(given: Given<'_>) -> Self {
        let order = match given.metric() {
            Metric::InnerProduct => longest_first(given.norms()),
            Metric::Cosine | Metric::L2 => None,
        };
        let (table, blocks) = given.place(order.as_deref());
        let row_of = |slot: u32| order.as_ref().map_or(slot, |order| order.get(slot as usize).copied().unwrap_or(slot));
        let fill = |slot, values: &mut [f32]| table.fill_scaled(row_of(slot), values);
        let fine = blocks.frame.whole().map(|whole| Slab::of(whole, table.len(), fill));
        let rows_passed = table.len();
        let mut exact = Self { table, blocks, fine, order, rows_passed };
        exact.rows_passed = exact.mean_passed();
        exact
    }

    /// The same over rows that are kept so.
    pub(crate) fn storing(self, rows: RowStorage) -> Self {
        let Table::Full(full) = &self.table else { return self };
        if rows == RowStorage::Full {
            return self;
        }
        let packed = Packed::of(full);
        drop(self);
        Self::of(Given::Compact(packed))
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.blocks.frame
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Whether rows are kept in the order of their lengths.
    pub(crate) fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    pub(crate) fn into_table(self) -> Table {
        self.table
    }

    fn mean_passed(&self) -> usize {
        const TRIAL_K: usize = 10;
        if self.order.is_none() {
            return self.table.len();
        }
        let mut scratch = Scratch::new();
        let step = (self.table.len() / TRIALS).max(1);
        let (mut passed, mut trials) = (0, 0);
        for row in (0..self.table.len() as u32).step_by(step) {
            scratch.query.resize(self.table.dimension(), 0.0);
            self.table.fill(row, &mut scratch.query);
            self.start(TRIAL_K, &mut scratch);
            passed += self.scan(None, usize::MAX, &mut scratch).passed;
            trials += 1;
        }
        passed / trials.max(1)
    }

    #[inline]
    fn row_of(&self, slot: u32) -> u32 {
        self.order.as_ref().map_or(slot, |order| order.get(slot as usize).copied().unwrap_or(slot))
    }

    /// Scans up to `limit` rows (the longest, where that order is kept) for the query that was coded.
    pub(crate) fn scan(&self, allowed: Option<&RowSet>, limit: usize, scratch: &mut Scratch) -> Scan {
        let rows = self.table.len();
        let admits = |slot| allowed.is_none_or(|set| set.contains(self.row_of(slot)));
        if self.order.is_none() {
            self.scan_blocks(allowed, rows.min(limit), scratch);
            return Scan { passed: rows.min(limit), is_exact: limit >= rows };
        }
        let Scratch { query, code, shortlist, work, .. } = scratch;
        let query_norm = norm(query);
        let mut passed = 0;
        while passed < rows {
            let longest = self.blocks.spread(passed as u32).length();
            if bound(longest, query_norm) < f64::from(shortlist.floor()) {
                return Scan { passed, is_exact: true };
            }
            if passed >= limit {
                return Scan { passed, is_exact: false };
            }
            let end = (passed + BLOCKS_BY_NORM * BLOCK).min(rows);
            shortlist.scan(code, &self.blocks, passed..end, admits);
            work.scanned += (end - passed) as u64;
            passed = end;
        }
        Scan { passed, is_exact: true }
    }

    /// Scans `rows` rows in order; where a filter leaves few, only the blocks that hold some of them.
    fn scan_blocks(&self, allowed: Option<&RowSet>, rows: usize, scratch: &mut Scratch) {
        let few = allowed.filter(|set| set.count().saturating_mul(BLOCK) < rows);
        let Some(set) = few else {
            let (mut first, mut turn) = (0, if self.fine.is_some() { FIRST_TURN } else { rows });
            while first < rows {
                let end = rows.min(first + turn);
                let Scratch { code, shortlist, work, .. } = &mut *scratch;
                shortlist.scan(code, &self.blocks, first..end, |slot| allowed.is_none_or(|set| set.contains(slot)));
                work.scanned += (end - first) as u64;
                self.sharpen(scratch);
                (first, turn) = (end, turn.saturating_mul(4));
            }
            return;
        };
        let (mut last, mut until_sharp) = (None, FIRST_TURN / BLOCK);
        for row in set.iter().take_while(|row| (*row as usize) < rows) {
            let block = row as usize / BLOCK;
            if last.replace(block) == Some(block) {
                continue;
            }
            let Scratch { code, shortlist, work, .. } = &mut *scratch;
            let slots = block * BLOCK..rows.min((block + 1) * BLOCK);
            shortlist.scan(code, &self.blocks, slots, |slot| set.contains(slot));
            work.scanned += BLOCK as u64;
            until_sharp -= 1;
            if until_sharp == 0 {
                self.sharpen(scratch);
                until_sharp = FIRST_TURN / BLOCK * 4;
            }
        }
    }

    /// Whether it is cheaper to score the allowed rows than to scan codes for them.
    fn is_sparse(&self, allowed: &RowSet) -> bool {
        let (rows, count) = (self.table.len(), allowed.count());
        let scanned = (self.rows_passed.saturating_mul(rows) / count.max(1)).clamp(self.rows_passed, rows.max(1));
        match &self.fine {
            None => count.saturating_mul(PICK_COST) <= scanned,
            // Rows are long: some blocks of codes take less.
            Some(_) => count <= PLAIN_ROWS_MAX / 2,
        }
    }

    /// Scores what the shortlist left, unless codes are to have the last word; the best `k` are in `scratch.best` then.
    pub(crate) fn settle(&self, k: usize, is_rough: bool, scratch: &mut Scratch) {
        if is_rough && self.fine.is_none() {
            return finish::skip(k, |slot| self.row_of(slot), scratch);
        }
        let Scratch { shortlist, refinement, best, work, .. } = scratch;
        shortlist.finish(&mut refinement.candidates);
        if let Some(fine) = &self.fine {
            refinement.by_codes(fine, k, work);
        }
        best.reset(k);
        finish::score(&self.table, k, |slot| self.row_of(slot), scratch);
    }

    /// Starts a scan: codes the query that was prepared.
    pub(crate) fn start(&self, k: usize, scratch: &mut Scratch) {
        self.blocks.frame.encode_query(&scratch.query, Rigour::Proven, &mut scratch.code);
        if let Some(fine) = &self.fine {
            fine.frame.encode_query(&scratch.query, Rigour::Proven, &mut scratch.refinement.code);
        }
        scratch.shortlist.reset(k);
    }

    /// Raises the floor of the shortlist, where codes are of leading columns.
    fn sharpen(&self, scratch: &mut Scratch) {
        let Scratch { shortlist, refinement, work, .. } = scratch;
        if let Some(fine) = &self.fine {
            shortlist.sharpen(&refinement.code, fine, work);
        }
    }

    /// The plain scan's answer, or the answer where no scan is needed; whether it was given.
    fn answer_simply(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) -> Result<bool, IndexError> {
        found.clear();
        self.table.check_filter(search.allowed)?;
        let metric = self.table.metric();
        if prepare(metric, search.query, self.table.dimension(), &mut scratch.query)? == Direction::None {
            self.table.answer_first(search.k, search.allowed, found);
            return Ok(true);
        }
        if search.k == 0 {
            return Ok(true);
        }
        let is_plain = self.table.len() <= PLAIN_ROWS_MAX || search.k >= self.table.len();
        if is_plain || search.allowed.is_some_and(|set| self.is_sparse(set)) {
            self.table.scan(search.k, search.allowed, scratch);
            scratch.answer(found);
            return Ok(true);
        }
        Ok(false)
    }
}

impl VectorIndex for Exact {
    fn kind(&self) -> IndexKind {
        IndexKind::Exact
    }

    fn metric(&self) -> Metric {
        self.table.metric()
    }

    fn effort(&self) -> Effort {
        Effort(1)
    }

    fn search(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) -> Result<(), IndexError> {
        if self.answer_simply(search, scratch, found)? {
            return Ok(());
        }
        self.start(search.k, scratch);
        self.scan(search.allowed, usize::MAX, scratch);
        self.settle(search.k, search.is_rough, scratch);
        scratch.answer(found);
        Ok(())
    }

    fn search_batch(
        &self,
        searches: &[Search<'_>],
        scratch: &mut Scratch,
        found: &mut Vec<Vec<Neighbour>>,
    ) -> Result<(), IndexError> {
        scratch.run_batch(searches.len(), found, |lanes, _, found| self.scan_together(searches, lanes, found))
    }

    fn score(&self, query: &[f32], rows: &[u32], scratch: &mut Scratch, scores: &mut Vec<f32>) -> Result<(), IndexError> {
        self.table.score(query, rows, scratch, scores)
    }

    fn memory_bytes(&self) -> usize {
        let order = self.order.as_ref().map_or(0, |order| size_of_val(order.as_slice()));
        let fine = self.fine.as_ref().map_or(0, Slab::memory_bytes);
        self.table.memory_bytes() + self.blocks.memory_bytes() + fine + order
    }

    fn parts(&self) -> Parts<'_> {
        Parts::exact(&self.table, self.blocks.frame.basis())
    }
}

impl Exact {
    /// A turn of blocks for each query before the next turn, so that codes come from memory once.
    fn scan_together(
        &self,
        searches: &[Search<'_>],
        lanes: &mut [Scratch],
        found: &mut [Vec<Neighbour>],
    ) -> Result<(), IndexError> {
        for ((search, lane), found) in searches.iter().zip(lanes.iter_mut()).zip(found.iter_mut()) {
            lane.is_waiting = !self.answer_simply(search, lane, found)?;
            if lane.is_waiting {
                self.start(search.k, lane);
                if self.order.is_some() {
                    // Ends after a few rows, which stay in the cache anyway.
                    self.scan(search.allowed, usize::MAX, lane);
                }
            }
        }
        if self.order.is_none() {
            let rows = self.table.len();
            for first in (0..rows).step_by(BLOCKS_PER_TURN * BLOCK) {
                let slots = first..(first + BLOCKS_PER_TURN * BLOCK).min(rows);
                let waiting = searches.iter().zip(lanes.iter_mut()).filter(|(_, lane)| lane.is_waiting);
                scan_by_fours(waiting, &self.blocks, &slots, |slot| slot);
                if first.is_multiple_of(BLOCKS_PER_TURN * BLOCK * TURNS_TO_SHARPEN) {
                    lanes.iter_mut().filter(|lane| lane.is_waiting).for_each(|lane| self.sharpen(lane));
                }
            }
        }
        for ((search, lane), found) in searches.iter().zip(lanes.iter_mut()).zip(found.iter_mut()) {
            if lane.is_waiting {
                self.settle(search.k, search.is_rough, lane);
                lane.answer(found);
            }
        }
        Ok(())
    }
}
