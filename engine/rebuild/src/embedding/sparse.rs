//! A sparse matrix by rows, and its product with a dense block.

use rayon::prelude::*;

use super::basis::Block;

/// Compressed sparse rows of `f32`; square, as both sides are items.
#[derive(Debug, Clone)]
pub(super) struct Sparse {
    offsets: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl Sparse {
    /// An empty matrix with room for the offsets of `rows` rows.
    pub(super) fn with_rows(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, columns: Vec::new(), values: Vec::new() }
    }

    /// Appends a row, given by ascending column.
    pub(super) fn push_row(&mut self, row: impl Iterator<Item = (u32, f32)>) {
        for (column, value) in row {
            self.columns.push(column);
            self.values.push(value);
        }
        self.offsets.push(self.columns.len());
    }

    pub(super) fn row_count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Nonzeros of a row.
    pub(super) fn row_length(&self, row: usize) -> usize {
        self.offsets[row + 1] - self.offsets[row]
    }

    fn row(&self, row: usize) -> impl Iterator<Item = (usize, f32)> {
        let range = self.offsets[row]..self.offsets[row + 1];
        let columns = self.columns[range.clone()].iter().map(|&column| column as usize);
        columns.zip(self.values[range].iter().copied())
    }

    /// The transposed matrix; columns come out ascending, so that products add in one order.
    pub(super) fn transposed(&self) -> Self {
        let mut offsets = vec![0; self.offsets.len()];
        for &column in &self.columns {
            offsets[column as usize + 1] += 1;
        }
        for row in 1..offsets.len() {
            offsets[row] += offsets[row - 1];
        }
        let mut next = offsets.clone();
        let mut columns = vec![0; self.columns.len()];
        let mut values = vec![0.0; self.values.len()];
        for row in 0..self.row_count() {
            for (column, value) in self.row(row) {
                let place = next[column];
                next[column] += 1;
                columns[place] = row as u32;
                values[place] = value;
            }
        }
        Self { offsets, columns, values }
    }

    /// This matrix times a dense block of as many rows. Rows in parallel, each summed in order.
    pub(super) fn times(&self, block: &Block) -> Block {
        let width = block.width();
        let mut values = vec![0.0_f32; self.row_count() * width];
        if width > 0 {
            values.par_chunks_mut(width).enumerate().for_each(|(row, sums)| {
                for (column, factor) in self.row(row) {
                    for (sum, value) in sums.iter_mut().zip(block.row(column)) {
                        *sum += factor * value;
                    }
                }
            });
        }
        Block::new(width, values)
    }

    #[cfg(test)]
    pub(super) fn get(&self, row: usize, column: usize) -> f32 {
        self.row(row).find(|&(at, _)| at == column).map_or(0.0, |(_, value)| value)
    }
}
