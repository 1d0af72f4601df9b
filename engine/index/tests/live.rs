//! A live index against a plain map and brute force: seeded operations, with queries running at the same time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use faces_index::{
    BuildSpec, Change, Effort, IndexError, IndexKind, LiveIndex, LiveScratch, LiveSpec, Metric, Neighbour, RowSet, RowStorage,
    Search, VectorIndex, Vectors, build,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

const DIMENSION: usize = 6;
const METRIC: Metric = Metric::L2;

struct Random(ChaCha8Rng);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0.next_u32() % end
    }

    /// Eighths, so that sums are exact and scores can be compared for equality.
    fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSION).map(|_| self.below(64) as f32 / 8.0).collect()
    }
}

#[derive(Default)]
struct Model {
    vectors: BTreeMap<u32, Vec<f32>>,
    unavailable: BTreeSet<u32>,
}

impl Model {
    fn best(&self, query: &[f32], k: usize, allows: impl Fn(u32) -> bool) -> Vec<f32> {
        let allowed = self.vectors.iter().filter(|(handle, _)| !self.unavailable.contains(handle) && allows(**handle));
        let mut scores: Vec<f32> = allowed.map(|(handle, _)| self.score(query, *handle)).collect();
        scores.sort_by(|left, right| right.total_cmp(left));
        scores.truncate(k);
        scores
    }

    fn score(&self, query: &[f32], handle: u32) -> f32 {
        0.0 - query.iter().zip(&self.vectors[&handle]).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
    }

    /// An index over the vectors of the handles from 0 on.
    fn base(&self, kind: IndexKind) -> Arc<dyn VectorIndex> {
        let vectors = Vectors::new(DIMENSION, self.vectors.values().flatten().copied().collect()).unwrap();
        let spec = BuildSpec { kind: Some(kind), ..BuildSpec::default() };
        Arc::from(build(vectors, METRIC, &spec).unwrap())
    }
}

const HANDLES: u32 = 500;
const BASE_ROWS: u32 = 300;

#[track_caller]
fn check(live: &LiveIndex, model: &Model, random: &mut Random, scratch: &mut LiveScratch) {
    let queries = [random.vector(), random.vector()];
    let snapshot = live.snapshot();
    let odd = RowSet::from_fn(HANDLES as usize, |handle| handle % 2 == 1);
    let few = RowSet::from_fn(40, |handle| handle % 2 == 1);
    let mut expected = Vec::new();
    let mut searches = Vec::new();
    for query in &queries {
        for (allowed, k) in [(None, 7), (Some(&odd), 7), (None, 400), (Some(&few), 9)] {
            searches.push(Search { effort: Some(Effort(u32::MAX)), allowed, ..Search::new(query, k) });
            expected.push(model.best(query, k, |handle| allowed.is_none_or(|set| set.contains(handle))));
        }
    }
    let scores = |found: &[Neighbour]| found.iter().map(|neighbour| neighbour.score).collect::<Vec<_>>();
    let (mut lists, mut found) = (Vec::new(), Vec::new());
    snapshot.search_batch(&searches, scratch, &mut lists).unwrap();
    for ((search, expected), list) in searches.iter().zip(&expected).zip(&lists) {
        snapshot.search(search, scratch, &mut found).unwrap();
        assert_eq!(&scores(&found), expected);
        assert_eq!(list, &found, "asked together");
        let handles: BTreeSet<u32> = found.iter().map(|neighbour| neighbour.row).collect();
        assert_eq!(handles.len(), found.len());
        for Neighbour { row, score } in &found {
            assert_eq!(model.best(search.query, 1, |other| other == *row), [*score], "handle {row}");
        }
    }
    // Scores of anything that has a vector, gone or not to be had, in any order.
    let mut handles: Vec<u32> = model.vectors.keys().copied().rev().collect();
    handles.extend(model.vectors.keys().take(3));
    let mut given = Vec::new();
    snapshot.score(&queries[0], &handles, scratch, &mut given).unwrap();
    let true_scores = handles.iter().map(|handle| model.score(&queries[0], *handle));
    assert_eq!(given, true_scores.collect::<Vec<_>>());
    let mut row = Vec::new();
    assert!(handles.iter().all(|handle| snapshot.row_into(*handle, &mut row) && row == model.vectors[handle]));
}

