//! Dividing rows into cells by k-means: seeded, trained on a sample, on all threads of the pool, and the same whatever their
//! number.
//!
//! Lloyd's iterations (Lloyd 1982) by Euclidean distance over the rows as the metric scales them. The nearest centre is
//! found by int8 codes, which is off only where two centres are about equally near. 1M × 128 in 4,096 cells: some
//! 2 µs a row and pass.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rayon::prelude::*;

use crate::codes::{Blocks, Frame, QueryCode, Rigour};
use crate::error::IndexError;
use crate::full::Full;
use crate::kernels::int8::{Coded, Hit, scan};
use crate::metric::Metric;
use crate::vectors::Vectors;

/// Passes over the sample. More move centres little: 24 find what 8 do, at 1M × 128 in 4,000 cells.
const PASSES: usize = 6;

/// Sampled rows a cell.
const SAMPLED_PER_CELL: usize = 64;

/// Sampled rows at most, so that many cells do not make many rows dear as well: half of the time at 1M × 128 in 8,000 cells. Of
/// recall@10 that costs nothing where rows lie in clear groups, and where they do not .03 at few cells looked at, .00 at many.
const SAMPLED_MAX: usize = 1 << 18;

/// Hits after which the scan for the nearest centre raises its floor.
const HITS_MAX: usize = 4;

/// A division of the rows: cell `c` has the rows `rows[starts[c]..starts[c + 1]]`, ascending.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cells {
    pub(crate) starts: Vec<u32>,
    pub(crate) rows: Vec<u32>,
}

impl Cells {
    /// Divides the rows into about `count` cells, fewer than rows; the cells' centres beside.
    pub(crate) fn of(full: &Full, frame: &Frame, count: usize, seed: u64) -> Result<(Self, Vectors), IndexError> {
        let count = count.clamp(usize::from(full.len() > 0), full.len());
        let sample = sample(full.len() as u32, count.saturating_mul(SAMPLED_PER_CELL).min(SAMPLED_MAX), seed);
        let dimension = full.dimension();
        let mut centres = vec![0.0; count * dimension];
        for (centre, &row) in centres.chunks_exact_mut(dimension).zip(&sample) {
            full.fill_scaled(row, centre);
        }
        for _ in 0..PASSES {
            let homes = nearest(full, frame, &sample, &centres)?;
            let members = members(&homes, count);
            let update = |(cell, centre): (usize, &mut [f32])| move_to_mean(full, &sample, members.of(cell), centre);
            centres.par_chunks_exact_mut(dimension).enumerate().for_each(update);
        }
        let all: Vec<u32> = (0..full.len() as u32).collect();
        let homes = nearest(full, frame, &all, &centres)?;
        let Members { starts, places } = members(&homes, count);
        Ok((Self { starts, rows: places }, Vectors::new(dimension, centres)?))
    }

    /// The number of cells.
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(self.starts.as_slice()) + size_of_val(self.rows.as_slice())
    }

    /// Where the rows of a cell lie.
    pub(crate) fn slots(&self, cell: u32) -> std::ops::Range<usize> {
        let cell = cell as usize;
        match (self.starts.get(cell), self.starts.get(cell + 1)) {
            (Some(&start), Some(&end)) => start as usize..end as usize,
            _ => 0..0,
        }
    }

    /// What searching relies on: every row in one cell, cells in order.
    pub(crate) fn check(&self, rows: usize) -> Result<(), IndexError> {
        let malformed = |reason| Err(IndexError::Malformed { reason });
        let bounds = (self.starts.first().copied(), self.starts.last().copied());
        if bounds != (Some(0), Some(rows as u32)) || !self.starts.is_sorted() {
            return malformed("the cells do not divide the rows");
        }
        let mut seen = vec![false; rows];
        for &row in &self.rows {
            match seen.get_mut(row as usize) {
                Some(seen @ false) => *seen = true,
                _ => return malformed("a row is in no cell, or in two"),
            }
        }
        if self.rows.len() == rows { Ok(()) } else { malformed("a row is in no cell, or in two") }
    }
}

/// The members of every cell, as places in the list that was divided.
struct Members {
    starts: Vec<u32>,
    places: Vec<u32>,
}

impl Members {
    fn of(&self, cell: usize) -> &[u32] {
        match (self.starts.get(cell), self.starts.get(cell + 1)) {
            (Some(&start), Some(&end)) => self.places.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

fn members(homes: &[u32], count: usize) -> Members {
    let mut keyed: Vec<(u32, u32)> = homes.iter().copied().zip(0..).collect();
    keyed.par_sort_unstable();
    let starts = (0..=count as u32).map(|cell| keyed.partition_point(|(home, _)| *home < cell) as u32).collect();
    Members { starts, places: keyed.into_iter().map(|(_, place)| place).collect() }
}

/// Up to `limit` rows in random order, by seed.
fn sample(rows: u32, limit: usize, seed: u64) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut keyed: Vec<(u64, u32)> = (0..rows).map(|row| (random.next_u64(), row)).collect();
    keyed.par_sort_unstable();
    keyed.into_iter().take(limit).map(|(_, row)| row).collect()
}

/// The nearest centre of each row.
fn nearest(full: &Full, frame: &Frame, rows: &[u32], centres: &[f32]) -> Result<Vec<u32>, IndexError> {
    let dimension = full.dimension();
    let centres = Full::new(Vectors::new(dimension, centres.to_vec())?, Metric::L2);
    let blocks = Blocks::of(frame.by_distance(), centres.len(), |slot, values| centres.fill_scaled(slot, values));
    let made = || (vec![0.0; dimension], QueryCode::default(), Vec::new());
    let home = |(values, code, hits): &mut (Vec<f32>, QueryCode, Vec<Hit>), row: &u32| {
        full.fill_scaled(*row, values);
        blocks.frame.encode_query(values, Rigour::Likely, code);
        let code = Coded { by_norm: 0.0, by_error: 0.0, by_rest: 0.0, by_nature: 0.0, ..code.coded() };
        nearest_slot(&code, &blocks, centres.len(), hits)
    };
    Ok(rows.par_iter().map_init(made, home).collect())
}

fn nearest_slot(code: &Coded<'_>, blocks: &Blocks, slots: usize, hits: &mut Vec<Hit>) -> u32 {
    let (mut block, mut best) = (0, Hit { slot: 0, score: f32::NEG_INFINITY });
    let mut floor = f32::MIN;
    while block < blocks.len() {
        hits.clear();
        block = scan(code, &blocks.rows(), block..blocks.len(), floor, HITS_MAX, hits);
        for hit in hits.iter().filter(|hit| (hit.slot as usize) < slots) {
            if hit.score > best.score {
                best = *hit;
            }
        }
        floor = floor.max(best.score);
    }
    best.slot
}

/// Adds up in one order, in double precision. A cell without members stays where it is.
fn move_to_mean(full: &Full, sample: &[u32], members: &[u32], centre: &mut [f32]) {
    if members.is_empty() {
        return;
    }
    let mut sums = vec![0.0f64; centre.len()];
    for row in members.iter().filter_map(|place| sample.get(*place as usize)) {
        let scale = f64::from(full.scale(*row));
        let values = full.row(*row);
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += f64::from(*value) * scale;
        }
    }
    for (value, sum) in centre.iter_mut().zip(sums) {
        *value = (sum / members.len() as f64) as f32;
    }
}
