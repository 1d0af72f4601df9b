//! `faces dlq redrive`: refused records back into the log, where they go through validation again.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use faces_ingest::{
    TopicKind, Topics,
    letters::{Delivery, Letter, Reading, Redriver},
};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::{Filters, counts, counts_text, log_of, printable, progress, read};
use crate::{clock, config::Config};

/// Records under way at once.
const UNDER_WAY_MAX: usize = 500;
/// Refused and failed letters that are named; all are counted.
const NAMED_MAX: usize = 20;

/// Writes refused records back to the topics they came from, or to another one, so that they go through validation again.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces dlq redrive --reason future_time --dry-run
  faces dlq redrive --reason bu_mismatch --topic faces.events.video --to-topic faces.events.books --yes
  faces dlq redrive --since 2026-11-01T00:00:00Z --max 1000 --rate 200 --yes --json

Key, payload and content-type are written as they were, with the header faces-redriven-from = topic/partition@offset. Letters stay in
their topic, and the log can't tell which were written back already; doing it again is harmless, because an event counts once. A record
that is refused again makes a new letter, with the address of the new record. A letter that holds only the beginning of its payload
can't be written back and counts as refused. Exit code 1 when a letter could not be written back.")]
pub(super) struct RedriveArgs {
    #[command(flatten)]
    filters: Filters,
    /// Write to this topic instead of the one that each record came from.
    #[arg(long, value_name = "TOPIC")]
    to_topic: Option<String>,
    /// Write nothing; say what would be written, and what validation says to each record now.
    #[arg(long)]
    dry_run: bool,
    /// Don't ask.
    #[arg(long)]
    yes: bool,
    /// Write back at most so many; the rest is counted as left.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Write at most so many a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What became of the letters: `matched` = `redriven` + `refused` + `failed` + `left`.
#[derive(Debug, Default, Serialize)]
struct Books {
    /// Written back; in a dry run: would be.
    redriven: u64,
    /// Of these, what this version's validation still refuses.
    still_bad: u64,
    /// Not to be written back.
    refused: u64,
    /// Could not be written.
    failed: u64,
    /// Beyond --max.
    left: u64,
    /// Some of them, by address.
    named: Vec<Named>,
}

#[derive(Debug, Serialize)]
struct Named {
    address: String,
    to: String,
    outcome: &'static str,
    why: String,
}

impl Books {
    fn name(&mut self, letter: &Letter, to: &str, outcome: &'static str, why: String) {
        if self.named.len() < NAMED_MAX || outcome == "would_redrive" {
            self.named.push(Named { address: letter.address.to_string(), to: to.to_owned(), outcome, why });
        }
    }
}

/// A letter and where it goes.
struct Errand<'a> {
    letter: &'a Letter,
    to: &'a str,
    verdict: String,
    is_valid: bool,
}

pub(super) fn run(args: &RedriveArgs, config: &Config) -> Result<()> {
    let (cluster, topics) = log_of(config)?;
    if let Some(to) = &args.to_topic {
        check_target(&topics, to)?;
    }
    let reading = read(config, &args.filters.selection(true))?;
    let redriver = Redriver::connect(&cluster).context("can't write letters back")?;
    if let Some(to) = args.to_topic.as_ref().filter(|to| !redriver.has_topic(to)) {
        bail!("--to-topic: the brokers have no topic {to}; make it first (`faces import` does) or name another");
    }
    let mut books = Books::default();
    let errands = sort(args, config, &topics, &redriver, &reading, &mut books);
    if args.dry_run {
        for errand in &errands {
            books.redriven += 1;
            books.name(errand.letter, errand.to, "would_redrive", errand.verdict.clone());
        }
    } else if !errands.is_empty() {
        agree(args, &errands)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(write(args, &redriver, &errands, &mut books));
    }
    report(args, &reading, &books);
    let undone = books.refused + books.failed;
    if undone > 0 && !args.dry_run {
        bail!("{undone} of {} letters could not be written back; the reasons are above", reading.letters.len());
    }
    Ok(())
}

fn check_target(topics: &Topics, to: &str) -> Result<()> {
    match topics.kind(to) {
        Some(kind) if kind.is_source() => Ok(()),
        Some(TopicKind::DeadLetters) => bail!("--to-topic: {to} is the topic of dead letters itself; name one that is read"),
        _ => bail!("--to-topic: {to} is none of {topics}, so no server would read it; check its name and kafka.topic_prefix"),
    }
}

