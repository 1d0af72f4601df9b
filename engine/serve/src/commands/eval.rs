//! `faces eval`: offline quality, through the served code.

mod compare;
mod shown;
mod variants;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use faces_core::event::EventKind;
use faces_index::IndexKind;
use serde_json::{Map, Value, json};

use self::variants::VariantArgs;
use super::{
    files::{check_apart, check_writable},
    progress,
};
use crate::{
    config::Config,
    engine::EngineOptions,
    eval::{
        Comparison, GroupUplift, Inputs, Judge, KindSet, Outcomes, QuerySet, RANK_MAX, Replay, ReplayOptions, Replayed, Rounds,
        Summary, Variant, VariantFigures, live_over_textbook, read_queries,
        report::{RunNotes, render},
        variants_json,
    },
    own_model,
};

/// Replays a log in time order through the served code and answers queries; scores the answers too.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  faces eval --events events.csv.zst --items items.csv.zst --links links.csv.zst --queries q.csv --out recs.csv
  faces eval --events e.parquet --items i.parquet --queries q.csv --siloed --rebuild-days 7 --out siloed.csv --json
  faces eval --events e.csv --items i.csv --queries q.csv --out recs.csv --target-types buy,cart --report quality.html
  faces eval --events e.csv --items i.csv --links l.csv --queries q.csv --out recs.csv --against-siloed siloed.csv
  faces eval --events e.csv --items i.csv --queries q.csv --out recs.csv --ablations --report sources.html
  faces eval --events e.csv --items i.csv --queries q.csv --out recs.csv --only history --without together+latest
  faces eval compare siloed.csv recs.csv --queries q.csv --events e.csv.zst --links l.csv.zst

Before a query at time t exactly the events with time < t have been applied, and the generation in service was trained
on a log cut at or before t. Output rows are query_id,rank,item_id, rank from 1.

A query's targets are what its account did at its very moment; queries without targets are answered but not scored.
Segments are those of the queries file; without, warm: the person has events in the unit before, cold: only elsewhere,
none: nowhere. Thin are those with one to four. Intervals hold 95 of 100 resamplings of persons (accounts that links
join), not of queries.

Sources are interest, co_visitation, content, trending, trending_in_category, trending_in_region, new, neighbours, neighbours_elsewhere,
together, latest and history. What each is worth is measured in the same replay; differences are relative to the served answers, over the same
persons. A slate of one source is not filled up; without a source, the ranker keeps the weights it learnt with it.")]
pub struct EvalArgs {
    #[command(subcommand)]
    action: Option<Action>,
    // Side by side, not one in the other: clap does not see that an optional group is given when it holds a group.
    #[command(flatten)]
    replay: Option<ReplayArgs>,
    #[command(flatten)]
    judging: Option<JudgingArgs>,
    #[command(flatten)]
    variants: Option<VariantArgs>,
}

#[derive(Subcommand, Debug)]
enum Action {
    Compare(compare::CompareArgs),
}

#[derive(Args, Debug)]
struct ReplayArgs {
    /// Events table: CSV, CSV + zstd or Parquet (ts_ms,bu,local_user_id,item_id,event_type[,value,currency]).
    #[arg(long)]
    events: PathBuf,
    /// Items table (item_id,bu[,title,category,brand,price,currency,tags,regions,stock,embedding]).
    #[arg(long)]
    items: PathBuf,
    /// Links table (ts_ms,bu_a,local_user_a,bu_b,local_user_b[,operation,evidence,confidence]).
    #[arg(long)]
    links: Option<PathBuf>,
    /// Use the target unit's history only, in profiles and in training.
    #[arg(long)]
    siloed: bool,
    /// Replay once more with each unit alone, write those answers here, and report the uplift over them.
    #[arg(long, value_name = "FILE.csv", conflicts_with = "siloed")]
    against_siloed: Option<PathBuf>,
    /// Train a new generation every so many days of the log, on what came before; 0: once, at the first query.
    #[arg(long, default_value_t = 14, value_name = "DAYS")]
    rebuild_days: u32,
    /// Items an answer holds; of fewer than 20, figures @20 (and @10) are of so many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    k: u16,
    /// Where the answers go.
    #[arg(long)]
    out: PathBuf,
    /// Write the figures as one HTML page that needs nothing else.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// What is asked, and what counts.
#[derive(Args, Debug)]
struct JudgingArgs {
    /// Queries: query_id,ts_ms,bu,local_user_id[,segment].
    #[arg(long)]
    queries: PathBuf,
    /// Items that may not be recommended on a day: day_ms,bu,item_id.
    #[arg(long)]
    exclude: Option<PathBuf>,
    /// Accounts whose events are not replayed: bu,local_user_id.
    #[arg(long)]
    hidden: Option<PathBuf>,
    /// Only events of these types count as targets, e.g. buy,cart. Default: all.
    #[arg(long, value_delimiter = ',', value_name = "TYPE,...", value_parser = event_kind)]
    target_types: Vec<EventKind>,
    /// How often persons are resampled for intervals; 0: no intervals.
    #[arg(long, default_value_t = Rounds::USUAL, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    rounds: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn event_kind(name: &str) -> Result<EventKind, String> {
    crate::rows::event_kind(name.trim()).map_err(|error| error.to_string())
}

impl JudgingArgs {
    fn target_kinds(&self) -> KindSet {
        if self.target_types.is_empty() {
            return KindSet::ALL;
        }
        self.target_types.iter().fold(KindSet::default(), |set, kind| set.with(KindSet::of(*kind)))
    }

