//! Long rows whose energy lies in few directions: what is coded then is not all of a row.

use std::sync::LazyLock;

use faces_index::{Effort, Metric, RowSet, Scratch, Search, VectorIndex, Vectors, read, write};

use crate::answers::check_exact;
use crate::data::{K, KINDS, METRICS, Random, found, made};

const ROWS: usize = 4_500;
const DIMENSION: usize = 150;

/// Rows near a space of some 30 dimensions, in clusters; some of them twice.
fn rows(random: &mut Random, count: usize) -> Vec<Vec<f32>> {
    let axes: Vec<Vec<f32>> = (0..30).map(|_| random.vector(DIMENSION)).collect();
    let centres: Vec<Vec<f32>> = (0..40).map(|_| random.vector(30)).collect();
    let mut made: Vec<Vec<f32>> = Vec::with_capacity(count);
    while made.len() < count {
        let length = 0.5 + random.unit();
        let mut row: Vec<f32> = random.vector(DIMENSION).iter().map(|value| 0.5 * value + 0.3).collect();
        let weights =
            centres[random.below(40)].iter().zip(random.vector(30)).map(|(centre, step)| length * (centre + 0.5 * step));
        for (weight, axis) in weights.collect::<Vec<f32>>().into_iter().zip(&axes) {
            row.iter_mut().zip(axis).for_each(|(value, axis)| *value += weight * axis);
        }
        made.push(row);
        if made.len().is_multiple_of(50) {
            made.push(made[made.len() - 7].clone());
        }
    }
    made
}

struct Long {
    indexes: Vec<Box<dyn VectorIndex>>,
    queries: Vec<Vec<f32>>,
}

fn long(metric: Metric) -> &'static Long {
    static LONG: LazyLock<[Long; 3]> = LazyLock::new(|| {
        METRICS.map(|metric| {
            let mut all = rows(&mut Random::new(21), ROWS + 60);
            let queries = all.split_off(ROWS);
            let vectors = Vectors::new(DIMENSION, all.concat()).unwrap();
            Long { indexes: KINDS.map(|kind| made(vectors.clone(), metric, kind)).into(), queries: queries[..60].to_vec() }
        })
    });
    METRICS.iter().zip(LONG.iter()).find(|(of, _)| **of == metric).unwrap().1
}

fn recall(long: &Long, index: &dyn VectorIndex, allowed: Option<&RowSet>) -> f64 {
    let (mut hits, mut wanted) = (0, 0);
    for query in &long.queries {
        let truth = found(&*long.indexes[0], query, K, None, allowed);
        let answer = found(index, query, K, None, allowed);
        assert_eq!(answer.len(), truth.len());
        assert!(answer.iter().all(|neighbour| allowed.is_none_or(|set| set.contains(neighbour.row))));
        hits += truth.iter().filter(|neighbour| answer.iter().any(|other| other.score >= neighbour.score)).count();
        wanted += truth.len();
    }
    hits as f64 / wanted.max(1) as f64
}

#[test]
fn leading_columns_alone_are_coded() {
    let mut file = Vec::new();
    write(&*long(Metric::L2).indexes[0], &mut file).unwrap();
    assert_eq!(file.len(), 64 + 4 * ROWS * DIMENSION + 2 * 64 * DIMENSION + 4);
}

#[test]
fn exact_stays_exact() {
    for metric in METRICS {
        let long = long(metric);
        long.queries.iter().for_each(|query| check_exact(&*long.indexes[0], query));
        // Rows among themselves: duplicates, and margins at their widest.
        long.indexes[0].vectors().unwrap().iter().step_by(97).for_each(|row| check_exact(&*long.indexes[0], row));
    }
}

#[test]
fn every_kind_finds_the_best_with_a_filter_and_without() {
    for metric in METRICS {
        let long = long(metric);
        for index in &long.indexes {
            for share in [0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0] {
                let mut random = Random::new(5);
                let allowed = RowSet::from_fn(ROWS, |_| random.unit() < share);
                let recall = recall(long, &**index, (share < 1.0).then_some(&allowed));
                assert!(recall >= 0.95, "{:?} by {metric:?} at share {share}: recall@{K} {recall}", index.kind());
            }
        }
    }
}

#[test]
fn a_filter_that_shuts_out_the_region_of_the_query_is_met() {
    for metric in METRICS {
        let long = long(metric);
        for query in &long.queries {
            let near = found(&*long.indexes[0], query, ROWS / 3, None, None);
            let mut allowed = RowSet::full(ROWS);
            near.iter().for_each(|neighbour| assert!(allowed.remove(neighbour.row)));
            let truth = found(&*long.indexes[0], query, K, None, Some(&allowed));
            for index in &long.indexes {
                let answer = found(&**index, query, K, Some(Effort(200)), Some(&allowed));
                let hits = answer.iter().filter(|neighbour| neighbour.score >= truth[K - 1].score).count();
                assert!(hits >= K - 2, "{:?} by {metric:?}: {hits} of {K}", index.kind());
            }
        }
    }
}

#[test]
fn many_at_once_and_read_again_answer_alike() {
    for metric in METRICS {
        let long = long(metric);
        let few = RowSet::from_fn(ROWS, |row| row % 40 == 0);
        let searches: Vec<Search<'_>> = (long.queries.iter().zip(0..))
            .map(|(query, at)| Search { allowed: (at % 3 == 0).then_some(&few), ..Search::new(query, K) })
            .collect();
        for index in &long.indexes {
            let mut file = Vec::new();
            write(&**index, &mut file).unwrap();
            let again = read(&file).unwrap();
            let (mut lists, mut alone) = (Vec::new(), Vec::new());
            again.search_batch(&searches, &mut Scratch::new(), &mut lists).unwrap();
            for (search, list) in searches.iter().zip(&lists) {
                index.search(search, &mut Scratch::new(), &mut alone).unwrap();
                assert_eq!(*list, alone, "{:?} by {metric:?}", index.kind());
            }
        }
    }
}

/// The file of an exact index whose `count` directions' numbers, drawn by `random`, are moved by up to `by`; checksums are right.
fn forged(metric: Metric, random: &mut Random, count: usize, by: usize) -> Vec<u8> {
    let mut file = Vec::new();
    write(&*long(metric).indexes[0], &mut file).unwrap();
    let start = 64 + 4 * ROWS * DIMENSION;
    let end = file.len() - 4;
    for _ in 0..count {
        let at = start + random.below((end - start) / 2) * 2;
        let number = i16::from_le_bytes([file[at], file[at + 1]]);
        let moved = number.wrapping_add(random.below(2 * by + 1) as i16).wrapping_sub(by as i16);
        file[at..at + 2].copy_from_slice(&moved.to_le_bytes());
    }
    let header = u32::from_le_bytes(file[60..64].try_into().unwrap());
    let checksum = crc32c::crc32c_append(header, &file[64..end]);
    file[end..].copy_from_slice(&checksum.to_le_bytes());
    file
}

#[test]
fn a_forged_basis_is_refused_or_makes_nothing_wrong() {
    let mut random = Random::new(8);
    let (mut refused, mut read_again) = (0, 0);
    for metric in METRICS {
        for (count, by) in [(1, 20), (300, 20), (40, 300), (4, 30_000), (4_000, 9_000)] {
            match read(&forged(metric, &mut random, count, by)) {
                Ok(index) => {
                    long(metric).queries.iter().step_by(6).for_each(|query| check_exact(&*index, query));
                    read_again += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains("orthonormal"), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused >= 3 && read_again >= 6, "{refused} refused, {read_again} read");
}
