//! The inverted file: rows in cells by k-means, their int8 codes in interleaved blocks, cell after cell; a query looks at the
//! cells whose centres are best for it, and re-scores in `f32` what may be among the best (Jégou, Douze and Schmid, "Product
//! quantization for nearest neighbor search", 2011, with int8 codes for products; Guo et al., "Accelerating large-scale
//! inference with anisotropic vector quantization", 2020, for inner product).
//!
//! Which cells are best: under inner product and cosine those whose mean has the largest product with the query, which is the
//! mean score of their rows; under L2 the nearest.
//!
//! Memory a vector, dimension d: the vector, d + 4.75 bytes of codes, 4 for its number, and the centres' share. Compact:
//! 1.5·d + 12.75 bytes, and the centres' share.

mod cells;

use std::sync::Arc;

use crate::codes::{Blocks, Packed, Rigour};
use crate::error::IndexError;
use crate::file::Parts;
use crate::kernels::int8::scan;
use crate::metric::Metric;
use crate::query::{Direction, prepare};
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{Effort, IndexKind, Neighbour, RowStorage, Search, VectorIndex};
use crate::shortlist::scan_by_fours;
use crate::table::{Given, Table};
use crate::top::Key;

pub(crate) use cells::Cells;

/// Answers that an effort is meant for; more ask for more cells in proportion.
const K_OF_EFFORT: usize = 100;

/// Scoring an allowed row in `f32`, somewhere in memory, costs as much as scanning this many rows' codes in order.
const PICK_COST: usize = 14;

/// A filtered query may cost this many times an unfiltered one.
const FILTERED_COST_MAX: usize = 2;

/// How a filter that allows a share s of the rows widens a search: to s^−0.3 times as many cells. Measured: at 0.5 the same
/// recall costs up to three times an unfiltered search.
const WIDENING: f64 = 0.3;

/// The widest, so that a filtered search costs no more than twice an unfiltered one.
const WIDENING_MAX: f64 = 1.8;

/// Cells ahead for whose codes memory is asked.
const CELLS_AHEAD: usize = 2;

/// Hits after which the scan of centres raises its floor.
const HITS_MAX: usize = 32;

/// Cells over their rows, ready to search.
#[derive(Debug)]
pub(crate) struct Ivf {
    table: Table,
    cells: Cells,
    centre_rows: Table,
    centres: Arc<Blocks>,
    blocks: Arc<Blocks>,
    effort: Effort,
}

impl Ivf {
    /// Divides the rows into `cells` cells. See [`BuildSpec`](crate::BuildSpec) for the cost.
    pub(crate) fn build(table: Table, cells: usize, seed: u64, effort: Effort) -> Result<Self, IndexError> {
        let (cells, centres) = Cells::of(&table, cells, seed)?;
        let centres = Table::new(centres, Self::metric_of_centres(table.metric()));
        Self::new(Given::Full(table), cells, Given::Full(centres), effort)
    }

    /// By what cells are picked.
    pub(crate) fn metric_of_centres(metric: Metric) -> Metric {
        if metric == Metric::L2 { Metric::L2 } else { Metric::InnerProduct }
    }

    /// The same over rows that are kept so.
    pub(crate) fn storing(self, rows: RowStorage) -> Result<Self, IndexError> {
        if rows == self.storage() {
            return Ok(self);
        }
        let (packed, centres) = (Packed::of(&self.table), Packed::of(&self.centre_rows));
        let Self { cells, effort, .. } = self;
        Self::new(Given::Compact(packed), cells, Given::Compact(centres), effort)
    }

    /// The same with another effort of its own.
    pub(crate) fn with_effort(self, effort: Effort) -> Self {
        Self { effort, ..self }
    }

    /// Puts a division over its rows.
    ///
    /// # Errors
    /// [`IndexError::Malformed`] unless every row is in exactly one cell.
    pub(crate) fn new(rows: Given<'_>, cells: Cells, centres: Given<'_>, effort: Effort) -> Result<Self, IndexError> {
        cells.check(rows.len())?;
        let (centre_rows, centres) = centres.place(None);
        let (table, blocks) = rows.place(Some(&cells.rows));
        Ok(Self { table, cells, centre_rows, centres, blocks, effort })
    }

    #[inline]
    fn row_of(&self, slot: u32) -> u32 {
        self.cells.rows.get(slot as usize).copied().unwrap_or(slot)
    }