    /// Why no query at all could be scored.
    fn nothing_to_score(&self, events: &Path) -> String {
        let (queries, events) = (self.queries.display(), events.display());
        let of_types = if self.target_types.is_empty() { "" } else { " of the types in --target-types" };
        let ruled_out = if self.exclude.is_some() { " whose item --exclude allows" } else { "" };
        format!(
            "no query of {queries} has a target: {events} has no event{of_types}{ruled_out} of the account that asks at exactly the \
             ts_ms of its query"
        )
    }
}

/// Runs the command.
///
/// # Errors
/// Anything wrong with the input, by file and row.
pub fn run(args: &EvalArgs, config: &Config) -> Result<()> {
    match (&args.action, &args.replay, &args.judging) {
        (Some(Action::Compare(compare)), ..) => compare::run(compare),
        (None, Some(replay), Some(judging)) => {
            let variants = args.variants.as_ref().map(VariantArgs::variants).unwrap_or_default();
            run_replay(replay, judging, &variants, config)
        }
        _ => bail!("nothing to do; see faces eval --help"),
    }
}

fn run_replay(args: &ReplayArgs, judging: &JudgingArgs, variants: &[Variant], config: &Config) -> Result<()> {
    let started = Instant::now();
    let read = [Some(&args.events), Some(&args.items), args.links.as_ref(), Some(&judging.queries)];
    let read = read.into_iter().chain([judging.exclude.as_ref(), judging.hidden.as_ref()]).flatten();
    let written =
        [("--out", Some(&args.out)), ("--against-siloed", args.against_siloed.as_ref()), ("--report", args.report.as_ref())];
    check_apart(read, written)?;
    let mut training = config.training.clone();
    // How items are searched makes hardly a difference to quality, and tuning that anew for every generation takes most of the time.
    training.index.kind = training.index.kind.or(Some(IndexKind::Exact));
    let options = ReplayOptions {
        state: config.state_options(),
        engine: EngineOptions { own_model: own_model::for_replay(&config.ranking.own_model)?, ..config.engine_options() },
        training,
        rebuild_days: args.rebuild_days,
        siloed: args.siloed,
        wanted: usize::from(args.k),
    };
    let inputs = Inputs { events: args.events.clone(), items: args.items.clone(), links: args.links.clone() };
    let set = read_queries(&judging.queries, judging.exclude.as_deref(), judging.hidden.as_deref())?;
    let reading = progress::line("reading");
    let replay = Replay::read(&inputs, options)?;
    reading.finish_and_clear();
    set.check_units(&judging.queries, replay.tables())?;
    [&args.against_siloed, &args.report].into_iter().flatten().try_for_each(|path| check_writable(path))?;
    let (replayed, served, of_variants) = answer_all(&replay, &set, variants, judging, &args.out)?;
    if !served.has_targets() {
        eprintln!("warning: {}; the answers were written, but not scored", judging.nothing_to_score(&args.events));
    }
    if args.k < u16::from(RANK_MAX) {
        eprintln!("note: answers hold {} items, so figures @20 (and @10) are of no more than these", args.k);
    }
    let rounds = Rounds::new(judging.rounds);
    let resampling = progress::line("resampling persons");
    let items: usize = served.catalogue.values().sum();
    let mut summary = Summary::new(&served, rounds);
    let each = variants.iter().zip(&of_variants);
    summary.variants = each.map(|(variant, outcomes)| VariantFigures::new(*variant, &served, outcomes, rounds)).collect();
    summary.over_textbook = live_over_textbook(variants, &of_variants, rounds);
    resampling.finish_and_clear();
    if let Some(path) = &args.against_siloed {
        let (_, siloed, _) = answer_all(&replay.siloed(), &set, &[], judging, path)?;
        summary.over_siloed = Some(Comparison::new(&siloed, &served, rounds));
    }
    if let Some(path) = &args.report {
        let subtitle = format!(
            "{} queries against {} items, {} events replayed, {}",
            set.queries.len(),
            items,
            replayed.events,
            if args.siloed { "each unit alone" } else { "units together" }
        );
        let notes =
            RunNotes { subtitle, rounds: judging.rounds, inputs: inputs_of(args, judging), configuration: configuration(config) };
        fs::write(path, render(&summary, &notes)?).with_context(|| format!("can't write {}", path.display()))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    if judging.json {
        let by_segment = |of: &[GroupUplift]| of.iter().map(|group| (group.name.clone(), group.to_json())).collect::<Map<_, _>>();
        let over_textbook: Map<String, Value> =
            summary.over_textbook.iter().map(|(name, of)| (name.clone(), by_segment(of).into())).collect();
        let object = json!({
            "queries": set.queries.len(), "events_applied": replayed.events, "events_hidden": replayed.events_hidden,
            "rebuilds": replayed.rebuilds, "items": items, "siloed": args.siloed, "segments": summary.segments_json(),
            "units": summary.units_json(), "target_types": summary.kinds_json(), "coverage_20": summary.all.lists.coverage_20,
            "first_hits": summary.first_hits, "rounds": judging.rounds, "seconds": seconds, "out": args.out, "report": args.report,
            "variants": variants_json(&summary.variants), "over_textbook": over_textbook, "over_siloed": summary.over_siloed.as_ref().map(Comparison::to_json),
        });
        println!("{object}");
        return Ok(());
    }
    shown::summary(&summary);
    shown::variants(&summary.variants);
    for (name, segments) in &summary.over_textbook {
        println!("\n{name} -> live neighbours");
        shown::uplifts(segments);
    }
    if let Some(comparison) = &summary.over_siloed {
        println!("\neach unit alone -> units together");
        shown::comparison(comparison);
    }
    println!(
        "coverage@20 {:.1} % of {} items; {} events applied, {} rebuilds, {seconds:.1} s; answers in {}",
        summary.all.lists.coverage_20.unwrap_or(0.0) * 100.0,
        items,
        replayed.events,
        replayed.rebuilds,
        args.out.display()
    );
    Ok(())
}

/// Replays and judges; the answers go to `out`.
fn answer_all(
    replay: &Replay,
    set: &QuerySet,
    variants: &[Variant],
    judging: &JudgingArgs,
    out: &Path,
) -> Result<(Replayed, Outcomes, Vec<Outcomes>)> {
    let mut judge = Judge::new(replay.tables(), set, judging.target_kinds())?;
    let mut rows = csv::Writer::from_path(out).with_context(|| format!("can't write {}", out.display()))?;
    rows.write_record(["query_id", "rank", "item_id"])?;
    let bar = progress::bar(set.queries.len() as u64, "moments");
    let replayed = replay.run(
        set,
        variants,
        |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        },
        |query, answer| {
            for (n, item) in answer.items.iter().enumerate() {
                rows.write_record([&query.query_id, &(n + 1).to_string(), item])?;
            }
            judge.add(query, answer.items.iter().enumerate().map(|(n, item)| (n + 1, item.as_str())))?;
            judge.add_variants(query, &answer.variants)
        },
    )?;
    rows.flush()?;
    bar.finish_and_clear();
    let (served, of_variants) = judge.finish_all();
    Ok((replayed, served, of_variants))
}

fn inputs_of(args: &ReplayArgs, judging: &JudgingArgs) -> Vec<(String, String)> {
    let path = |path: &Path| path.display().to_string();
    let optional = |given: &Option<PathBuf>| given.as_deref().map_or_else(|| "–".to_owned(), path);
    let types = judging.target_types.iter().map(|kind| crate::eval::kind_name(*kind)).collect::<Vec<_>>().join(", ");
    let rebuilds = if args.rebuild_days == 0 { "once".to_owned() } else { format!("every {} days", args.rebuild_days) };
    [
        ("events", path(&args.events)),
        ("items", path(&args.items)),
        ("links", optional(&args.links)),
        ("queries", path(&judging.queries)),
        ("excluded items", optional(&judging.exclude)),
        ("hidden accounts", optional(&judging.hidden)),
        ("answers", path(&args.out)),
        ("target types", if types.is_empty() { "all".to_owned() } else { types }),
        ("siloed", if args.siloed { "yes" } else { "no" }.to_owned()),
        ("trained", rebuilds),
        ("items an answer", args.k.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .to_vec()
}

/// The sections that answers depend on, key by key.
fn configuration(config: &Config) -> Vec<(String, String)> {
    let sections = [
        ("identity", serde_json::to_value(config.identity)),
        ("ranking", serde_json::to_value(&config.ranking)),
        ("training", serde_json::to_value(&config.training)),
    ];
    let mut pairs = Vec::new();
    for (name, section) in sections {
        flatten(name, &section.unwrap_or_default(), &mut pairs);
    }
    pairs
}

fn flatten(name: &str, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(keys) => keys.iter().for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, pairs)),
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        // Many keys are f32: as such they read as they were written, 0.7 and not 0.699999988.
        Value::Number(number) if number.is_f64() => {
            pairs.push((name.to_owned(), (number.as_f64().unwrap_or_default() as f32).to_string()));
        }
        other => pairs.push((name.to_owned(), other.to_string())),
    }
}
