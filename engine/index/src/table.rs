//! The rows as they were given, and their true scores: what every kind answers with, whatever it narrowed down by.

use std::fmt;

use crate::error::IndexError;
use crate::kernels::{Rows, score_picked, score_range};
use crate::metric::Metric;
use crate::query::{prepare, row_scales};
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::Neighbour;
use crate::top::Key;
use crate::vectors::Vectors;

/// Rows scored between two looks at the best so far: their scores stay in the nearest cache.
const BLOCK_ROWS: usize = 512;

/// All rows and what they are multiplied by. Memory: the vectors, and 4 bytes a row under cosine.
pub(crate) struct Table {
    vectors: Vectors,
    metric: Metric,
    scales: Option<Vec<f32>>,
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut summary = formatter.debug_struct("Table");
        summary.field("vectors", &self.vectors).field("metric", &self.metric).finish_non_exhaustive()
    }
}

impl Table {
    pub(crate) fn new(vectors: Vectors, metric: Metric) -> Self {
        let scales = row_scales(metric, &vectors);
        Self { vectors, metric, scales }
    }

    pub(crate) fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn len(&self) -> usize {
        self.vectors.len()
    }

    pub(crate) fn dimension(&self) -> usize {
        self.vectors.dimension()
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
            values: self.vectors.as_slice(),
            stride: self.vectors.dimension(),
            scales: self.scales.as_deref(),
            by_distance: self.metric == Metric::L2,
        }
    }

    /// Writes a row as the kernels see it (normalised under cosine) to `place`.
    pub(crate) fn fill_scaled(&self, row: u32, place: &mut [f32]) {
        let scale = self.scale(row);
        for (value, given) in place.iter_mut().zip(self.vectors.row(row).unwrap_or_default()) {
            *value = given * scale;
        }
    }

    pub(crate) fn scale(&self, row: u32) -> f32 {
        let scales = self.scales.as_ref();
        scales.map_or(1.0, |scales| scales.get(row as usize).copied().unwrap_or(0.0))
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
        match allowed {
            None => self.scan_all(scratch),
            Some(allowed) => self.scan_allowed(allowed, scratch),
        }
    }

    fn scan_all(&self, scratch: &mut Scratch) {
        let Scratch { query, scores, best, .. } = scratch;
        for first in (0..self.len()).step_by(BLOCK_ROWS) {
            scores.clear();
            scores.resize(BLOCK_ROWS.min(self.len() - first), 0.0);
            score_range(query, self.rows(), first, scores);
            for (score, row) in scores.iter().zip(first as u32..) {
                best.push(Key::new(*score, row));
            }
        }
    }

    fn scan_allowed(&self, allowed: &RowSet, scratch: &mut Scratch) {
        let mut rows = allowed.iter();
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
        score_picked(query, self.rows(), picked, scores);
        for (score, row) in scores.iter().zip(picked.iter()) {
            best.push(Key::new(*score, *row));
        }
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
        prepare(self.metric, query, self.dimension(), &mut scratch.query)?;
        if let Some(&row) = rows.iter().find(|row| **row as usize >= self.len()) {
            return Err(IndexError::RowUnknown { row, rows: self.len() });
        }
        score_picked(&scratch.query, self.rows(), rows, scores);
        Ok(())
    }
}
