//! Answers against oracles: the exact kind against double precision, the graph against the exact kind.

use faces_index::{BuildSpec, Effort, IndexKind, Metric, Scratch, Search, VectorIndex, Vectors, build};
use proptest::prelude::*;

use crate::data::{K, KINDS, METRICS, Random, fixture, found, made, recall, rows};

fn similarity(metric: Metric, query: &[f32], row: &[f32]) -> f64 {
    let dot = |left: &[f32], right: &[f32]| left.iter().zip(right).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    match metric {
        Metric::InnerProduct => dot(query, row),
        Metric::Cosine => dot(query, row) / (dot(query, query) * dot(row, row)).sqrt(),
    }
}

#[track_caller]
fn check_exact(index: &dyn VectorIndex, query: &[f32]) {
    let truth: Vec<f64> = index.vectors().iter().map(|row| similarity(index.metric(), query, row)).collect();
    let answer = found(index, query, K, Effort::default(), None);
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
    for metric in METRICS {
        let fixture = fixture(metric);
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
    let exact = made(vectors, Metric::InnerProduct, IndexKind::Exact);
    for _ in 0..100 {
        check_exact(&*exact, &random.vector(9));
    }
}

#[test]
fn graph_finds_what_exact_finds() {
    for metric in METRICS {
        let recall = recall(fixture(metric), None);
        assert!(recall >= 0.95, "{metric:?}: recall@{K} {recall}");
    }
}

#[test]
fn more_effort_finds_more_and_full_effort_all() {
    for metric in METRICS {
        let fixture = fixture(metric);
        for query in fixture.queries.iter().take(20) {
            let truth = found(&*fixture.exact, query, K, Effort::default(), None);
            assert_eq!(found(&*fixture.graph, query, K, Effort(3_000), None), truth);
            assert_eq!(found(&*fixture.graph, query, K, Effort(u32::MAX), None), truth);
            let hasty = found(&*fixture.graph, query, K, Effort(0), None);
            assert!(hasty.len() == K && hasty.iter().zip(&truth).all(|(hasty, truth)| hasty.score <= truth.score));
        }
    }
}

#[test]
fn scratch_carries_nothing_from_query_to_query() {
    let mut scratch = Scratch::new();
    let mut answer = Vec::new();
    for query in 0..40 {
        for metric in METRICS {
            let fixture = fixture(metric);
            for index in [&fixture.exact, &fixture.graph] {
                let query = &fixture.queries[query];
                index.search(&Search::new(query, K), &mut scratch, &mut answer).unwrap();
                assert_eq!(answer, found(&**index, query, K, Effort::default(), None));
            }
        }
    }
}

#[test]
fn given_rows_score_as_found_ones_do() {
    for metric in METRICS {
        let fixture = fixture(metric);
        for index in [&fixture.exact, &fixture.graph] {
            let query = &fixture.queries[0];
            let answer = found(&**index, query, K, Effort::default(), None);
            let mut scores = vec![1.0];
            index.score(query, &rows(&answer), &mut Scratch::new(), &mut scores).unwrap();
            assert_eq!(scores, answer.iter().map(|neighbour| neighbour.score).collect::<Vec<_>>());
        }
    }
}

#[test]
fn kind_follows_size_and_lengths() {
    #[track_caller]
    fn check(count: usize, metric: Metric, length: fn(usize) -> f32, expected: IndexKind) {
        let mut random = Random::new(5);
        let rows = (0..count).flat_map(|row| random.vector(2).into_iter().map(move |value| value * length(row)));
        let rows = rows.collect::<Vec<f32>>();
        let spec = BuildSpec { m: 4, ef_construction: 8, ..BuildSpec::default() };
        let index = build(Vectors::new(2, rows).unwrap(), metric, &spec).unwrap();
        assert_eq!(index.kind(), expected);
    }
    check(4_000, Metric::Cosine, |_| 1.0, IndexKind::Exact);
    check(4_001, Metric::Cosine, |_| 1.0, IndexKind::Graph);
    check(20_000, Metric::InnerProduct, |row| 1.0 / (row + 1) as f32, IndexKind::Exact);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Small whole numbers make many ties, duplicates and zero vectors; with full effort the kinds must agree on them all.
    #[test]
    fn kinds_agree_on_ties_and_duplicates(
        values in prop::collection::vec(-2i8..3, 0..240),
        query in prop::collection::vec(-2i8..3, 3),
        k in 0usize..90,
    ) {
        let data: Vec<f32> = values.chunks_exact(3).flatten().map(|value| f32::from(*value)).collect();
        let query: Vec<f32> = query.into_iter().map(f32::from).collect();
        for metric in METRICS {
            let [exact, graph] = KINDS.map(|kind| made(Vectors::new(3, data.clone()).unwrap(), metric, kind));
            let truth = found(&*exact, &query, k, Effort::default(), None);
            prop_assert_eq!(truth.len(), k.min(data.len() / 3));
            prop_assert!(truth.is_sorted_by(|left, right| left.score > right.score || (left.score == right.score && left.row < right.row)));
            prop_assert_eq!(found(&*graph, &query, k, Effort(80), None), truth);
        }
    }
}