fn run(seed: u64, kind: IndexKind) {
    println!("seed {seed}, {kind:?}");
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
    let mut model = Model::default();
    for handle in 0..BASE_ROWS {
        model.vectors.insert(handle, random.vector());
    }
    let of_base = model.vectors.clone();
    let live = LiveIndex::new(model.base(kind), LiveSpec { tail_rows_max: 60, rebuild_share: 0.5 });
    let mut scratch = LiveScratch::default();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(ChaCha8Rng::seed_from_u64(!seed));
            let (mut scratch, mut found) = (LiveScratch::default(), Vec::new());
            while !is_done.load(Ordering::Relaxed) {
                let query = random.vector();
                live.snapshot().search(&Search::new(&query, 9), &mut scratch, &mut found).unwrap();
                assert!(found.is_sorted_by(|left, right| left.score >= right.score && left.row != right.row));
            }
        });
        let mut is_full = false;
        for step in 0..250 {
            let (handle, vector) = (random.below(HANDLES), random.vector());
            let vector = of_base.get(&handle).filter(|_| random.below(5) == 0).cloned().unwrap_or(vector);
            let change = match random.below(12) {
                0..7 => Change::Upsert { handle, vector: &vector },
                7..10 => Change::Remove { handle },
                _ => Change::SetAvailable { handle, is_available: random.below(2) == 0 },
            };
            match live.apply(&[change]) {
                Ok(_) => match change {
                    Change::Upsert { .. } => drop(model.vectors.insert(handle, vector.clone())),
                    Change::Remove { .. } => drop(model.vectors.remove(&handle)),
                    Change::SetAvailable { is_available: true, .. } => drop(model.unavailable.remove(&handle)),
                    Change::SetAvailable { .. } => drop(model.unavailable.insert(handle)),
                },
                Err(IndexError::TailFull { max: 60 }) => {
                    assert!(live.status().is_rebuild_due);
                    is_full = true;
                }
                Err(error) => panic!("step {step}: {error}"),
            }
            let status = live.status();
            let replaced = of_base.iter().filter(|(handle, vector)| model.vectors.get(handle) != Some(vector)).count();
            assert_eq!((status.base_rows, status.masked_rows), (BASE_ROWS as usize, replaced));
            check(&live, &model, &mut random, &mut scratch);
        }
        assert!(is_full, "the tail was never full");
        is_done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_live_index_is_a_map_with_search() {
    for (seed, kind) in [(1, IndexKind::Exact), (2, IndexKind::Ivf), (3, IndexKind::Graph), (4, IndexKind::Ivf)] {
        run(seed, kind);
    }
}

#[test]
fn an_index_grows_from_nothing() {
    let empty = build(Vectors::new(DIMENSION, Vec::new()).unwrap(), METRIC, &BuildSpec::default()).unwrap();
    let live = LiveIndex::new(Arc::from(empty), LiveSpec::default());
    let (mut model, mut random, mut scratch) = (Model::default(), Random(ChaCha8Rng::seed_from_u64(9)), LiveScratch::default());
    for handle in [3, 0, 70] {
        let vector = random.vector();
        live.apply(&[Change::Upsert { handle, vector: &vector }]).unwrap();
        model.vectors.insert(handle, vector);
        check(&live, &model, &mut random, &mut scratch);
    }
}