    /// How many cells a search looks at; `None` where scoring the allowed rows is the better way.
    fn probes(&self, search: &Search<'_>) -> Option<usize> {
        let effort = search.effort.unwrap_or(self.effort).0.max(1) as usize;
        let probes = effort.saturating_mul(search.k.max(K_OF_EFFORT)) / K_OF_EFFORT;
        let probes = probes.min(self.cells.len());
        let Some(allowed) = search.allowed else {
            return Some(probes);
        };
        let rows_scanned = self.cells.len() + probes.saturating_mul(self.table.len()) / self.cells.len().max(1);
        let count = allowed.count();
        if count.saturating_mul(PICK_COST) <= rows_scanned.saturating_mul(FILTERED_COST_MAX) {
            return None;
        }
        Some(widened(probes, count, self.table.len()).min(self.cells.len()))
    }

    /// Writes the best `probes` cells to `scratch.cells`, best first.
    fn pick_cells(&self, probes: usize, scratch: &mut Scratch) {
        let Scratch { query, centre_code, shortlist, best, cells, work, .. } = scratch;
        let hits = &mut shortlist.hits;
        self.centres.frame.encode_query(query, Rigour::Likely, centre_code);
        let code = centre_code.coded();
        best.reset(probes);
        let mut block = 0;
        while block < self.centres.len() {
            hits.clear();
            let floor = best.worst().map_or(f32::NEG_INFINITY, Key::score);
            block = scan(&code, &self.centres.rows(), block..self.centres.len(), floor, HITS_MAX, hits);
            for hit in hits.iter().filter(|hit| (hit.slot as usize) < self.cells.len()) {
                best.push(Key::new(hit.score, hit.slot));
            }
        }
        best.drain_into(cells);
        work.scanned += self.cells.len() as u64;
    }

    /// Looks at one cell.
    fn scan_cell(&self, cell: u32, allowed: Option<&RowSet>, scratch: &mut Scratch) {
        let Scratch { code, shortlist, work, .. } = scratch;
        let slots = self.cells.slots(cell);
        work.scanned += slots.len() as u64;
        work.visited += 1;
        match allowed {
            None => shortlist.scan(code, &self.blocks, slots, |_| true),
            Some(set) => shortlist.scan(code, &self.blocks, slots, |slot| set.contains(self.row_of(slot))),
        }
    }

