//! `faces import`: tables into the topics of the log.

mod refused;

use std::{collections::BTreeSet, path::PathBuf, time::Instant};

use anyhow::{Result, bail};
use clap::Args;
use faces_core::identity::Evidence;
use faces_ingest::{
    LogRecord, LogWriter, Topics, WriterConfig,
    decode::Format,
    encode,
    producer::{BulkOptions, BulkReport},
    topics::{self, Layout},
    validate,
};
use faces_proto::v1;
use faces_rebuild::tables::{EventRow, ItemRow, LinkRow, Table, TableError, TableSize, read_events, read_items, read_links};
use serde_json::json;

use self::refused::{NamedCells, Refused};
use super::progress;
use crate::{config::Config, grpc, rows};

/// Writes tables of events, items and links into the topics of the log; makes the topics that are missing.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces import --items items.csv.zst --links links.csv.zst --events events.csv.zst
  faces import --events e.parquet --set kafka.brokers=broker-1:9092 --partitions 64 --replication 3 --json

Importing the same file twice is harmless: events without an id get one from their content.")]
pub struct ImportArgs {
    /// Events table: CSV, CSV + zstd or Parquet (ts_ms,bu,local_user_id,item_id,event_type[,value,currency]).
    #[arg(long, required_unless_present_any = ["items", "links"])]
    events: Option<PathBuf>,
    /// Items table (item_id,bu[,title,category,brand,price,currency,tags,regions,stock,embedding]).
    #[arg(long)]
    items: Option<PathBuf>,
    /// Links table (ts_ms,bu_a,local_user_a,bu_b,local_user_b[,operation,evidence,confidence]).
    #[arg(long)]
    links: Option<PathBuf>,
    /// Partitions of topics that have to be made.
    #[arg(long, default_value_t = 8)]
    partitions: i32,
    /// Copies of each partition of topics that have to be made.
    #[arg(long, default_value_t = 1)]
    replication: i32,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Items of a table were there from the beginning.
const LISTED_MS: i64 = validate::EVENT_TIME_MS_MIN;

#[derive(Default)]
struct Totals {
    written: u64,
    bytes: u64,
    seconds: f64,
}

/// Runs the command.
///
/// # Errors
/// A table or row that can't be read or is not valid; a log that is away or refuses. Says how much was written before.
pub fn run(args: &ImportArgs, config: &Config) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(import(args, config))
}

async fn import(args: &ImportArgs, config: &Config) -> Result<()> {
    let (topics, cluster) = (config.kafka.topics()?, config.kafka.cluster());
    let bus = checked_units(args)?;
    let names: Vec<&str> = bus.iter().map(String::as_str).collect();
    let layout = Layout { partitions: args.partitions, replication: args.replication };
    let made = topics::ensure(&cluster, &topics, &names, layout).await?;
    let writer = LogWriter::new(&WriterConfig {
        brokers: cluster.brokers,
        extra: cluster.extra,
        linger_ms: 20,
        delivery_ms_max: 60_000,
        ..WriterConfig::default()
    })?;
    let mut totals = Vec::new();
    if let Some(path) = &args.items {
        totals.push(("items", write(&writer, read_items(path)?, "items", |row| item(&topics, row)).await?));
    }
    if let Some(path) = &args.links {
        totals.push(("links", write(&writer, read_links(path)?, "links", |row| link(&topics, row)).await?));
    }
    if let Some(path) = &args.events {
        totals.push(("events", write(&writer, read_events(path)?, "events", |row| event(&topics, row)).await?));
    }
    report(args, &made, &totals);
    Ok(())
}

/// The units that topics are needed for. Costs one pass over the tables, which names a bad row before anything is written.
fn checked_units(args: &ImportArgs) -> Result<BTreeSet<String>> {
    let mut bus = BTreeSet::new();
    if let Some(path) = &args.items {
        check(read_items(path)?, |row| item_message(row).map(drop))?;
    }
    if let Some(path) = &args.links {
        check(read_links(path)?, |row| link_message(row).map(drop))?;
    }
    if let Some(path) = &args.events {
        check(read_events(path)?, |row| {
            event_message(row)?;
            if !bus.contains(&row.bu) {
                bus.insert(row.bu.clone());
            }
            Ok(())
        })?;
    }
    Ok(bus)
}

fn check<Row: NamedCells>(table: Table<Row>, mut look: impl FnMut(&Row) -> Result<(), Refused>) -> Result<()>
where
    Table<Row>: Iterator<Item = Result<Row, TableError>>,
{
    let (path, size) = (table.path().to_owned(), table.size());
    let bar = progress::bytes(size.bytes_total(), "checking");
    for (n, row) in (1..).zip(table) {
        let row = row?;
        look(&row).map_err(|refused| refused.at(&path, n, &row))?;
        bar.set_position(size.bytes_read());
    }
    bar.finish_and_clear();
    Ok(())
}

