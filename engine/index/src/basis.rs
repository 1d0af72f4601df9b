//! The leading directions of the rows: where most of their energy lies, so that the rest need not be looked at for most rows.
//!
//! Real vectors of many dimensions lie near a space of few: of 60,000 Fashion-MNIST images (784 pixels), 64 directions hold 88 %
//! of the energy about the mean, 128 hold 93 %, 256 hold 97 %. Codes of those are read instead of codes of all; what they leave out of a
//! score, q_r·x_r, is at most |q_r|·|x_r|, and both lengths are known (the bound of VA+-files and of PCA trees; Weber, Schek
//! and Blott, "A quantitative analysis ... of similarity-search methods in high-dimensional spaces", 1998).
//!
//! **Learnt** by orthogonal iteration (Golub and Van Loan, section 8.2.4) on the second moments of a seeded sample. Directions are then
//! mixed within each 64 by a random rotation, so that all columns of a code line carry alike and one scale suits them.
//!
//! **Whole numbers.** Directions are kept as 16-bit numbers, rounded once; vectors are rounded to 16 bits before they are
//! projected. So a projection is the same bits everywhere and costs h·d/32 vector instructions. Rounding makes the directions
//! B not quite orthonormal: ‖B·Bᵀ − 1‖ ≤ `skew`, which is measured and goes into every bound, so a basis that is far from
//! orthonormal, forged or damaged, makes nothing wrong; [`Basis::new`] refuses it all the same.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rayon::prelude::*;

use crate::error::IndexError;
use crate::full::Full;
use crate::kernels::int8::LINE;
use crate::kernels::int16::{STEP, project};
use crate::kernels::{Rows, score_range};
use crate::norms::norm;

/// What a direction, of length 1, is multiplied by.
const UNIT: f32 = 32_767.0;

/// The longest that a vector is made before it is rounded: with a direction it sums to less than 2³¹.
const LENGTH_MAX: f32 = 60_000.0;

/// Fewer rows are scanned quickly whatever their codes.
const ROWS_MIN: usize = 4_096;

/// Rows that directions are learnt from.
const SAMPLE: usize = 4_096;

/// Rounds of orthogonal iteration.
const ROUNDS: usize = 10;

/// The most directions.
const LEADING_MAX: usize = 256;

/// The share of the energy that may be left out.
const REST_MAX: f64 = 0.08;

/// A basis further than this from orthonormal is refused.
const SKEW_MAX: f32 = 0.02;

/// Vectors shorter than this are projected on zero: what multiplies the whole numbers of longer ones is a normal `f32`.
const NORM_MIN: f32 = 1e-25;

/// Leading directions. Memory: 2·h·d bytes for all rows together.
#[derive(Clone, PartialEq)]
pub(crate) struct Basis {
    dimension: usize,
    leading: usize,
    /// `leading` rows, each padded to whole steps.
    directions: Vec<i16>,
    skew: f32,
}

impl fmt::Debug for Basis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shape = formatter.debug_struct("Basis");
        shape.field("dimension", &self.dimension).field("leading", &self.leading).finish_non_exhaustive()
    }
}

/// A projected vector, and room to project the next.
#[derive(Debug, Default)]
pub(crate) struct Projected {
    /// The vector along each direction.
    pub(crate) values: Vec<f32>,
    /// How far `values` may be from the true projection, for rounding.
    pub(crate) error: f32,
    /// The length of what is left out, at most.
    pub(crate) rest: f32,
    halves: Vec<i16>,
    sums: Vec<i32>,
}

impl Basis {
    /// Takes `leading` directions of `dimension` whole numbers each.
    ///
    /// # Errors
    /// [`IndexError::Malformed`] unless they are nearly orthonormal, once divided by 32,767.
    pub(crate) fn new(dimension: usize, leading: usize, directions: &[i16]) -> Result<Self, IndexError> {
        let stride = dimension.next_multiple_of(STEP);
        if leading == 0
            || leading > dimension.min(LEADING_MAX)
            || !leading.is_multiple_of(LINE)
            || directions.len() != leading * dimension
        {
            return Err(IndexError::Malformed { reason: "the basis has an odd size" });
        }
        let mut padded = Vec::with_capacity(leading * stride);
        for direction in directions.chunks_exact(dimension) {
            padded.extend_from_slice(direction);
            padded.resize(padded.len().next_multiple_of(stride), 0);
        }
        let skew = skew(&padded, stride);
        if skew.is_nan() || skew > SKEW_MAX {
            return Err(IndexError::Malformed { reason: "the basis is not orthonormal" });
        }
        Ok(Self { dimension, leading, directions: padded, skew })
    }

