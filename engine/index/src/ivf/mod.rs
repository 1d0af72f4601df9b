//! The inverted file: rows in cells by k-means, their int8 codes in interleaved blocks, cell after cell; a query looks at the
//! cells whose centres are best for it, and re-scores in `f32` what may be among the best (Jégou, Douze and Schmid, "Product
//! quantization for nearest neighbor search", 2011, with int8 codes for products; Guo et al., "Accelerating large-scale
//! inference with anisotropic vector quantization", 2020, for inner product).
//!
//! Which cells are best: under inner product and cosine those whose mean has the largest product with the query, which is the
//! mean score of their rows; under L2 the nearest.
//!
//! Where rows are long, blocks hold codes of the leading h columns (`basis`), and what may be among the best is refined by codes of
//! all columns before it is scored.
//!
//! Memory a vector, dimension d: the vector, d + 4.75 bytes of codes, 4 for its number, and the centres' share; where h < d, h +
//! 4.75 + d + 9.25 bytes of codes and 8 for numbers; 4 more under L2, and under cosine where h < d. Compact: 1.5·d + 12.75 bytes,
//! and the centres' share.

pub(crate) mod cells;

use std::sync::Arc;

use crate::batch::scan_by_fours;
use crate::codes::{Blocks, Frame, Packed, QueryCode, Rigour, Slab};
use crate::error::IndexError;
use crate::finish;
use crate::full::Full;
use crate::kernels::int8::{BLOCK, Coded, scan};
use crate::metric::Metric;
use crate::parts::Parts;
use crate::query::{Direction, prepare};
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{Effort, IndexKind, Neighbour, RowStorage, Search};
use crate::table::{Given, Table};
use crate::top::Key;
use crate::vector_index::VectorIndex;

pub(crate) use cells::Cells;

/// Answers that an effort is meant for; more ask for more cells in proportion.
const K_OF_EFFORT: usize = 100;

/// At least so many times `k` rows are looked at: where cells hold fewer than `k`, all rows would have to be scored.
const ROWS_PER_K: usize = 2;

/// Scoring an allowed row in `f32`, somewhere in memory, costs as much as looking at this many rows in cells: 13 ns against 3.7 (d = 64).
const PICK_COST: usize = 5;

/// A filtered query may cost this many times an unfiltered one.
const FILTERED_COST_MAX: usize = 2;

/// What a search takes besides looking at rows, in rows looked at: coding the query, scoring the shortlist.
const OVERHEAD: usize = 1_000;

/// How a filter that allows a share s of the rows widens a search: to s^−0.5 times as many cells, for the best allowed rows lie further
/// out, as long as that costs no more than so many times an unfiltered search.
const WIDENING: f64 = 0.5;
const WIDENED_COST_MAX: f64 = 1.8;

/// Where rows are long, looking at the block of an allowed row costs as much as scanning this many rows' codes in order.
const BLOCK_COST: usize = 24;

/// Where rows are long, up to this many are scored in `f32` at once.
const ROWS_PLAIN: usize = 24;

/// Cells, and blocks, after which the floor is sharpened.
const CELLS_TO_SHARPEN: usize = 3;
const BLOCKS_TO_SHARPEN: usize = 32;

/// One of so many rows in the picked cells is asked for, to see whether a filter shuts them out: that is so where it allows less than
/// this share of the rows expected, and so few not by chance.
const SAMPLED: usize = 4;
const SHUT_OUT: f64 = 0.75;
const DEVIATIONS: f64 = 3.0;

/// Where a search looks.
enum Probes {
    /// Into so many cells.
    Cells(usize),
    /// Into the blocks that hold allowed rows.
    Blocks,
    /// At the allowed rows themselves.
    Rows,
}

/// The same where rows are long: what an unfiltered search takes is then mostly for refining, which is less for a filtered one.
const WIDENING_LONG: f64 = 0.3;
const WIDENING_LONG_MAX: f64 = 4.5;

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
    long: Option<Long>,
    effort: Effort,
}

/// What long rows have beside: codes of all columns, in the order of slots, and the slot of each row.
#[derive(Debug)]
struct Long {
    fine: Slab,
    slots: Vec<u32>,
}

impl Ivf {
    /// Divides the rows into `cells` cells. See [`BuildSpec`](crate::BuildSpec) for the cost.
    pub(crate) fn build(full: Full, frame: Frame, cells: usize, seed: u64, effort: Effort) -> Result<Self, IndexError> {
        let (cells, centres) = Cells::of(&full, &frame, cells, seed)?;
        let centres = Full::new(centres, Self::metric_of_centres(full.metric()));
        Self::new(Given::Full(full, frame.clone()), cells, Given::Full(centres, frame), effort)
    }

    /// By what cells are picked.
    pub(crate) fn metric_of_centres(metric: Metric) -> Metric {
        if metric == Metric::L2 { Metric::L2 } else { Metric::InnerProduct }
    }