async fn write<Row>(
    writer: &LogWriter,
    table: Table<Row>,
    things: &'static str,
    record: impl Fn(&Row) -> Result<LogRecord, Refused>,
) -> Result<Totals>
where
    Row: NamedCells,
    Table<Row>: Iterator<Item = Result<Row, TableError>>,
{
    let started = Instant::now();
    let path = table.path().to_owned();
    let size: TableSize = table.size();
    let bar = progress::bytes(size.bytes_total(), things);
    let mut failed = None;
    let records = (1..).zip(table).map_while(|(n, row)| {
        let made = row.map_err(anyhow::Error::from).and_then(|row| record(&row).map_err(|refused| refused.at(&path, n, &row)));
        made.map_err(|error| failed = Some(error)).ok()
    });
    let result: BulkReport = writer.write_bulk(records, BulkOptions::default(), |_| bar.set_position(size.bytes_read())).await;
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error.context(format!("{things}: stopped after {} records were written", result.written)));
    }
    if let Some((place, error)) = result.failures.first() {
        let count = result.failures.len();
        let rest = if result.stopped { ", and the rest was not tried" } else { "" };
        bail!(
            "{things}: {count} records were not written, the first one of table {}, row {}: {error}; {} were{rest}; repeating the import is \
             harmless",
            path.display(),
            place + 1,
            result.written
        );
    }
    Ok(Totals { written: result.written, bytes: result.bytes, seconds: started.elapsed().as_secs_f64() })
}

fn key(bu: &str, id: &str) -> v1::SourceKey {
    v1::SourceKey { bu: bu.to_owned(), kind: v1::KeyKind::Account as i32, id: id.to_owned() }
}

fn event_message(row: &EventRow) -> Result<v1::Event, Refused> {
    let event = v1::Event {
        event_time_ms: row.ts_ms,
        bu: row.bu.clone(),
        source: Some(key(&row.bu, &row.local_user_id)),
        r#type: grpc::event_type(rows::event_kind(&row.event_type)?) as i32,
        item_id: row.item_id.clone(),
        value: row.value,
        currency: row.currency.clone().unwrap_or_default(),
        ..v1::Event::default()
    };
    validate::event(&event)?;
    Ok(event)
}

fn event(topics: &Topics, row: &EventRow) -> Result<LogRecord, Refused> {
    Ok(encode::event(topics, &event_message(row)?, Format::Protobuf))
}

fn item_message(row: &ItemRow) -> Result<v1::CatalogRecord, Refused> {
    let item = v1::Item {
        r#ref: Some(v1::ItemRef { bu: row.bu.clone(), item_id: row.item_id.clone() }),
        title: row.title.clone().unwrap_or_default(),
        categories: row.category.clone(),
        brand: row.brand.clone().unwrap_or_default(),
        price: row.price,
        embedding: row.embedding.clone(),
        currency: row.currency.clone().unwrap_or_default(),
        tags: row.tags.clone(),
        regions: row.regions.clone(),
        stock: if row.is_sold_out { v1::Stock::SoldOut } else { v1::Stock::Unspecified } as i32,
    };
    let change = match item.r#ref.clone().filter(|_| row.is_deleted) {
        Some(gone) => v1::catalog_record::Change::Delete(gone),
        None => v1::catalog_record::Change::Upsert(item),
    };
    let updated_time_ms = row.updated_ms.unwrap_or(LISTED_MS);
    let record = v1::CatalogRecord { updated_time_ms, change: Some(change) };
    validate::item_change(&record)?;
    Ok(record)
}

fn item(topics: &Topics, row: &ItemRow) -> Result<LogRecord, Refused> {
    Ok(encode::catalog(topics, &item_message(row)?, Format::Protobuf))
}

fn link_message(row: &LinkRow) -> Result<v1::IdentityLink, Refused> {
    let link = v1::IdentityLink {
        a: Some(key(&row.bu_a, &row.local_user_a)),
        b: Some(key(&row.bu_b, &row.local_user_b)),
        operation: if row.is_unlink { v1::LinkOperation::Unlink } else { v1::LinkOperation::Link } as i32,
        evidence: match row.evidence {
            Evidence::Login => v1::LinkEvidence::Login,
            Evidence::Declared => v1::LinkEvidence::Declared,
            Evidence::SharedContact => v1::LinkEvidence::SharedContact,
            Evidence::Payment => v1::LinkEvidence::Payment,
            Evidence::Inferred => v1::LinkEvidence::Inferred,
        } as i32,
        confidence: f64::from(row.confidence.thousandths()) / 1_000.0,
        event_time_ms: row.ts_ms,
    };
    validate::link(&link)?;
    Ok(link)
}

fn link(topics: &Topics, row: &LinkRow) -> Result<LogRecord, Refused> {
    Ok(encode::link(topics, &link_message(row)?, Format::Protobuf))
}

fn report(args: &ImportArgs, made: &[String], totals: &[(&str, Totals)]) {
    if args.json {
        let by_kind: serde_json::Map<_, _> = totals
            .iter()
            .map(|(things, of)| {
                ((*things).to_owned(), json!({ "written": of.written, "bytes": of.bytes, "seconds": of.seconds }))
            })
            .collect();
        println!("{}", json!({ "topics_made": made, "written": by_kind }));
        return;
    }
    for topic in made {
        println!("made topic {topic}");
    }
    for (things, of) in totals {
        let (rate, mib) = (of.written as f64 / of.seconds.max(1e-9), of.bytes as f64 / f64::from(1 << 20));
        println!("{things}: {} records acknowledged by the log, {mib:.1} MiB, {rate:.0} a second", of.written);
    }
}