    /// The number of directions.
    pub(crate) fn leading(&self) -> usize {
        self.leading
    }

    /// How far from orthonormal the directions are.
    pub(crate) fn skew(&self) -> f32 {
        self.skew
    }

    /// The directions as [`new`](Self::new) takes them.
    pub(crate) fn directions(&self) -> impl Iterator<Item = i16> {
        let stride = self.dimension.next_multiple_of(STEP);
        self.directions.chunks_exact(stride).flat_map(|direction| direction.iter().take(self.dimension).copied())
    }

    /// Projects `vector`, whose length is `length`.
    #[inline]
    pub(crate) fn project(&self, vector: &[f32], length: f32, projected: &mut Projected) {
        /// Adding it leaves a small float rounded to a whole number in the low bits.
        const ROUNDER: f32 = 12_582_912.0;
        let Projected { values, error, rest, halves, sums } = projected;
        values.clear();
        let largest = vector.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        if largest < NORM_MIN || length < NORM_MIN {
            values.resize(self.leading, 0.0);
            (*error, *rest) = (length, length);
            return;
        }
        let scale = (UNIT / largest).min(LENGTH_MAX / length);
        halves.clear();
        halves.extend(vector.iter().map(|value| (value * scale + ROUNDER).to_bits() as i16));
        halves.resize(self.dimension.next_multiple_of(STEP), 0);
        project(halves, &self.directions, sums);
        let unit = 1.0 / (scale * UNIT);
        values.extend(sums.iter().map(|sum| *sum as f32 * unit));
        // Half a unit a value is rounded off, a little more in `f32`; a basis makes nothing longer than by its skew.
        *error = 0.52 * (self.dimension as f32).sqrt() / scale * (1.0 + self.skew);
        let along = (norm(values) - f64::from(*error)).max(0.0);
        let (length, skew) = (f64::from(length), f64::from(self.skew));
        *rest = (length * length * (1.0 + 1e-6) - along * along / (1.0 + skew)).max(0.0).sqrt() as f32 * (1.0 + 1e-6);
    }

