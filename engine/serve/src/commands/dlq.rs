//! `faces dlq`: what was refused, why, and the way back into the log.

mod redrive;
mod show;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use faces_core::ids::EventTime;
use faces_ingest::{
    Cluster, Reason, Topics,
    letters::{self, Letter, Reading, Selection},
};
use serde::Serialize;
use serde_json::json;

use super::progress;
use crate::{
    config::{Config, Log},
    logs,
};

/// Lists, shows and writes back dead letters: records of the log that were refused.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces dlq list --since 2026-11-01T00:00:00Z
  faces dlq show faces.events.video/3@1207
  faces dlq redrive --reason future_time --dry-run

The topic of dead letters is <kafka.topic_prefix>.dlq of the brokers in kafka.brokers (--config, --set).")]
pub struct DlqArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    List(ListArgs),
    Show(show::ShowArgs),
    Redrive(redrive::RedriveArgs),
}

/// Lists letters, oldest first, and counts them by reason.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces dlq list
  faces dlq list --reason undecodable --topic faces.events.video --since 2026-11-01T00:00:00Z --limit 20
  faces dlq list --json --set kafka.brokers=broker-1:9092

Reads the topic from its beginning to its end as of now, joins no group and commits nothing. Every replica writes its own copy of a
letter; copies are counted as one letter. The size is that of the payload.")]
struct ListArgs {
    #[command(flatten)]
    filters: Filters,
    /// Show at most so many letters, the newest; all are counted.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Which letters are meant; every filter given must hold.
#[derive(Args, Debug)]
struct Filters {
    /// Only letters with this reason, e.g. undecodable or future_time; may be repeated.
    #[arg(long = "reason", value_name = "CODE", value_parser = reason)]
    reasons: Vec<String>,
    /// Only records from this topic; may be repeated.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only letters written at or after this time (RFC 3339, or milliseconds since 1970 UTC).
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<EventTime>,
    /// Only letters written before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<EventTime>,
    /// Only records with this key, e.g. video/account/u1.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

impl Filters {
    fn selection(&self, payloads: bool) -> Selection {
        Selection {
            address: None,
            reasons: self.reasons.clone(),
            topics: self.topics.clone(),
            key: self.key.clone(),
            since: self.since,
            until: self.until,
            payloads,
        }
    }
}

fn reason(text: &str) -> Result<String, String> {
    let is_known = Reason::ALL.iter().any(|reason| reason.code() == text);
    let codes = || Reason::ALL.map(Reason::code).join(", ");
    if is_known { Ok(text.to_owned()) } else { Err(format!("the reasons are {}", codes())) }
}

fn time(text: &str) -> Result<EventTime, String> {
    if let Ok(millis) = text.parse() {
        return Ok(EventTime::from_millis(millis));
    }
    let parsed = text.parse::<jiff::Timestamp>().map(|time| EventTime::from_millis(time.as_millisecond()));
    parsed.map_err(|_| "write it as 2026-11-01T00:00:00Z, or as milliseconds since 1970 UTC".to_owned())
}

/// A time for people and machines.
fn time_text(time: EventTime) -> String {
    jiff::Timestamp::from_millisecond(time.millis()).map_or_else(|_| time.millis().to_string(), |time| format!("{time:.3}"))
}

/// Runs the command.
///
/// # Errors
/// Brokers that don't answer, a topic or letter that is not there; letters that could not be written back.
pub fn run(args: &DlqArgs, config: &Config) -> Result<()> {
    // What the Kafka client has to say goes to standard error; the configured filter is the server's.
    logs::start(&Log { filter: "error".into(), ..config.log.clone() })?;
    match &args.action {
        Action::List(args) => list(args, config),
        Action::Show(args) => show::run(args, config),
        Action::Redrive(args) => redrive::run(args, config),
    }
}

/// The log that the configuration names.
fn log_of(config: &Config) -> Result<(Cluster, Topics)> {
    Ok((config.kafka.cluster(), config.kafka.topics()?))
}

fn read(config: &Config, selection: &Selection) -> Result<Reading> {
    let (cluster, topics) = log_of(config)?;
    let bar = progress::bar(0, "letters");
    let reading = letters::read(&cluster, &topics, selection, |read, total| {
        bar.set_length(total);
        bar.set_position(read);
    });
    bar.finish_and_clear();
    reading.with_context(|| format!("can't read {}", topics.dead_letters()))
}

/// A letter as a row.
#[derive(Serialize)]
struct Row<'a> {
    time: String,
    time_ms: i64,
    reason: &'a str,
    address: String,
    topic: &'a str,
    partition: i32,
    offset: i64,
    key: String,
    size: usize,
    truncated_from: Option<u64>,
    copies: u64,
    groups: Vec<&'a str>,
    detail: &'a str,
}

impl<'a> Row<'a> {
    fn of(letter: &'a Letter) -> Self {
        Self {
            time: time_text(letter.time),
            time_ms: letter.time.millis(),
            reason: &letter.reason,
            address: letter.address.to_string(),
            topic: &letter.address.topic,
            partition: letter.address.partition,
            offset: letter.address.offset,
            key: letter.key_text(),
            size: letter.size,
            truncated_from: letter.truncated_from,
            copies: letter.copies,
            groups: letter.groups.iter().map(String::as_str).collect(),
            detail: &letter.detail,
        }
    }
}

/// The figures of a reading: `records` = `read` + `copies` + `foreign`, `read` = `matched` + `filtered`.
fn counts(reading: &Reading) -> serde_json::Value {
    json!({
        "records": reading.records,
        "copies": reading.copies,
        "foreign": reading.foreign,
        "read": reading.letters_read,
        "matched": reading.letters.len(),
        "filtered": reading.filtered,
    })
}

fn counts_text(reading: &Reading) -> String {
    let (matched, Reading { records, copies, foreign, letters_read, filtered, .. }) = (reading.letters.len(), reading);
    let strangers = if *foreign == 0 { String::new() } else { format!(", {foreign} that are no letters") };
    format!(
        "{letters_read} letters read = {matched} matched + {filtered} filtered; {records} records, {copies} further copies{strangers}"
    )
}

fn by_reason(letters: &[Letter]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for letter in letters {
        *counts.entry(letter.reason.as_str()).or_default() += 1;
    }
    counts
}

fn list(args: &ListArgs, config: &Config) -> Result<()> {
    let mut reading = read(config, &args.filters.selection(false))?;
    reading.letters.sort_by(|a, b| (a.time, &a.address).cmp(&(b.time, &b.address)));
    let shown = args.limit.unwrap_or(usize::MAX).min(reading.letters.len());
    let rows: Vec<Row<'_>> = reading.letters.iter().skip(reading.letters.len() - shown).map(Row::of).collect();
    let reasons = by_reason(&reading.letters);
    if args.json {
        println!("{}", json!({ "letters": rows, "by_reason": reasons, "counts": counts(&reading) }));
        return Ok(());
    }
    print_table(&rows);
    if shown < reading.letters.len() {
        println!("({} older ones not shown because of --limit)", reading.letters.len() - shown);
    }
    for (reason, count) in reasons {
        println!("{count:>10}  {reason}");
    }
    println!("{}", counts_text(&reading));
    Ok(())
}

fn print_table(rows: &[Row<'_>]) {
    let cells: Vec<[String; 5]> = rows
        .iter()
        .map(|row| {
            let cut = if row.truncated_from.is_some() { "+" } else { "" };
            [row.time.clone(), row.reason.to_owned(), row.address.clone(), printable(&row.key), format!("{}{cut}", row.size)]
        })
        .collect();
    let widths = [0, 1, 2, 3, 4].map(|column| {
        let width = |cells: &[String; 5]| cells.get(column).map_or(0, |cell| cell.chars().count());
        cells.iter().map(width).max().unwrap_or(0)
    });
    let [time_width, reason_width, address_width, key_width, size_width] = widths;
    for ([time, reason, address, key, size], row) in cells.iter().zip(rows) {
        let detail = printable(row.detail);
        println!(
            "{time:time_width$}  {reason:reason_width$}  {address:address_width$}  {key:key_width$}  {size:>size_width$}  {detail}"
        );
    }
}

/// Text of unknown origin without what would move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        for (text, expected) in [("1700000000000", 1_700_000_000_000), ("2023-11-14T22:13:20Z", 1_700_000_000_000)] {
            assert_eq!(time(text).map(EventTime::millis), Ok(expected), "{text}");
        }
        assert_eq!(time_text(EventTime::from_millis(1_700_000_000_000)), "2023-11-14T22:13:20.000Z");
        assert!(time("yesterday").unwrap_err().contains("2026-11-01T00:00:00Z"));
    }

    #[test]
    fn reasons_are_those_of_the_validation() {
        assert_eq!(reason("self_link").as_deref(), Ok("self_link"));
        assert!(reason("self-link").unwrap_err().contains("self_link"));
    }

    #[test]
    fn foreign_text_does_not_reach_the_terminal_as_commands() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
