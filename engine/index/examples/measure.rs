//! Recall and cost of the kinds on given vectors, plain `hnsw_rs` beside them: where the constants in this crate come from.
//!
//! `cargo run --release -p faces-index --example measure -- base.fbin queries.fbin inner_product|cosine|l2 [part…]`
//!
//! Parts: `exact`, `ivf`, `graph`, `hnsw_rs`, `tune`, `filters`, `batch`, `batch_ivf`, `rows`, `load`; none is all. `tuning=FILE` gives the
//! queries to tune by. (`.fbin`: u32 count, u32 dimension, f32 rows, little-endian.) Recall is of the rows given, in `f32`. Times are CPU
//! time of one thread, the best of several passes; building counts every thread.
#![allow(clippy::expect_used)] // a refused query would make every figure wrong: stop

use std::error::Error;
use std::fs::read_to_string;
use std::hint::black_box;
use std::time::Instant;

use faces_index::{
    BuildSpec, Effort, IndexKind, Metric, PlainHnsw, RowSet, RowStorage, Scratch, Search, TuneSpec, VectorIndex, Vectors, build,
    build_tuned, read, write,
};

const K: usize = 10;
const PASSES: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [base, queries, metric, parts @ ..] = args.as_slice() else {
        return Err(
            "usage: measure base.fbin queries.fbin metric [exact|ivf|graph|hnsw_rs|tune|filters|batch|batch_ivf|rows|load|tuning=FILE]…"
                .into(),
        );
    };
    let metric = match metric.as_str() {
        "inner_product" => Metric::InnerProduct,
        "cosine" => Metric::Cosine,
        "l2" => Metric::L2,
        _ => return Err("the metric is inner_product, cosine or l2".into()),
    };
    let tuning = parts.iter().find_map(|part| part.strip_prefix("tuning=")).map(load).transpose()?;
    let is_all = parts.iter().all(|part| part.contains('='));
    let has = |part: &str| is_all || parts.iter().any(|given| given == part);
    let bench = Bench::new(load(base)?, load(queries)?, metric)?;
    if has("exact") {
        bench.show("exact", &*bench.exact, None);
    }
    if has("ivf") {
        let sqrt = (bench.base.len() as f64).sqrt();
        for cells in [2.0, 4.0, 8.0].map(|times| (times * sqrt) as usize) {
            let ivf = bench.build(&BuildSpec { kind: Some(IndexKind::Ivf), cells: Some(cells), ..BuildSpec::default() })?;
            for effort in [4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256] {
                bench.show(&format!("ivf {effort} of {cells}"), &*ivf, Some(Effort(effort)));
            }
        }
    }
    if has("graph") {
        let graph = bench.build(&BuildSpec { kind: Some(IndexKind::Graph), ..BuildSpec::default() })?;
        for effort in [10, 16, 24, 32, 48, 64, 128, 256, 512] {
            bench.show(&format!("graph {effort}"), &*graph, Some(Effort(effort)));
        }
        if has("filters") {
            bench.show_filters(&*graph, Some(Effort(48)));
        }
    }
    if has("hnsw_rs") {
        let before = process_cpu_s();
        let plain = PlainHnsw::build(&bench.base, metric, &BuildSpec::default())?;
        println!("  built in {:.1} CPU-s", process_cpu_s() - before);
        for ef in [10, 16, 24, 32, 48, 64, 128, 256, 512] {
            bench.show_plain(&plain, ef);
        }
    }
    if has("batch") {
        bench.show_batches(&*bench.exact, None);
    }
    if has("batch_ivf") {
        let ivf = bench.build(&BuildSpec { kind: Some(IndexKind::Ivf), ..BuildSpec::default() })?;
        for effort in [8, 32, 128] {
            bench.show_batches(&*ivf, Some(Effort(effort)));
        }
    }
    if has("tune") || has("filters") {
        let before = process_cpu_s();
        let (tuned, outcome) =
            build_tuned(bench.base.clone(), metric, &BuildSpec::default(), &TuneSpec::default(), tuning.as_ref())?;
        println!("tuned in {:.1} CPU-s", process_cpu_s() - before);
        for point in &outcome.frontier {
            let (kind, cost, measured) = (point.kind.name(), point.cost_us, point.us_per_query);
            let recalls = format!("recall@10 {:.4} @100 {:.4}", point.recall_10, point.recall_100);
            println!("  {kind:6} {:18} {recalls} counted {cost:7.1} us, measured {measured:7.1} us", point.setting);
        }
        bench.show(&format!("auto: {}", outcome.chosen.setting), &*tuned, None);
        if has("filters") {
            bench.show_filters(&*tuned, None);
        }
    }
    if has("rows") || has("load") {
        for kind in [IndexKind::Exact, IndexKind::Ivf] {
            for rows in [RowStorage::Full, RowStorage::Compact] {
                let index = bench.build(&BuildSpec { kind: Some(kind), rows, ..BuildSpec::default() })?;
                let bytes = index.memory_bytes() as f64 / index.len().max(1) as f64;
                bench.show(&format!("{} {rows:?}, {bytes:.1} B", kind.name()), &*index, None);
                if has("load") {
                    show_load(index)?;
                }
            }
        }
    }
    Ok(())
}

