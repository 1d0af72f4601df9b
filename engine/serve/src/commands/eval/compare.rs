//! `faces eval compare`: is one run better than another, and how sure is that?

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::{JudgingArgs, shown};
use crate::{
    commands::progress,
    eval::{Answers, Comparison, Judge, Log, Outcomes, QuerySet, Rounds, read_queries},
};

/// Compares two files of answers to the same queries: relative uplift of the second over the first, with intervals.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces eval compare siloed.csv unified.csv --queries q.csv --events e.csv.zst --links l.csv.zst
  faces eval compare one_source.csv blend.csv --queries q.csv --events e.parquet --target-types buy --json

Uplift is mean of the second / mean of the first - 1. Intervals hold 95 of 100 resamplings of persons, both runs over the
same persons; where too many of them leave the first nothing, they have no upper end (inf, null in JSON). Give the links, so
that the accounts of one person are drawn together. A query that a file does not answer is a miss.")]
pub struct CompareArgs {
    /// Answers to compare with: query_id,rank,item_id, as faces eval writes them.
    #[arg(value_name = "BASELINE")]
    baseline: PathBuf,
    /// Answers that may be better.
    #[arg(value_name = "ANSWERS")]
    answers: PathBuf,
    /// Events table, the one that was replayed.
    #[arg(long)]
    events: PathBuf,
    /// Items table; not needed for hits.
    #[arg(long)]
    items: Option<PathBuf>,
    /// Links table: which accounts are one person.
    #[arg(long)]
    links: Option<PathBuf>,
    #[command(flatten)]
    judging: JudgingArgs,
}

/// Runs the command.
///
/// # Errors
/// Anything wrong with the input, by file and row; no query that has a target.
pub fn run(args: &CompareArgs) -> Result<()> {
    let judging = &args.judging;
    let set = read_queries(&judging.queries, judging.exclude.as_deref(), judging.hidden.as_deref())?;
    let line = progress::line("reading");
    let log = Log::read(&args.events, args.items.as_deref(), args.links.as_deref())?;
    set.check_units(&judging.queries, log.tables())?;
    let judged = |path: &PathBuf| -> Result<(Outcomes, usize)> {
        let judge = Judge::new(log.tables(), &set, judging.target_kinds())?;
        Answers::read(path)?.judged(&set, judge).with_context(|| format!("can't judge {}", path.display()))
    };
    let ((baseline, baseline_unanswered), (new, new_unanswered)) = (judged(&args.baseline)?, judged(&args.answers)?);
    ensure!(baseline.has_targets(), "{}; nothing can be compared", judging.nothing_to_score(&args.events));
    line.set_message("resampling persons");
    let comparison = Comparison::new(&baseline, &new, Rounds::new(judging.rounds));
    line.finish_and_clear();
    if judging.json {
        let mut object = json!({
            "baseline": { "answers": args.baseline, "unanswered": baseline_unanswered },
            "new": { "answers": args.answers, "unanswered": new_unanswered },
            "rounds": judging.rounds,
        });
        if let (Value::Object(object), Value::Object(groups)) = (&mut object, comparison.to_json()) {
            object.extend(groups);
        }
        println!("{object}");
        return Ok(());
    }
    println!("{} -> {}", args.baseline.display(), args.answers.display());
    shown::comparison(&comparison);
    warn_of_unanswered(&set, &args.baseline, baseline_unanswered);
    warn_of_unanswered(&set, &args.answers, new_unanswered);
    Ok(())
}

fn warn_of_unanswered(set: &QuerySet, path: &Path, unanswered: usize) {
    if unanswered > 0 {
        eprintln!("{} does not answer {unanswered} of {} queries; they count as misses", path.display(), set.queries.len());
    }
}
