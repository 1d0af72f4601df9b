//! Training of the ranker: what people took out of what stood for choice.
//!
//! A conditional logit (McFadden 1974; the listwise softmax loss of Cao et al., ICML 2007): for every example the log-likelihood
//! that a taken candidate is chosen before all others, ridge-penalised. It is convex, so Newton's method finds *the* solution:
//! the result depends on the set of examples alone. Segments are fitted around what all people have in common, the more freely the
//! more examples they have.

use faces_core::ranking::{Ranker, Segment, features};
use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

const WIDTH: usize = features::COUNT;

/// One moment: what stood for choice, and what was taken.
#[derive(Debug, Clone)]
pub struct Example {
    /// What is known of the person.
    pub segment: Segment,
    /// When, milliseconds since 1970.
    pub ts_ms: i64,
    /// How many of the candidates were taken; they come first.
    pub taken: usize,
    /// Features by candidate, [`features::COUNT`] each.
    pub values: Vec<f32>,
    /// Each of the candidates that were not taken stands for so many.
    pub stands_for: f32,
}

/// How rankers are trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankerParams {
    /// Most examples, the latest ones.
    pub examples_max: usize,
    /// Candidates of an example that were not taken, at most: a random sample.
    pub others_max: usize,
    /// Strength of the penalty on all people's weights, in examples.
    pub ridge: f64,
    /// Strength with which a segment is held to what all people have in common, in examples.
    pub segment_ridge: f64,
}

impl Default for RankerParams {
    fn default() -> Self {
        Self { examples_max: 20_000, others_max: 60, ridge: 5.0, segment_ridge: 50.0 }
    }
}

const STEPS_MAX: usize = 25;
const GAIN_MIN: f64 = 1e-6;

/// Fits a ranker; `None` without a single example in which something was taken.
#[must_use]
pub fn fit(examples: &[Example], params: &RankerParams) -> Option<Ranker> {
    let useful: Vec<&Example> = examples.iter().filter(|example| example.taken > 0 && example.others() > 0).collect();
    if useful.is_empty() {
        return None;
    }
    let scales = scales(&useful);
    let common = newton(&useful, &scales, &DVector::zeros(WIDTH), params.ridge);
    let weights = Segment::ALL.map(|segment| {
        let of_segment: Vec<&Example> = useful.iter().copied().filter(|example| example.segment == segment).collect();
        let weights =
            if of_segment.is_empty() { common.clone() } else { newton(&of_segment, &scales, &common, params.segment_ridge) };
        std::array::from_fn(|n| (weights[n] * scales[n]) as f32)
    });
    Some(Ranker { weights, repeat_units: Vec::new() })
}

impl Example {
    fn candidates(&self) -> usize {
        self.values.len() / WIDTH
    }

    fn others(&self) -> usize {
        self.candidates().saturating_sub(self.taken)
    }
}

/// What brings each feature to a standard deviation of 1 inside an example; 0 for one that never varies.
fn scales(examples: &[&Example]) -> Vec<f64> {
    let mut squares = vec![0.0; WIDTH];
    let mut count = 0.0;
    for example in examples {
        let n = example.candidates() as f64;
        let mut sums = [0.0; WIDTH];
        let mut sums_of_squares = [0.0; WIDTH];
        for row in example.values.chunks_exact(WIDTH) {
            for (place, value) in row.iter().enumerate() {
                sums[place] += f64::from(*value);
                sums_of_squares[place] += f64::from(*value).powi(2);
            }
        }
        for place in 0..WIDTH {
            squares[place] += sums_of_squares[place] - sums[place].powi(2) / n;
        }
        count += n;
    }
    squares
        .into_iter()
        .map(|square: f64| (square / count).max(0.0).sqrt())
        .map(|sd| if sd > 1e-4 { 1.0 / sd } else { 0.0 })
        .collect()
}

/// Gain, gradient and curvature of the log-likelihood at some weights.
struct Slope {
    likelihood: f64,
    gradient: DVector<f64>,
    curvature: DMatrix<f64>,
}

impl Slope {
    fn zero() -> Self {
        Self { likelihood: 0.0, gradient: DVector::zeros(WIDTH), curvature: DMatrix::zeros(WIDTH, WIDTH) }
    }

    fn plus(mut self, other: Self) -> Self {
        self.likelihood += other.likelihood;
        self.gradient += other.gradient;
        self.curvature += other.curvature;
        self
    }

    fn add(&mut self, example: &Example, scales: &[f64], weights: &DVector<f64>, with_curvature: bool) {
        let n = example.candidates();
        let rows = DMatrix::from_fn(WIDTH, n, |feature, candidate| {
            f64::from(example.values[candidate * WIDTH + feature]) * scales[feature]
        });
        let offset = f64::from(example.stands_for).ln();
        let mut scores = rows.tr_mul(weights);
        scores.iter_mut().skip(example.taken).for_each(|score| *score += offset);
        let top = scores.max();
        let total: f64 = scores.iter().map(|score| (score - top).exp()).sum();
        let chances = scores.map(|score| (score - top).exp() / total);
        let share = 1.0 / example.taken as f64;
        let log_total = total.ln() + top;
        self.likelihood += scores.iter().take(example.taken).map(|score| (score - log_total) * share).sum::<f64>();
        let mean = &rows * &chances;
        let taken_mean = rows.columns(0, example.taken).column_sum() * share;
        self.gradient += taken_mean - &mean;
        if with_curvature {
            let mut weighted = rows.clone();
            weighted.column_iter_mut().zip(chances.iter()).for_each(|(mut column, chance)| column *= *chance);
            self.curvature.gemm(1.0, &weighted, &rows.transpose(), 1.0);
            self.curvature.ger(-1.0, &mean, &mean, 1.0);
        }
    }
}

fn slope(examples: &[&Example], scales: &[f64], weights: &DVector<f64>, with_curvature: bool) -> Slope {
    // Chunks of a fixed size, added in their order: the same sums whatever the number of threads.
    let chunks: Vec<Slope> = examples
        .par_chunks(256)
        .map(|chunk| {
            let mut slope = Slope::zero();
            chunk.iter().for_each(|example| slope.add(example, scales, weights, with_curvature));
            slope
        })
        .collect();
    chunks.into_iter().fold(Slope::zero(), Slope::plus)
}

/// The weights that make what was taken most likely, held to `home` by `ridge`.
fn newton(examples: &[&Example], scales: &[f64], home: &DVector<f64>, ridge: f64) -> DVector<f64> {
    let mut weights = home.clone();
    let penalty = |weights: &DVector<f64>| 0.5 * ridge * (weights - home).norm_squared();
    for _ in 0..STEPS_MAX {
        let at = slope(examples, scales, &weights, true);
        let gradient = &at.gradient - (&weights - home) * ridge;
        let curvature = at.curvature + DMatrix::identity(WIDTH, WIDTH) * ridge;
        let Some(factors) = curvature.cholesky() else { break };
        let step = factors.solve(&gradient);
        let worth = at.likelihood - penalty(&weights);
        let mut length = 1.0;
        let better = loop {
            let next = &weights + &step * length;
            let worth_there = slope(examples, scales, &next, false).likelihood - penalty(&next);
            if worth_there > worth {
                break Some((next, worth_there - worth));
            }
            length *= 0.5;
            if length < 1e-3 {
                break None;
            }
        };
        let Some((next, gain)) = better else { break };
        weights = next;
        if gain < GAIN_MIN * examples.len() as f64 {
            break;
        }
    }
    weights
}
