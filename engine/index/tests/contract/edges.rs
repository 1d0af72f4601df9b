//! Odd input: each case defined, for every kind and metric, and never a panic.

use faces_index::{BuildSpec, Effort, IndexError, Metric, RowSet, Scratch, Search, VectorIndex, Vectors, build};

use crate::data::{KINDS, METRICS, Random, found, made, rows};

fn every_index(dimension: usize, data: &[f32], check: impl Fn(&dyn VectorIndex)) {
    for metric in METRICS {
        for kind in KINDS {
            check(&*made(Vectors::new(dimension, data.to_vec()).unwrap(), metric, kind));
        }
    }
}

fn answer(index: &dyn VectorIndex, query: &[f32], k: usize, allowed: Option<&RowSet>) -> Vec<u32> {
    rows(&found(index, query, k, None, allowed))
}

#[test]
fn no_rows_find_none() {
    every_index(3, &[], |index| {
        assert!(answer(index, &[1.0, 0.0, 0.0], 5, None).is_empty());
        assert!(answer(index, &[0.0; 3], 5, Some(&RowSet::full(0))).is_empty());
    });
}

#[test]
fn one_row_is_found() {
    every_index(3, &[1.0, 2.0, 3.0], |index| {
        assert_eq!(answer(index, &[-1.0, 0.0, 0.0], 5, None), [0]);
        assert_eq!(answer(index, &[-1.0, 0.0, 0.0], 5, Some(&RowSet::empty(1))), [0; 0]);
    });
}

#[test]
fn k_may_be_nothing_or_more_than_all() {
    let data: Vec<f32> = (0u8..40).map(f32::from).collect();
    every_index(2, &data, |index| {
        for query in [[1.0, -1.0], [0.0, 0.0]] {
            assert!(answer(index, &query, 0, None).is_empty());
            for k in [20, 21, usize::MAX] {
                let mut all = answer(index, &query, k, None);
                all.sort_unstable();
                assert!(all.into_iter().eq(0..20));
            }
        }
    });
}

#[test]
fn filters_that_leave_little_leave_just_that() {
    let data: Vec<f32> = (0u8..200).map(f32::from).collect();
    every_index(2, &data, |index| {
        assert!(answer(index, &[1.0, 2.0], 5, Some(&RowSet::empty(100))).is_empty());
        let one = RowSet::from_fn(100, |row| row == 63);
        assert_eq!(answer(index, &[1.0, 2.0], 5, Some(&one)), [63]);
        assert_eq!(answer(index, &[0.0, 0.0], 5, Some(&one)), [63]);
    });
}

#[test]
fn identical_rows_come_in_order() {
    every_index(4, &[0.5; 4 * 1500], |index| {
        assert_eq!(answer(index, &[1.0; 4], 5, None), [0, 1, 2, 3, 4]);
        let odd = RowSet::from_fn(1500, |row| row % 2 == 1);
        assert_eq!(answer(index, &[1.0; 4], 3, Some(&odd)), [1, 3, 5]);
        assert_eq!(answer(index, &[1.0; 4], 2000, None).len(), 1500);
    });
}

#[test]
fn every_duplicate_of_the_best_comes_before_the_next() {
    let mut random = Random::new(21);
    let distinct: Vec<Vec<f32>> = (0..300).map(|_| random.vector(8)).collect();
    let data: Vec<f32> = (0..1500).flat_map(|row| distinct[row % 300].clone()).collect();
    for kind in KINDS {
        let index = made(Vectors::new(8, data.clone()).unwrap(), Metric::Cosine, kind);
        for (row, query) in distinct.iter().enumerate() {
            let row = row as u32;
            let expected = [row, row + 300, row + 600, row + 900, row + 1200];
            assert_eq!(answer(&*index, query, 5, None), expected);
            assert_eq!(answer(&*index, query, 3, None), expected[..3]);
        }
    }
}