    /// The same over rows that are kept so.
    pub(crate) fn storing(self, rows: RowStorage) -> Result<Self, IndexError> {
        let (Table::Full(full), Table::Full(centres)) = (&self.table, &self.centre_rows) else { return Ok(self) };
        if rows == RowStorage::Full {
            return Ok(self);
        }
        let (packed, centres) = (Packed::of(full), Packed::of(centres));
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
        let row_of = |slot: u32| cells.rows.get(slot as usize).copied().unwrap_or(slot);
        let long = blocks.frame.whole().map(|whole| {
            let mut slots = vec![0; table.len()];
            for (&row, slot) in cells.rows.iter().zip(0..) {
                if let Some(place) = slots.get_mut(row as usize) {
                    *place = slot;
                }
            }
            let fill = |slot, values: &mut [f32]| table.fill_scaled(row_of(slot), values);
            Long { fine: Slab::of(whole, table.len(), fill), slots }
        });
        Ok(Self { table, cells, centre_rows, centres, blocks, long, effort })
    }

    #[inline]
    fn row_of(&self, slot: u32) -> u32 {
        self.cells.rows.get(slot as usize).copied().unwrap_or(slot)
    }

    /// Where a search looks.
    fn probes(&self, search: &Search<'_>) -> Probes {
        let effort = search.effort.unwrap_or(self.effort).0.max(1) as usize;
        let probes = effort.saturating_mul(search.k.max(K_OF_EFFORT)) / K_OF_EFFORT;
        let rows_a_cell = (self.table.len() / self.cells.len().max(1)).max(1);
        let probes = probes.max(ROWS_PER_K.saturating_mul(search.k).div_ceil(rows_a_cell)).min(self.cells.len());
        let Some(allowed) = search.allowed else {
            return Probes::Cells(probes);
        };
        let fixed = OVERHEAD + self.cells.len();
        let unfiltered = fixed + probes.saturating_mul(rows_a_cell);
        let count = allowed.count();
        let affordable = unfiltered.saturating_mul(FILTERED_COST_MAX);
        let share = count.max(1) as f64 / self.table.len().max(1) as f64;
        let widened = match &self.long {
            None if count.saturating_mul(PICK_COST) <= affordable => return Probes::Rows,
            Some(_) if count <= ROWS_PLAIN => return Probes::Rows,
            Some(_) if count.saturating_mul(BLOCK_COST) <= affordable => return Probes::Blocks,
            Some(_) => probes as f64 * share.powf(-WIDENING_LONG).min(WIDENING_LONG_MAX),
            None => {
                let most = (WIDENED_COST_MAX * unfiltered as f64 - fixed as f64) / rows_a_cell as f64;
                (probes as f64 * share.powf(-WIDENING)).min(most)
            }
        };
        // At least as many cells as hold enough allowed rows.
        let widened = widened.max((ROWS_PER_K * search.k) as f64 / (rows_a_cell as f64 * share));
        Probes::Cells((widened.ceil() as usize).clamp(1, self.cells.len()))
    }

    /// Writes the best `probes` cells to `scratch.cells`, best first; twice as many, and again, where these hold too few rows for `k`
    /// answers: cells are not all of one size, and to score every row costs more than all cells together.
    fn pick_cells(&self, mut probes: usize, search: &Search<'_>, scratch: &mut Scratch) {
        let allowed = search.allowed.map_or(self.table.len(), RowSet::count).max(1);
        let rows_min = (ROWS_PER_K * search.k).saturating_mul(self.table.len()) / allowed;
        loop {
            self.pick_best_cells(probes, scratch);
            let rows: usize = scratch.cells.iter().map(|cell| self.cells.slots(cell.id()).len()).sum();
            if rows >= rows_min || probes >= self.cells.len() {
                return;
            }
            probes = (2 * probes).min(self.cells.len());
        }
    }

