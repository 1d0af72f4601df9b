//! The conditional logit itself: Newton's method on a penalised likelihood.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::{WIDTH, Weighed};

const STEPS_MAX: usize = 25;
const GAIN_MIN: f64 = 1e-6;

/// What brings each feature to a standard deviation of 1 inside an example; 0 for one that never varies.
pub(super) fn scales<'a>(examples: impl Iterator<Item = &'a Weighed<'a>>) -> Vec<f64> {
    let mut squares = vec![0.0; WIDTH];
    let mut count = 0.0;
    for Weighed { example, .. } in examples {
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

    fn add(&mut self, weighed: &Weighed<'_>, scales: &[f64], weights: &DVector<f64>) {
        let (example, counts) = (weighed.example, weighed.counts);
        let n = example.candidates();
        // Most features speak of few people, and the curvature costs their number squared.
        let mut speaks = [false; WIDTH];
        for row in example.values.chunks_exact(WIDTH) {
            speaks.iter_mut().zip(row).for_each(|(speaks, value)| *speaks |= *value != 0.0);
        }
        let spoken: Vec<usize> = (0..WIDTH).filter(|feature| speaks[*feature] && scales[*feature] != 0.0).collect();
        let rows = DMatrix::from_fn(spoken.len(), n, |at, candidate| {
            f64::from(example.values[candidate * WIDTH + spoken[at]]) * scales[spoken[at]]
        });
        let offset = f64::from(example.stands_for).ln();
        let mut scores = rows.tr_mul(&DVector::from_iterator(spoken.len(), spoken.iter().map(|feature| weights[*feature])));
        scores.iter_mut().skip(example.taken.len()).for_each(|score| *score += offset);
        let top = scores.max();
        let total: f64 = scores.iter().map(|score| (score - top).exp()).sum();
        let chances = scores.map(|score| (score - top).exp() / total);
        let all: f64 = example.taken.iter().map(|worth| f64::from(*worth)).sum();
        let shares = DVector::from_iterator(example.taken.len(), example.taken.iter().map(|worth| f64::from(*worth) / all));
        let log_total = total.ln() + top;
        self.likelihood += counts * scores.iter().zip(&shares).map(|(score, share)| (score - log_total) * share).sum::<f64>();
        let mean = &rows * &chances;
        let gradient = (rows.columns(0, example.taken.len()) * &shares - &mean) * counts;
        spoken.iter().zip(&gradient).for_each(|(feature, slope)| self.gradient[*feature] += slope);
        let mut weighted = rows.clone();
        weighted.column_iter_mut().zip(chances.iter()).for_each(|(mut column, chance)| column *= *chance * counts);
        let mut curvature = weighted * rows.transpose();
        curvature.ger(-counts, &mean, &mean, 1.0);
        for (column, of_column) in spoken.iter().zip(curvature.column_iter()) {
            spoken.iter().zip(of_column.iter()).for_each(|(row, value)| self.curvature[(*row, *column)] += value);
        }
    }
}

fn slope(examples: &[&Weighed<'_>], scales: &[f64], weights: &DVector<f64>) -> Slope {
    // Chunks of a fixed size, added in their order: the same sums whatever the number of threads.
    let chunks: Vec<Slope> = examples
        .par_chunks(256)
        .map(|chunk| {
            let mut slope = Slope::zero();
            chunk.iter().for_each(|weighed| slope.add(weighed, scales, weights));
            slope
        })
        .collect();
    chunks.into_iter().fold(Slope::zero(), Slope::plus)
}

/// The weights that make what was taken most likely, held to `home` by `ridge`. They are the same wherever it starts; the nearer to them
/// that is, the fewer steps it takes.
pub(super) fn newton(
    examples: &[&Weighed<'_>],
    scales: &[f64],
    home: &DVector<f64>,
    start: &DVector<f64>,
    ridge: f64,
) -> DVector<f64> {
    let penalty = |weights: &DVector<f64>| 0.5 * ridge * (weights - home).norm_squared();
    let (mut weights, mut at) = (start.clone(), slope(examples, scales, start));
    for _ in 0..STEPS_MAX {
        let gradient = &at.gradient - (&weights - home) * ridge;
        let curvature = &at.curvature + DMatrix::identity(WIDTH, WIDTH) * ridge;
        let Some(factors) = curvature.cholesky() else { break };
        let (step, worth) = (factors.solve(&gradient), at.likelihood - penalty(&weights));
        let lengths = std::iter::successors(Some(1.0), |length| Some(length * 0.5)).take_while(|length| *length >= 1e-3);
        let better = lengths.into_iter().find_map(|length| {
            let next = &weights + &step * length;
            let there = slope(examples, scales, &next);
            let gain = there.likelihood - penalty(&next) - worth;
            (gain > 0.0).then_some((next, there, gain))
        });
        let Some((next, there, gain)) = better else { break };
        (weights, at) = (next, there);
        if gain < GAIN_MIN * examples.len() as f64 {
            break;
        }
    }
    weights
}
