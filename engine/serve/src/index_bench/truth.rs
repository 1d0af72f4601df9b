//! The right answers, by scoring every row in `f32`: no code of the index takes part, so that it can't excuse itself.

use std::{num::NonZero, thread};

use faces_index::{Metric, RowSet, Vectors};

/// Rows whose score falls short of the k-th true score by no more than this share of it count as found: kinds add
/// in different orders, and ties may be broken either way.
const TIE_SHARE: f32 = 1e-5;

/// Running sums in a dot product, so that the compiler may vectorise.
const LANES: usize = 16;

/// The true answers of every query.
#[derive(Debug)]
pub struct Truth<'a> {
    base: &'a Vectors,
    metric: Metric,
    /// 1 ÷ length of every row, under cosine.
    inverse_norms: Vec<f32>,
    /// Per query the k-th best score, or `None` where no row is allowed.
    floors: Vec<Option<f32>>,
    /// How many rows a whole answer holds.
    wanted: usize,
}

impl<'a> Truth<'a> {
    /// Finds the `k` best of the allowed rows for every query, on all cores. `done` is called after each query.
    #[must_use]
    pub fn of(
        base: &'a Vectors,
        queries: &Vectors,
        metric: Metric,
        k: usize,
        allowed: Option<&RowSet>,
        done: &(impl Fn() + Sync),
    ) -> Self {
        let inverse_norms = match metric {
            Metric::Cosine => base.iter().map(inverse_norm).collect(),
            Metric::InnerProduct | Metric::L2 => Vec::new(),
        };
        let wanted = k.min(allowed.map_or(base.len(), RowSet::count));
        let mut truth = Self { base, metric, inverse_norms, floors: vec![None; queries.len()], wanted };
        let mut floors = std::mem::take(&mut truth.floors);
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let share = queries.len().div_ceil(cores).max(1);
        let (rows, truth_ref): (Vec<&[f32]>, _) = (queries.iter().collect(), &truth);
        thread::scope(|scope| {
            for (floors, queries) in floors.chunks_mut(share).zip(rows.chunks(share)) {
                scope.spawn(move || {
                    let mut scores = Vec::new();
                    for (floor, query) in floors.iter_mut().zip(queries) {
                        *floor = truth_ref.floor(query, allowed, &mut scores);
                        done();
                    }
                });
            }
        });
        truth.floors = floors;
        truth
    }

    /// The rows that a whole answer holds, summed over queries.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.wanted * self.floors.len()
    }

    /// How many of the rows `found` for query number `at` belong to its true answer. A row answered twice counts once.
    #[must_use]
    pub fn hits(&self, at: usize, query: &[f32], found: &[u32]) -> usize {
        let Some(floor) = self.floors.get(at).copied().flatten() else { return 0 };
        let floor = floor - floor.abs() * TIE_SHARE;
        let mut rows = found.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let query_scale = self.query_scale(query);
        let is_hit = |row: &&u32| self.score(query, query_scale, **row).is_some_and(|score| score >= floor);
        rows.iter().filter(is_hit).count().min(self.wanted)
    }

    fn floor(&self, query: &[f32], allowed: Option<&RowSet>, scores: &mut Vec<f32>) -> Option<f32> {
        let query_scale = self.query_scale(query);
        let rows = (0..self.base.len() as u32).filter(|row| allowed.is_none_or(|set| set.contains(*row)));
        scores.clear();
        scores.extend(rows.filter_map(|row| self.score(query, query_scale, row)));
        let last = self.wanted.checked_sub(1).filter(|last| *last < scores.len())?;
        Some(*scores.select_nth_unstable_by(last, |left, right| right.total_cmp(left)).1)
    }

    fn query_scale(&self, query: &[f32]) -> f32 {
        if self.metric == Metric::Cosine { inverse_norm(query) } else { 1.0 }
    }

    fn score(&self, query: &[f32], query_scale: f32, row: u32) -> Option<f32> {
        let values = self.base.row(row)?;
        Some(match self.metric {
            Metric::InnerProduct => dot(query, values),
            Metric::L2 => -summed(query, values, |a, b| (a - b) * (a - b)),
            Metric::Cosine => dot(query, values) * query_scale * self.inverse_norms.get(row as usize)?,
        })
    }
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    summed(left, right, |a, b| a * b)
}

#[inline(always)]
fn summed(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut lanes = [0f32; LANES];
    for (left, right) in left.iter().zip(right) {
        for ((lane, a), b) in lanes.iter_mut().zip(left).zip(right) {
            *lane += term(*a, *b);
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(a, b)| term(*a, *b)).sum();
    lanes.iter().sum::<f32>() + rest
}

/// 1 ÷ length, 0 for a vector without direction.
fn inverse_norm(values: &[f32]) -> f32 {
    let norm = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if norm < 1e-30 { 0.0 } else { (1.0 / norm) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(metric: Metric, k: usize, allowed: Option<&RowSet>, found: &[u32]) -> (usize, usize) {
        let base = Vectors::new(2, vec![1.0, 0.0, 0.0, 3.0, 2.0, 2.0, 2.0, 2.0, 0.0, 0.0]).unwrap();
        let queries = Vectors::new(2, vec![1.0, 0.25]).unwrap();
        let truth = Truth::of(&base, &queries, metric, k, allowed, &|| ());
        (truth.hits(0, queries.row(0).unwrap(), found), truth.rows())
    }

    #[test]
    fn answers_are_judged_by_score() {
        // inner product: 1, .75, 2.5, 2.5, 0; cosine: .97, .24, .86, .86, 0
        assert_eq!(hits(Metric::InnerProduct, 1, None, &[3]), (1, 1));
        assert_eq!(hits(Metric::InnerProduct, 3, None, &[2, 3, 0]), (3, 3));
        assert_eq!(hits(Metric::InnerProduct, 3, None, &[2, 2, 2]), (1, 3));
        assert_eq!(hits(Metric::InnerProduct, 3, None, &[4, 9, 1]), (0, 3));
        assert_eq!(hits(Metric::Cosine, 1, None, &[0]), (1, 1));
        assert_eq!(hits(Metric::Cosine, 1, None, &[2]), (0, 1));
        assert_eq!(hits(Metric::Cosine, 9, None, &[0, 1, 2, 3, 4]), (5, 5));
        assert_eq!(hits(Metric::L2, 2, None, &[0, 4]), (2, 2));
        assert_eq!(hits(Metric::L2, 2, None, &[1, 2]), (0, 2));
    }

    #[test]
    fn only_allowed_rows_make_the_truth() {
        let some = RowSet::from_fn(5, |row| row == 1 || row == 4);
        assert_eq!(hits(Metric::InnerProduct, 1, Some(&some), &[1]), (1, 1));
        assert_eq!(hits(Metric::InnerProduct, 3, Some(&some), &[1, 4]), (2, 2));
        assert_eq!(hits(Metric::InnerProduct, 3, Some(&RowSet::empty(5)), &[]), (0, 0));
    }

    #[test]
    fn sums_take_every_value() {
        for length in [1, 15, 16, 17, 40] {
            let ones = vec![1.0; length];
            assert_eq!(dot(&ones, &ones), length as f32);
        }
    }
}
