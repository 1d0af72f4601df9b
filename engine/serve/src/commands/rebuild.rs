//! `faces rebuild`: from tables to a published generation.

mod kept;
mod lake;

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use faces_core::ranking::Regime;
use faces_rebuild::{
    Prepared, Stage,
    generation::{Generation, Input},
    ranker::{TrainedRanker, Verdict},
    tables::{newest, read_events, read_items, read_links},
    train, train_prepared,
    training::{AssembleError, Assembled, AssemblyReport, LogError, assemble},
};
use kept::Kept;
use lake::{LakeArgs, Named};
use serde_json::json;

use super::{
    files::{check_apart, check_writable},
    progress,
};
use crate::{
    clock,
    config::Config,
    eval::{Log, learn, learn_prepared},
    publish::{Publication, PublishArgs, Source, open_store, replay_options},
};

/// Trains item embeddings and neighbours on an event log, builds an index per business unit, and publishes a generation.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces rebuild --events events.csv.zst --items items.csv.zst --links links.csv.zst
  faces rebuild --events e.parquet --items i.parquet --until 2014-01-01T00:00:00Z --out /srv/generations --json
  faces rebuild --events e.csv.zst --items i.csv.zst --report gates.html --force 'a third of the range was sold'
  faces rebuild --events 'lake/faces.events.*/day=*/*.parquet' --items items.csv.zst --memory-limit 4GiB
  faces rebuild --events s3://lake/faces.events.market --items s3://lake/items.parquet --resume

A folder, a pattern or a URL is a data lake: `faces-lake`, built apart, then does the counting by SQL.

What the gates refuse (section [gates] of the configuration) is not published, and the exit code is 1. A running `faces serve` that watches
the folder swaps the new generation in under load.")]
pub struct RebuildArgs {
    /// Events table: CSV, CSV + zstd or Parquet (ts_ms,bu,local_user_id,item_id,event_type[,value,currency]); or a folder, a pattern or a
    /// URL (s3://, gs://, az://) of Parquet files.
    #[arg(long, value_name = "PATH|PATTERN|URL")]
    events: String,
    /// Items table (item_id,bu[,title,category,brand,price,currency,tags,regions,stock,embedding]), likewise.
    #[arg(long, value_name = "PATH|PATTERN|URL")]
    items: String,
    /// Links table (ts_ms,bu_a,local_user_a,bu_b,local_user_b[,operation,evidence,confidence]), likewise; without it every account is a person of its own.
    #[arg(long, value_name = "PATH|PATTERN|URL")]
    links: Option<String>,
    /// Train only on what happened before this time (RFC 3339); without it, rows of a table in one file that are dated later than now are left out.
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,
    /// Folder to publish to; default: generations.folder of the configuration.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    publish: PublishArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lake: LakeArgs,
}

impl RebuildArgs {
    fn named(&self) -> Named<'_> {
        Named { events: &self.events, items: &self.items, links: self.links.as_deref() }
    }

    fn source<'a>(&'a self, learnable: &'a Learnable) -> Source<'a> {
        match learnable {
            Learnable::Log(log) => Source::Files {
                events: Path::new(&self.events),
                items: Path::new(&self.items),
                links: self.links.as_deref().map(Path::new),
                log,
            },
            Learnable::Prepared(prepared) => Source::Lake(prepared),
        }
    }

    fn until_ms(&self) -> Option<i64> {
        self.until.map(|until| until.as_millisecond())
    }
}

/// What is trained on.
enum Learnable {
    /// Single files, read into memory.
    Log(faces_rebuild::Log),
    /// A data lake, of which tables were prepared.
    Prepared(Box<Prepared>),
}

type Seconds = Vec<(String, f64)>;