    fn pick_best_cells(&self, probes: usize, scratch: &mut Scratch) {
        let Scratch { query, code, centre_code, shortlist, best, cells, work, .. } = scratch;
        let hits = &mut shortlist.hits;
        let code = self.code_for_centres(query, code, centre_code);
        let code = Coded { by_rest: 0.0, ..code.coded() };
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

    /// The query as the centres are coded: compact ones in a frame of their own, else in that of the rows.
    fn code_for_centres<'a>(&self, query: &[f32], code: &'a QueryCode, own: &'a mut QueryCode) -> &'a QueryCode {
        if self.storage() == RowStorage::Full {
            return code;
        }
        self.centres.frame.encode_query(query, Rigour::Likely, own);
        own
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
        let probes = if search.k < wanted { self.probes(search) } else { Probes::Rows };
        if matches!(probes, Probes::Rows) {
            self.table.scan(search.k, search.allowed, scratch);
            scratch.answer(found);
            return Ok(false);
        }
        let Scratch { query, code, refinement, shortlist, cells, .. } = &mut *scratch;
        self.blocks.frame.encode_query(query, Rigour::Likely, code);
        if let Some(long) = &self.long {
            long.fine.frame.encode_query(query, Rigour::Likely, &mut refinement.code);
        }
        shortlist.reset(search.k);
        match probes {
            Probes::Cells(count) => {
                self.pick_cells(count, search, scratch);
                if let Some(allowed) = search.allowed.filter(|set| self.is_shut_out(set, scratch)) {
                    scratch.cells.clear();
                    self.scan_all(allowed, scratch);
                    self.finish(search, scratch, found);
                    return Ok(false);
                }
            }
            Probes::Blocks | Probes::Rows => cells.clear(),
        }
        Ok(true)
    }

    /// Whether a filter shuts out part of the region that the query is in: it allows clearly fewer of the rows in the picked cells
    /// than of all. Then the best allowed rows lie all around that region, in more cells than could be told beforehand.
    fn is_shut_out(&self, allowed: &RowSet, scratch: &Scratch) -> bool {
        let slots = scratch.cells.iter().flat_map(|cell| self.cells.slots(cell.id()).step_by(SAMPLED));
        let (sampled, met) = slots.fold((0usize, 0usize), |(sampled, met), slot| {
            (sampled + 1, met + usize::from(allowed.contains(self.row_of(slot as u32))))
        });
        let expected = sampled as f64 * allowed.count() as f64 / self.table.len().max(1) as f64;
        (met as f64) < (SHUT_OUT * expected).min(expected - DEVIATIONS * expected.sqrt())
    }

    /// Looks at all cells.
    fn scan_all(&self, allowed: &RowSet, scratch: &mut Scratch) {
        for cell in 0..self.cells.len() as u32 {
            self.scan_cell(cell, Some(allowed), scratch);
            if cell.is_power_of_two() {
                self.sharpen(scratch);
            }
        }
    }

    /// Looks at the blocks that hold allowed rows, wherever they are.
    fn scan_blocks(&self, long: &Long, allowed: &RowSet, scratch: &mut Scratch) {
        let mut since_sharp = 0;
        scratch.visited.reset(self.blocks.len());
        for row in allowed.iter() {
            let slot = long.slots.get(row as usize).copied().unwrap_or_default() as usize;
            if !scratch.visited.insert((slot / BLOCK) as u32) {
                continue;
            }
            let Scratch { code, shortlist, work, .. } = &mut *scratch;
            let first = slot / BLOCK * BLOCK;
            let slots = first..self.table.len().min(first + BLOCK);
            shortlist.scan(code, &self.blocks, slots, |slot| allowed.contains(self.row_of(slot)));
            work.scanned += BLOCK as u64;
            since_sharp += 1;
            if since_sharp == BLOCKS_TO_SHARPEN {
                self.sharpen(scratch);
            }
        }
    }

    /// Raises the floor of the shortlist, where codes are of leading columns.
    fn sharpen(&self, scratch: &mut Scratch) {
        if let Some(long) = &self.long {
            scratch.shortlist.sharpen(&scratch.refinement.code, &long.fine, &mut scratch.work);
        }
    }

    /// From the shortlist to the answer. Where the cells held fewer than `k` allowed rows, all rows are scored.
    fn finish(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) {
        let Scratch { shortlist, refinement, best, work, .. } = &mut *scratch;
        shortlist.finish(&mut refinement.candidates);
        if refinement.candidates.len() < search.k {
            self.table.scan(search.k, search.allowed, scratch);
        } else if search.is_rough && self.long.is_none() {
            finish::skip(search.k, |slot| self.row_of(slot), scratch);
        } else {
            if let Some(long) = &self.long {
                refinement.by_codes(&long.fine, search.k, work);
            }
            best.reset(search.k);
            finish::score(&self.table, search.k, |slot| self.row_of(slot), scratch);
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
                    self.sharpen(lane);
                } else if let (Some(long), Some(allowed)) = (&self.long, search.allowed) {
                    self.scan_blocks(long, allowed, lane);
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
        for (cell, at) in cells.iter().zip(0..) {
            if let Some(next) = cells.get(at + CELLS_AHEAD) {
                self.blocks.prefetch(self.cells.slots(next.id()));
            }
            self.scan_cell(cell.id(), search.allowed, scratch);
            if at == 0 || at == CELLS_TO_SHARPEN {
                self.sharpen(scratch);
            }
        }
        if let (true, Some(long), Some(allowed)) = (cells.is_empty(), &self.long, search.allowed) {
            self.scan_blocks(long, allowed, scratch);
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
        scratch.run_batch(searches.len(), found, |lanes, visits, found| self.scan_together(searches, lanes, visits, found))
    }

    fn score(&self, query: &[f32], rows: &[u32], scratch: &mut Scratch, scores: &mut Vec<f32>) -> Result<(), IndexError> {
        self.table.score(query, rows, scratch, scores)
    }

    fn memory_bytes(&self) -> usize {
        let centres = self.centre_rows.memory_bytes() + self.centres.memory_bytes();
        let long = self.long.as_ref().map_or(0, |long| long.fine.memory_bytes() + size_of_val(long.slots.as_slice()));
        self.table.memory_bytes() + self.blocks.memory_bytes() + self.cells.memory_bytes() + long + centres
    }

    fn parts(&self) -> Parts<'_> {
        Parts::ivf(&self.table, &self.cells, &self.centre_rows, self.blocks.frame.basis())
    }
}
