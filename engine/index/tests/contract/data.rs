//! Seeded vectors and the helpers that the other modules share.

use std::sync::LazyLock;

use faces_index::{
    BuildSpec, Effort, IndexKind, Metric, Neighbour, RowSet, RowStorage, Scratch, Search, VectorIndex, Vectors, build,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

pub const METRICS: [Metric; 3] = [Metric::InnerProduct, Metric::Cosine, Metric::L2];
pub const KINDS: [IndexKind; 3] = [IndexKind::Exact, IndexKind::Ivf, IndexKind::Graph];
pub const STORAGES: [RowStorage; 2] = [RowStorage::Full, RowStorage::Compact];
pub const K: usize = 10;
const ROWS: usize = 3_000;
const DIMENSION: usize = 20;

/// All kinds over the same clustered rows, whose lengths differ by up to twice, and queries near the clusters.
pub struct Fixture {
    pub exact: Box<dyn VectorIndex>,
    pub ivf: Box<dyn VectorIndex>,
    pub graph: Box<dyn VectorIndex>,
    pub queries: Vec<Vec<f32>>,
}

/// The fixture of full rows.
pub fn fixture(metric: Metric) -> &'static Fixture {
    fixtures().find(|fixture| fixture.exact.metric() == metric).unwrap()
}

/// One for every metric, over full rows and then over compact ones.
pub fn fixtures() -> impl Iterator<Item = &'static Fixture> {
    static FIXTURES: LazyLock<[[Fixture; 3]; 2]> =
        LazyLock::new(|| STORAGES.map(|rows| METRICS.map(|metric| Fixture::make(metric, rows))));
    FIXTURES.iter().flatten()
}

impl Fixture {
    pub fn all(&self) -> [&dyn VectorIndex; 3] {
        [&*self.exact, &*self.ivf, &*self.graph]
    }

    pub fn approximate(&self) -> [&dyn VectorIndex; 2] {
        [&*self.ivf, &*self.graph]
    }

    fn make(metric: Metric, rows: RowStorage) -> Self {
        let mut random = Random::new(7);
        let centres: Vec<Vec<f32>> = (0..60).map(|_| random.vector(DIMENSION)).collect();
        let mut near = |spread: f32| {
            let centre = &centres[random.below(60)];
            let length = 0.5 + random.unit();
            let step = random.vector(DIMENSION);
            centre.iter().zip(step).map(|(value, step)| length * (value + spread * step)).collect::<Vec<f32>>()
        };
        let values: Vec<f32> = (0..ROWS).flat_map(|_| near(0.4)).collect();
        let queries = (0..200).map(|_| near(0.4)).collect();
        let vectors = Vectors::new(DIMENSION, values).unwrap();
        let make = |kind| made_of(vectors.clone(), metric, kind, rows);
        Self { exact: make(IndexKind::Exact), ivf: make(IndexKind::Ivf), graph: make(IndexKind::Graph), queries }
    }
}

pub fn made(vectors: Vectors, metric: Metric, kind: IndexKind) -> Box<dyn VectorIndex> {
    made_of(vectors, metric, kind, RowStorage::Full)
}

pub fn made_of(vectors: Vectors, metric: Metric, kind: IndexKind, rows: RowStorage) -> Box<dyn VectorIndex> {
    build(vectors, metric, &BuildSpec { kind: Some(kind), rows, ..BuildSpec::default() }).unwrap()
}

/// Every row as the index keeps it.
pub fn kept_rows(index: &dyn VectorIndex) -> Vec<Vec<f32>> {
    let mut values = Vec::new();
    let rows = (0..index.len() as u32).map(|row| {
        assert!(index.row_into(row, &mut values));
        values.clone()
    });
    rows.collect()
}

/// One search with everything fresh.
pub fn found(
    index: &dyn VectorIndex,
    query: &[f32],
    k: usize,
    effort: Option<Effort>,
    allowed: Option<&RowSet>,
) -> Vec<Neighbour> {
    let mut found = vec![Neighbour { row: 9, score: 9.0 }];
    index.search(&Search { effort, allowed, ..Search::new(query, k) }, &mut Scratch::new(), &mut found).unwrap();
    found
}

pub fn rows(found: &[Neighbour]) -> Vec<u32> {
    found.iter().map(|neighbour| neighbour.row).collect()
}

/// Mean share of the exact answers that `index`, one of the fixture's, finds.
pub fn recall(fixture: &Fixture, index: &dyn VectorIndex, allowed: Option<&RowSet>) -> f64 {
    let (mut hits, mut wanted) = (0, 0);
    for query in &fixture.queries {
        let truth = found(&*fixture.exact, query, K, None, allowed);
        let answer = found(index, query, K, None, allowed);
        assert_eq!(answer.len(), truth.len());
        hits += truth.iter().filter(|neighbour| answer.contains(neighbour)).count();
        wanted += truth.len();
    }
    hits as f64 / wanted.max(1) as f64
}

pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn unit(&mut self) -> f32 {
        self.0.next_u32() as f32 / u32::MAX as f32
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0.next_u32() as usize % end
    }

    /// Roughly normal values: the sum of twelve uniform ones.
    pub fn vector(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| (0..12).map(|_| self.unit()).sum::<f32>() - 6.0).collect()
    }
}