/// Runs the command.
///
/// # Errors
/// A table that can't be read, by file and row; a log too poor to train on; a folder that can't be written; what the gates refuse.
pub fn run(args: &RebuildArgs, config: &Config) -> Result<()> {
    let started = Instant::now();
    config.training.check()?; // a lake takes hours to read
    let tables = [Some(&args.events), Some(&args.items), args.links.as_ref()].into_iter().flatten();
    check_apart(tables, [("--report", args.publish.report.as_ref())])?;
    args.publish.report.as_deref().map_or(Ok(()), check_writable)?;
    let store = open_store(args.out.as_deref(), config)?;
    let publication = Publication::begin(&store, config, &args.publish)?;
    let work = lake::work_folder(&args.lake, store.root());
    let mut stages = Seconds::new();
    let (learnable, report, inputs) = if args.named().is_lake() {
        let preparing = Instant::now();
        let prepared = lake::prepare(&args.lake, args.named(), args.until_ms(), &config.training, &work)?;
        let manifest = prepared.manifest().clone();
        let of_steps: f64 = manifest.seconds_by_step.iter().map(|(_, seconds)| seconds).sum();
        stages.extend(manifest.seconds_by_step.into_iter().map(|(name, seconds)| (format!("sql {name}"), seconds)));
        // Steps of a run before count as they did then.
        stages.push(("checking and reading".into(), (preparing.elapsed().as_secs_f64() - of_steps).max(0.0)));
        (Learnable::Prepared(Box::new(prepared)), manifest.report, manifest.inputs)
    } else {
        let reading = Instant::now();
        let (log, report, inputs) = read(args, config)?;
        stages.push(("reading".into(), reading.elapsed().as_secs_f64()));
        (Learnable::Log(log), report, inputs)
    };
    let train = |stages: &mut Seconds| trained(&learnable, config, stages).with_context(|| failure(args, &report));
    let rank = |trained: Generation, stages: &mut Seconds| {
        let started = Instant::now();
        let learnt = ranker(args, &learnable, config).context("training the ranker failed; nothing was published")?;
        stages.push(("ranker".into(), started.elapsed().as_secs_f64()));
        Ok(Generation { ranker: learnt, ..trained })
    };
    let mut generation = match learnable {
        Learnable::Log(_) => rank(train(&mut stages)?, &mut stages)?,
        Learnable::Prepared(_) => {
            let kept = Kept::new(&work, args.lake.resume, &config.training, inputs.clone())?;
            let trained = kept.step("trained", || train(&mut stages))?;
            kept.step("ranked", || rank(trained, &mut stages))?
        }
    };
    generation.manifest.inputs = inputs;
    let (manifest, ranker) = (generation.manifest.clone(), generation.ranker.clone());
    let gates_started = Instant::now();
    let published = publication.publish(generation, args.source(&learnable))?;
    stages.push(("gates".into(), gates_started.elapsed().as_secs_f64()));
    let is_activated = published.id.is_some() && !args.publish.no_activate;
    if matches!(learnable, Learnable::Prepared(_)) && published.id.is_some() {
        std::fs::remove_dir_all(&work).with_context(|| format!("published, but can't remove {}", work.display()))?;
    }
    if args.json {
        let stages: serde_json::Map<_, _> = stages.iter().map(|(name, seconds)| (name.clone(), json!(seconds))).collect();
        let object = json!({
            "generation_id": published.id, "folder": store.root(), "counts": manifest.counts, "events": events_json(&report),
            "seconds_by_stage": stages, "seconds": started.elapsed().as_secs_f64(), "activated": is_activated,
            "ranker": ranker.as_ref().map(|trained| &trained.verdicts), "gates": published.verdict,
        });
        println!("{object}");
        return published.refusal().map_or(Ok(()), |refusal| bail!(refusal));
    }
    let counts = manifest.counts;
    println!("{} interactions of {} persons on {} items", counts.interactions, counts.persons, counts.items);
    print_left_out(&report);
    println!(
        "{} items embedded in {} dimensions, {} neighbour pairs, {} pairs alike by content",
        counts.embedded_items, manifest.dimension, counts.co_visited_pairs, counts.content_pairs
    );
    let stages: Vec<String> = stages.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
    println!("{} ({:.1} s in all)", stages.join(", "), started.elapsed().as_secs_f64());
    match config.training.ranker.examples_max {
        0 => println!("no ranker, as training.ranker.examples_max is 0: the fixed blend ranks"),
        _ => print_ranker(ranker.as_ref()),
    }
    let Some(id) = &published.id else { bail!(published.refusal().unwrap_or_default()) };
    println!("published {id} to {}{}", store.root().display(), if is_activated { "" } else { ", not activated" });
    Ok(())
}

