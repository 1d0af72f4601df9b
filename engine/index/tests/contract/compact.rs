//! Compact rows: how far they and their scores are from the rows given, and that answers are right about what is kept.

use faces_index::{IndexKind, Metric, RowSet, RowStorage, Scratch, VectorIndex, Vectors};
use proptest::prelude::*;

use crate::data::{K, KINDS, METRICS, Random, fixture, fixtures, found, kept_rows, made, made_of, rows};

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The rows as the metric scales them, and their mean where it is taken off.
fn scaled(metric: Metric, vectors: &Vectors) -> (Vec<Vec<f64>>, Vec<f64>) {
    let scale = |row: &[f32]| {
        let row: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
        let length = if metric == Metric::Cosine { norm(&row) } else { 1.0 };
        row.iter().map(|value| if length < 1e-30 { 0.0 } else { value / length }).collect::<Vec<f64>>()
    };
    let rows: Vec<Vec<f64>> = vectors.iter().map(scale).collect();
    let share = if metric == Metric::InnerProduct { 0.0 } else { 1.0 / rows.len() as f64 };
    let mean = (0..vectors.dimension()).map(|column| rows.iter().map(|row| row[column]).sum::<f64>() * share);
    let mean = mean.collect();
    (rows, mean)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn scores_are_within_the_stated_bound(
        dimension in prop_oneof![Just(1usize), Just(7), Just(8), 2usize..70],
        count in 1usize..40,
        seed: u64,
        size in prop::sample::select(vec![1e-12f32, 1e-3, 1.0, 1e12]),
        shift in prop::sample::select(vec![0.0f32, 3.0]),
    ) {
        let mut random = Random::new(seed);
        let mut vector = || random.vector(dimension).iter().map(|value| (value + shift) * size).collect::<Vec<f32>>();
        let vectors = Vectors::new(dimension, (0..count).flat_map(|_| vector()).collect()).unwrap();
        let query = vector();
        for metric in METRICS {
            let (rows, mean) = scaled(metric, &vectors);
            let index = made_of(vectors.clone(), metric, IndexKind::Exact, RowStorage::Compact);
            let mut query: Vec<f64> = query.iter().map(|value| f64::from(*value)).collect();
            let query_f32: Vec<f32> = query.iter().map(|value| *value as f32).collect();
            if metric == Metric::Cosine {
                let length = norm(&query);
                query.iter_mut().for_each(|value| *value /= length);
            }
            let kept = kept_rows(&*index);
            for neighbour in found(&*index, &query_f32, count, None, None) {
                let row = &rows[neighbour.row as usize];
                let largest = row.iter().zip(&mean).map(|(value, mean)| (value - mean).abs()).fold(0.0, f64::max);
                let rounding = 1e-5 * (norm(row) + norm(&mean));
                for (value, kept) in row.iter().zip(&kept[neighbour.row as usize]) {
                    prop_assert!((value - f64::from(*kept)).abs() <= largest / 4064.0 + rounding, "{} {}", value, kept);
                }
                let error = (dimension as f64).sqrt() * largest / 4064.0 + rounding;
                let difference: Vec<f64> = query.iter().zip(row).map(|(query, value)| query - value).collect();
                let (score, bound) = match metric {
                    Metric::L2 => (-norm(&difference).powi(2), 2.0 * norm(&difference) * error + error * error + 1e-5 * norm(&query).powi(2)),
                    _ => (query.iter().zip(row).map(|(query, value)| query * value).sum(), norm(&query) * (error + 1e-5 * norm(row))),
                };
                prop_assert!((score - f64::from(neighbour.score)).abs() <= bound, "{} {} {:?}", score, bound, neighbour);
            }
        }
    }
}

/// The best of all rows by their scores one by one: what a search must find, to the bit.
fn best(index: &dyn VectorIndex, query: &[f32], allowed: Option<&RowSet>) -> Vec<(u32, u32)> {
    let mut scores = Vec::new();
    let all: Vec<u32> = (0..index.len() as u32).filter(|row| allowed.is_none_or(|set| set.contains(*row))).collect();
    index.score(query, &all, &mut Scratch::new(), &mut scores).unwrap();
    let mut best: Vec<(f32, u32)> = scores.into_iter().zip(all).collect();
    best.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
    best.iter().take(K).map(|(score, row)| (*row, score.to_bits())).collect()
}

#[test]
fn exact_answers_are_exact_about_the_rows_kept() {
    let filters = [0.01, 0.3].map(|share| {
        let mut random = Random::new(31);
        RowSet::from_fn(fixture(Metric::L2).exact.len(), |_| random.unit() < share)
    });
    for fixture in fixtures() {
        for query in fixture.queries.iter().take(60) {
            for allowed in [None, Some(&filters[0]), Some(&filters[1])] {
                let answer = found(&*fixture.exact, query, K, None, allowed);
                let answer: Vec<_> = answer.iter().map(|neighbour| (neighbour.row, neighbour.score.to_bits())).collect();
                assert_eq!(answer, best(&*fixture.exact, query, allowed));
            }
        }
    }
}

#[test]
fn compact_rows_lose_few_of_the_true_best() {
    for fixture_of_compact in fixtures().skip(METRICS.len()) {
        let full = fixture(fixture_of_compact.exact.metric());
        let (mut hits, mut wanted) = (0, 0);
        for query in &full.queries {
            let truth = rows(&found(&*full.exact, query, K, None, None));
            hits +=
                rows(&found(&*fixture_of_compact.exact, query, K, None, None)).iter().filter(|row| truth.contains(row)).count();
            wanted += truth.len();
        }
        assert!(hits * 1_000 >= wanted * 995, "{hits} of {wanted}");
    }
}

#[test]
fn the_same_rows_whatever_the_kind_and_a_third_of_the_memory() {
    let mut random = Random::new(17);
    let vectors = Vectors::new(64, (0..2_000).flat_map(|_| random.vector(64)).collect()).unwrap();
    for metric in METRICS {
        let compact = KINDS.map(|kind| made_of(vectors.clone(), metric, kind, RowStorage::Compact));
        let mut values = vec![1.0];
        for index in &compact {
            assert_eq!(
                (index.storage(), index.vectors(), index.len(), index.dimension()),
                (RowStorage::Compact, None, 2_000, 64)
            );
            assert!(kept_rows(&**index) == kept_rows(&*compact[0]));
            assert!(!index.row_into(2_000, &mut values) && values.is_empty());
        }
        let full = made(vectors.clone(), metric, IndexKind::Exact);
        assert_eq!((full.storage(), full.vectors()), (RowStorage::Full, Some(&vectors)));
        assert!(kept_rows(&*full).iter().zip(vectors.iter()).all(|(kept, given)| kept == given));
        let per_row = compact[0].memory_bytes() as f64 / 2_000.0;
        assert!(per_row < 110.0 && full.memory_bytes() as f64 / 2_000.0 < 350.0, "{metric:?}: {per_row}");
    }
}
