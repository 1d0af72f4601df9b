//! Odd input: each case defined, for every kind and metric, and never a panic.

use faces_index::{BuildSpec, Effort, IndexError, Metric, RowSet, RowStorage, Scratch, Search, VectorIndex, Vectors, build};

use crate::data::{KINDS, METRICS, Random, STORAGES, found, made_of, rows};

/// Every kind, metric and form of rows.
fn every_index(dimension: usize, data: &[f32], check: impl Fn(&dyn VectorIndex)) {
    for (metric, rows) in METRICS.into_iter().flat_map(|metric| STORAGES.map(|rows| (metric, rows))) {
        for kind in KINDS {
            check(&*made_of(Vectors::new(dimension, data.to_vec()).unwrap(), metric, kind, rows));
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
    for (kind, rows) in KINDS.into_iter().flat_map(|kind| STORAGES.map(|rows| (kind, rows))) {
        let index = made_of(Vectors::new(8, data.clone()).unwrap(), Metric::Cosine, kind, rows);
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
    every_index(2, &data, |index| {
        if index.metric() != Metric::Cosine {
            return;
        }
        let found = found(index, &[3.0, 3.0], 5, None, None);
        assert_eq!(rows(&found), [1, 4, 0, 3, 2]);
        // Compact rows are all rounded alike, those without direction too.
        let error = if index.storage() == RowStorage::Full { 0.0 } else { 2f32.sqrt() / 4064.0 };
        assert!(found[2].score.abs() <= error && found[2].score.to_bits() == found[3].score.to_bits());
        assert!((found[0].score - 1.0).abs() < 1e-6 + error && (found[4].score + 0.5f32.sqrt()).abs() < 1e-6 + error);
    });
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
fn rows_that_are_no_numbers_are_refused_before_any_index() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.1e15, -f32::MAX] {
        let refused = Vectors::new(3, vec![0.0, 1.0, 2.0, 3.0, bad, 5.0]).unwrap_err();
        assert!(matches!(refused, IndexError::Value { row: 1, column: 1, .. }), "{refused}");
    }
    assert!(matches!(Vectors::new(0, vec![]), Err(IndexError::Dimension { dimension: 0, .. })));
    assert!(matches!(Vectors::new(1025, vec![]), Err(IndexError::Dimension { dimension: 1025, .. })));
    assert!(matches!(Vectors::new(3, vec![1.0; 4]), Err(IndexError::Ragged { values: 4, dimension: 3 })));
}

#[test]
fn every_dimension_finds_a_row_by_itself() {
    for dimension in [1, 7, 8, 9, 63, 64, 65, 1024] {
        let mut random = Random::new(dimension as u64);
        let count = 150;
        // Growing lengths keep one dimension's rows apart; the last is the best under inner product for what points its way.
        let rows: Vec<Vec<f32>> = (0..count)
            .map(|row| {
                let length = 1.0 + row as f32 * 0.05;
                let direction = if dimension == 1 { vec![1.0] } else { random.vector(dimension) };
                direction.iter().map(|value| value * length).collect()
            })
            .collect();
        every_index(dimension, &rows.concat(), |index| {
            assert_eq!(index.dimension(), dimension);
            for row in [0, 16, 77, 149] {
                let query = &rows[row as usize];
                let found = found(index, query, 4, Some(Effort(u32::MAX)), None);
                assert!(found.len() == 4 && found.is_sorted_by(|left, right| left.score >= right.score && left.row != right.row));
                let mut scores = Vec::new();
                index.score(query, &[row], &mut Scratch::new(), &mut scores).unwrap();
                assert!(found[0].score >= scores[0], "{index:?}");
                if index.metric() != Metric::InnerProduct && dimension > 1 {
                    assert_eq!(found[0].row, row, "dimension {dimension}, {index:?}");
                }
            }
            let batch = [Search::new(&rows[3], 2), Search::new(&rows[4], 200)];
            let mut lists = Vec::new();
            index.search_batch(&batch, &mut Scratch::new(), &mut lists).unwrap();
            assert_eq!((lists[0].len(), lists[1].len()), (2, 150), "{dimension} {index:?}");
        });
    }
}

#[test]
fn one_value_apart_is_told_apart_and_all_alike_is_not() {
    // One row, then as many as fill a block, then one more; all alike but the last.
    for count in [1usize, 16, 17, 70, 1_100] {
        let mut data = vec![0.25; count * 9];
        data[count * 9 - 1] = 0.5;
        every_index(9, &data, |index| {
            let mut query = [0.0; 9];
            query[8] = 1.0;
            assert_eq!(answer(index, &query, 1, None), [count as u32 - 1]);
            let mut all = answer(index, &query, usize::MAX, None);
            assert_eq!(all.len(), count);
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count as u32));
        });
    }
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
    let spec: BuildSpec = serde_json::from_str(r#"{"kind":"graph","rows":"compact","m":8}"#).unwrap();
    assert_eq!(spec, BuildSpec { kind: Some(KINDS[2]), rows: RowStorage::Compact, m: 8, ..BuildSpec::default() });
    assert!(serde_json::from_str::<BuildSpec>(r#"{"kinds":"graph"}"#).is_err());
}
