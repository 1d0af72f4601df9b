//! Plain `hnsw_rs`, used as its documentation says: what the kinds of this crate are measured against, and nothing else.
//!
//! It serves no request. It exists so that a benchmark can put the builder's own search beside ours in one run, over the
//! same rows and with the same distances, without another crate learning about `hnsw_rs`.
//!
//! `hnsw_rs` demands distances of at least 0, and its SIMD dot distance asserts that no product exceeds 1. So that it
//! gets both, rows are divided by the longest length of all (inner product) or by their own (cosine), and queries by
//! theirs. Neither changes which rows are nearest.

use std::fmt;
use std::mem::size_of;

use hnsw_rs::anndists::dist::{DistDot, DistL2, Distance};
use hnsw_rs::prelude::{FilterT, Hnsw};

use crate::error::IndexError;
use crate::metric::Metric;
use crate::query::{inverse_norm, prepare};
use crate::rows::RowSet;
use crate::spec::BuildSpec;
use crate::vectors::Vectors;

/// The most layers `hnsw_rs` can hold.
const LAYERS_MAX: usize = 16;

/// Keeps products of unit vectors below 1 in spite of rounding.
const SHRINK: f32 = 1.0 - 1e-6;

/// What one point costs beside its vector: the point itself behind an `Arc` (two counts, the vector's header, two ids,
/// a pointer), and behind another `Arc` its lock and one vector header per layer. Without the allocator's rounding.
const POINT_BYTES: usize = 16 + 64 + 16 + 32 + LAYERS_MAX * size_of::<Vec<usize>>();

/// What one link costs: a pointer to an `Arc` of a pointer and a distance.
const LINK_BYTES: usize = 8 + 16 + 16;

/// An `hnsw_rs` index over rows of vectors, for comparison only.
pub struct PlainHnsw {
    graph: Box<dyn Nearest>,
    metric: Metric,
    dimension: usize,
    rows: usize,
}

/// Says the shape, not the graph.
impl fmt::Debug for PlainHnsw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shape = formatter.debug_struct("PlainHnsw");
        shape.field("metric", &self.metric).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl PlainHnsw {
    /// Inserts every row in order, on this thread, by `m` and `ef_construction` of `spec`. Costs what building
    /// [`IndexKind::Graph`](crate::IndexKind::Graph) costs, or more.
    ///
    /// # Errors
    /// [`IndexError::Parameter`] for a spec outside its ranges.
    pub fn build(vectors: &Vectors, metric: Metric, spec: &BuildSpec) -> Result<Self, IndexError> {
        let checked = spec.graph()?;
        let (m, ef) = (checked.m, checked.ef_construction);
        let graph: Box<dyn Nearest> = match metric {
            Metric::InnerProduct => {
                let longest = vectors.iter().map(inverse_norm).filter(|inverse| *inverse > 0.0).fold(f32::INFINITY, f32::min);
                let scale = if longest.is_finite() { longest } else { 0.0 };
                Box::new(grown(vectors, |_| scale * SHRINK, m, ef, DistDot))
            }
            Metric::Cosine => Box::new(grown(vectors, |row| inverse_norm(row) * SHRINK, m, ef, DistDot)),
            Metric::L2 => Box::new(grown(vectors, |_| 1.0, m, ef, DistL2)),
        };
        Ok(Self { graph, metric, dimension: vectors.dimension(), rows: vectors.len() })
    }

    /// Writes the rows found nearest to `found`, best first, at most `k`: `hnsw_rs` may find fewer. `ef` is its
    /// `ef_search`. Allocates, as `hnsw_rs` does.
    ///
    /// # Errors
    /// As [`VectorIndex::search`](crate::VectorIndex::search); `found` is empty then.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        allowed: Option<&RowSet>,
        found: &mut Vec<u32>,
    ) -> Result<(), IndexError> {
        found.clear();
        if let Some(set) = allowed.filter(|set| set.len() != self.rows) {
            return Err(IndexError::FilterRows { found: set.len(), expected: self.rows });
        }
        let mut prepared = Vec::new();
        prepare(self.metric, query, self.dimension, &mut prepared)?;
        if self.metric == Metric::InnerProduct {
            let scale = inverse_norm(query);
            prepared.iter_mut().for_each(|value| *value *= scale);
        }
        if k > 0 && allowed.is_none_or(|set| !set.is_empty()) {
            self.graph.search(&prepared, k, ef, allowed, found);
        }
        Ok(())
    }

    /// The memory that rows and links take, counted from their number and the layout of `hnsw_rs` 0.3.5, without what
    /// the allocator adds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.rows * (POINT_BYTES + self.dimension * size_of::<f32>()) + self.graph.links() * LINK_BYTES
    }
}

