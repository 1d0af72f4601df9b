//! `faces index`: how good and how fast the index is, on anyone's vectors.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use faces_index::{BuildSpec, Metric, TuneSpec};
use indicatif::ProgressBar;
use serde_json::json;

use super::{
    files::{check_apart, check_writable},
    progress,
};
use crate::index_bench::{
    Bench, Run, Step,
    contestants::{Contestant, Plan},
    fbin, plot,
};

/// Measures the index.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  faces index bench --base items.fbin --queries people.fbin --metric ip --plot frontier.svg")]
pub struct IndexArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Bench(BenchArgs),
}

/// Measures recall against cost for every kind of index and for plain hnsw_rs, over the same vectors in one run.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces index bench --base items.fbin --queries people.fbin --metric ip
  faces index bench --base items.fbin --queries people.fbin --metric cosine --k 100 --kind exact --kind graph --json
  faces index bench --base items.fbin --queries people.fbin --metric ip --filter-share 0.01 --plot frontier.svg

An .fbin file is u32 rows, u32 dimension, then f32 values row by row, all little-endian. Recall is judged against a plain f32 scan
that shares no code with the index; rows within a hundred-thousandth of the last true score count. Queries run on one thread, pass
after pass; queries per CPU-second are those of the fastest pass, p50 and p99 are over each query's fastest answer. Building
seconds are CPU time of all threads. Compare lines of one run; under another load, or on another machine, figures differ.")]
pub struct BenchArgs {
    /// The rows to index (.fbin).
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// What to ask (.fbin of the same dimension).
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// The similarity.
    #[arg(long)]
    metric: MetricArg,
    /// Rows an answer holds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    k: u16,
    /// Measure this kind; may be repeated. Default: all. Plain hnsw_rs always runs beside.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<KindArg>,
    /// Ask under a random filter that allows this share of the rows.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    filter_share: Option<f64>,
    /// Other queries (.fbin) for `auto` to tune by; default: made up from the base.
    #[arg(long, value_name = "FILE")]
    tuning_queries: Option<PathBuf>,
    /// Cells of an inverted file; default: about four times the square root of the rows.
    #[arg(long)]
    cells: Option<usize>,
    /// Neighbours a node of a graph asks for, of ours and of hnsw_rs.
    #[arg(long, default_value_t = BuildSpec::default().m)]
    m: usize,
    /// Candidates considered while inserting into a graph, of ours and of hnsw_rs.
    #[arg(long, default_value_t = BuildSpec::default().ef_construction)]
    ef_construction: usize,
    /// Decides every random choice.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// CPU seconds to spend on each setting, in whole passes; 0 is one pass.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// Draw recall against queries per CPU-second to this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum MetricArg {
    /// Inner product.
    Ip,
    /// Cosine.
    Cosine,
    /// Euclidean distance.
    L2,
}

impl MetricArg {
    fn metric(self) -> Metric {
        match self {
            Self::Ip => Metric::InnerProduct,
            Self::Cosine => Metric::Cosine,
            Self::L2 => Metric::L2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Cosine => "cosine",
            Self::L2 => "l2",
        }
    }
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum KindArg {
    /// Scores every row.
    Exact,
    /// Scans the cells nearest to the query.
    Ivf,
    /// Walks a frozen neighbour graph.
    Graph,
    /// What `faces rebuild` would choose: the cheapest setting that meets its recall target.
    Auto,
}

impl KindArg {
    fn contestant(self) -> Contestant {
        match self {
            Self::Exact => Contestant::Exact,
            Self::Ivf => Contestant::Ivf,
            Self::Graph => Contestant::Graph,
            Self::Auto => Contestant::Auto,
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    within(text, 0.0..=1.0, "a share from 0 to 1")
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0..=3600.0, "seconds from 0 to 3600")
}

fn within(text: &str, range: std::ops::RangeInclusive<f64>, what: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| format!("must be {what}"))
}

/// Runs the command.
///
/// # Errors
/// Files that can't be read or don't fit together, by name; a plot that can't be written.
pub fn run(args: &IndexArgs) -> Result<()> {
    match &args.action {
        Action::Bench(args) => bench(args),
    }
}

fn bench(args: &BenchArgs) -> Result<()> {
    check_apart([&args.base, &args.queries], [("--plot", args.plot.as_ref())])?;
    args.plot.as_deref().map_or(Ok(()), check_writable)?;
    let (base, queries) = (fbin::read(&args.base)?, fbin::read(&args.queries)?);
    let is_asked = |contestant: &Contestant| {
        let is_named = args.kinds.iter().any(|kind| kind.contestant() == *contestant);
        is_named || args.kinds.is_empty() || *contestant == Contestant::HnswRs
    };
    let plan = Plan {
        metric: args.metric.metric(),
        build: BuildSpec {
            cells: args.cells,
            m: args.m,
            ef_construction: args.ef_construction,
            seed: args.seed,
            ..BuildSpec::default()
        },
        tune: TuneSpec::default(),
        tuning_queries: args.tuning_queries.as_deref().map(fbin::read).transpose()?,
    };
    let bench = Bench {
        plan,
        k: usize::from(args.k),
        contestants: Contestant::ALL.into_iter().filter(is_asked).collect(),
        filter_share: args.filter_share,
        cpu_seconds_min: args.seconds,
    };
    let bar = progress::bar((queries.len() + bench.settings()) as u64, "true answers");
    let runs = bench.run(&base, &queries, &|step| show(&bar, step))?;
    bar.finish_and_clear();
    if let Some(path) = &args.plot {
        let title = format!("{} × {}, {}, recall@{}", base.len(), base.dimension(), args.metric.name(), args.k);
        plot::draw(&runs, &title, path).with_context(|| format!("can't write {}", path.display()))?;
    }
    if args.json {
        let object = json!({
            "base": args.base, "queries": args.queries, "metric": args.metric.name(), "k": args.k, "rows": base.len(),
            "dimension": base.dimension(), "query_rows": queries.len(), "filter_share": args.filter_share, "seed": args.seed,
            "m": args.m, "ef_construction": args.ef_construction, "runs": runs,
        });
        println!("{object}");
    } else {
        print_table(&runs);
    }
    Ok(())
}

fn show(bar: &ProgressBar, step: Step<'_>) {
    match step {
        Step::Answered | Step::Measured(_) => bar.inc(1),
        Step::Skipped(settings) => bar.inc(settings as u64),
        Step::Building(contestant) => bar.set_message(contestant.name()),
    }
    bar.enable_steady_tick(Duration::from_secs(1));
}

fn print_table(runs: &[Run]) {
    println!(
        "{:<8} {:<15} {:>8} {:>13} {:>10} {:>10} {:>12} {:>13}",
        "kind", "setting", "recall", "queries/CPU-s", "p50 us", "p99 us", "bytes/vector", "build CPU-s"
    );
    for run in runs {
        println!(
            "{:<8} {:<15} {:>8.4} {:>13.0} {:>10.1} {:>10.1} {:>12.0} {:>13.1}",
            run.kind.name(),
            run.setting,
            run.recall,
            run.qps_cpu,
            run.p50_us,
            run.p99_us,
            run.bytes_per_vector,
            run.build_cpu_s
        );
    }
}