    /// The leading directions of the rows about `centre` (nothing is the origin); `None` where there are few rows or their energy
    /// is spread over more than half of the dimensions. 60,000 × 784: some 0.8 s of one core, whatever the number of rows.
    pub(crate) fn learn(full: &Full, centre: &[f32]) -> Option<Self> {
        let dimension = full.dimension();
        let limit = (dimension / 2 / LINE * LINE).min(LEADING_MAX);
        if limit == 0 || full.len() < ROWS_MIN {
            return None;
        }
        let moments = moments(full, centre);
        let mut random = ChaCha8Rng::seed_from_u64(dimension as u64);
        let mut directions = noise(limit * dimension, &mut random);
        orthonormalise(&mut directions, dimension);
        for _ in 0..ROUNDS {
            directions = times(&moments, &directions, dimension);
            orthonormalise(&mut directions, dimension);
        }
        let images = times(&moments, &directions, dimension);
        let energy = |at: usize| -> f64 {
            let pair = directions.chunks_exact(dimension).zip(images.chunks_exact(dimension)).nth(at);
            pair.map_or(0.0, |(left, right)| left.iter().zip(right).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
        };
        let whole: f64 = moments.iter().step_by(dimension + 1).map(|value| f64::from(*value)).sum();
        let mut held = 0.0;
        let enough = (0..limit).position(|at| {
            held += energy(at);
            held >= (1.0 - REST_MAX) * whole
        });
        let leading = (enough? + 1).next_multiple_of(LINE).min(limit);
        let rounded: Vec<i16> = (directions.get(..leading * dimension)?.chunks_exact(LINE * dimension))
            .flat_map(|block| mixed(block, dimension, &mut random))
            .map(|value| (value * UNIT).round() as i16)
            .collect();
        Self::new(dimension, leading, &rounded).ok()
    }
}

/// ‖B·Bᵀ − 1‖ at most, by the root of the squares of its entries.
fn skew(directions: &[i16], stride: usize) -> f32 {
    let unit = f64::from(UNIT) * f64::from(UNIT);
    let rows: Vec<&[i16]> = directions.chunks_exact(stride).collect();
    let squares = rows.par_iter().enumerate().map(|(at, left)| {
        let dot = |right: &[i16]| left.iter().zip(right).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum::<i64>() as f64 / unit;
        let off = |(other, right): (usize, &&[i16])| (dot(right) - f64::from(u8::from(other == at))).powi(2);
        rows.iter().enumerate().map(off).sum::<f64>()
    });
    squares.collect::<Vec<f64>>().into_iter().sum::<f64>().sqrt() as f32 * (1.0 + 1e-5)
}

/// Second moments of a sample of the rows about `centre`, as a whole symmetric matrix, scaled so that the mean square is 1.
fn moments(full: &Full, centre: &[f32]) -> Vec<f32> {
    let dimension = full.dimension();
    let mut random = ChaCha8Rng::seed_from_u64(full.len() as u64);
    let count = full.len().min(SAMPLE);
    let mut columns = vec![0.0f32; dimension * count];
    let mut values = vec![0.0; dimension];
    for at in 0..count {
        let row = (random.next_u64() % full.len() as u64) as u32;
        full.fill_scaled(row, &mut values);
        for (value, centre) in values.iter_mut().zip(centre) {
            *value -= centre;
        }
        for (column, value) in columns.chunks_exact_mut(count).zip(&values) {
            if let Some(place) = column.get_mut(at) {
                *place = *value;
            }
        }
    }
    let scale = norm(&columns) / (columns.len().max(1) as f64).sqrt();
    let inverse = if scale > 0.0 { (1.0 / scale) as f32 } else { 0.0 };
    columns.iter_mut().for_each(|value| *value *= inverse);
    let mut moments = times(&columns, &columns, count);
    moments.iter_mut().for_each(|value| *value /= count.max(1) as f32);
    moments
}

/// The product of every row of `left` with every row of `right`, all `length` long: for each of `right` the products with all of
/// `left`, so symmetric `left` times each of `right`.
fn times(left: &[f32], right: &[f32], length: usize) -> Vec<f32> {
    let count = left.len() / length.max(1);
    let mut products = vec![0.0; count * (right.len() / length.max(1))];
    let rows = Rows { values: left, stride: length, scales: None, by_distance: false };
    let places = products.par_chunks_exact_mut(count.max(1)).zip(right.par_chunks_exact(length.max(1)));
    places.for_each(|(products, row)| score_range(row, rows, 0, products));
    products
}

/// Gram and Schmidt's, each row against those before it, twice: in `f32` once is not enough.
fn orthonormalise(rows: &mut [f32], length: usize) {
    let mut products = Vec::new();
    for at in 0..rows.len() / length {
        let (before, rest) = rows.split_at_mut(at * length);
        let Some(row) = rest.get_mut(..length) else { return };
        for _ in 0..2 {
            unit(row);
            products.clear();
            products.resize(at, 0.0);
            score_range(row, Rows { values: before, stride: length, scales: None, by_distance: false }, 0, &mut products);
            for (other, product) in before.chunks_exact(length).zip(&products) {
                for (value, other) in row.iter_mut().zip(other) {
                    *value -= product * other;
                }
            }
        }
        unit(row);
    }
}

fn unit(row: &mut [f32]) {
    let length = norm(row);
    let inverse = if length > 0.0 { (1.0 / length) as f32 } else { 0.0 };
    row.iter_mut().for_each(|value| *value *= inverse);
}

/// The rows of `block` turned among themselves by a random rotation.
fn mixed(block: &[f32], length: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let count = block.len() / length;
    let mut rotation = noise(count * count, random);
    orthonormalise(&mut rotation, count);
    let mut turned = vec![0.0; block.len()];
    for (turned, weights) in turned.chunks_exact_mut(length).zip(rotation.chunks_exact(count)) {
        for (row, weight) in block.chunks_exact(length).zip(weights) {
            for (sum, value) in turned.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
    }
    turned
}

/// Roughly normal values: sums of four uniform ones.
fn noise(count: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let mut uniform = || (random.next_u32() >> 8) as f32 / (1 << 24) as f32 - 0.5;
    (0..count).map(|_| uniform() + uniform() + uniform() + uniform()).collect()
}

#[cfg(test)]
#[path = "basis_tests.rs"]
mod tests;
