//! `faces index bench` through the binary, on 500 × 16 vectors.

#![allow(clippy::unwrap_used)] // a test stops where its world can't be made

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use faces_index::Vectors;
use faces_serve::index_bench::fbin;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde_json::Value;
use tempfile::TempDir;

fn vectors(rows: usize, seed: u64) -> Vectors {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut value = || (random.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0;
    Vectors::new(16, (0..rows * 16).map(|_| value()).collect()).unwrap()
}

struct Files {
    folder: TempDir,
    base: PathBuf,
    queries: PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (base, queries) = (folder.path().join("base.fbin"), folder.path().join("queries.fbin"));
        fs::write(&base, fbin::encode(&vectors(500, 1))).unwrap();
        fs::write(&queries, fbin::encode(&vectors(20, 2))).unwrap();
        Self { folder, base, queries }
    }

    fn bench(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
        command.args(["index", "bench", "--seconds", "0", "--base"]).arg(&self.base).arg("--queries").arg(&self.queries);
        command.args(args).current_dir(self.folder.path()).output().unwrap()
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let output = self.bench(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, args: &[&str], expected: &[&str]) {
        let output = self.bench(args);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(expected.iter().all(|part| message.contains(part)), "{message}");
    }
}

fn kinds(object: &Value) -> Vec<&str> {
    let mut kinds: Vec<&str> = object["runs"].as_array().unwrap().iter().map(|run| run["kind"].as_str().unwrap()).collect();
    kinds.dedup();
    kinds
}

#[track_caller]
fn check_runs(object: &Value) {
    for run in object["runs"].as_array().unwrap() {
        let number = |key: &str| run[key].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&number("recall")) && number("qps_cpu") > 0.0, "{run}");
        assert!(number("p50_us") > 0.0 && number("p50_us") <= number("p99_us"), "{run}");
        assert!(number("bytes_per_vector") >= 64.0 && number("build_cpu_s") >= 0.0, "{run}");
        assert!(!run["setting"].as_str().unwrap().is_empty());
        if run["kind"] == "exact" {
            assert_eq!(number("recall"), 1.0);
        }
    }
}

#[test]
fn every_kind_is_measured_under_every_metric() {
    let files = Files::new();
    for metric in ["ip", "cosine", "l2"] {
        let object = files.json(&["--metric", metric]);
        assert_eq!(kinds(&object), ["exact", "ivf", "graph", "auto", "hnsw_rs"]);
        assert_eq!((&object["metric"], &object["k"]), (&metric.into(), &10.into()));
        assert_eq!((&object["rows"], &object["dimension"]), (&500.into(), &16.into()));
        assert_eq!(object["base"], files.base.to_str().unwrap());
        assert_eq!(object["queries"], files.queries.to_str().unwrap());
        assert!(object["filter_share"].is_null());
        check_runs(&object);
    }
}

#[test]
fn kinds_filters_and_large_k() {
    let files = Files::new();
    let object = files.json(&["--metric", "ip", "--kind", "exact", "--filter-share", "0.1"]);
    assert_eq!((kinds(&object), &object["filter_share"]), (vec!["exact", "hnsw_rs"], &0.1.into()));
    check_runs(&object);
    check_runs(&files.json(&["--metric", "cosine", "--k", "1000"]));
    check_runs(&files.json(&["--metric", "cosine", "--filter-share", "0"]));
}

#[test]
fn the_table_and_the_plot() {
    let files = Files::new();
    let output = files.bench(&["--metric", "cosine", "--plot", "frontier.svg"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.starts_with("kind") && table.contains("\nexact    scan              1.0000 "), "{table}");
    let widths: HashSet<usize> = table.lines().filter(|line| !line.is_empty()).map(str::len).collect();
    assert_eq!(widths.len(), 1, "columns stay in line, whatever a setting is called: {table}");
    let plot = fs::read_to_string(files.folder.path().join("frontier.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("hnsw_rs"));
}

#[test]
fn bad_input_is_refused_by_name() {
    let files = Files::new();
    files.refused(&["--metric", "cosine", "--filter-share", "1.5"], &["--filter-share", "a share from 0 to 1"]);
    files.refused(&["--metric", "cosine", "--m", "1"], &["build parameter m is 1"]);
    files.refused(&["--metric", "ip", "--plot", "no/such/folder.svg"], &["no/such/folder.svg"]);
    fs::write(&files.queries, fbin::encode(&Vectors::new(2, vec![1.0; 4]).unwrap())).unwrap();
    files.refused(&["--metric", "ip"], &["base has dimension 16, the queries 2"]);
    let whole = fs::read(&files.base).unwrap();
    fs::write(&files.base, whole.get(..1000).unwrap()).unwrap();
    files.refused(&["--metric", "ip"], &["base.fbin", "takes 32008 bytes, found 1000"]);
    fs::remove_file(Path::new(&files.base)).unwrap();
    files.refused(&["--metric", "ip"], &["base.fbin", "No such file"]);
}