/// A generation without a ranker; adds what its stages took.
fn trained(learnable: &Learnable, config: &Config, seconds: &mut Seconds) -> Result<Generation> {
    let bar = progress::bar(1_000 * Stage::ALL.len() as u64, "training");
    let stage_started = RefCell::new((None, Instant::now(), seconds));
    let heard = |stage: Stage, share: f64| {
        let mut timing = stage_started.borrow_mut();
        if timing.0 != Some(stage) {
            let (ended, took) = (timing.0.replace(stage), timing.1.elapsed().as_secs_f64());
            timing.1 = Instant::now();
            timing.2.extend(ended.map(|ended| (ended.name().to_owned(), took)));
            bar.set_message(stage.name());
        }
        let place = Stage::ALL.iter().position(|known| *known == stage).unwrap_or(0);
        bar.set_position(1_000 * place as u64 + (share * 1_000.0) as u64);
    };
    let generation = match learnable {
        Learnable::Log(log) => train(log, &config.training, &heard)?,
        Learnable::Prepared(prepared) => train_prepared(prepared, &config.training, &heard)?,
    };
    bar.finish_and_clear();
    let (last, since, seconds) = stage_started.into_inner();
    seconds.extend(last.map(|last| (last.name().to_owned(), since.elapsed().as_secs_f64())));
    Ok(generation)
}

/// The ranker, if the configuration wants one and people took anything that the sources retrieve.
fn ranker(args: &RebuildArgs, learnable: &Learnable, config: &Config) -> Result<Option<TrainedRanker>> {
    if config.training.ranker.examples_max == 0 {
        return Ok(None);
    }
    let options = replay_options(config);
    let bar = progress::bar(1_000, "ranker");
    let heard = |share: f64| bar.set_position((share * 1_000.0) as u64);
    let trained = match learnable {
        Learnable::Log(log) => {
            let links = args.links.as_deref().map(Path::new);
            let tables = Log::read(Path::new(&args.events), Some(Path::new(&args.items)), links)?;
            learn(&tables, &options, log.cut_off_ms(), heard)?
        }
        Learnable::Prepared(prepared) => learn_prepared(prepared, &options, heard)?,
    };
    bar.finish_and_clear();
    Ok(trained)
}

/// What ranks each kind of person, for people.
fn print_ranker(trained: Option<&TrainedRanker>) {
    let Some(trained) = trained else {
        println!("no ranker: too little was taken of what the sources retrieve; the fixed blend ranks");
        return;
    };
    let trees = trained.ranker.trees.len();
    let has_trees = |segment: &str| {
        let mut of_segment = Regime::all().into_iter().zip(trained.ranker.has_trees);
        of_segment.any(|(regime, has_trees)| regime.segment.name() == segment && !regime.is_tail && has_trees)
    };
    for verdict in trained.verdicts.iter().filter(|verdict| !verdict.is_tail) {
        let Verdict { segment, examples, single, single_ndcg, blend_ndcg, is_blend, .. } = verdict;
        let weights = Regime::all().into_iter().zip(&trained.ranker.weights);
        let mut of_segment = weights.filter(|(regime, _)| regime.segment.name() == segment && !regime.is_tail);
        let is_learnt = of_segment.any(|(_, weights)| weights.is_some());
        let figures = format!("NDCG@20 {blend_ndcg:.3} blended, {single_ndcg:.3} by {single} alone, {examples} examples");
        match (*is_blend, is_learnt) {
            (true, _) if has_trees(segment) => println!("  {segment:<8} ranked by the blend with {trees} trees: {figures}"),
            (true, _) => println!("  {segment:<8} ranked by the blend: {figures}"),
            (false, true) => println!("  {segment:<8} ranked by {single} alone, as the blend is not surely better: {figures}"),
            (false, false) => println!("  {segment:<8} ranked by the fixed blend, for want of examples ({examples})"),
        }
    }
}

