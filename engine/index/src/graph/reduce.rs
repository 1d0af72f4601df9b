//! The points that the builder sees: under L2 the vectors themselves, else the direction of each node's vector, at length 1.
//!
//! Under cosine their Euclidean neighbours are the neighbours asked for: |a − b|² = 2 − 2·cos. Inner product is no distance,
//! so any reduction loses something. Three were measured (recall@10 at effort 64 / 256 / 1,024, without the scan of long
//! rows that `Graph::search` puts before the walk); inner product itself is what walks always rank by:
//!
//! | built on | ALS factors, 40,578 × 64 | 50,000 × 64, log-normal lengths (σ = 0.5) |
//! |---|---|---|
//! | directions | .47 / .66 / .82 | **.81 / .94 / .99** |
//! | one more coordinate √(M² − \|x\|²), Bachrach et al., RecSys 2014 | .69 / .76 / .83 | .66 / .77 / .91 |
//! | 1 − a·b ÷ M² (ip-NSW) | .68 / .81 / – | – |
//!
//! No graph is good on real factors, but there the scan of long rows alone is exact and quicker than any of them
//! (`norms`). Where lengths differ less, directions are best by far.

use crate::full::Full;
use crate::graph::distinct::Groups;
use crate::kernels::squared_distance;
use crate::metric::Metric;
use crate::query::inverse_norm;

/// One point per node; but under L2 of length 1, or 0 where the vector has no direction. Compared by squared Euclidean distance.
pub(crate) struct Points {
    values: Vec<f32>,
    dimension: usize,
}

impl Points {
    pub(crate) fn of(full: &Full, groups: &Groups) -> Self {
        let dimension = full.dimension();
        let mut values_of_row = vec![0.0; dimension];
        let mut values = Vec::with_capacity(groups.len() * dimension);
        for node in 0..groups.len() as u32 {
            full.fill(groups.rows(node).first().copied().unwrap_or_default(), &mut values_of_row);
            let scale = if full.metric() == Metric::L2 { 1.0 } else { inverse_norm(&values_of_row) };
            values.extend(values_of_row.iter().map(|value| value * scale));
        }
        Self { values, dimension }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.dimension
    }

    pub(crate) fn point(&self, node: u32) -> &[f32] {
        let start = node as usize * self.dimension;
        self.values.get(start..start + self.dimension).unwrap_or_default()
    }

    pub(crate) fn distance(&self, left: u32, right: u32) -> f32 {
        squared_distance(self.point(left), self.point(right))
    }
}
