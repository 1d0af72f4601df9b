//! A live index against a plain map and brute force: seeded operations, with queries running at the same time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use faces_index::{
    BuildSpec, Change, IndexError, IndexKind, LiveIndex, LiveNeighbour, LiveScratch, LiveSpec, Metric, VectorIndex, Vectors,
    build,
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
        let score = |vector: &Vec<f32>| -query.iter().zip(vector).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let mut scores: Vec<f32> = allowed.map(|(_, vector)| 0.0 + score(vector)).collect();
        scores.sort_by(|left, right| right.total_cmp(left));
        scores.truncate(k);
        scores
    }

    fn base(&self, kind: IndexKind) -> (Arc<dyn VectorIndex>, Vec<u32>) {
        let vectors = Vectors::new(DIMENSION, self.vectors.values().flatten().copied().collect()).unwrap();
        let spec = BuildSpec { kind: Some(kind), ..BuildSpec::default() };
        (Arc::from(build(vectors, METRIC, &spec).unwrap()), self.vectors.keys().copied().collect())
    }
}

#[track_caller]
fn check(live: &LiveIndex, model: &Model, random: &mut Random, scratch: &mut LiveScratch) {
    let (query, mut found) = (random.vector(), Vec::new());
    let effort = Some(faces_index::Effort(u32::MAX));
    let snapshot = live.snapshot();
    let odd = snapshot.filter(|handle| handle % 2 == 1);
    for (filter, k) in [(None, 7), (Some(&odd), 7), (None, 400)] {
        snapshot.search(&query, k, effort, filter, scratch, &mut found).unwrap();
        let expected = model.best(&query, k, |handle| filter.is_none() || handle % 2 == 1);
        assert_eq!(found.iter().map(|neighbour| neighbour.score).collect::<Vec<_>>(), expected);
        let handles: BTreeSet<u32> = found.iter().map(|neighbour| neighbour.handle).collect();
        assert_eq!(handles.len(), found.len());
        for LiveNeighbour { handle, score } in &found {
            assert_eq!(model.best(&query, 1, |other| other == *handle), [*score], "handle {handle}");
        }
    }
    let mut count = 0;
    snapshot.for_each(|_, _| count += 1);
    assert_eq!(count, model.vectors.keys().filter(|handle| !model.unavailable.contains(handle)).count());
}

fn run(seed: u64, kind: IndexKind) {
    println!("seed {seed}, {kind:?}");
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
    let mut model = Model::default();
    for handle in 0..150 {
        model.vectors.insert(handle * 3, random.vector());
    }
    let (base, handles) = model.base(kind);
    let live = LiveIndex::new(base, handles, LiveSpec { tail_rows_max: 120, rebuild_share: 0.5 }).unwrap();
    let (mut scratch, mut pending) = (LiveScratch::default(), None);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(ChaCha8Rng::seed_from_u64(!seed));
            let (mut scratch, mut found) = (LiveScratch::default(), Vec::new());
            while !is_done.load(Ordering::Relaxed) {
                live.snapshot().search(&random.vector(), 9, None, None, &mut scratch, &mut found).unwrap();
                assert!(found.is_sorted_by(|left, right| left.score >= right.score && left.handle != right.handle));
            }
        });
        for step in 0..400 {
            let (handle, vector) = (random.below(500), random.vector());
            let change = match random.below(10) {
                0..5 => Change::Upsert { handle, vector: &vector },
                5..8 => Change::Remove { handle },
                _ => Change::SetAvailable { handle, is_available: random.below(2) == 0 },
            };
            match live.apply(&[change]) {
                Ok(_) => match change {
                    Change::Upsert { .. } => drop(model.vectors.insert(handle, vector.clone())),
                    Change::Remove { .. } => drop(model.vectors.remove(&handle)),
                    Change::SetAvailable { is_available: true, .. } => drop(model.unavailable.remove(&handle)),
                    Change::SetAvailable { .. } => drop(model.unavailable.insert(handle)),
                },
                Err(IndexError::TailFull { max: 120 }) => assert!(live.status().is_rebuild_due),
                Err(error) => panic!("step {step}: {error}"),
            }
            // A rebuild starts now and lands some steps later; what happened meanwhile must stay in force.
            if pending.is_none() && live.status().is_rebuild_due {
                pending = Some((step + 15, model.base(kind), live.status().version));
            }
            if let Some((_, (base, handles), seen)) = pending.take_if(|(due, ..)| *due <= step) {
                live.rebase(base, handles, seen).unwrap();
            }
            check(&live, &model, &mut random, &mut scratch);
        }
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
fn unfit_changes_change_nothing() {
    let mut model = Model::default();
    model.vectors.insert(7, vec![1.0; DIMENSION]);
    let (base, handles) = model.base(IndexKind::Exact);
    assert!(matches!(LiveIndex::new(Arc::clone(&base), vec![1, 2], LiveSpec::default()), Err(IndexError::Handles { .. })));
    let live = LiveIndex::new(Arc::clone(&base), handles.clone(), LiveSpec { tail_rows_max: 2, rebuild_share: 9.0 }).unwrap();
    let good = Change::Upsert { handle: 8, vector: &[2.0; DIMENSION] };
    let short = Change::Upsert { handle: 9, vector: &[2.0] };
    let bad = Change::Upsert { handle: 9, vector: &[f32::NAN; DIMENSION] };
    assert!(matches!(live.apply(&[good, short]), Err(IndexError::QueryDimension { found: 1, .. })));
    assert!(matches!(live.apply(&[good, bad]), Err(IndexError::Value { row: 9, column: 0, .. })));
    let many: Vec<Vec<f32>> = vec![vec![0.0; DIMENSION]; 3];
    let many: Vec<Change<'_>> = many.iter().zip(20..).map(|(vector, handle)| Change::Upsert { handle, vector }).collect();
    assert!(matches!(live.apply(&many), Err(IndexError::TailFull { max: 2 })));
    assert_eq!((live.status().version, live.status().tail_rows, live.snapshot().version()), (0, 0, 0));
    let stale = live.snapshot().filter(|_| true);
    live.apply(&[good]).unwrap();
    let (mut scratch, mut found) = (LiveScratch::default(), Vec::new());
    let refused = live.snapshot().search(&[0.0; DIMENSION], 3, None, Some(&stale), &mut scratch, &mut found);
    assert!(matches!(refused, Err(IndexError::FilterRows { .. })));
    assert!(live.rebase(base, handles, 99).is_err());
}
