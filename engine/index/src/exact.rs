//! The exact scan: scores every allowed row. It serves small catalogues and narrow filters, and is the oracle that
//! every approximate kind is measured against.

use std::fmt;

use crate::error::IndexError;
use crate::file::Parts;
use crate::kernels::{Rows, score_picked, score_range};
use crate::metric::Metric;
use crate::norms::{Norms, norm};
use crate::query::{Direction, prepare, row_scales};
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{IndexKind, Neighbour, Search, VectorIndex};
use crate::top::Key;
use crate::vectors::Vectors;

/// Rows scored between two looks at the best so far: their scores stay in the nearest cache.
const BLOCK_ROWS: usize = 512;

/// Rows scored between two looks at the bound, where rows are read from the longest on.
const BLOCK_ROWS_BY_NORM: usize = 64;

/// A filter that allows less than one row in this many is scanned directly; testing all longer rows would cost more.
const FILTER_SPARSE: usize = 8;

/// How far a scan from the longest row on came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    /// Rows passed, allowed or not.
    pub(crate) passed: usize,
    /// Whether no row beyond them can be among the best.
    pub(crate) is_exact: bool,
}

/// All rows and what they are multiplied by. Memory: the vectors, and 4 bytes a row under cosine, 8 under inner product.
pub(crate) struct Exact {
    vectors: Vectors,
    metric: Metric,
    scales: Option<Vec<f32>>,
    norms: Option<Norms>,
}

impl fmt::Debug for Exact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut summary = formatter.debug_struct("Exact");
        summary.field("vectors", &self.vectors).field("metric", &self.metric).finish_non_exhaustive()
    }
}

impl Exact {
    pub(crate) fn new(vectors: Vectors, metric: Metric) -> Self {
        let scales = row_scales(metric, &vectors);
        let norms = match metric {
            Metric::InnerProduct => Norms::of(&vectors),
            Metric::Cosine => None,
        };
        Self { vectors, metric, scales, norms }
    }

    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows { values: self.vectors.as_slice(), stride: self.vectors.dimension(), scales: self.scales.as_deref() }
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

    /// How many rows a search scores on average: fewer than all where their lengths differ. Tried on some rows.
    pub(crate) fn rows_scored(&self, k: usize) -> usize {
        const TRIALS: usize = 32;
        let mut scratch = Scratch::new();
        let step = (self.vectors.len() / TRIALS).max(1);
        let trials = (0..self.vectors.len() as u32).step_by(step).filter_map(|row| self.vectors.row(row));
        let scored = trials.map(|query| {
            scratch.query.clear();
            scratch.query.extend_from_slice(query);
            scratch.best.reset(k);
            let scan = self.scan_longest(None, usize::MAX, &mut scratch);
            scan.map_or(self.vectors.len(), |scan| scan.passed)
        });
        let (sum, count) = scored.fold((0, 0), |(sum, count), scored| (sum + scored, count + 1));
        sum / count.max(1)
    }

    /// Scores up to `limit` rows, from the longest on, leaving the best in `scratch.best`, which decides how many.
    /// `None` where no order by length is kept.
    pub(crate) fn scan_longest(&self, allowed: Option<&RowSet>, limit: usize, scratch: &mut Scratch) -> Option<Scan> {
        let norms = self.norms.as_ref()?;
        let Scratch { query, picked, scores, best, .. } = scratch;
        let query_norm = norm(query);
        let mut scan = Scan { passed: 0, is_exact: false };
        for block in norms.rows.chunks(BLOCK_ROWS_BY_NORM) {
            let bound = norms.bound(scan.passed, query_norm);
            scan.is_exact = best.worst().is_some_and(|worst| bound < f64::from(worst.score()));
            if scan.is_exact || scan.passed >= limit {
                return Some(scan);
            }
            picked.clear();
            picked.extend(block.iter().filter(|row| allowed.is_none_or(|set| set.contains(**row))));
            scores.clear();
            score_picked(query, self.rows(), picked, scores);
            for (score, row) in scores.iter().zip(picked.iter()) {
                best.push(Key::new(*score, *row));
            }
            scan.passed += block.len();
        }
        Some(Scan { is_exact: true, ..scan })
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

    fn search(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) -> Result<(), IndexError> {
        found.clear();
        self.check_filter(search.allowed)?;
        let dimension = self.vectors.dimension();
        if prepare(self.metric, search.query, dimension, dimension, &mut scratch.query)? == Direction::None {
            self.answer_first(search.k, search.allowed, found);
            return Ok(());
        }
        scratch.best.reset(search.k);
        let is_sparse = search.allowed.is_some_and(|set| set.count() < set.len() / FILTER_SPARSE);
        if is_sparse || self.scan_longest(search.allowed, usize::MAX, scratch).is_none() {
            match search.allowed {
                Some(allowed) => self.scan_allowed(allowed, scratch),
                None => self.scan_all(scratch),
            }
        }
        scratch.best.drain_into(&mut scratch.sorted);
        found.extend(scratch.sorted.iter().map(|key| Neighbour { row: key.id(), score: key.score() }));
        Ok(())
    }

    fn score(&self, query: &[f32], rows: &[u32], scratch: &mut Scratch, scores: &mut Vec<f32>) -> Result<(), IndexError> {
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
