//! Turns a caller's query into what the kernels take: checked, and normalised where the metric asks for it.

use crate::error::IndexError;
use crate::metric::Metric;
use crate::norms::norm;
use crate::vectors::{VALUE_MAX, Vectors, is_sound};

/// A vector shorter than this has no direction under cosine.
const NORM_MIN: f64 = 1e-30;

/// Whether a query can rank anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// It can.
    Some,
    /// It is zero: every row scores 0, so the answer is the first rows. (Never so under L2.)
    None,
}

/// 1 ÷ |values|, or 0 for a vector without direction.
pub(crate) fn inverse_norm(values: &[f32]) -> f32 {
    let norm = norm(values);
    if norm < NORM_MIN { 0.0 } else { (1.0 / norm) as f32 }
}

/// What each row is multiplied by before the dot product; `None` is 1 for all.
pub(crate) fn row_scales(metric: Metric, vectors: &Vectors) -> Option<Vec<f32>> {
    match metric {
        Metric::InnerProduct | Metric::L2 => None,
        Metric::Cosine => Some(vectors.iter().map(inverse_norm).collect()),
    }
}

/// Checks `query` and writes it to `prepared`.
pub(crate) fn prepare(metric: Metric, query: &[f32], dimension: usize, prepared: &mut Vec<f32>) -> Result<Direction, IndexError> {
    if query.len() != dimension {
        return Err(IndexError::QueryDimension { found: query.len(), expected: dimension });
    }
    if let Some((column, &value)) = query.iter().enumerate().find(|(_, value)| !is_sound(**value)) {
        return Err(IndexError::QueryValue { column, value, max: VALUE_MAX });
    }
    let scale = match metric {
        Metric::InnerProduct | Metric::L2 => 1.0,
        Metric::Cosine => inverse_norm(query),
    };
    prepared.clear();
    prepared.extend(query.iter().map(|value| value * scale));
    let is_zero = metric != Metric::L2 && prepared.iter().all(|value| *value == 0.0);
    Ok(if is_zero { Direction::None } else { Direction::Some })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_of_extreme_vectors() {
        for (values, expected) in [
            (vec![3.0, 4.0], 0.2),
            (vec![1e15; 4], 5e-16),
            (vec![1e-25; 4], 5e24),
            (vec![1e-31; 4], 0.0),
            (vec![0.0; 4], 0.0),
            (Vec::new(), 0.0),
        ] {
            let found = inverse_norm(&values);
            assert!((found - expected).abs() <= expected * 1e-6, "{values:?}: {found}");
        }
    }

    #[test]
    fn prepared_queries_are_unit_and_padded() {
        let mut prepared = vec![9.0; 7];
        assert_eq!(prepare(Metric::Cosine, &[3.0, 4.0], 2, &mut prepared).unwrap(), Direction::Some);
        assert_eq!(prepared, [0.6, 0.8]);
        assert_eq!(prepare(Metric::InnerProduct, &[3.0, 4.0], 2, &mut prepared).unwrap(), Direction::Some);
        assert_eq!(prepared, [3.0, 4.0]);
        assert_eq!(prepare(Metric::Cosine, &[1e-32, 0.0], 2, &mut prepared).unwrap(), Direction::None);
    }
}
