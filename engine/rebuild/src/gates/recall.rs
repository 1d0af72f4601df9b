//! Whether the indexes find what a plain look at every vector finds.

use faces_index::{Scratch, Search};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use rayon::prelude::*;

use super::{Bound, Case, Finding, Gate, GateLimits};
use crate::generation::{Generation, Space};

const NEAREST: usize = 10;
/// Rounding of a score: rows so little apart may stand for each other.
const SCORE_ERROR: f32 = 1e-4;
/// Items drawn for one query at most; those without a vector make none.
const DRAWS_A_QUERY: usize = 8;
const SEED: u64 = 11;

/// Recall@10 of the worst unit, at the effort that is served. Queries are what somebody who took an item and what goes with it
/// would ask; the truth is the cosine with every vector, computed here and not by an index.
pub(super) fn recall(case: &Case<'_>, limits: &GateLimits) -> Finding {
    let queries = queries(case.candidate, limits.recall_queries);
    let of_unit = |space: &Space| (space.bu.clone(), recall_10(space, &queries));
    let parts: Vec<(String, f64)> = case.candidate.spaces.iter().map(of_unit).collect();
    let worst = parts.iter().min_by(|left, right| left.1.total_cmp(&right.1));
    let Some((bu, least)) = worst.filter(|_| !queries.is_empty()).cloned() else {
        return Finding::skipped(Gate::Recall, "there is nothing to ask the indexes");
    };
    let detail =
        format!("{} queries a unit find {:.2} % of the true 10 nearest in {bu}, the worst unit", queries.len(), least * 100.0);
    Finding::judged(Gate::Recall, Bound::AtLeast, least, limits.recall_10_min, detail).with_parts(parts)
}

/// Vectors of random items and of their neighbours, added up.
fn queries(generation: &Generation, count: usize) -> Vec<Vec<f32>> {
    let (mut random, mut made) = (ChaCha8Rng::seed_from_u64(SEED), Vec::with_capacity(count));
    for _ in 0..count * DRAWS_A_QUERY {
        if made.len() == count || generation.items.is_empty() {
            break;
        }
        let row = (random.next_u64() % generation.items.len() as u64) as u32;
        let mut sum = vec![0.0; generation.manifest.dimension];
        let with = generation.co_visited.neighbours(row).take(NEAREST);
        for (row, weight) in std::iter::once((row, 1.0)).chain(with) {
            add(generation, row, weight, &mut sum);
        }
        if sum.iter().any(|value| *value != 0.0) {
            made.push(sum);
        }
    }
    made
}

fn add(generation: &Generation, row: u32, weight: f32, sum: &mut [f32]) {
    let mut vector = Vec::new();
    let space = generation.items.get(row as usize).and_then(|item| generation.space(&item.bu));
    if space.is_some_and(|space| space.vector_into(row, &mut vector)) {
        sum.iter_mut().zip(&vector).for_each(|(sum, value)| *sum += weight * value);
    }
}

fn recall_10(space: &Space, queries: &[Vec<f32>]) -> f64 {
    let rows: Vec<Vec<f32>> = (0..space.rows.len() as u32)
        .map(|row| {
            let mut values = Vec::new();
            space.index.row_into(row, &mut values);
            unit(values)
        })
        .collect();
    let found: Vec<f64> = queries.par_iter().map(|query| found_share(space, &rows, query)).collect();
    found.iter().sum::<f64>() / queries.len() as f64
}

/// Share of the answer that is as near as the tenth nearest.
fn found_share(space: &Space, rows: &[Vec<f32>], query: &[f32]) -> f64 {
    let query = unit(query.to_vec());
    let near = |row: &Vec<f32>| row.iter().zip(&query).map(|(left, right)| left * right).sum::<f32>();
    let scores: Vec<f32> = rows.iter().map(near).collect();
    let mut best = scores.clone();
    best.sort_unstable_by(|left, right| right.total_cmp(left));
    let wanted = NEAREST.min(rows.len());
    let Some(least) = wanted.checked_sub(1).and_then(|last| best.get(last)) else { return 1.0 };
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    if space.index.search(&Search::new(&query, wanted), &mut scratch, &mut found).is_err() {
        return 0.0;
    }
    let is_near = |row: u32| scores.get(row as usize).is_some_and(|score| score + SCORE_ERROR >= *least);
    found.iter().filter(|neighbour| is_near(neighbour.row)).count() as f64 / wanted as f64
}

fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= length);
    values
}
