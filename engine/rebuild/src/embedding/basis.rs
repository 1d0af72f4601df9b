//! Tall, thin dense blocks: Gram matrices, orthonormal bases and projections.
//!
//! A block of n rows and a few dozen columns is orthonormalised through its small Gram matrix (`XᵀX = V Λ Vᵀ`, basis
//! `X V Λ^-1/2`), which needs two passes over the rows and no pivoting; directions that are numerically absent come
//! out as zero columns. Sums over rows are made in `f64` over fixed runs of rows and added in order, so that the
//! result does not depend on the number of threads.

use nalgebra::{DMatrix, SymmetricEigen};
use rayon::prelude::*;

/// Rows summed by one task.
const ROWS_PER_TASK: usize = 2_048;

/// Directions whose share of the strongest one's energy is below this are rounding errors of `f32` sums.
const ENERGY_SHARE_MIN: f64 = 1e-11;

/// A dense matrix by rows: many rows, few columns.
#[derive(Debug, Clone)]
pub(super) struct Block {
    width: usize,
    values: Vec<f32>,
}

impl Block {
    /// Takes `values`, `width` numbers a row.
    pub(super) fn new(width: usize, values: Vec<f32>) -> Self {
        Self { width, values }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// Makes the columns orthonormal (or zero), keeping their span. A second pass mends what rounding left.
    pub(super) fn orthonormalise(&mut self, passes: usize) {
        for _ in 0..passes {
            let eigen = Eigen::of(self.gram());
            let strongest = eigen.values.first().copied().unwrap_or(0.0);
            let scale = |energy: f64| {
                if energy > strongest * ENERGY_SHARE_MIN && energy > 0.0 { energy.sqrt().recip() } else { 0.0 }
            };
            *self = self.times(&eigen.scaled_vectors(self.width, scale));
        }
    }

    /// With `self` = Q (orthonormal) and `projected` = MᵀQ: the first `columns` columns of U Σ^`exponent` of M.
    pub(super) fn times_scaled_eigenvectors(&self, projected: &Self, columns: usize, exponent: f64) -> Self {
        let eigen = Eigen::of(projected.gram());
        let strongest = eigen.values.first().copied().unwrap_or(0.0);
        // The eigenvalues are the squared singular values.
        let scale = |energy: f64| {
            if energy > strongest * ENERGY_SHARE_MIN && energy > 0.0 { energy.powf(exponent / 2.0) } else { 0.0 }
        };
        self.times(&eigen.scaled_vectors(columns.min(self.width), scale))
    }

    /// `XᵀX`.
    fn gram(&self) -> DMatrix<f64> {
        let width = self.width;
        let upper = |rows: &[f32]| {
            let mut sums = vec![0.0_f64; width * width];
            let mut wide = vec![0.0_f64; width];
            for row in rows.chunks_exact(width) {
                for (wide, &value) in wide.iter_mut().zip(row) {
                    *wide = f64::from(value);
                }
                for (column, &factor) in wide.iter().enumerate() {
                    let sums = &mut sums[column * width + column..(column + 1) * width];
                    for (sum, value) in sums.iter_mut().zip(&wide[column..]) {
                        *sum += factor * value;
                    }
                }
            }
            sums
        };
        let mut total = vec![0.0_f64; width * width];
        if width > 0 {
            let parts: Vec<Vec<f64>> = self.values.par_chunks(ROWS_PER_TASK * width).map(upper).collect();
            for part in parts {
                total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
            }
        }
        DMatrix::from_fn(width, width, |row, column| total[row.min(column) * width + row.max(column)])
    }

    /// This block times a small matrix (by rows, as many rows as this has columns).
    fn times(&self, small: &DMatrix<f64>) -> Self {
        let (width, columns) = (self.width, small.ncols());
        let by_rows: Vec<f32> = small.transpose().iter().map(|&value| value as f32).collect();
        let mut values = vec![0.0_f32; self.values.len().checked_div(width).unwrap_or(0) * columns];
        if columns > 0 {
            values.par_chunks_mut(columns).zip(self.values.par_chunks(width)).for_each(|(sums, row)| {
                for (&factor, small_row) in row.iter().zip(by_rows.chunks_exact(columns)) {
                    for (sum, value) in sums.iter_mut().zip(small_row) {
                        *sum += factor * value;
                    }
                }
            });
        }
        Self { width: columns, values }
    }
}

/// An eigendecomposition, strongest first.
struct Eigen {
    values: Vec<f64>,
    vectors: DMatrix<f64>,
}

impl Eigen {
    fn of(symmetric: DMatrix<f64>) -> Self {
        let size = symmetric.nrows();
        if size == 0 {
            return Self { values: Vec::new(), vectors: symmetric };
        }
        let eigen = SymmetricEigen::new(symmetric);
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&left, &right| eigen.eigenvalues[right].total_cmp(&eigen.eigenvalues[left]).then(left.cmp(&right)));
        Self {
            values: order.iter().map(|&column| eigen.eigenvalues[column]).collect(),
            vectors: DMatrix::from_fn(size, size, |row, column| eigen.eigenvectors[(row, order[column])]),
        }
    }

    /// The first `columns` eigenvectors, each times `scale` of its value.
    fn scaled_vectors(&self, columns: usize, scale: impl Fn(f64) -> f64) -> DMatrix<f64> {
        let factors: Vec<f64> = self.values.iter().map(|&value| scale(value)).collect();
        DMatrix::from_fn(self.vectors.nrows(), columns, |row, column| self.vectors[(row, column)] * factors[column])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_orthonormal_and_keep_their_span() {
        // 5,000 rows span three tasks; the third column depends on the first two.
        let rows = 5_000;
        let values = (0..rows).flat_map(|row| {
            let (a, b) = ((row as f32 * 0.37).sin() * 9.0, (row as f32 * 0.11).cos());
            [a, b, a - 2.0 * b]
        });
        let mut block = Block::new(3, values.collect());
        block.orthonormalise(2);
        let gram = block.gram();
        let energy: Vec<f64> = (0..3).map(|column| gram[(column, column)]).collect();
        assert!((energy[0] - 1.0).abs() < 1e-5 && (energy[1] - 1.0).abs() < 1e-5, "{energy:?}");
        assert!(energy[2] < 1e-5, "the dependent direction is gone: {energy:?}");
        assert!(gram[(0, 1)].abs() < 1e-5);
    }
}
