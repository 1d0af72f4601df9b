//! The exact scan: scores every allowed row. It serves small catalogues and narrow filters, and is the oracle that
//! every approximate kind is measured against.

use crate::error::IndexError;
use crate::file::Parts;
use crate::kernels::{Rows, score_picked, score_range};
use crate::metric::Metric;
use crate::query::{Direction, prepare, row_scales};
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{IndexKind, Neighbour, Search, VectorIndex};
use crate::top::Key;
use crate::vectors::Vectors;

/// Rows scored between two looks at the best so far: their scores stay in the nearest cache.
const BLOCK_ROWS: usize = 512;

/// All rows and what they are multiplied by. Memory: the vectors, and 4 bytes a row under cosine.
#[derive(Debug)]
pub(crate) struct Exact {
    vectors: Vectors,
    metric: Metric,
    scales: Option<Vec<f32>>,
}

impl Exact {
    pub(crate) fn new(vectors: Vectors, metric: Metric) -> Self {
        let scales = row_scales(metric, &vectors);
        Self { vectors, metric, scales }
    }

    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows {
            values: self.vectors.as_slice(),
            stride: self.vectors.dimension(),
            scales: self.scales.as_deref(),
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
            Some(set) if set.len() != self.vectors.len() => {
                Err(IndexError::FilterRows { found: set.len(), expected: self.vectors.len() })
            }
            _ => Ok(()),
        }
    }

    /// The answer to a zero query: the first allowed rows.
    pub(crate) fn answer_first(&self, k: usize, allowed: Option<&RowSet>, found: &mut Vec<Neighbour>) {
        let neighbour = |row| Neighbour { row, score: 0.0 };
        match allowed {
            Some(set) => found.extend(set.iter().take(k).map(neighbour)),
            None => found.extend((0..self.vectors.len() as u32).take(k).map(neighbour)),
        }
    }

    fn scan_all(&self, scratch: &mut Scratch) {
        let Scratch { query, scores, best, .. } = scratch;
        for first in (0..self.vectors.len()).step_by(BLOCK_ROWS) {
            scores.clear();
            scores.resize(BLOCK_ROWS.min(self.vectors.len() - first), 0.0);
            score_range(query, self.rows(), first, scores);
            for (score, row) in scores.iter().zip(first as u32..) {
                best.push(Key::new(*score, row));
            }
        }
    }

    fn scan_allowed(&self, allowed: &RowSet, scratch: &mut Scratch) {
        let Scratch { query, picked, scores, best, .. } = scratch;
        let mut rows = allowed.iter();
        loop {
            picked.clear();
            picked.extend(rows.by_ref().take(BLOCK_ROWS));
            if picked.is_empty() {
                return;
            }
            scores.clear();
            score_picked(query, self.rows(), picked, scores);
            for (score, row) in scores.iter().zip(picked.iter()) {
                best.push(Key::new(*score, *row));
            }
        }
    }
}

impl VectorIndex for Exact {
    fn kind(&self) -> IndexKind {
        IndexKind::Exact
    }

    fn metric(&self) -> Metric {
        self.metric
    }

    fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    fn search(
        &self,
        search: &Search<'_>,
        scratch: &mut Scratch,
        found: &mut Vec<Neighbour>,
    ) -> Result<(), IndexError> {
        found.clear();
        self.check_filter(search.allowed)?;
        let dimension = self.vectors.dimension();
        if prepare(self.metric, search.query, dimension, dimension, &mut scratch.query)? == Direction::None {
            self.answer_first(search.k, search.allowed, found);
            return Ok(());
        }
        scratch.best.reset(search.k);
        match search.allowed {
            Some(allowed) => self.scan_allowed(allowed, scratch),
            None => self.scan_all(scratch),
        }
        scratch.best.drain_into(&mut scratch.sorted);
        found.extend(scratch.sorted.iter().map(|key| Neighbour { row: key.id(), score: key.score() }));
        Ok(())
    }

    fn score(
        &self,
        query: &[f32],
        rows: &[u32],
        scratch: &mut Scratch,
        scores: &mut Vec<f32>,
    ) -> Result<(), IndexError> {
        scores.clear();
        let dimension = self.vectors.dimension();
        prepare(self.metric, query, dimension, dimension, &mut scratch.query)?;
        if let Some(&row) = rows.iter().find(|row| **row as usize >= self.vectors.len()) {
            return Err(IndexError::RowUnknown { row, rows: self.vectors.len() });
        }
        score_picked(&scratch.query, self.rows(), rows, scores);
        Ok(())
    }

    fn parts(&self) -> Parts<'_> {
        Parts::exact()
    }
}
