//! The one place that knows `hnsw_rs`: inserts points, reads the base layer out, drops the rest.
//!
//! Insertion is serial. `hnsw_rs` can insert in parallel, but then the graph depends on how threads interleave, and
//! equal input would give unequal generations. The cost is one core's time: see [`BuildSpec`](crate::BuildSpec).
//! Its level generator is seeded with a constant, so the seed of a build decides the order of insertion instead.

use hnsw_rs::anndists::dist::Distance;
use hnsw_rs::prelude::Hnsw;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::graph::reduce::Points;
use crate::kernels::squared_distance;
use crate::spec::GraphSpec;

/// The most layers `hnsw_rs` can hold.
const LAYERS_MAX: usize = 16;

/// A base layer as it was built.
pub(crate) struct Grown {
    /// The nodes in the order of their insertion: a random order, by seed.
    pub(crate) order: Vec<u32>,
    /// Each node's neighbours, nearest first, without itself.
    pub(crate) links: Vec<Vec<u32>>,
}

struct SquaredEuclidean;

impl Distance<f32> for SquaredEuclidean {
    fn eval(&self, left: &[f32], right: &[f32]) -> f32 {
        squared_distance(left, right)
    }
}

pub(crate) fn grow(points: &Points, spec: &GraphSpec) -> Grown {
    let order = shuffled(points.len() as u32, spec.seed);
    let hnsw = Hnsw::new(spec.m, points.len(), LAYERS_MAX, spec.ef_construction, SquaredEuclidean);
    for &node in &order {
        hnsw.insert_slice((points.point(node), node as usize));
    }
    let mut links = vec![Vec::new(); points.len()];
    let indexation = hnsw.get_point_indexation();
    for layer in 0..=usize::from(hnsw.get_max_level_observed()) {
        for point in indexation.get_layer_iterator(layer) {
            let node = point.get_origin_id();
            let neighbourhood = point.get_neighborhood_id().into_iter().next().unwrap_or_default();
            if let Some(links) = links.get_mut(node) {
                *links = neighbourhood.iter().map(|neighbour| neighbour.d_id as u32).collect();
                links.retain(|link| *link as usize != node);
            }
        }
    }
    Grown { order, links }
}

fn shuffled(count: u32, seed: u64) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut keyed: Vec<(u64, u32)> = (0..count).map(|node| (random.next_u64(), node)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, node)| node).collect()
}
