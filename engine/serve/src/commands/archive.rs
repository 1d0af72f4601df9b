//! `faces archive`: the log as Parquet files to rebuild from.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use super::progress;
use crate::{
    archive::{ArchiveOptions, Archived, SpanLimits, archive},
    config::Config,
    logs, shutdown,
};

/// Copies the topics of events, identity and catalogue to Parquet files, each record exactly once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces archive --to /srv/lake
  faces archive --to s3://bucket/lake --minutes 15 --set kafka.brokers=broker-1:9092
  faces archive --to /srv/lake --once --json        up to the log's end, as a job by the clock

Files are <to>/<topic>/day=<day>/<topic>-<partition>-<first offset>.parquet, with the columns of `faces import` and more; the day is the
log's. Several archivers of one group share the partitions. Whatever dies, the next run goes on behind the last file of each partition.")]
pub struct ArchiveArgs {
    /// A folder, or the URL of a place in an object store (s3://, gs://, az:// where built in; credentials from the environment).
    #[arg(long, value_name = "FOLDER or URL")]
    to: String,
    /// Consumer group of the archivers; default: the topic prefix and `-archive`.
    #[arg(long)]
    group: Option<String>,
    /// Most rows of a file.
    #[arg(long, default_value_t = 500_000, value_name = "ROWS")]
    rows: usize,
    /// A file ends so many minutes after its first record at the latest.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// End once everything that is in the log has been archived.
    #[arg(long)]
    once: bool,
    /// Go on where the log no longer has what the archive lacks.
    #[arg(long)]
    accept_gaps: bool,
    /// Print one JSON object at the end instead of text.
    #[arg(long)]
    json: bool,
}

/// Runs the command until SIGTERM or Ctrl-C, or to the log's end.
///
/// # Errors
/// A place that can't be written, a log that can't be read or lacks what was to come next.
pub fn run(args: &ArchiveArgs, config: &Config) -> Result<()> {
    ensure!(args.rows > 0, "--rows must be 1 or more");
    ensure!(args.minutes > 0.0 && args.minutes <= 1_440.0, "--minutes must be above 0 and at most 1440");
    logs::start(&config.log)?;
    let started = Instant::now();
    let topics = config.kafka.topics()?;
    let options = ArchiveOptions {
        cluster: config.kafka.cluster(),
        group: args.group.clone().unwrap_or_else(|| format!("{}-archive", config.kafka.topic_prefix)),
        topics,
        record_limits: config.kafka.limits(),
        to: args.to.clone(),
        span_limits: SpanLimits { rows_max: args.rows, age_max: Duration::from_secs_f64(args.minutes * 60.0) },
        once: args.once,
        accepts_gaps: args.accept_gaps,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    std::thread::Builder::new().name("faces-signals".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(shutdown::asked_to_stop());
            heard.store(true, Ordering::Relaxed);
        }
    })?;
    let line = progress::line("archiving");
    let show = |done: &Archived| {
        line.set_message(format!("archiving: {} rows in {} files, {} MiB", done.rows, done.files, done.bytes >> 20));
    };
    let done = archive(&options, &stop, show)?;
    line.finish_and_clear();
    let Archived { rows, files, bytes, refused, outrun } = done;
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        let object = json!({
            "rows": rows, "files": files, "bytes": bytes, "refused": refused, "outrun": outrun, "seconds": seconds, "to": args.to,
        });
        println!("{object}");
        return Ok(());
    }
    println!("{rows} rows in {files} files, {:.1} MiB, {seconds:.1} s, to {}", bytes as f64 / f64::from(1 << 20), args.to);
    if refused > 0 {
        println!("  left out: {refused} records that the server refuses too; see `faces dlq list`");
    }
    Ok(())
}
