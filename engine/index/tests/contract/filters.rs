//! Filtered searches: only allowed rows, as many as there are, and the best of them.

use faces_index::{Effort, RowSet};

use crate::data::{K, METRICS, Random, fixture, found, recall};

#[test]
fn recall_holds_at_every_share() {
    for metric in METRICS {
        let fixture = fixture(metric);
        let count = fixture.exact.len();
        for share in [0.0, 0.001, 0.01, 0.1, 0.5, 0.7, 0.8, 0.9, 1.0] {
            let mut random = Random::new(11);
            let allowed = RowSet::from_fn(count, |_| random.unit() < share);
            for index in fixture.all() {
                for query in fixture.queries.iter().take(50) {
                    let answer = found(index, query, K, None, Some(&allowed));
                    assert!(answer.iter().all(|neighbour| allowed.contains(neighbour.row)));
                    assert_eq!(answer.len(), K.min(allowed.count()));
                }
                let recall = recall(fixture, index, Some(&allowed));
                let kind = index.kind();
                assert!(recall >= 0.95 || allowed.is_empty(), "{kind:?} by {metric:?} at share {share}: recall@{K} {recall}");
            }
        }
    }
}

#[test]
fn the_best_row_disallowed_is_walked_through() {
    for metric in METRICS {
        let fixture = fixture(metric);
        for query in fixture.queries.iter().take(50) {
            let best = found(&*fixture.exact, query, 30, None, None);
            let mut allowed = RowSet::full(fixture.exact.len());
            for neighbour in &best[..20] {
                assert!(allowed.remove(neighbour.row));
            }
            for index in fixture.all() {
                let answer = found(index, query, K, Some(Effort(256)), Some(&allowed));
                let hits = answer.iter().filter(|neighbour| best[20..].contains(neighbour)).count();
                assert!(hits >= K - 1, "{:?} by {metric:?}: {hits} of {K}", index.kind());
            }
        }
    }
}

#[test]
fn a_full_filter_changes_nothing() {
    for metric in METRICS {
        let fixture = fixture(metric);
        let all = RowSet::full(fixture.exact.len());
        for query in fixture.queries.iter().take(50) {
            for index in [&*fixture.exact, &*fixture.graph] {
                let filtered = found(index, query, K, None, Some(&all));
                assert_eq!(filtered, found(index, query, K, None, None));
            }
        }
    }
}
