//! The archive of a log: a real broker, and `faces archive` as processes that are killed in mid-work.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use faces_ingest::{LogRecord, decode::Format, encode, producer::BulkOptions};
use faces_proto::v1::EventType;
use faces_rebuild::tables::read_events;
use house::{
    House, PATIENCE,
    calls::{event, key},
    eventually, faces,
    shops::{CINEMA, MARKET, id},
};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::Value;

const EVENTS: usize = 3_000;

/// The arguments of `faces archive` on the house's log.
fn arguments(house: &House, lake: &Path, more: &[&str]) -> Vec<String> {
    let dlq = house.topics.dead_letters();
    let prefix = dlq.strip_suffix(".dlq").unwrap();
    let fixed = [
        "archive",
        "--to",
        lake.to_str().unwrap(),
        "--set",
        &format!("kafka.brokers={}", house.brokers()),
        "--set",
        &format!("kafka.topic_prefix={prefix}"),
    ];
    fixed.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
}

/// Archives to the log's end, in a group of its own: a group waits for members that were killed.
fn archive_once(house: &House, lake: &Path, group: &str) -> Value {
    let arguments = arguments(house, lake, &["--once", "--json", "--rows", "200", "--group", group]);
    let output = faces(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Starts an archiver that ends its files every few milliseconds.
fn start(house: &House, lake: &Path, group: &str) -> Archiver {
    let arguments = arguments(house, lake, &["--rows", "100", "--minutes", "0.001", "--group", group]);
    let faces = Command::new(env!("CARGO_BIN_EXE_faces")).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Archiver(faces.unwrap())
}

/// An archiver that is killed when it is dropped.
struct Archiver(Child);

impl Drop for Archiver {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn files(lake: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![lake.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    found.sort();
    found
}

/// How often each item occurs in the archived events.
fn archived(lake: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for path in files(lake).into_iter().filter(|path| path.to_str().unwrap().contains(".events.")) {
        for row in read_events(&path).unwrap() {
            *counts.entry(row.unwrap().item_id).or_default() += 1;
        }
    }
    counts
}

async fn write(house: &House, numbers: std::ops::Range<usize>) {
    let records: Vec<LogRecord> = numbers
        .map(|n| {
            let bu = if n.is_multiple_of(3) { CINEMA } else { MARKET };
            let event = event(EventType::View, &key(bu, &format!("u{}", n % 50)), &id(bu, n));
            encode::event(&house.topics, &event, Format::Protobuf)
        })
        .collect();
    let report = house.writer.write_bulk(records, BulkOptions::default(), |_| {}).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_is_archived_once_whatever_is_killed() {
    let Some(house) = House::closed(&[MARKET, CINEMA], &[]).await else { return };
    let lake = tempfile::tempdir().unwrap();
    write(&house, 0..EVENTS / 2).await;
    // Killed as soon as it has put a file in place, in the middle of others; then two at once that know nothing of each other.
    for round in 0..3 {
        let before = files(lake.path()).len();
        let archivers: Vec<Archiver> = (0..1 + round % 2).map(|n| start(&house, lake.path(), &format!("{round}-{n}"))).collect();
        write(&house, EVENTS / 2 + round * 300..EVENTS / 2 + (round + 1) * 300).await;
        eventually("a file", async || (files(lake.path()).len() > before).then_some(())).await;
        drop(archivers);
    }
    write(&house, EVENTS / 2 + 900..EVENTS).await;
    let last = archive_once(&house, lake.path(), "last");
    assert!(last["rows"].as_u64().unwrap() > 0, "{last}");
    let counts = archived(lake.path());
    assert_eq!(counts.values().sum::<usize>(), EVENTS);
    assert!(counts.values().all(|count| *count == 1) && counts.len() == EVENTS);
    // Nothing is left to do, and what is there stays as it is.
    let before = files(lake.path());
    assert_eq!(archive_once(&house, lake.path(), "after")["rows"], 0);
    assert_eq!(files(lake.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_with_transaction_markers_is_archived_to_its_end() {
    let Some(house) = House::closed(&[MARKET], &[]).await else { return };
    let lake = tempfile::tempdir().unwrap();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", house.brokers()).set("transactional.id", house.prefix()).create().unwrap();
    if let Err(error) = producer.init_transactions(Duration::from_secs(5)) {
        eprintln!("skipped: this broker knows no transactions ({error})");
        return;
    }
    for (round, group) in ["one", "two"].into_iter().enumerate() {
        producer.begin_transaction().unwrap();
        let viewed = event(EventType::View, &key(MARKET, "u"), &id(MARKET, round));
        let record = encode::event(&house.topics, &viewed, Format::Protobuf);
        producer.send(BaseRecord::to(&record.topic).key(&record.key).payload(&record.payload)).map_err(|(e, _)| e).unwrap();
        producer.commit_transaction(PATIENCE).unwrap();
        assert_eq!(archive_once(&house, lake.path(), group)["rows"], 1);
    }
    assert_eq!(archive_once(&house, lake.path(), "after")["rows"], 0);
    // The offset of the first marker is part of the second file, for every archiver.
    let firsts: Vec<String> =
        files(lake.path()).iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(firsts[0].ends_with("00") && firsts[1].ends_with("01"), "{firsts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_record_is_left_out_and_a_bad_place_is_named() {
    let Some(house) = House::closed(&[MARKET], &[]).await else { return };
    let lake = tempfile::tempdir().unwrap();
    let mut cut = encode::event(&house.topics, &event(EventType::View, &key(MARKET, "u"), &id(MARKET, 1)), Format::Protobuf);
    cut.payload.truncate(cut.payload.len() - 1);
    house.writer.write_bulk([cut], BulkOptions::default(), |_| {}).await;
    write(&house, 0..30).await;
    let done = archive_once(&house, lake.path(), "one");
    assert_eq!((&done["rows"], &done["refused"]), (&30.into(), &1.into()), "{done}");

    let file = lake.path().join("a file");
    fs::write(&file, "").unwrap();
    let arguments = arguments(&house, &file, &["--once"]);
    let output = faces(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("a file"), "{said}");
}