#[test]
fn a_compact_base_knows_its_own_vectors() {
    let (mut model, mut random) = (Model::default(), Random(ChaCha8Rng::seed_from_u64(5)));
    for handle in 0..BASE_ROWS {
        model.vectors.insert(handle, random.vector());
    }
    let vectors = Vectors::new(DIMENSION, model.vectors.values().flatten().copied().collect()).unwrap();
    let spec = BuildSpec { kind: Some(IndexKind::Exact), rows: RowStorage::Compact, ..BuildSpec::default() };
    let live = LiveIndex::new(Arc::from(build(vectors, METRIC, &spec).unwrap()), LiveSpec::default());
    let same: Vec<_> = model.vectors.iter().map(|(handle, vector)| Change::Upsert { handle: *handle, vector }).collect();
    assert_eq!(live.apply(&same).unwrap().tail_rows, 0);
    let mut other = model.vectors[&7].clone();
    other[2] += 0.125;
    assert_eq!(live.apply(&[Change::Upsert { handle: 7, vector: &other }]).unwrap().tail_rows, 1);
}

#[test]
fn a_full_tail_takes_what_needs_no_room() {
    let mut model = Model::default();
    model.vectors.insert(0, vec![1.0; DIMENSION]);
    let live = LiveIndex::new(model.base(IndexKind::Exact), LiveSpec { tail_rows_max: 1, rebuild_share: 9.0 });
    let (of_base, other) = (vec![1.0; DIMENSION], vec![2.0; DIMENSION]);
    live.apply(&[Change::Upsert { handle: 8, vector: &other }]).unwrap();
    live.apply(&[Change::Remove { handle: 0 }, Change::Upsert { handle: 0, vector: &of_base }]).unwrap();
    assert_eq!((live.status().tail_rows, live.status().masked_rows), (1, 0), "the vector that the base has");
    live.apply(&[Change::Remove { handle: 8 }, Change::Upsert { handle: 9, vector: &other }]).unwrap();
    live.apply(&[Change::Upsert { handle: 0, vector: &other }, Change::Upsert { handle: 0, vector: &of_base }]).unwrap();
    assert_eq!(live.status().tail_rows, 1, "one that makes room for another");
    let both = [Change::Upsert { handle: 9, vector: &of_base }, Change::Upsert { handle: 0, vector: &other }];
    assert!(matches!(live.apply(&both), Err(IndexError::TailFull { max: 1 })));
}

#[test]
fn unfit_changes_change_nothing() {
    let mut model = Model::default();
    model.vectors.insert(0, vec![1.0; DIMENSION]);
    let live = LiveIndex::new(model.base(IndexKind::Exact), LiveSpec { tail_rows_max: 2, rebuild_share: 9.0 });
    let good = Change::Upsert { handle: 8, vector: &[2.0; DIMENSION] };
    let short = Change::Upsert { handle: 9, vector: &[2.0] };
    let bad = Change::Upsert { handle: 9, vector: &[f32::NAN; DIMENSION] };
    assert!(matches!(live.apply(&[good, short]), Err(IndexError::QueryDimension { found: 1, .. })));
    assert!(matches!(live.apply(&[good, bad]), Err(IndexError::Value { row: 9, column: 0, .. })));
    let many: Vec<Vec<f32>> = vec![vec![0.0; DIMENSION]; 3];
    let many: Vec<Change<'_>> = many.iter().zip(20..).map(|(vector, handle)| Change::Upsert { handle, vector }).collect();
    assert!(matches!(live.apply(&many), Err(IndexError::TailFull { max: 2 })));
    assert_eq!((live.status().tail_rows, live.status().masked_rows), (0, 0));
    let (mut scratch, mut scores) = (LiveScratch::default(), Vec::new());
    let unknown = live.snapshot().score(&[0.0; DIMENSION], &[0, 8], &mut scratch, &mut scores);
    assert!(matches!(unknown, Err(IndexError::RowUnknown { row: 8, rows: 1 })));
    assert!(!live.snapshot().row_into(8, &mut Vec::new()));
}