struct Bench {
    base: Vectors,
    queries: Vectors,
    metric: Metric,
    exact: Box<dyn VectorIndex>,
    truth: Vec<Vec<f32>>,
}

impl Bench {
    fn new(base: Vectors, queries: Vectors, metric: Metric) -> Result<Self, Box<dyn Error>> {
        println!("{} rows, dimension {}, {}", base.len(), base.dimension(), metric.name());
        let exact = build(base.clone(), metric, &BuildSpec { kind: Some(IndexKind::Exact), ..BuildSpec::default() })?;
        let truth = scores(&*exact, &*exact, &queries, None, None);
        Ok(Self { base, queries, metric, exact, truth })
    }

    fn build(&self, spec: &BuildSpec) -> Result<Box<dyn VectorIndex>, Box<dyn Error>> {
        let before = process_cpu_s();
        let index = build(self.base.clone(), self.metric, spec)?;
        println!("  built in {:.1} CPU-s", process_cpu_s() - before);
        Ok(index)
    }

    fn show(&self, name: &str, index: &dyn VectorIndex, effort: Option<Effort>) {
        let found = scores(&*self.exact, index, &self.queries, effort, None);
        let us = search_us(index, &self.queries, effort, None);
        line(name, recall(&self.truth, &found), us);
    }

    fn show_plain(&self, plain: &PlainHnsw, ef: usize) {
        let mut found = Vec::new();
        let (mut scratch, mut scores) = (Scratch::new(), Vec::new());
        let answers = self.queries.iter().map(|query| {
            plain.search(query, K, ef, None, &mut found).expect("queries fit the index");
            self.exact.score(query, &found, &mut scratch, &mut scores).expect("rows exist");
            scores.clone()
        });
        let recall = recall(&self.truth, &answers.collect::<Vec<_>>());
        let us = best_us(self.queries.len(), || {
            for query in self.queries.iter() {
                plain.search(query, K, ef, None, &mut found).expect("queries fit the index");
                black_box(&found);
            }
        });
        line(&format!("hnsw_rs {ef}"), recall, us);
    }

    /// Random filters; then, for each query, those that shut out the rows most like it.
    fn show_filters(&self, index: &dyn VectorIndex, effort: Option<Effort>) {
        for share in [0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9] {
            let limit = (share * f64::from(u32::MAX)) as u32;
            let hash = |row: u32| (u64::from(row).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
            let allowed = RowSet::from_fn(self.base.len(), |row| hash(row) < limit);
            let truth = scores(&*self.exact, &*self.exact, &self.queries, None, Some(&allowed));
            let found = scores(&*self.exact, index, &self.queries, effort, Some(&allowed));
            let us = search_us(index, &self.queries, effort, Some(&allowed));
            line(&format!("{} allowed {:.1} %", index.kind().name(), share * 100.0), recall(&truth, &found), us);
        }
        for share in [0.5, 0.9] {
            let (mut hits, mut us, mut count) = (0.0, 0.0, 0.0);
            let (mut scratch, mut near) = (Scratch::new(), Vec::new());
            for query in self.queries.iter().step_by(self.queries.len().div_ceil(50)) {
                let shut_out = ((1.0 - share) * self.base.len() as f64) as usize;
                self.exact.search(&Search::new(query, shut_out), &mut scratch, &mut near).expect("queries fit the index");
                let mut allowed = RowSet::full(self.base.len());
                for neighbour in &near {
                    allowed.remove(neighbour.row);
                }
                let one = Vectors::new(query.len(), query.to_vec()).expect("queries are sound");
                let truth = scores(&*self.exact, &*self.exact, &one, None, Some(&allowed));
                hits += recall(&truth, &scores(&*self.exact, index, &one, effort, Some(&allowed)));
                let before = thread_cpu_s();
                black_box(scores(&*self.exact, index, &one, effort, Some(&allowed)));
                us += (thread_cpu_s() - before) * 1e6;
                count += 1.0;
            }
            line(&format!("{} nearest {:.0} % shut out", index.kind().name(), 100.0 - share * 100.0), hits / count, us / count);
        }
    }

    fn show_batches(&self, index: &dyn VectorIndex, effort: Option<Effort>) {
        for size in [1, 4, 16, 64] {
            let searches: Vec<Search<'_>> = self.queries.iter().map(|query| Search { effort, ..Search::new(query, K) }).collect();
            let (mut scratch, mut found) = (Scratch::new(), Vec::new());
            let us = best_us(searches.len(), || {
                for searches in searches.chunks(size) {
                    index.search_batch(searches, &mut scratch, &mut found).expect("queries fit the index");
                    black_box(&found);
                }
            });
            let effort = effort.map(|effort| format!(" {}", effort.0)).unwrap_or_default();
            println!(
                "{}{effort} in batches of {size:2}: {us:8.1} us, {:9.0} queries per CPU-second",
                index.kind().name(),
                1e6 / us
            );
        }
    }
}

fn line(name: &str, recall: f64, us: f64) {
    println!("{name:32} recall@{K} {recall:.4} {us:8.1} us {:9.0} queries per CPU-second", 1e6 / us);
}

fn load(path: &str) -> Result<Vectors, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let (header, content) = bytes.split_at_checked(8).ok_or("no header")?;
    let dimension = u32::from_le_bytes(header.last_chunk().copied().ok_or("no header")?) as usize;
    let values = content.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value));
    Ok(Vectors::new(dimension, values.collect())?)
}