    /// Looks at one cell for all searches that visit it.
    fn scan_cell_together(&self, cell: u32, visits: &[(u32, u32)], searches: &[Search<'_>], lanes: &mut [Scratch]) {
        let slots = self.cells.slots(cell);
        let (mut rest, mut passed) = (lanes, 0);
        let visiting = visits.iter().map_while(|(_, number)| {
            let number = *number as usize;
            let (_, from) = std::mem::take(&mut rest).split_at_mut_checked(number.checked_sub(passed)?)?;
            let (lane, after) = from.split_first_mut()?;
            lane.work.scanned += slots.len() as u64;
            lane.work.visited += 1;
            (rest, passed) = (after, number + 1);
            Some((searches.get(number)?, lane))
        });
        scan_by_fours(visiting, &self.blocks, &slots, |slot| self.row_of(slot));
    }

    /// Checks a search, and answers it where no cell need be looked at; else picks cells, and is true.
    fn start(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) -> Result<bool, IndexError> {
        found.clear();
        self.table.check_filter(search.allowed)?;
        if prepare(self.metric(), search.query, self.table.dimension(), &mut scratch.query)? == Direction::None {
            self.table.answer_first(search.k, search.allowed, found);
            return Ok(false);
        }
        let wanted = search.allowed.map_or(self.table.len(), RowSet::count);
        if search.k == 0 || wanted == 0 {
            return Ok(false);
        }
        let Some(probes) = self.probes(search).filter(|_| search.k < wanted) else {
            self.table.scan(search.k, search.allowed, scratch);
            scratch.answer(found);
            return Ok(false);
        };
        self.pick_cells(probes, scratch);
        self.blocks.frame.encode_query(&scratch.query, Rigour::Likely, &mut scratch.code);
        scratch.shortlist.reset(search.k);
        Ok(true)
    }

    /// From the shortlist to the answer. Where the cells held fewer than `k` allowed rows, all rows are scored.
    fn finish(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) {
        scratch.shortlist.finish(&mut scratch.picked, |slot| self.row_of(slot));
        if scratch.picked.len() < search.k {
            self.table.scan(search.k, search.allowed, scratch);
        } else {
            scratch.best.reset(search.k);
            self.table.push_picked(scratch);
        }
        scratch.answer(found);
    }

    /// The best cell of every query, so that floors rise; then cell after cell, each for all queries that look at it.
    fn scan_together(
        &self,
        searches: &[Search<'_>],
        lanes: &mut [Scratch],
        visits: &mut Vec<(u32, u32)>,
        found: &mut [Vec<Neighbour>],
    ) -> Result<(), IndexError> {
        visits.clear();
        for (((search, lane), found), number) in searches.iter().zip(lanes.iter_mut()).zip(found.iter_mut()).zip(0..) {
            lane.is_waiting = self.start(search, lane, found)?;
            if lane.is_waiting {
                if let Some(first) = lane.cells.first() {
                    self.scan_cell(first.id(), search.allowed, lane);
                }
                visits.extend(lane.cells.iter().skip(1).map(|cell| (cell.id(), number)));
            }
        }
        visits.sort_unstable();
        let mut rest = visits.as_slice();
        while let Some(&(cell, _)) = rest.first() {
            let (of_cell, others) = rest.split_at(rest.partition_point(|(other, _)| *other == cell));
            if let Some((next, _)) = others.first() {
                self.blocks.prefetch(self.cells.slots(*next));
            }
            self.scan_cell_together(cell, of_cell, searches, lanes);
            rest = others;
        }
        for ((search, lane), found) in searches.iter().zip(lanes.iter_mut()).zip(found.iter_mut()) {
            if lane.is_waiting {
                self.finish(search, lane, found);
            }
        }
        Ok(())
    }
}

/// Cells to look at where a filter leaves `count` of `rows` rows: the best allowed rows lie further out.
fn widened(probes: usize, count: usize, rows: usize) -> usize {
    let share = count.max(1) as f64 / rows.max(1) as f64;
    (probes as f64 * share.powf(-WIDENING).min(WIDENING_MAX)).ceil() as usize
}

impl VectorIndex for Ivf {
    fn kind(&self) -> IndexKind {
        IndexKind::Ivf
    }

    fn metric(&self) -> Metric {
        self.table.metric()
    }

    fn effort(&self) -> Effort {
        self.effort
    }

    fn search(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) -> Result<(), IndexError> {
        if !self.start(search, scratch, found)? {
            return Ok(());
        }
        let cells = std::mem::take(&mut scratch.cells);
        for (cell, at) in cells.iter().zip(CELLS_AHEAD..) {
            if let Some(next) = cells.get(at) {
                self.blocks.prefetch(self.cells.slots(next.id()));
            }
            self.scan_cell(cell.id(), search.allowed, scratch);
        }
        scratch.cells = cells;
        self.finish(search, scratch, found);
        Ok(())
    }

    fn search_batch(
        &self,
        searches: &[Search<'_>],
        scratch: &mut Scratch,
        found: &mut Vec<Vec<Neighbour>>,
    ) -> Result<(), IndexError> {
        found.resize_with(searches.len(), Vec::new);
        let (mut lanes, mut visits) = (std::mem::take(&mut scratch.batch), std::mem::take(&mut scratch.visits));
        lanes.resize_with(searches.len().max(lanes.len()), Scratch::new);
        let outcome = self.scan_together(searches, &mut lanes, &mut visits, found);
        (scratch.batch, scratch.visits) = (lanes, visits);
        if outcome.is_err() {
            found.iter_mut().for_each(Vec::clear);
        }
        outcome
    }

    fn score(&self, query: &[f32], rows: &[u32], scratch: &mut Scratch, scores: &mut Vec<f32>) -> Result<(), IndexError> {
        self.table.score(query, rows, scratch, scores)
    }

    fn memory_bytes(&self) -> usize {
        let centres = self.centre_rows.memory_bytes() + self.centres.memory_bytes();
        self.table.memory_bytes() + self.blocks.memory_bytes() + self.cells.memory_bytes() + centres
    }

    fn parts(&self) -> Parts<'_> {
        Parts::ivf(&self.table, &self.cells, &self.centre_rows)
    }
}