/// `Hnsw` without its distance type.
trait Nearest: Send + Sync {
    fn search(&self, query: &[f32], k: usize, ef: usize, allowed: Option<&RowSet>, found: &mut Vec<u32>);
    fn links(&self) -> usize;
}

impl<D: Distance<f32> + Send + Sync> Nearest for Hnsw<'static, f32, D> {
    fn search(&self, query: &[f32], k: usize, ef: usize, allowed: Option<&RowSet>, found: &mut Vec<u32>) {
        let filter = allowed.map(|set| move |id: &usize| set.contains(*id as u32));
        let filter = filter.as_ref().map(|filter| filter as &dyn FilterT);
        let neighbours = self.search_possible_filter(query, k, ef, filter);
        found.extend(neighbours.iter().map(|neighbour| neighbour.d_id as u32));
    }

    fn links(&self) -> usize {
        let indexation = self.get_point_indexation();
        let layers = 0..=usize::from(self.get_max_level_observed());
        let points = layers.flat_map(|layer| indexation.get_layer_iterator(layer));
        points.map(|point| point.get_neighborhood_id().iter().map(Vec::len).sum::<usize>()).sum()
    }
}

fn grown<D: Distance<f32> + Send + Sync>(
    vectors: &Vectors,
    scale: impl Fn(&[f32]) -> f32,
    m: usize,
    ef_construction: usize,
    distance: D,
) -> Hnsw<'static, f32, D> {
    let hnsw = Hnsw::new(m, vectors.len(), LAYERS_MAX, ef_construction, distance);
    let mut scaled = Vec::with_capacity(vectors.dimension());
    for (row, values) in vectors.iter().enumerate() {
        let factor = scale(values);
        scaled.clear();
        scaled.extend(values.iter().map(|value| value * factor));
        hnsw.insert_slice((&scaled, row));
    }
    hnsw
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::build::build;
    use crate::scratch::Scratch;
    use crate::search::{IndexKind, Search};

    fn noise(rows: usize, dimension: usize) -> Vectors {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let mut value = || (random.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0;
        Vectors::new(dimension, (0..rows * dimension).map(|_| value()).collect()).unwrap()
    }

    #[test]
    fn finds_what_the_exact_scan_finds() {
        let vectors = noise(400, 8);
        let queries = noise(20, 8);
        let allowed = RowSet::from_fn(400, |row| row % 3 == 0);
        for metric in [Metric::InnerProduct, Metric::Cosine, Metric::L2] {
            let exact_spec = BuildSpec { kind: Some(IndexKind::Exact), ..BuildSpec::default() };
            let exact = build(vectors.clone(), metric, &exact_spec).unwrap();
            let plain = PlainHnsw::build(&vectors, metric, &BuildSpec::default()).unwrap();
            assert!(plain.memory_bytes() > 400 * (8 * 4 + 16 * 24));
            for allowed in [None, Some(&allowed)] {
                let (mut hits, mut found, mut expected) = (0, Vec::new(), Vec::new());
                for query in queries.iter() {
                    plain.search(query, 5, 400, allowed, &mut found).unwrap();
                    exact.search(&Search { allowed, ..Search::new(query, 5) }, &mut Scratch::new(), &mut expected).unwrap();
                    hits += expected.iter().filter(|neighbour| found.contains(&neighbour.row)).count();
                    assert!(found.len() <= 5 && found.iter().all(|row| allowed.is_none_or(|set| set.contains(*row))));
                }
                assert!(hits >= 80, "{metric:?}: {hits} of 100");
            }
        }
    }

    #[test]
    fn odd_input_is_no_panic() {
        let mut found = vec![7];
        let zeros = Vectors::new(2, vec![0.0; 6]).unwrap();
        for metric in [Metric::InnerProduct, Metric::Cosine, Metric::L2] {
            let plain = PlainHnsw::build(&zeros, metric, &BuildSpec::default()).unwrap();
            plain.search(&[0.0, 0.0], 9, 1, None, &mut found).unwrap();
            assert!(found.len() <= 3);
            plain.search(&[1e15, -1e15], 2, 1, Some(&RowSet::empty(3)), &mut found).unwrap();
            assert!(found.is_empty());
            assert!(plain.search(&[1.0], 2, 1, None, &mut found).is_err());
            assert!(plain.search(&[1.0, 1.0], 2, 1, Some(&RowSet::empty(4)), &mut found).is_err());
            let none = PlainHnsw::build(&Vectors::new(2, Vec::new()).unwrap(), metric, &BuildSpec::default()).unwrap();
            none.search(&[1.0, 1.0], 2, 1, None, &mut found).unwrap();
            assert!(found.is_empty());
        }
    }
}
