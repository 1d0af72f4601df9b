//! Answers against oracles: the exact kind against double precision, the graph against the exact kind.

use faces_index::{Effort, IndexKind, Metric, RowSet, RowStorage, Scratch, Search, VectorIndex, Vectors};
use proptest::prelude::*;

use crate::data::{K, KINDS, METRICS, Random, STORAGES, fixtures, found, kept_rows, made_of, recall, rows};

fn similarity(metric: Metric, query: &[f32], row: &[f32]) -> f64 {
    let dot = |left: &[f32], right: &[f32]| left.iter().zip(right).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    match metric {
        Metric::InnerProduct => dot(query, row),
        Metric::Cosine => dot(query, row) / (dot(query, query) * dot(row, row)).sqrt(),
        Metric::L2 => -query.iter().zip(row).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>(),
    }
}

#[track_caller]
pub fn check_exact(index: &dyn VectorIndex, query: &[f32]) {
    // Compact rows are directions under cosine, of length 1 but for their rounding.
    let unit = |row: &[f32]| {
        if index.storage() == RowStorage::Compact { similarity(Metric::InnerProduct, row, row).sqrt() } else { 1.0 }
    };
    let score = |row: &[f32]| match index.metric() {
        Metric::Cosine => similarity(Metric::Cosine, query, row) * unit(row),
        metric => similarity(metric, query, row),
    };
    let truth: Vec<f64> = kept_rows(index).iter().map(|row| score(row)).collect();
    let answer = found(index, query, K, None, None);
    let scale = truth.iter().fold(0.0f64, |scale, score| scale.max(score.abs()));
    for neighbour in &answer {
        assert!((f64::from(neighbour.score) - truth[neighbour.row as usize]).abs() <= 1e-5 * scale);
    }
    let mut sorted = truth;
    sorted.sort_by(|left, right| right.total_cmp(left));
    for (neighbour, expected) in answer.iter().zip(&sorted) {
        assert!((f64::from(neighbour.score) - expected).abs() <= 1e-5 * scale, "{neighbour:?} is not as good as {expected}");
    }
    assert_eq!(answer.len(), K.min(sorted.len()));
}

#[test]
fn exact_agrees_with_double_precision() {
    for fixture in fixtures() {
        fixture.queries.iter().take(50).for_each(|query| check_exact(&*fixture.exact, query));
    }
}

#[test]
fn exact_scans_no_further_than_it_must_and_misses_nothing() {
    // Lengths that fall like trained factors' do, so that the order by length is used.
    let mut random = Random::new(3);
    let rows = (1..=4_000).flat_map(|row| {
        let length = (row as f32).powf(-0.7);
        random.vector(9).into_iter().map(move |value| value * length).collect::<Vec<f32>>()
    });
    let vectors = Vectors::new(9, rows.collect()).unwrap();
    for rows in STORAGES {
        let exact = made_of(vectors.clone(), Metric::InnerProduct, IndexKind::Exact, rows);
        for _ in 0..100 {
            check_exact(&*exact, &random.vector(9));
        }
    }
}

#[test]
fn approximate_kinds_find_what_exact_finds() {
    for fixture in fixtures() {
        for index in fixture.approximate() {
            let recall = recall(fixture, index, None);
            assert!(recall >= 0.95, "{:?} by {:?}: recall@{K} {recall}", index.kind(), index.metric());
        }
    }
}

#[test]
fn more_effort_finds_more_and_full_effort_all() {
    for fixture in fixtures() {
        for query in fixture.queries.iter().take(20) {
            let truth = found(&*fixture.exact, query, K, None, None);
            for index in fixture.approximate() {
                assert_eq!(found(index, query, K, Some(Effort(3_000)), None), truth);
                assert_eq!(found(index, query, K, Some(Effort(u32::MAX)), None), truth);
                let hasty = found(index, query, K, Some(Effort(0)), None);
                assert!(hasty.len() == K && hasty.iter().zip(&truth).all(|(hasty, truth)| hasty.score <= truth.score));
            }
        }
    }
}

#[test]
fn scratch_carries_nothing_from_query_to_query() {
    let mut scratch = Scratch::new();
    let mut answer = Vec::new();
    for query in 0..40 {
        for fixture in fixtures() {
            for index in fixture.all() {
                let query = &fixture.queries[query];
                index.search(&Search::new(query, K), &mut scratch, &mut answer).unwrap();
                assert_eq!(answer, found(index, query, K, None, None));
            }
        }
    }
}

#[test]
fn given_rows_score_as_found_ones_do() {
    for fixture in fixtures() {
        for index in fixture.all() {
            let query = &fixture.queries[0];
            let answer = found(index, query, K, None, None);
            let mut scores = vec![1.0];
            index.score(query, &rows(&answer), &mut Scratch::new(), &mut scores).unwrap();
            assert_eq!(scores, answer.iter().map(|neighbour| neighbour.score).collect::<Vec<_>>());
        }
    }
}

#[test]
fn many_searches_at_once_answer_as_one_by_one() {
    for fixture in fixtures() {
        let mut random = Random::new(8);
        let filters = [0.002, 0.3, 0.9].map(|share| RowSet::from_fn(fixture.exact.len(), |_| random.unit() < share));
        for index in fixture.all() {
            let (mut scratch, mut answers) = (Scratch::new(), vec![Vec::new(); 99]);
            for count in [0, 1, 40, 7] {
                let searches: Vec<Search<'_>> = (fixture.queries.iter().take(count).zip(0usize..))
                    .map(|(query, at)| Search { allowed: filters.get(at % 5), ..Search::new(query, [10, 0, 150][at % 3]) })
                    .collect();
                index.search_batch(&searches, &mut scratch, &mut answers).unwrap();
                assert_eq!(answers.len(), count);
                for (search, answer) in searches.iter().zip(&answers) {
                    assert_eq!(*answer, found(index, search.query, search.k, None, search.allowed));
                }
            }
            let bad = [Search::new(&fixture.queries[0], 3), Search::new(&[1.0], 3)];
            assert!(index.search_batch(&bad, &mut scratch, &mut answers).is_err());
            assert!(answers.iter().all(Vec::is_empty));
        }
    }
}

