//! The matrix that an index is built over.
//!
//! It exists so that everything behind it may trust its numbers: finite, bounded, whole rows.

use std::fmt;
use std::sync::Arc;

use crate::error::IndexError;

/// The largest dimension of a vector. The smallest is 1, for tests; below 8 an index is correct but pointless.
pub const DIMENSION_MAX: usize = 1024;

/// The largest number of rows in one index.
pub const ROWS_MAX: usize = 1 << 28;

/// The largest magnitude of a value, in rows and in queries: 1,024 products of two such values stay finite in `f32`.
pub const VALUE_MAX: f32 = 1e15;

/// A row-major `f32` matrix, one row per vector. Every value is finite and at most [`VALUE_MAX`] in magnitude.
/// Clones share the values.
#[derive(Clone, PartialEq)]
pub struct Vectors {
    dimension: usize,
    rows: usize,
    data: Arc<Vec<f32>>,
}

/// Says the shape, not the values: there may be millions.
impl fmt::Debug for Vectors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shape = formatter.debug_struct("Vectors");
        shape.field("rows", &self.rows).field("dimension", &self.dimension).finish_non_exhaustive()
    }
}

impl Vectors {
    /// Takes `data`, `dimension` values a row. No values make an empty matrix. One pass over the data.
    ///
    /// # Errors
    /// [`IndexError::Dimension`], [`IndexError::Ragged`], [`IndexError::TooManyRows`] or [`IndexError::Value`].
    pub fn new(dimension: usize, data: Vec<f32>) -> Result<Self, IndexError> {
        if !(1..=DIMENSION_MAX).contains(&dimension) {
            return Err(IndexError::Dimension { dimension, max: DIMENSION_MAX });
        }
        if !data.len().is_multiple_of(dimension) {
            return Err(IndexError::Ragged { values: data.len(), dimension });
        }
        let rows = data.len() / dimension;
        if rows > ROWS_MAX {
            return Err(IndexError::TooManyRows { rows, max: ROWS_MAX });
        }
        if let Some((at, &value)) = data.iter().enumerate().find(|(_, value)| !is_sound(**value)) {
            return Err(IndexError::Value { row: at / dimension, column: at % dimension, value, max: VALUE_MAX });
        }
        Ok(Self { dimension, rows, data: Arc::new(data) })
    }

    /// No rows, of a dimension that another matrix has.
    pub(crate) fn none(dimension: usize) -> Self {
        Self { dimension, rows: 0, data: Arc::default() }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The number of values in a row.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// One row, as it was given (never normalised), or `None` past the end.
    #[must_use]
    pub fn row(&self, row: u32) -> Option<&[f32]> {
        let start = (row as usize).checked_mul(self.dimension)?;
        self.data.get(start..start.checked_add(self.dimension)?)
    }

    /// The first `rows` rows, or all.
    pub(crate) fn first(&self, rows: usize) -> Self {
        if rows >= self.rows {
            return self.clone();
        }
        let data = self.data.get(..rows * self.dimension).unwrap_or_default().to_vec();
        Self { dimension: self.dimension, rows, data: Arc::new(data) }
    }

    /// All values, row after row.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// The rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.dimension)
    }
}

/// Whether scores made of this value stay finite.
pub(crate) fn is_sound(value: f32) -> bool {
    value.abs() <= VALUE_MAX // false for NaN too
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_finite_rows_are_taken() {
        let vectors = Vectors::new(2, vec![1.0, 2.0, 3.0, -VALUE_MAX]).unwrap();
        assert_eq!((vectors.len(), vectors.dimension(), vectors.is_empty()), (2, 2, false));
        assert_eq!(vectors.row(1), Some([3.0, -VALUE_MAX].as_slice()));
        assert_eq!(vectors.row(2), None);
        assert_eq!(vectors.row(u32::MAX), None);
        assert_eq!(vectors.iter().len(), 2);
        assert!(Vectors::new(3, Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn bad_matrices_are_refused_with_the_place() {
        #[track_caller]
        fn check(dimension: usize, data: &[f32], expected: &str) {
            let message = Vectors::new(dimension, data.to_vec()).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        check(0, &[], "dimension 0 is outside 1..=1024");
        check(1025, &[], "dimension 1025 is outside");
        check(2, &[1.0], "1 values do not make whole rows of dimension 2");
        check(2, &[0.0, 1.0, 2.0, f32::NAN], "row 1, column 1 holds NaN");
        check(2, &[0.0, f32::NEG_INFINITY], "row 0, column 1 holds -inf");
        check(1, &[2e15], "row 0, column 0 holds 2000000000000000");
    }
}