/// True scores, by `exact`, of the rows that `index` finds.
fn scores(
    exact: &dyn VectorIndex,
    index: &dyn VectorIndex,
    queries: &Vectors,
    effort: Option<Effort>,
    allowed: Option<&RowSet>,
) -> Vec<Vec<f32>> {
    let (mut scratch, mut found) = (Scratch::new(), Vec::new());
    let answer = |query| {
        index
            .search(&Search { effort, allowed, ..Search::new(query, K) }, &mut scratch, &mut found)
            .expect("queries fit the index");
        let (rows, mut scores): (Vec<u32>, Vec<f32>) = (found.iter().map(|neighbour| neighbour.row).collect(), Vec::new());
        exact.score(query, &rows, &mut scratch, &mut scores).expect("rows exist");
        scores
    };
    queries.iter().map(answer).collect()
}

/// Time to write and to read an index, and how far memory rises while reading.
fn show_load(index: Box<dyn VectorIndex>) -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    let (started, before) = (Instant::now(), process_cpu_s());
    write(&*index, &mut bytes)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), process_cpu_s() - before);
    println!("  written: {:.0} MB in {seconds:.2} s, {cpu:.2} CPU-s", bytes.len() as f64 / 1e6);
    let started = Instant::now();
    black_box(crc32c::crc32c(&bytes));
    println!("  of reading, checksum: {:.3} s; copying would take {:.3} s", started.elapsed().as_secs_f64(), {
        let started = Instant::now();
        black_box(bytes.clone());
        started.elapsed().as_secs_f64()
    });
    let index_mb = index.memory_bytes() as f64 / 1e6;
    drop(index);
    for _ in 0..PASSES {
        let (started, before, resident) = (Instant::now(), process_cpu_s(), status_mb("VmRSS"));
        let _ = std::fs::write("/proc/self/clear_refs", "5"); // forgets the peak so far
        let read = read(&bytes)?;
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), process_cpu_s() - before);
        let (peak, rate) = (status_mb("VmHWM") - resident, bytes.len() as f64 / 1e9 / seconds);
        println!(
            "  read: {seconds:.2} s ({rate:.2} GB/s), {cpu:.2} CPU-s, index {index_mb:.0} MB, at most {peak:.0} MB beside the file"
        );
        black_box(read);
    }
    Ok(())
}

/// A figure of this process in megabytes.
fn status_mb(name: &str) -> f64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1.024e-3
}

fn search_us(index: &dyn VectorIndex, queries: &Vectors, effort: Option<Effort>, allowed: Option<&RowSet>) -> f64 {
    let (mut scratch, mut found) = (Scratch::new(), Vec::new());
    best_us(queries.len(), || {
        for query in queries.iter() {
            index
                .search(&Search { effort, allowed, ..Search::new(query, K) }, &mut scratch, &mut found)
                .expect("queries fit the index");
            black_box(&found);
        }
    })
}

/// CPU time of a pass over so many queries, divided by them: the best of several passes, each long enough to be timed.
fn best_us(queries: usize, mut pass: impl FnMut()) -> f64 {
    const PASS_SECONDS_MIN: f64 = 0.15;
    let mut timed = || {
        let (before, mut rounds) = (thread_cpu_s(), 0);
        loop {
            pass();
            rounds += 1;
            let seconds = thread_cpu_s() - before;
            if seconds >= PASS_SECONDS_MIN {
                return seconds * 1e6 / (rounds * queries) as f64;
            }
        }
    };
    (0..PASSES).map(|_| timed()).fold(f64::INFINITY, f64::min)
}

/// Share of the true answers that were found; one with the score of the last true one counts.
fn recall(truth: &[Vec<f32>], found: &[Vec<f32>]) -> f64 {
    let pairs = || truth.iter().zip(found);
    let hits = pairs().map(|(truth, found)| {
        let least = truth.last().copied().unwrap_or(f32::INFINITY);
        found.iter().filter(|score| **score >= least).count().min(truth.len())
    });
    hits.sum::<usize>() as f64 / truth.iter().map(Vec::len).sum::<usize>().max(1) as f64
}

/// CPU seconds of this thread so far.
fn thread_cpu_s() -> f64 {
    let stat = read_to_string("/proc/thread-self/schedstat").expect("Linux with scheduler statistics");
    let nanoseconds = stat.split_whitespace().next().and_then(|field| field.parse::<f64>().ok());
    nanoseconds.expect("a number of nanoseconds") / 1e9
}

/// CPU seconds of all threads so far.
fn process_cpu_s() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}
