//! The command line.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};
use faces_rebuild::{TrainParams, prepared::Counting};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{Limits, Request, Session, bytes, prepare};

/// Prepares the tables that `faces rebuild` trains on, out of a data lake: SQL on DataFusion.
#[derive(Parser, Debug)]
#[command(name = "faces-lake", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Prepare(Box<PrepareArgs>),
    /// Runs a scheduler of a cluster.
    #[cfg(feature = "cluster")]
    Scheduler(crate::cluster::SchedulerArgs),
    /// Runs an executor of a cluster.
    #[cfg(feature = "cluster")]
    Executor(crate::cluster::ExecutorArgs),
}

/// Counts what training needs, and writes it as tables.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces-lake prepare --events lake/faces.events.market --items items.csv.zst --out prepared
  faces-lake prepare --events 's3://lake/faces.events.*/day=2026-1*/*.parquet' --items s3://lake/items.parquet --out prepared --memory-limit 4GiB

`faces rebuild` runs this by itself where its --events names a folder, a pattern or a URL.")]
pub struct PrepareArgs {
    /// Events: a Parquet file, a folder of such, a pattern, or a URL (s3://, gs://, az://).
    #[arg(long, value_name = "PATH|PATTERN|URL")]
    events: String,
    /// Items: CSV, CSV + zstd or Parquet, likewise.
    #[arg(long, value_name = "PATH|PATTERN|URL")]
    items: String,
    /// Links, likewise; without them every account is a person of its own.
    #[arg(long, value_name = "PATH|PATTERN|URL")]
    links: Option<String>,
    /// Only what happened before this time, in milliseconds since 1970; by default before now.
    #[arg(long, value_name = "MS")]
    until_ms: Option<i64>,
    /// What is counted, as JSON; by default as training by default wants it.
    #[arg(long, value_name = "JSON", value_parser = counting)]
    counting: Option<Counting>,
    /// Folder for the tables.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Memory for sorts, joins and sums; beyond it they spill. The process itself takes some 1 GiB more.
    #[arg(long, value_name = "BYTES", default_value = "4GiB", value_parser = bytes::parse)]
    memory_limit: u64,
    /// Folder to spill to; by default one in the folder for the tables.
    #[arg(long, value_name = "FOLDER")]
    spill: Option<PathBuf>,
    /// Threads; by default one a core.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Run the SQL on the cluster whose scheduler has this address (df://host:port); all its processes must see the same paths and stores.
    #[arg(long, value_name = "URL")]
    cluster: Option<String>,
    /// Leave what fades and pairs to training where they fit in the memory limit (some 200 bytes an event): faster on one machine.
    #[arg(long)]
    without_pairs: bool,
    /// Keep the steps that a run before, which was killed, has made of the same inputs.
    #[arg(long)]
    resume: bool,
    /// Print the manifest of what was prepared.
    #[arg(long)]
    json: bool,
}

fn counting(text: &str) -> Result<Counting, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Parses the command line and runs it. Errors go to standard error with their causes; the exit code is then 1 (2 for bad usage).
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = runtime().and_then(|runtime| runtime.block_on(dispatch(&cli)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    // Plans are deep, and so are the stacks of those that walk them.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(8 << 20).build();
    runtime.context("can't start threads")
}

async fn dispatch(cli: &Cli) -> Result<()> {
    match &cli.command {
        Command::Prepare(args) => run_prepare(args).await,
        #[cfg(feature = "cluster")]
        Command::Scheduler(args) => crate::cluster::run_scheduler(args).await,
        #[cfg(feature = "cluster")]
        Command::Executor(args) => crate::cluster::run_executor(args).await,
    }
}

async fn run_prepare(args: &PrepareArgs) -> Result<()> {
    ensure!(args.memory_limit >= 64 << 20, "--memory-limit of {} bytes is below 64MiB; give more", args.memory_limit);
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    let out = std::path::absolute(&args.out).with_context(|| format!("no folder has the name {}", args.out.display()))?;
    let spill = args.spill.clone().unwrap_or_else(|| out.with_extension("spill"));
    let session = session(args, &Limits { memory_bytes: args.memory_limit as usize, spill: spill.clone(), threads }).await?;
    let request = Request {
        events: args.events.clone(),
        items: args.items.clone(),
        links: args.links.clone(),
        until_ms: args.until_ms,
        counting: args.counting.clone().unwrap_or_else(|| (&TrainParams::default()).into()),
        out,
        resumes: args.resume,
        pairs_bytes: args.memory_limit,
        training_bytes: if args.without_pairs { args.memory_limit } else { 0 },
    };
    let manifest = prepare(&session, &request, &bar()).await.context("nothing was prepared")?;
    drop(session);
    let report = &manifest.report;
    if args.until_ms.is_none() && report.after_cut_off > 0 {
        eprintln!(
            "warning: {} events of {} are dated later than now and left out: is a clock wrong?",
            report.after_cut_off, args.events
        );
    }
    if args.spill.is_none() {
        let _ = std::fs::remove_dir_all(&spill); // empty by now; a rest of it does no harm
    }
    if args.json {
        println!("{}", serde_json::to_string(&manifest)?);
        return Ok(());
    }
    println!("{} interactions of {} events", report.interactions, report.events_read);
    for table in &manifest.tables {
        println!("  {:<12} {:>12} rows, content {}", table.name, table.rows, table.content);
    }
    let steps: Vec<String> = manifest.seconds_by_step.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
    println!("{}", steps.join(", "));
    Ok(())
}

#[cfg(feature = "cluster")]
async fn session(args: &PrepareArgs, limits: &Limits) -> Result<Session> {
    match &args.cluster {
        Some(url) => Ok(Session::cluster(url, limits.threads).await?),
        None => Ok(Session::local(limits)?),
    }
}

#[cfg(not(feature = "cluster"))]
async fn session(args: &PrepareArgs, limits: &Limits) -> Result<Session> {
    ensure!(
        args.cluster.is_none(),
        "this program was built without clusters; build it with `cargo build --release --features cluster --manifest-path engine/lake/Cargo.toml`"
    );
    Ok(Session::local(limits)?)
}

/// Progress on standard error, where a person looks on.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(12);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{msg:>14} {bar:40} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
