//! The index by itself: kernels, kinds with the recall they reach, filters, batches, changes while serving.
#![allow(missing_docs, reason = "criterion's macros write items without docs")]
#![allow(clippy::expect_used, reason = "a bench whose world can't be built has failed")]

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faces_benches::{
    Scale,
    vectors::{DIMENSION, matrix},
};
use faces_index::{
    BuildSpec, Change, Facets, IndexKind, LiveIndex, LiveScratch, LiveSpec, Metric, Neighbour, RowSet, Scratch, Search,
    VectorIndex, Vectors, build,
};

const QUERIES: usize = 200;
/// What is asked: the ten best, and as many as one source of a slate takes.
const ASKED: [usize; 2] = [10, 300];
const KINDS: [Option<IndexKind>; 4] = [Some(IndexKind::Exact), Some(IndexKind::Ivf), Some(IndexKind::Graph), None];

fn index(vectors: Vectors, kind: Option<IndexKind>) -> Box<dyn VectorIndex> {
    build(vectors, Metric::Cosine, &BuildSpec { kind, ..BuildSpec::default() }).expect("a sound spec")
}

fn name(kind: Option<IndexKind>) -> &'static str {
    kind.map_or("auto", IndexKind::name)
}

/// Share of the exact answers that `index` finds.
fn recall(index: &dyn VectorIndex, exact: &dyn VectorIndex, queries: &Vectors, k: usize, allowed: Option<&RowSet>) -> f64 {
    let (mut scratch, mut truth, mut found) = (Scratch::new(), Vec::new(), Vec::new());
    let (mut hits, mut asked) = (0, 0);
    for query in queries.iter() {
        let search = Search { allowed, ..Search::new(query, k) };
        exact.search(&search, &mut scratch, &mut truth).expect("a sound query");
        index.search(&search, &mut scratch, &mut found).expect("a sound query");
        hits += truth.iter().filter(|hit| found.iter().any(|other| other.row == hit.row)).count();
        asked += truth.len();
    }
    hits as f64 / asked.max(1) as f64
}

/// One search after another, over the queries in turn.
fn ask(bencher: &mut criterion::Bencher<'_>, index: &dyn VectorIndex, queries: &Vectors, k: usize, allowed: Option<&RowSet>) {
    let (mut scratch, mut found) = (Scratch::new(), Vec::<Neighbour>::new());
    let mut at = (0..queries.len() as u32).cycle();
    bencher.iter(|| {
        let query = at.next().and_then(|row| queries.row(row)).expect("queries without end");
        let search = Search { allowed, ..Search::new(black_box(query), k) };
        index.search(&search, &mut scratch, &mut found).expect("a sound query");
        found.len()
    });
}

/// The inner loops, over rows that stay in the second cache: int8 codes one after another, and true scores of picked rows.
fn kernels(criterion: &mut Criterion) {
    const ROWS: u32 = 4_096;
    let mut group = criterion.benchmark_group("kernels");
    for dimension in [64_usize, 128, 256] {
        let narrow = matrix(ROWS as usize * dimension / DIMENSION, 2);
        let vectors = Vectors::new(dimension, narrow.as_slice().to_vec()).expect("whole finite rows");
        let exact = index(vectors.clone(), Some(IndexKind::Exact));
        let picked: Vec<u32> = (0..1_024).map(|n| n * 5 % ROWS).collect();
        let (mut scratch, mut found, mut scores) = (Scratch::new(), Vec::new(), Vec::new());
        let query: Vec<f32> = vectors.row(7).expect("a row").to_vec();
        group.throughput(Throughput::Elements(u64::from(ROWS)));
        group.bench_function(BenchmarkId::new("scan of 4,096 rows, d", dimension), |bencher| {
            bencher.iter(|| exact.search(&Search::new(black_box(&query), 10), &mut scratch, &mut found).expect("a sound query"));
        });
        group.throughput(Throughput::Elements(picked.len() as u64));
        group.bench_function(BenchmarkId::new("scores of 1,024 rows, d", dimension), |bencher| {
            bencher.iter(|| exact.score(black_box(&query), &picked, &mut scratch, &mut scores).expect("known rows"));
        });
    }
    group.finish();
}

fn kinds(criterion: &mut Criterion) {
    let scale = Scale::of_this_run();
    let queries = matrix(QUERIES, 1);
    for full in [5_000, 50_000] {
        let rows = scale.size(full);
        let exact = index(matrix(rows, 0), Some(IndexKind::Exact));
        let mut group = criterion.benchmark_group(format!("search {rows} x {DIMENSION}"));
        for kind in KINDS {
            let index = index(matrix(rows, 0), kind);
            for k in ASKED {
                println!(
                    "{} ({}): recall@{k} {:.4}",
                    name(kind),
                    index.kind().name(),
                    recall(&*index, &*exact, &queries, k, None)
                );
                group.bench_function(BenchmarkId::new(name(kind), k), |bencher| ask(bencher, &*index, &queries, k, None));
            }
        }
        group.finish();
    }
}

