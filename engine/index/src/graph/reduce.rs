//! The points that the builder sees, such that their Euclidean neighbours are good neighbours under the metric.

use crate::exact::Exact;
use crate::graph::Groups;
use crate::kernels::squared_distance;
use crate::metric::Metric;
use crate::search::VectorIndex as _;

/// One point per node, every value within −1..=1, for the squared Euclidean distance.
#[derive(Debug)]
pub(crate) struct Points {
    values: Vec<f32>,
    dimension: usize,
}

impl Points {
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

/// Cosine: the unit vectors, for which |a − b|² = 2 − 2·cos. Inner product: the augmented vectors (see the module of the
/// graph), scaled by the greatest length so that nothing overflows.
pub(crate) fn points(exact: &Exact, groups: &Groups) -> Points {
    let vectors = exact.vectors();
    let dimension = vectors.dimension() + usize::from(exact.metric() == Metric::InnerProduct);
    let mut values = vec![0.0f32; groups.len() * dimension];
    for (place, node) in values.chunks_exact_mut(dimension).zip(0..) {
        if let Some((&row, point)) = groups.rows(node).first().zip(place.get_mut(..vectors.dimension())) {
            exact.fill_scaled(row, point);
        }
    }
    if exact.metric() == Metric::InnerProduct {
        augment(&mut values, dimension);
    }
    Points { values, dimension }
}

fn augment(values: &mut [f32], dimension: usize) {
    let norm_squared = |point: &[f32]| point.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    let norm_squared_max = values.chunks_exact(dimension).map(norm_squared).fold(0.0, f64::max);
    let scale = if norm_squared_max > 0.0 { norm_squared_max.sqrt().recip() } else { 1.0 };
    for point in values.chunks_exact_mut(dimension) {
        for value in point.iter_mut() {
            *value = (f64::from(*value) * scale) as f32;
        }
        let rest = (1.0 - norm_squared(point)).max(0.0).sqrt() as f32;
        if let Some(last) = point.last_mut() {
            *last = rest;
        }
    }
}