#[test]
fn asking_for_much_finds_as_much() {
    for fixture in fixtures() {
        let few = RowSet::from_fn(fixture.exact.len(), |row| row % 2 == 0);
        for index in fixture.approximate() {
            for k in [150, 700, 2_999] {
                for allowed in [None, Some(&few)] {
                    let query = &fixture.queries[0];
                    let truth = found(&*fixture.exact, query, k, None, allowed);
                    let answer = found(index, query, k, Some(Effort(1)), allowed);
                    assert_eq!(answer.len(), truth.len());
                    assert!(answer.is_sorted_by(|left, right| left.score >= right.score && left.row != right.row));
                }
            }
        }
    }
}

/// Codes alone find nearly the same rows, with scores near the true ones, as many at a time as one likes.
#[test]
fn a_rough_search_is_nearly_right() {
    for fixture in fixtures().filter(|fixture| fixture.exact.metric() != Metric::L2) {
        for index in [&*fixture.exact, &*fixture.ivf] {
            let searches: Vec<Search<'_>> = fixture.queries.iter().map(|query| Search::new(query, K).roughly()).collect();
            let (mut scratch, mut rough, mut batch) = (Scratch::new(), Vec::new(), Vec::new());
            index.search_batch(&searches, &mut scratch, &mut batch).unwrap();
            let mut hits = 0;
            for (search, of_batch) in searches.iter().zip(&batch) {
                index.search(search, &mut scratch, &mut rough).unwrap();
                assert_eq!(of_batch, &rough);
                let truth = found(index, search.query, K, None, None);
                let rows: Vec<u32> = rough.iter().map(|neighbour| neighbour.row).collect();
                hits += truth.iter().filter(|neighbour| rows.contains(&neighbour.row)).count();
                let mut scores = Vec::new();
                index.score(search.query, &rows, &mut scratch, &mut scores).unwrap();
                let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
                for (neighbour, score) in rough.iter().zip(scores) {
                    let mut row = Vec::new();
                    assert!(index.row_into(neighbour.row, &mut row));
                    let scale = if index.metric() == Metric::Cosine { 1.0 } else { length(search.query) * length(&row) };
                    assert!((neighbour.score - score).abs() <= 0.04 * scale, "{neighbour:?} {score} {scale}");
                }
            }
            assert!(hits as f64 >= 0.9 * (K * searches.len()) as f64, "{:?} {hits}", index.kind());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// However searches are mixed, and whoever shares a pass with whom.
    #[test]
    fn any_batch_answers_as_one_by_one(
        asked in prop::collection::vec((0usize..200, 0usize..6, prop::sample::select(vec![0, 1, 10, 90, 400, 5_000])), 0..23),
        efforts in prop::array::uniform3(prop::option::of(0u32..60)),
        of: prop::sample::Index,
    ) {
        let fixture = fixtures().nth(of.index(6)).unwrap();
        let filters = [0.0, 0.002, 0.3, 0.9].map(|share| {
            let mut random = Random::new(12);
            RowSet::from_fn(fixture.exact.len(), |_| random.unit() < share)
        });
        let zero = vec![0.0; fixture.exact.dimension()];
        for (index, effort) in fixture.all().into_iter().zip(efforts) {
            let search = |&(query, filter, k): &(usize, usize, usize)| {
                let query = if query == 0 { &zero } else { &fixture.queries[query] };
                Search { effort: effort.map(Effort), allowed: filters.get(filter), ..Search::new(query, k) }
            };
            let searches: Vec<Search<'_>> = asked.iter().map(search).collect();
            let mut answers = Vec::new();
            index.search_batch(&searches, &mut Scratch::new(), &mut answers).unwrap();
            for (search, answer) in searches.iter().zip(&answers) {
                prop_assert_eq!(answer, &found(index, search.query, search.k, search.effort, search.allowed));
            }
        }
    }

    /// Small whole numbers make many ties, duplicates and zero vectors; with full effort the kinds must agree on them all.
    #[test]
    fn kinds_agree_on_ties_and_duplicates(
        values in prop::collection::vec(-2i8..3, 0..240),
        query in prop::collection::vec(-2i8..3, 3),
        k in 0usize..90,
    ) {
        let data: Vec<f32> = values.chunks_exact(3).flatten().map(|value| f32::from(*value)).collect();
        let query: Vec<f32> = query.into_iter().map(f32::from).collect();
        for (metric, rows) in METRICS.into_iter().flat_map(|metric| STORAGES.map(|rows| (metric, rows))) {
            let [exact, ivf, graph] = KINDS.map(|kind| made_of(Vectors::new(3, data.clone()).unwrap(), metric, kind, rows));
            let truth = found(&*exact, &query, k, None, None);
            prop_assert_eq!(truth.len(), k.min(data.len() / 3));
            prop_assert!(truth.is_sorted_by(|left, right| left.score > right.score || (left.score == right.score && left.row < right.row)));
            prop_assert_eq!(&found(&*graph, &query, k, Some(Effort(80)), None), &truth);
            prop_assert_eq!(found(&*ivf, &query, k, Some(Effort(80)), None), truth);
        }
    }
}
