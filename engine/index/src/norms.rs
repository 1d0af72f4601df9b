//! Rows from the longest to the shortest, for inner product: no row can score more than |q|·|x|, so once that bound
//! falls below the worst answer kept, the rest need not be looked at (Teflioudi, Gemulla and Mykytiuk, "LEMP: fast
//! retrieval of large entries in a matrix product", SIGMOD 2015). The answer stays exact.
//!
//! Trained factors differ a lot in length: of 40,578 ALS factors, d = 64, k = 10, 1,066 rows were scored on average (another
//! set: 565 of 40,308); of 50,000 rows of log-normal length (σ = 0.5), 7,000.

pub(crate) use crate::kernels::norm;

/// Below this many rows the plain scan is as fast.
const ROWS_MIN: usize = 1024;

/// An order is kept only if the median row is shorter than this share of the tenth longest; else nothing is pruned and
/// reading rows out of order costs more than it saves.
const MEDIAN_SHARE_MAX: f64 = 0.8;

/// Covers rounding: a computed score exceeds |q|·|x| by less than this share of it.
const SLACK: f64 = 1e-4;

/// Covers results so small that `f32` loses digits.
const SLACK_ABSOLUTE: f64 = 1e-30;

/// The rows of these lengths by descending length, ties by row; `None` where that order would not pay.
pub(crate) fn longest_first(norms: Vec<f32>) -> Option<Vec<u32>> {
    let mut keyed: Vec<(f32, u32)> = norms.into_iter().zip(0..).collect();
    keyed.sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
    let at = |place: usize| keyed.get(place).map(|(norm, _)| f64::from(*norm));
    let pays = at(keyed.len() / 2)? < MEDIAN_SHARE_MAX * at(10)?;
    (keyed.len() >= ROWS_MIN && pays).then(|| keyed.into_iter().map(|(_, row)| row).collect())
}

/// The most that a row no longer than `row_norm` can score against a query of length `query_norm`.
pub(crate) fn bound(row_norm: f32, query_norm: f64) -> f64 {
    query_norm * f64::from(row_norm) * (1.0 + SLACK) + SLACK_ABSOLUTE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_only_where_it_pays() {
        let of = |rows: u16, length: fn(u16) -> f32| longest_first((0..rows).map(length).collect());
        assert!(of(2000, |_| 1.0).is_none());
        assert!(of(0, |_| 1.0).is_none());
        assert!(of(500, f32::from).is_none());
        let order = of(2000, |row| f32::from(row / 2)).unwrap();
        assert_eq!(order[..4], [1998, 1999, 1996, 1997]);
        assert!(bound(999.0, 2.0) >= 1998.0 && bound(998.0, 2.0) < 1998.0 && bound(0.0, 2.0) < 1e-20);
    }

    #[test]
    fn lengths_survive_extreme_values() {
        for (values, expected) in [(vec![3.0, -4.0], 5.0), (vec![1e15; 4], 2e15), (vec![1e-25; 4], 2e-25), (vec![], 0.0)] {
            assert!((norm(&values) - expected).abs() <= expected * 1e-6, "{values:?}");
        }
    }
}