fn filters(criterion: &mut Criterion) {
    let rows = Scale::of_this_run().size(50_000);
    let queries = matrix(QUERIES, 1);
    let exact = index(matrix(rows, 0), Some(IndexKind::Exact));
    let mut group = criterion.benchmark_group(format!("filtered search {rows} x {DIMENSION}, k = 10"));
    for kind in KINDS {
        let index = index(matrix(rows, 0), kind);
        for share in [0.001, 0.01, 0.1, 0.5, 1.0] {
            let allowed = RowSet::from_fn(rows, |row| f64::from(row.wrapping_mul(0x9E37_79B9)) < share * f64::from(u32::MAX));
            let found = recall(&*index, &*exact, &queries, 10, Some(&allowed));
            println!("{} ({}), {share} allowed: recall@10 {found:.4}", name(kind), index.kind().name());
            group.bench_function(BenchmarkId::new(name(kind), share), |bencher| {
                ask(bencher, &*index, &queries, 10, Some(&allowed));
            });
        }
    }
    group.finish();
}

/// From what rows carry to the rows that a filter allows.
fn facets(criterion: &mut Criterion) {
    let rows = Scale::of_this_run().size(50_000);
    let mut facets = Facets::new();
    let (categories, brands): (Vec<String>, Vec<String>) =
        ((0..10).map(|n| n.to_string()).collect(), (0..500).map(|n| n.to_string()).collect());
    for row in 0..rows {
        let terms = [(0, categories[row * 7_919 % 10].as_str()), (1, brands[row * 7_919 % 500].as_str())];
        facets.set(row as u32, terms, Some((row * 31 % 1_000) as f64));
    }
    let mut allowed = RowSet::default();
    let mut group = criterion.benchmark_group(format!("filters of {rows} rows"));
    let mut bench = |name: &str, unite: &dyn Fn(&mut RowSet)| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                allowed.reset(rows);
                unite(&mut allowed);
                allowed.count()
            });
        });
    };
    bench("a term of 1 row in 10", &|allowed| facets.unite_term((0, "3"), allowed));
    bench("a term of 1 row in 500", &|allowed| facets.unite_term((1, "3"), allowed));
    bench("a range of 1 row in 2", &|allowed| facets.unite_range(100.0, 600.0, allowed));
    let mut row = 0;
    group.bench_function("a row changes its terms", |bencher| {
        bencher.iter(|| {
            row = (row + 1) % rows as u32;
            facets.set(row, [(0, "3"), (1, brands[row as usize % 500].as_str())], Some(f64::from(row)));
        });
    });
    group.finish();
}

/// Searches one by one against searches that share a pass over the codes.
fn batches(criterion: &mut Criterion) {
    let scale = Scale::of_this_run();
    let queries = matrix(QUERIES, 1);
    for kind in [IndexKind::Exact, IndexKind::Ivf] {
        let rows = scale.size(50_000);
        let index = index(matrix(rows, 0), Some(kind));
        let mut group = criterion.benchmark_group(format!("batches over {rows} x {DIMENSION}, {}", kind.name()));
        for size in [1, 4, 16, 64] {
            let (mut scratch, mut found, mut first) = (Scratch::new(), Vec::new(), 0);
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| {
                    first = (first + size) % QUERIES;
                    let asked = (0..size).filter_map(|n| queries.row(((first + n) % QUERIES) as u32));
                    let searches: Vec<Search<'_>> = asked.map(|query| Search::new(query, 10)).collect();
                    index.search_batch(black_box(&searches), &mut scratch, &mut found).expect("sound queries");
                });
            });
        }
        group.finish();
    }
}

/// What changes cost, and what they cost the queries.
fn changes(criterion: &mut Criterion) {
    let rows = Scale::of_this_run().size(50_000);
    let (queries, news) = (matrix(QUERIES, 1), matrix(4_096, 3));
    let base: Arc<dyn VectorIndex> = Arc::from(index(matrix(rows, 0), None));
    let mut group = criterion.benchmark_group(format!("live {rows} x {DIMENSION}"));
    for tail in [0, 256, 4_096] {
        let live = LiveIndex::new(Arc::clone(&base), LiveSpec::default());
        let upserts: Vec<_> =
            news.iter().zip(rows as u32..).take(tail).map(|(vector, handle)| Change::Upsert { handle, vector }).collect();
        live.apply(&upserts).expect("sound changes");
        let (mut scratch, mut found, mut at) = (LiveScratch::default(), Vec::new(), (0..QUERIES as u32).cycle());
        group.bench_function(BenchmarkId::new("search, new vectors", tail), |bencher| {
            bencher.iter(|| {
                let query = at.next().and_then(|row| queries.row(row)).expect("queries without end");
                live.snapshot().search(&Search::new(query, 10), &mut scratch, &mut found).expect("a sound query");
            });
        });
        let handle = rows as u32 + tail.saturating_sub(1) as u32;
        let mut row = (0..news.len() as u32).cycle();
        group.bench_function(BenchmarkId::new("one upsert until visible, new vectors", tail), |bencher| {
            bencher.iter(|| {
                let vector = row.next().and_then(|row| news.row(row)).expect("vectors without end");
                live.apply(&[Change::Upsert { handle, vector }]).expect("a sound change");
                live.snapshot()
            });
        });
        let mut handle = (0..rows as u32).cycle();
        group.bench_function(BenchmarkId::new("one item sold out and back, new vectors", tail), |bencher| {
            bencher.iter(|| {
                let handle = handle.next().expect("handles without end");
                for is_available in [false, true] {
                    live.apply(&[Change::SetAvailable { handle, is_available }]).expect("a sound change");
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, kernels, kinds, filters, facets, batches, changes);
criterion_main!(benches);