/// Sorts out what can't be written back and what is beyond the bound; judges the rest.
fn sort<'a>(
    args: &'a RedriveArgs,
    config: &Config,
    topics: &Topics,
    redriver: &Redriver,
    reading: &'a Reading,
    books: &mut Books,
) -> Vec<Errand<'a>> {
    let (now, limits) = (clock::now(), config.kafka.limits());
    let max = args.max.unwrap_or(u64::MAX);
    let mut errands = Vec::new();
    for letter in &reading.letters {
        let to = args.to_topic.as_deref().unwrap_or(&letter.address.topic);
        let why_not = if let Some(bytes) = letter.truncated_from {
            Some(format!("the letter holds only {} of {bytes} bytes; send the record anew from its source", letter.size))
        } else if !topics.kind(to).is_some_and(|kind| kind.is_source()) {
            Some(format!("{to} is none of {topics}; name the right one by --to-topic"))
        } else if !redriver.has_topic(to) {
            Some(format!("the brokers have no topic {to} any more; make it, or name another by --to-topic"))
        } else {
            None
        };
        if let Some(why) = why_not {
            books.refused += 1;
            books.name(letter, to, "refused", why);
        } else if errands.len() as u64 >= max {
            books.left += 1;
        } else {
            let judged = letter.judge(topics, to, now, &limits);
            let is_valid = judged.is_ok();
            books.still_bad += u64::from(!is_valid);
            let verdict = judged.map_or_else(|no| format!("{}: {}", no.reason, no.detail), |()| "valid".to_owned());
            errands.push(Errand { letter, to, verdict, is_valid });
        }
    }
    errands
}

/// Asks on the terminal, unless told not to.
fn agree(args: &RedriveArgs, errands: &[Errand<'_>]) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        bail!("{} letters would be written back: pass --yes to do it, or --dry-run to look first", errands.len());
    }
    let bad = errands.iter().filter(|errand| !errand.is_valid).count();
    let warning = if bad == 0 { String::new() } else { format!(" ({bad} of them would be refused again)") };
    eprint!("Write {} records back{warning}? [y/N] ", errands.len());
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was written");
    }
    Ok(())
}

/// Writes records in order, some at a time, no faster than allowed.
async fn write(args: &RedriveArgs, redriver: &Redriver, errands: &[Errand<'_>], books: &mut Books) {
    let bar = progress::bar(errands.len() as u64, "written back");
    let began = Instant::now();
    let at_once = args.rate.map_or(UNDER_WAY_MAX, |rate| (rate as usize / 20).clamp(1, UNDER_WAY_MAX));
    let mut sent = 0_u64;
    for part in errands.chunks(at_once) {
        let mut under_way: Vec<(&Errand<'_>, Result<Delivery, String>)> = Vec::with_capacity(part.len());
        for errand in part {
            if let Some(rate) = args.rate {
                tokio::time::sleep_until(began + Duration::from_secs_f64(sent as f64 / f64::from(rate))).await;
            }
            sent += 1;
            under_way.push((errand, redriver.send(errand.letter, errand.to)));
        }
        for (errand, delivery) in under_way {
            let outcome = match delivery {
                Ok(delivery) => delivery.outcome().await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(_) => books.redriven += 1,
                Err(why) => {
                    books.failed += 1;
                    books.name(errand.letter, errand.to, "failed", why);
                }
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
}

fn report(args: &RedriveArgs, reading: &Reading, books: &Books) {
    if args.json {
        println!("{}", json!({ "dry_run": args.dry_run, "counts": counts(reading), "redrive": books }));
        return;
    }
    for Named { address, to, outcome, why } in &books.named {
        let outcome = outcome.replace('_', " ");
        println!("{outcome:<13}  {address} -> {to}  {}", printable(why));
    }
    println!("{}", counts_text(reading));
    let would = if args.dry_run { "would be redriven" } else { "redriven" };
    let Books { redriven, still_bad, refused, failed, left, .. } = books;
    let matched = reading.letters.len();
    let rest = if *left == 0 { String::new() } else { format!(" + {left} left because of --max") };
    println!("{matched} matched = {redriven} {would} + {refused} refused + {failed} failed{rest}");
    if *still_bad > 0 {
        println!("{still_bad} of them would be refused again by the validation of this version");
    }
}
