//! `faces eval`: offline quality, through the served code.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use faces_index::IndexKind;
use serde_json::json;

use super::progress;
use crate::eval::{Inputs, Replay, ReplayOptions, read_queries};

/// Replays a log in time order through the served code and answers queries; scores the answers too.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces eval --events events.csv.zst --items items.csv.zst --links links.csv.zst --queries q.csv --out recs.csv
  faces eval --events e.parquet --items i.parquet --queries q.csv --siloed --rebuild-days 7 --out siloed.csv --json

Before a query at time t exactly the events with time < t have been applied, and the generation in service was trained
on a log cut at or before t. Output rows are query_id,rank,item_id, rank from 1.")]
pub struct EvalArgs {
    /// Events table: CSV, CSV + zstd or Parquet (ts_ms,bu,local_user_id,item_id,event_type[,value,currency]).
    #[arg(long)]
    events: PathBuf,
    /// Items table (item_id,bu[,title,category,brand,price]).
    #[arg(long)]
    items: PathBuf,
    /// Links table (ts_ms,bu_a,local_user_a,bu_b,local_user_b).
    #[arg(long)]
    links: Option<PathBuf>,
    /// Queries: query_id,ts_ms,bu,local_user_id[,segment].
    #[arg(long)]
    queries: PathBuf,
    /// Items that may not be recommended on a day: day_ms,bu,item_id.
    #[arg(long)]
    exclude: Option<PathBuf>,
    /// Accounts whose events are not replayed: bu,local_user_id.
    #[arg(long)]
    hidden: Option<PathBuf>,
    /// Use the target unit's history only, in profiles and in training.
    #[arg(long)]
    siloed: bool,
    /// Train a new generation every so many days of the log, on what came before; 0: once, before the first query.
    #[arg(long, default_value_t = 14, value_name = "DAYS")]
    rebuild_days: u32,
    /// Items an answer holds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    k: u16,
    /// Where the answers go.
    #[arg(long)]
    out: PathBuf,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Anything wrong with the input, by file and row.
pub fn run(args: &EvalArgs, config: &crate::config::Config) -> Result<()> {
    let started = Instant::now();
    let mut training = config.training.clone();
    // How items are searched makes hardly a difference to quality, and tuning that anew for every generation takes most of the time.
    training.index.kind = training.index.kind.or(Some(IndexKind::Exact));
    let options = ReplayOptions {
        state: config.state_options(),
        engine: config.engine_options(),
        training,
        rebuild_days: args.rebuild_days,
        siloed: args.siloed,
        wanted: usize::from(args.k),
    };
    let inputs = Inputs { events: args.events.clone(), items: args.items.clone(), links: args.links.clone() };
    let set = read_queries(&args.queries, args.exclude.as_deref(), args.hidden.as_deref())?;
    let replay = Replay::read(&inputs, options)?;
    let mut out = csv::Writer::from_path(&args.out).with_context(|| format!("can't write {}", args.out.display()))?;
    out.write_record(["query_id", "rank", "item_id"])?;
    let bar = progress::bar(set.queries.len() as u64, "queries");
    let replayed = replay.run(
        &set,
        |done| bar.set_position(done as u64),
        |query, items| {
            for (n, item) in items.iter().enumerate() {
                out.write_record([&query.query_id, &(n + 1).to_string(), *item])?;
            }
            Ok(())
        },
    )?;
    out.flush()?;
    bar.finish_and_clear();
    let (means, coverage) = (replayed.scorecard.means(), replayed.scorecard.coverage_20(replayed.items));
    if args.json {
        let object = json!({
            "queries": set.queries.len(), "events_applied": replayed.events, "events_hidden": replayed.events_hidden,
            "rebuilds": replayed.rebuilds, "items": replayed.items, "siloed": args.siloed, "segments": means,
            "coverage_20": coverage, "seconds": started.elapsed().as_secs_f64(), "out": args.out,
        });
        println!("{object}");
        return Ok(());
    }
    println!("{:<10} {:>8} {:>8} {:>8} {:>8} {:>8}", "segment", "queries", "HR@10 %", "HR@20 %", "NDCG@10", "MRR@20");
    for (name, m) in means {
        let [hr_10, hr_20, ndcg_10, mrr_20] = [m.hr_10, m.hr_20, m.ndcg_10, m.mrr_20].map(|share| share * 100.0);
        println!("{name:<10} {:>8} {hr_10:>8.2} {hr_20:>8.2} {ndcg_10:>8.2} {mrr_20:>8.2}", m.queries);
    }
    println!(
        "coverage@20 {:.1} % of {} items; {} events applied, {} rebuilds, {:.1} s; answers in {}",
        coverage * 100.0,
        replayed.items,
        replayed.events,
        replayed.rebuilds,
        started.elapsed().as_secs_f64(),
        args.out.display()
    );
    Ok(())
}
