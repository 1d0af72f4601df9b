//! Recall and cost of the kinds on given vectors: where the constants in this crate come from.
//!
//! `cargo run --release -p faces-index --example measure -- base.fbin queries.fbin inner_product|cosine [ef_construction]`
//! (`.fbin`: u32 count, u32 dimension, f32 rows, little-endian.) Times are the best of several passes on one thread.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use faces_index::{BuildSpec, Effort, IndexKind, Metric, Neighbour, RowSet, Scratch, Search, VectorIndex, Vectors, build};

const K: usize = 10;

#[allow(clippy::expect_used)] // a refused query would make every figure wrong: stop
fn ask(index: &dyn VectorIndex, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) {
    index.search(search, scratch, found).expect("queries fit the index");
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [base, queries, metric, rest @ ..] = args.as_slice() else {
        return Err("usage: measure base.fbin queries.fbin inner_product|cosine [ef_construction]".into());
    };
    let metric = if metric == "cosine" { Metric::Cosine } else { Metric::InnerProduct };
    let (base, queries) = (load(base)?, load(queries)?);
    let exact = build(base.clone(), metric, &BuildSpec { kind: Some(IndexKind::Exact), ..BuildSpec::default() })?;
    let started = Instant::now();
    let ef_construction = rest.first().map_or(Ok(BuildSpec::default().ef_construction), |number| number.parse())?;
    let graph = build(base, metric, &BuildSpec { kind: Some(IndexKind::Graph), ef_construction, ..BuildSpec::default() })?;
    println!(
        "{} rows, dimension {}: built in {:.1} s",
        exact.vectors().len(),
        exact.vectors().dimension(),
        started.elapsed().as_secs_f32()
    );

    let truth = answers(&*exact, &queries, Effort::default(), None);
    println!("exact          {:7.1} us", best_us(&*exact, &queries, Effort::default(), None));
    for effort in [16, 32, 64, 128, 256, 512, 1024].map(Effort) {
        let found = answers(&*graph, &queries, effort, None);
        let cost = best_us(&*graph, &queries, effort, None);
        println!("graph ef {:5} {:7.1} us  recall@{K} {:.4}", effort.0, cost, recall(&truth, &found));
    }
    for per_mille in [1, 10, 50, 100, 200, 300, 500, 900] {
        let allowed =
            RowSet::from_fn(exact.vectors().len(), |row| row.wrapping_mul(2_654_435_761) >> 8 & 1023 < per_mille * 1024 / 1000);
        let truth = answers(&*exact, &queries, Effort::default(), Some(&allowed));
        let found = answers(&*graph, &queries, Effort::default(), Some(&allowed));
        let scan_us = best_us(&*exact, &queries, Effort::default(), Some(&allowed));
        let graph_us = best_us(&*graph, &queries, Effort::default(), Some(&allowed));
        println!(
            "allowed {:4.1} %: scan {scan_us:7.1} us, graph ef 64 {graph_us:7.1} us recall@{K} {:.4}",
            f64::from(per_mille) / 10.0,
            recall(&truth, &found)
        );
    }
    Ok(())
}

fn load(path: &str) -> Result<Vectors, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let dimension = bytes.get(4..8).ok_or("no header")?;
    let dimension = u32::from_le_bytes(dimension.try_into()?) as usize;
    let values = bytes[8..].chunks_exact(4).map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]]));
    Ok(Vectors::new(dimension, values.collect())?)
}

fn answers(index: &dyn VectorIndex, queries: &Vectors, effort: Effort, allowed: Option<&RowSet>) -> Vec<Vec<Neighbour>> {
    let mut scratch = Scratch::new();
    let answer = |query| {
        let mut found = Vec::new();
        let search = Search { query, k: K, effort, allowed };
        ask(index, &search, &mut scratch, &mut found);
        found
    };
    queries.iter().map(answer).collect()
}

fn best_us(index: &dyn VectorIndex, queries: &Vectors, effort: Effort, allowed: Option<&RowSet>) -> f64 {
    let (mut scratch, mut found) = (Scratch::new(), Vec::new());
    let mut pass = || {
        let started = Instant::now();
        for query in queries.iter() {
            let search = Search { query, k: K, effort, allowed };
            ask(index, &search, &mut scratch, &mut found);
            black_box(&found);
        }
        started.elapsed().as_secs_f64() * 1e6 / queries.len() as f64
    };
    (0..5).map(|_| pass()).fold(f64::INFINITY, f64::min)
}

/// Share of the true answers that were found; one with the score of the last true one counts.
fn recall(truth: &[Vec<Neighbour>], found: &[Vec<Neighbour>]) -> f64 {
    let mut hits = 0;
    for (truth, found) in truth.iter().zip(found) {
        let least = truth.last().map_or(f32::INFINITY, |last| last.score);
        hits += found.iter().filter(|neighbour| neighbour.score >= least).count();
    }
    hits as f64 / truth.iter().map(Vec::len).sum::<usize>() as f64
}
