//! The rows, and the scores that every kind answers with, whatever it narrowed down by.

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use crate::basis::Basis;
use crate::codes::{Blocks, Compact, Frame, Packed};
use crate::error::IndexError;
use crate::full::Full;
use crate::kernels::int8::prefetch;
use crate::kernels::{Rows, score_picked, score_range};
use crate::metric::Metric;
use crate::norms::norm;
use crate::query::prepare;
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::Neighbour;
use crate::top::Key;
use crate::vectors::Vectors;

/// Rows scored between two looks at the best so far: their scores stay in the nearest cache.
const BLOCK_ROWS: usize = 512;

/// All rows, as they were given or compact.
pub(crate) enum Table {
    Full(Full),
    Compact(Compact),
}

/// Rows on their way into a table, before blocks are made in some order.
pub(crate) enum Given<'a> {
    Full(Full, Frame),
    Compact(Packed<'a>),
}

impl Given<'_> {
    pub(crate) fn metric(&self) -> Metric {
        match self {
            Self::Full(full, _) => full.metric(),
            Self::Compact(packed) => packed.frame.metric(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Full(full, _) => full.len(),
            Self::Compact(packed) => packed.len(),
        }
    }

    /// Lengths of the rows, as they will be kept.
    pub(crate) fn norms(&self) -> Vec<f32> {
        match self {
            Self::Full(full, _) => full.vectors().as_slice().par_chunks(full.dimension()).map(|row| norm(row) as f32).collect(),
            Self::Compact(packed) => packed.norms(),
        }
    }

    /// The same, coded along these directions first. Compact rows have none.
    pub(crate) fn led_by(self, basis: Basis) -> Self {
        match self {
            Self::Full(full, frame) => Self::Full(full, frame.led_by(basis)),
            Self::Compact(packed) => Self::Compact(packed),
        }
    }

    /// The same, coded in the frame of other rows, so that a query is coded once for both. Compact rows have a frame of their own.
    pub(crate) fn coded_as(self, other: &Given<'_>) -> Self {
        match (self, other) {
            (Self::Full(full, _), Given::Full(_, frame)) => Self::Full(full, frame.clone()),
            (given, _) => given,
        }
    }

    /// The rows alone, and the frame to code them in.
    pub(crate) fn rows(self) -> (Table, Frame) {
        match self {
            Self::Full(full, frame) => (Table::Full(full), frame),
            Self::Compact(_) => {
                let (table, blocks) = self.place(None);
                (table, blocks.frame.clone())
            }
        }
    }

    /// The rows, and their blocks, in which slot `i` is row `order[i]`, or row `i`.
    pub(crate) fn place(self, order: Option<&[u32]>) -> (Table, Arc<Blocks>) {
        match self {
            Self::Full(full, frame) => {
                let row_of = |slot: u32| order.map_or(slot, |order| order.get(slot as usize).copied().unwrap_or(slot));
                let blocks = Blocks::of(frame, full.len(), |slot, values| full.fill_scaled(row_of(slot), values));
                (Table::Full(full), Arc::new(blocks))
            }
            Self::Compact(packed) => {
                let compact = Compact::place(packed, order);
                let blocks = Arc::clone(compact.blocks());
                (Table::Compact(compact), blocks)
            }
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut summary = formatter.debug_struct("Table");
        summary.field("rows", &self.len()).field("dimension", &self.dimension());
        summary.field("is_compact", &self.compact().is_some()).field("metric", &self.metric()).finish_non_exhaustive()
    }
}

impl Table {
    /// The rows as they were given, where they are kept.
    pub(crate) fn vectors(&self) -> Option<&Vectors> {
        match self {
            Self::Full(full) => Some(full.vectors()),
            Self::Compact(_) => None,
        }
    }

    /// The compact rows, where they are kept instead.
    pub(crate) fn compact(&self) -> Option<&Compact> {
        match self {
            Self::Full(_) => None,
            Self::Compact(compact) => Some(compact),
        }
    }

    pub(crate) fn metric(&self) -> Metric {
        match self {
            Self::Full(full) => full.metric(),
            Self::Compact(compact) => compact.frame().metric(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Full(full) => full.len(),
            Self::Compact(compact) => compact.len(),
        }
    }

    pub(crate) fn dimension(&self) -> usize {
        match self {
            Self::Full(full) => full.dimension(),
            Self::Compact(compact) => compact.frame().dimension(),
        }
    }

    /// Bytes beside the blocks.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Full(full) => full.memory_bytes(),
            Self::Compact(compact) => compact.memory_bytes(),
        }
    }

    /// Writes a row to `place`, of the rows' dimension: as it was given, or as it is kept.
    pub(crate) fn fill(&self, row: u32, place: &mut [f32]) {
        match self {
            Self::Full(full) => full.fill(row, place),
            Self::Compact(compact) => compact.fill(row, place),
        }
    }

    /// Writes a row as the kernels see it (normalised under cosine) to `place`.
    pub(crate) fn fill_scaled(&self, row: u32, place: &mut [f32]) {
        match self {
            Self::Full(full) => full.fill_scaled(row, place),
            Self::Compact(compact) => compact.fill(row, place),
        }
    }

    /// Refuses a filter that was made for another number of rows.
    pub(crate) fn check_filter(&self, allowed: Option<&RowSet>) -> Result<(), IndexError> {
        match allowed {
            Some(set) if set.len() != self.len() => Err(IndexError::FilterRows { found: set.len(), expected: self.len() }),
            _ => Ok(()),
        }
    }

    /// The answer to a query without direction: the first allowed rows.
    pub(crate) fn answer_first(&self, k: usize, allowed: Option<&RowSet>, found: &mut Vec<Neighbour>) {
        let neighbour = |row| Neighbour { row, score: 0.0 };
        match allowed {
            Some(set) => found.extend(set.iter().take(k).map(neighbour)),
            None => found.extend((0..self.len() as u32).take(k).map(neighbour)),
        }
    }

    /// Leaves the best `k` of all rows, or of the allowed ones, in `scratch.best`, for the query in `scratch.query`: the
    /// scan that everything else is held against.
    pub(crate) fn scan(&self, k: usize, allowed: Option<&RowSet>, scratch: &mut Scratch) {
        scratch.best.reset(k);
        match (allowed, self) {
            (None, Self::Full(full)) => self.scan_all(full.rows(), scratch),
            (None, Self::Compact(_)) => self.scan_picked(0..self.len() as u32, scratch),
            (Some(allowed), _) => self.scan_picked(allowed.iter(), scratch),
        }
    }

    fn scan_all(&self, rows: Rows<'_>, scratch: &mut Scratch) {
        let Scratch { query, scores, best, .. } = scratch;
        for first in (0..self.len()).step_by(BLOCK_ROWS) {
            scores.clear();
            scores.resize(BLOCK_ROWS.min(self.len() - first), 0.0);
            score_range(query, rows, first, scores);
            for (score, row) in scores.iter().zip(first as u32..) {
                best.push(Key::new(*score, row));
            }
        }
    }

    fn scan_picked(&self, mut rows: impl Iterator<Item = u32>, scratch: &mut Scratch) {
        loop {
            scratch.picked.clear();
            scratch.picked.extend(rows.by_ref().take(BLOCK_ROWS));
            if scratch.picked.is_empty() {
                return;
            }
            self.push_picked(scratch);
        }
    }

    /// Scores `scratch.picked` and pushes them on `scratch.best`.
    pub(crate) fn push_picked(&self, scratch: &mut Scratch) {
        let Scratch { query, picked, scores, best, work, .. } = scratch;
        work.scored += picked.len() as u64;
        scores.clear();
        self.score_prepared(query, picked, scores);
        for (score, row) in scores.iter().zip(picked.iter()) {
            best.push(Key::new(*score, *row));
        }
    }

    /// Asks for a row early, where rows are kept as they were given.
    pub(crate) fn prefetch(&self, row: u32) {
        prefetch(self.vectors().and_then(|vectors| vectors.row(row)).unwrap_or_default());
    }

    /// What [`VectorIndex::score`](crate::VectorIndex::score) promises.
    pub(crate) fn score(
        &self,
        query: &[f32],
        rows: &[u32],
        scratch: &mut Scratch,
        scores: &mut Vec<f32>,
    ) -> Result<(), IndexError> {
        scores.clear();
        prepare(self.metric(), query, self.dimension(), &mut scratch.query)?;
        if let Some(&row) = rows.iter().find(|row| **row as usize >= self.len()) {
            return Err(IndexError::RowUnknown { row, rows: self.len() });
        }
        self.score_prepared(&scratch.query, rows, scores);
        Ok(())
    }

    /// The scores of `picked` for a query that was prepared, appended to `scores`.
    pub(crate) fn score_prepared(&self, query: &[f32], picked: &[u32], scores: &mut Vec<f32>) {
        match self {
            Self::Full(full) => score_picked(query, full.rows(), picked, scores),
            Self::Compact(compact) => compact.score(query, picked, scores),
        }
    }
}
