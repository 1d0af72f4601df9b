//! Search in the exact scan and in the graph, with the recall that the graph pays for its speed.
#![allow(missing_docs, reason = "criterion's macros write items without docs")]
#![allow(clippy::expect_used, reason = "a bench whose world can't be built has failed")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use faces_benches::{
    Scale,
    vectors::{DIMENSION, matrix},
};
use faces_index::{BuildSpec, Effort, IndexKind, Metric, Neighbour, Scratch, Search, VectorIndex, Vectors, build};

const QUERIES: usize = 200;
/// What is asked: the ten best, and as many as one source of a slate takes.
const ASKED: [usize; 2] = [10, 300];

fn search(index: &dyn VectorIndex, query: &[f32], k: usize, scratch: &mut Scratch, found: &mut Vec<Neighbour>) {
    let effort = Effort((k as u32).max(Effort::default().0));
    index.search(&Search::new(query, k).with_effort(effort), scratch, found).expect("a sound query");
}

/// Share of the exact answers that `index` finds.
fn recall(exact: &dyn VectorIndex, index: &dyn VectorIndex, queries: &Vectors, k: usize) -> f64 {
    let (mut scratch, mut truth, mut found) = (Scratch::new(), Vec::new(), Vec::new());
    let (mut hits, mut asked) = (0, 0);
    for query in queries.iter() {
        search(exact, query, k, &mut scratch, &mut truth);
        search(index, query, k, &mut scratch, &mut found);
        hits += truth.iter().filter(|hit| found.iter().any(|other| other.row == hit.row)).count();
        asked += truth.len();
    }
    hits as f64 / asked as f64
}

fn kinds(criterion: &mut Criterion) {
    let scale = Scale::of_this_run();
    let queries = matrix(QUERIES, 1);
    for full in [5_000, 50_000] {
        let rows = scale.size(full);
        let spec = |kind| BuildSpec { kind: Some(kind), ..BuildSpec::default() };
        let of = |kind| build(matrix(rows, 0), Metric::Cosine, &spec(kind)).expect("a sound spec");
        let (exact, graph) = (of(IndexKind::Exact), of(IndexKind::Graph));
        let mut group = criterion.benchmark_group(format!("search {rows} x {DIMENSION}"));
        for k in ASKED {
            println!("graph over {rows} x {DIMENSION}: recall@{k} {:.4}", recall(&*exact, &*graph, &queries, k));
            for index in [&*exact, &*graph] {
                let (mut scratch, mut found) = (Scratch::new(), Vec::new());
                let mut asked = (0..queries.len() as u32).cycle();
                group.bench_function(BenchmarkId::new(index.kind().name(), k), |bencher| {
                    bencher.iter(|| {
                        let query = asked.next().and_then(|row| queries.row(row)).expect("queries without end");
                        search(index, black_box(query), k, &mut scratch, &mut found);
                        found.len()
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, kinds);
criterion_main!(benches);
