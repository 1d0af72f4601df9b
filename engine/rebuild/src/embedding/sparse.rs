//! A sparse matrix by rows, and its product with a dense block.

use std::ops::Range;

use rayon::prelude::*;

use super::basis::Block;

/// Columns of one task of transposing.
const COLUMNS_A_TASK: usize = 4_096;
/// Rows that are multiplied together, and columns of a tile: some 600 kB of sums and as much of the block at 74 columns.
const ROWS_A_RUN: usize = 2_048;
const COLUMNS_A_TILE: usize = 2_048;

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
    pub(super) fn push_row(&mut self, row: impl IntoIterator<Item = (u32, f32)>) {
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

    fn entries(&self, range: Range<usize>) -> impl Iterator<Item = (usize, f32)> {
        let columns = self.columns[range.clone()].iter().map(|&column| column as usize);
        columns.zip(self.values[range].iter().copied())
    }

    /// What a row has in a range of columns.
    fn part(&self, row: usize, columns: &Range<usize>) -> impl Iterator<Item = (usize, f32)> {
        let first = self.offsets[row];
        let of_row = &self.columns[first..self.offsets[row + 1]];
        let place = |end: usize| first + of_row.partition_point(|&column| (column as usize) < end);
        self.entries(place(columns.start)..place(columns.end))
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
        let (mut columns, mut values) = (vec![0; self.columns.len()], vec![0.0; self.values.len()]);
        let (mut free, mut tasks) = ((columns.as_mut_slice(), values.as_mut_slice()), Vec::new());
        for first in (0..self.row_count()).step_by(COLUMNS_A_TASK) {
            let end = (first + COLUMNS_A_TASK).min(self.row_count());
            let (own_columns, other_columns) = free.0.split_at_mut(offsets[end] - offsets[first]);
            let (own_values, other_values) = free.1.split_at_mut(own_columns.len());
            free = (other_columns, other_values);
            tasks.push((first..end, own_columns, own_values));
        }
        tasks.into_par_iter().for_each(|(of_task, columns, values)| {
            let mut next: Vec<usize> = of_task.clone().map(|column| offsets[column] - offsets[of_task.start]).collect();
            for row in 0..self.row_count() {
                for (column, value) in self.part(row, &of_task) {
                    let place = &mut next[column - of_task.start];
                    (columns[*place], values[*place]) = (row as u32, value);
                    *place += 1;
                }
            }
        });
        Self { offsets, columns, values }
    }

    /// This matrix times a dense block of as many rows. Runs of rows in parallel, each row summed in order; columns come a tile at a time,
    /// so that the part of the block which a run of rows reads stays in the cache.
    pub(super) fn times(&self, block: &Block) -> Block {
        let width = block.width();
        let mut values = vec![0.0_f32; self.row_count() * width];
        if width == 0 {
            return Block::new(width, values);
        }
        values.par_chunks_mut(ROWS_A_RUN * width).enumerate().for_each(|(run, of_run)| {
            let first = run * ROWS_A_RUN;
            let mut places: Vec<usize> = self.offsets[first..first + of_run.len() / width].to_vec();
            for tile in (0..self.row_count()).step_by(COLUMNS_A_TILE) {
                let end = tile + COLUMNS_A_TILE;
                for (row, (sums, place)) in (first..).zip(of_run.chunks_exact_mut(width).zip(&mut places)) {
                    let left = self.entries(*place..self.offsets[row + 1]);
                    for (column, factor) in left.take_while(|(column, _)| *column < end) {
                        *place += 1;
                        for (sum, value) in sums.iter_mut().zip(block.row(column)) {
                            *sum += factor * value;
                        }
                    }
                }
            }
        });
        Block::new(width, values)
    }

    #[cfg(test)]
    pub(super) fn get(&self, row: usize, column: usize) -> f32 {
        self.entries(self.offsets[row]..self.offsets[row + 1]).find(|&(at, _)| at == column).map_or(0.0, |(_, value)| value)
    }
}