fn read(args: &RebuildArgs, config: &Config) -> Result<(faces_rebuild::Log, AssemblyReport, Vec<Input>)> {
    let events = read_events(&args.events)?;
    let items = read_items(&args.items)?.collect::<Result<Vec<_>, _>>()?;
    let links = args.links.as_ref().map(read_links).transpose()?;
    let size = events.size();
    let bar = progress::bytes(size.bytes_total(), "reading");
    let sizes = [Some(&args.events), Some(&args.items), args.links.as_ref()].into_iter().flatten();
    let sizes: Vec<(String, u64)> =
        sizes.map(|path| Ok((path.clone(), std::fs::metadata(path)?.len()))).collect::<std::io::Result<_>>()?;
    let latest_ms = latest_ms(args, config);
    let (events_ahead, links_ahead) = (Cell::new(0), Cell::new(0));
    let is_in_time = |ts_ms: i64, ahead: &Cell<u64>| {
        ahead.set(ahead.get() + u64::from(ts_ms > latest_ms));
        ts_ms <= latest_ms
    };
    let events = events.inspect(|_| bar.set_position(size.bytes_read()));
    let events = events.filter(|row| row.as_ref().map_or(true, |row| is_in_time(row.ts_ms, &events_ahead)));
    let links = links.into_iter().flatten();
    let links = links.filter(|row| row.as_ref().map_or(true, |row| is_in_time(row.ts_ms, &links_ahead)));
    let items_read = items.len() as u64;
    let assembled = assemble(events, newest(items).into_iter().map(Ok), links, args.until_ms());
    let Assembled { log, mut report } = assembled.map_err(|error| match error {
        AssembleError::Log(of_items @ (LogError::RepeatedItem { .. } | LogError::UnevenEmbedding { .. })) => {
            anyhow::Error::from(of_items).context(format!("table {}", args.items))
        }
        other => other.into(),
    })?;
    bar.finish_and_clear();
    report.items_read = items_read;
    report.events_read += events_ahead.get();
    report.after_cut_off += events_ahead.get();
    report.links_read += links_ahead.get();
    report.links_left_out += links_ahead.get();
    if events_ahead.get() > 0 {
        eprintln!(
            "warning: {} events of {} are dated later than now and left out: is a clock wrong?",
            events_ahead.get(),
            args.events
        );
    }
    let rows = [report.events_read, report.items_read, report.links_read];
    let inputs = sizes.into_iter().zip(rows).map(|((name, bytes), rows)| Input { name, bytes, rows }).collect();
    Ok((log, report, inputs))
}

/// The latest time that a row may have: with a cut-off any, which sees to that itself; else about now, as for what servers apply. What a
/// wrong clock said must not decide what is recent.
fn latest_ms(args: &RebuildArgs, config: &Config) -> i64 {
    let tolerance_ms = i64::try_from(config.kafka.future_tolerance_ms).unwrap_or(i64::MAX);
    if args.until.is_some() { i64::MAX } else { clock::now().millis().saturating_add(tolerance_ms) }
}

fn events_json(report: &AssemblyReport) -> serde_json::Value {
    json!({
        "read": report.events_read, "interactions": report.interactions, "after_cut_off": report.after_cut_off,
        "of_unknown_item": report.of_unknown_item, "of_bad_account": report.of_bad_account,
        "unweighted_by_type": report.unweighted_by_type, "links_left_out": report.links_left_out,
    })
}

/// What to say of training that failed; where no event can be used, why.
fn failure(args: &RebuildArgs, report: &AssemblyReport) -> String {
    const FAILED: &str = "training failed; nothing was published";
    let (events, read) = (&args.events, report.events_read);
    if report.interactions > 0 {
        return FAILED.into();
    }
    if read == 0 {
        return format!("{FAILED}: {events} holds no events");
    }
    let left_out: Vec<String> = report.left_out().map(|(what, count)| format!("{count} {what}")).collect();
    format!("{FAILED}: none of {read} events in {events} can be used ({})", left_out.join(", "))
}

fn print_left_out(report: &AssemblyReport) {
    for (what, count) in report.left_out() {
        println!("  left out: {count} events {what}");
    }
}