#[test]
fn zero_vectors_score_zero_under_cosine() {
    let data = [0.0, 0.0, 1.0, 1.0, -1.0, 0.0, 1e-38, 0.0, 2.0, 2.0];
    for kind in KINDS {
        let index = made(Vectors::new(2, data.to_vec()).unwrap(), Metric::Cosine, kind);
        let found = found(&*index, &[3.0, 3.0], 5, None, None);
        assert_eq!(rows(&found), [1, 4, 0, 3, 2]);
        assert_eq!((found[2].score, found[3].score), (0.0, 0.0));
        assert!((found[0].score - 1.0).abs() < 1e-6 && (found[4].score + 0.5f32.sqrt()).abs() < 1e-6);
    }
}

#[test]
fn a_zero_query_finds_the_first_rows() {
    every_index(2, &[1.0, 0.0, 0.0, 1.0, -1.0, 5.0], |index| {
        if index.metric() == Metric::L2 {
            assert_eq!(answer(index, &[0.0, -0.0], 3, None), [0, 1, 2]); // a place like any other
            return;
        }
        let found = found(index, &[0.0, -0.0], 2, None, None);
        assert_eq!((rows(&found), found[0].score, found[1].score), (vec![0, 1], 0.0, 0.0));
    });
}

#[test]
fn the_largest_values_keep_scores_finite() {
    let data: Vec<f32> = (0..64).map(|at| if at % 3 == 0 { 1e15 } else { -1e15 }).collect();
    every_index(16, &data, |index| {
        let found = found(index, &[1e15; 16], 4, None, None);
        assert!(found.len() == 4 && found.iter().all(|neighbour| neighbour.score.is_finite()));
    });
}

#[test]
fn bad_questions_are_refused_and_leave_no_answer() {
    every_index(2, &[1.0, 0.0, 0.0, 1.0], |index| {
        let refuse = |search: &Search<'_>| {
            let mut found = found(index, &[1.0, 1.0], 2, None, None);
            let error = index.search(search, &mut Scratch::new(), &mut found).unwrap_err();
            assert!(found.is_empty());
            error
        };
        assert!(matches!(refuse(&Search::new(&[1.0], 1)), IndexError::QueryDimension { found: 1, expected: 2 }));
        assert!(matches!(refuse(&Search::new(&[1.0, f32::NAN], 1)), IndexError::QueryValue { column: 1, .. }));
        assert!(matches!(refuse(&Search::new(&[f32::INFINITY, 0.0], 1)), IndexError::QueryValue { column: 0, .. }));
        assert!(matches!(refuse(&Search::new(&[1e16, 0.0], 1)), IndexError::QueryValue { column: 0, .. }));
        let (short, long) = (RowSet::full(1), RowSet::full(3));
        for filter in [&short, &long] {
            let error = refuse(&Search::new(&[1.0, 0.0], 1).within(filter));
            assert!(matches!(error, IndexError::FilterRows { expected: 2, .. }));
        }
        let mut scores = vec![1.0];
        let unknown = index.score(&[1.0, 0.0], &[0, 2], &mut Scratch::new(), &mut scores).unwrap_err();
        assert!(matches!(unknown, IndexError::RowUnknown { row: 2, rows: 2 }) && scores.is_empty());
    });
}

#[test]
fn specs_outside_their_ranges_are_refused() {
    for (m, ef_construction, name) in
        [(3, 100, "m is 3"), (97, 100, "m is 97"), (16, 7, "ef_construction is 7"), (16, 2001, "ef_construction is 2001")]
    {
        let spec = BuildSpec { m, ef_construction, ..BuildSpec::default() };
        let error = build(Vectors::new(2, vec![]).unwrap(), Metric::Cosine, &spec).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn names_in_configuration() {
    let json = serde_json::to_string(&(Metric::InnerProduct, Metric::Cosine, KINDS, Effort(9))).unwrap();
    assert_eq!(json, r#"["inner_product","cosine",["exact","ivf","graph"],9]"#);
    let spec: BuildSpec = serde_json::from_str(r#"{"kind":"graph","m":8}"#).unwrap();
    assert_eq!(spec, BuildSpec { kind: Some(KINDS[2]), m: 8, ..BuildSpec::default() });
    assert!(serde_json::from_str::<BuildSpec>(r#"{"kinds":"graph"}"#).is_err());
}
