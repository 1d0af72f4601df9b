//! The commands against a scripted server on loopback. Counts are compared with what the script gave; no time is asserted.
#![forbid(unsafe_code)]
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod scripted;

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    future::pending,
    io,
    net::SocketAddr,
    process::Command as Process,
    sync::Mutex,
    time::{Duration, Instant},
};

use clap::Parser as _;
use faces_loadtest::{
    broker::Broker,
    cli::{Cli, Command},
    error::LoadError,
    freshness::FreshnessReport,
    report::LoadReport,
    run,
};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use scripted::{Line, Scripted, SlowLog, serve};
use tonic::Status;

const ITEMS: [&str; 3] = ["a", "b", "c"];

async fn recommend(arguments: &str) -> Result<LoadReport, LoadError> {
    let Command::Recommend(parsed) = parse("recommend", arguments) else { panic!("another command") };
    run::recommend(&parsed, pending()).await
}

async fn freshness(address: SocketAddr, arguments: &str) -> FreshnessReport {
    let settle = if arguments.contains("--settle-ms") { "" } else { "--settle-ms 0" }; // scripted servers keep no rankings
    let common = "--bu video --json --page-size 3 --poll-ms 1 --pause-ms-max 1";
    let all = format!("--target http://{address} {common} {settle} {arguments}");
    let Command::Freshness(parsed) = parse("freshness", &all) else { panic!("another command") };
    run::freshness(&parsed, pending()).await.unwrap()
}

fn parse(command: &str, arguments: &str) -> Command {
    let all = ["faces-loadtest", command].into_iter().chain(arguments.split_whitespace());
    Cli::try_parse_from(all).unwrap().command
}

#[tokio::test]
async fn bad_slates_errors_and_a_swap_are_counted() {
    let scripted = Scripted::new(|call, _| {
        let generation = if call < 100 { "g1" } else { "g2" };
        match call % 10 {
            0 => Line::slate(&["a", "b", "a"], generation),
            1 => Line::slate(&["a", "b"], generation),
            2 => Line::slate(&[], generation),
            3 => Line::error(Status::unavailable("shedding")),
            4 => Line::error(Status::not_found("no such business unit")),
            _ => Line::slate(&ITEMS, generation),
        }
    });
    let address = serve(scripted.clone(), SlowLog::new(1)).await;
    let report = recommend(&format!(
        "--target http://{address} --bu video --rate 1000 --seconds 0.4 --page-size 3 --deadline-ms 60000 --json"
    ))
    .await
    .unwrap();

    let calls = scripted.calls();
    // Calls whose number ends in `digit`.
    let ending_in = |digit: u64| (calls + 9 - digit) / 10;
    assert!(calls > 300, "{calls} calls");
    assert_eq!((report.due, report.sent), (calls, calls));
    assert_eq!(report.answered, calls - ending_in(3) - ending_in(4));
    let kinds = report.bad_slates_by_kind;
    assert_eq!((kinds.duplicate, kinds.short, kinds.empty, kinds.overlong), (ending_in(0), ending_in(1), ending_in(2), 0));
    assert_eq!(report.bad_slates, ending_in(0) + ending_in(1) + ending_in(2));
    assert_eq!(report.errors.get("UNAVAILABLE"), Some(&ending_in(3)));
    assert_eq!(report.errors.get("NOT_FOUND"), Some(&ending_in(4)));
    assert_eq!(report.errors.len(), 2);
    assert_eq!(report.samples.get("UNAVAILABLE").map(String::as_str), Some("shedding"));
    assert_eq!(report.samples.get("duplicate_item").map(String::as_str), Some("a"));
    let generations: Vec<_> = report.generations.iter().map(|seen| (seen.generation_id.as_str(), seen.answers)).collect();
    assert_eq!(generations, [("g1", 80), ("g2", report.answered - 80)]);
    let good = (report.answered - report.bad_slates) as f64;
    assert!((report.goodput_per_s * report.elapsed_s - good).abs() < 0.001);
}

#[tokio::test]
async fn the_report_has_the_promised_keys_and_reads_well() {
    let address = serve(Scripted::new(|_, _| Line::slate(&ITEMS, "g1")), SlowLog::new(1)).await;
    let report =
        recommend(&format!("--target http://{address} --bu video --rate 200 --seconds 0.1 --page-size 3 --deadline-ms 60000"))
            .await
            .unwrap();
    let json = serde_json::to_value(&report).unwrap();
    for key in ["rate_per_s", "goodput_per_s", "p50_ms", "p99_ms", "p999_ms", "bad_slates", "sent", "answered"] {
        assert!(json[key].is_number(), "{key}: {}", json[key]);
    }
    assert!(json["errors"].is_object() && json["generations"].is_array() && json["generator_limited"].is_boolean());
    assert_eq!(json["generations"][0]["generation_id"], "g1");
    let table = report.to_string();
    for part in ["offered", "goodput", "latency ms", "p99.9", "send lag ms", "bad slates", "g1"] {
        assert!(table.contains(part), "no {part} in\n{table}");
    }
}

#[tokio::test]
async fn a_remote_target_is_refused_before_anything_is_sent() {
    let refusal = recommend("--target http://192.0.2.1:50051 --bu video --rate 1 --seconds 1").await.unwrap_err();
    assert!(matches!(refusal, LoadError::TargetRemote { .. }), "{refusal}");
    let output = Process::new(env!("CARGO_BIN_EXE_faces-loadtest"))
        .args(["freshness", "--target", "http://shop.example:50051", "--bu", "video"])
        .output()
        .unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("--allow-remote") && complaint.contains("shop.example"), "{complaint}");
}

#[test]
fn help_has_examples() {
    for command in ["recommend", "freshness"] {
        let output = Process::new(env!("CARGO_BIN_EXE_faces-loadtest")).args([command, "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && help.contains(&format!("faces-loadtest {command} --target http://127.0.0.1")),
            "{help}"
        );
    }
}

#[cfg(target_os = "linux")] // where /dev/full is
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_has_gone_is_no_failure_and_a_full_disk_is_one_without_a_panic() {
    let address = serve(Scripted::new(|_, _| Line::slate(&ITEMS, "g1")), SlowLog::new(1)).await;
    let target = format!("--target http://{address} --bu video --rate 100 --seconds 0.1 --deadline-ms 60000");
    for command in ["recommend --page-size 3", "recommend --page-size 3 --json", "broker --bu video", "--help"] {
        let more = if command.starts_with("recommend") { target.as_str() } else { "" };
        let run = || {
            let mut process = Process::new(env!("CARGO_BIN_EXE_faces-loadtest"));
            process.args(command.split_whitespace()).args(more.split_whitespace());
            process
        };
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let gone = run().stdout(writer).output().unwrap();
        assert_eq!((gone.status.code(), gone.stderr.as_slice()), (Some(0), b"".as_slice()), "{command}: {gone:?}");

        let full = run().stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
        let complaint = String::from_utf8(full.stderr).unwrap();
        assert!(complaint.starts_with("error: the output can't be written: "), "{command}: {complaint}");
        assert_eq!((full.status.code(), complaint.lines().count()), (Some(1), 1), "{command}: {complaint}");
    }
}

#[tokio::test]
async fn freshness_sees_the_event_in_profile_and_slate() {
    let log = SlowLog::new(3);
    let written = log.clone();
    let scripted = Scripted::new(move |_, request| {
        let person = &request.keys[0].id;
        if written.has_written(person) { Line::slate(&["c", "b", "a"], "g1") } else { Line::slate(&ITEMS, "g1") }
    });
    let address = serve(scripted, log.clone()).await;
    let report = freshness(address, "--trials 5 --timeout-ms 60000").await;
    assert_eq!((report.trials, report.written, report.profile.seen, report.slate.seen), (5, 5, 5, 5));
    assert_eq!(log.sessions(), 5, "each trial has a session of its own");
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    let json = serde_json::to_value(&report).unwrap();
    for part in ["profile", "slate"] {
        for key in ["p50_ms", "p90_ms", "p99_ms", "max_ms"] {
            assert!(json[part][key].is_number(), "{part}.{key}");
        }
    }
    assert!(report.to_string().contains("event -> profile ms"));
}

#[tokio::test]
async fn freshness_does_not_time_a_slate_that_changes_by_itself_and_reports_what_never_shows() {
    let restless =
        Scripted::new(|call, _| if call % 2 == 0 { Line::slate(&ITEMS, "g1") } else { Line::slate(&["c", "b", "a"], "g1") });
    let address = serve(restless, SlowLog::new(u32::MAX)).await;
    let report = freshness(address, "--trials 2 --timeout-ms 200").await;
    assert_eq!((report.profile.seen, report.profile.missed), (0, 2));
    assert_eq!((report.slate.seen, report.slate.unstable), (0, 2));
    assert_eq!(report.profile.p50_ms, None);
}

#[tokio::test]
async fn freshness_looks_twice_further_apart_than_a_server_gives_out_a_ranking_again() {
    let began = Mutex::new(HashMap::new());
    let keeps = Scripted::new(move |_, request| {
        let first_asked = *began.lock().unwrap().entry(request.keys[0].id.clone()).or_insert_with(Instant::now);
        let is_kept = first_asked.elapsed() < Duration::from_millis(100);
        Line::slate(if is_kept { &ITEMS } else { &["c", "b", "a"] }, "g1")
    });
    let address = serve(keeps, SlowLog::new(1)).await;
    let report = freshness(address, "--trials 2 --timeout-ms 60000 --settle-ms 100").await;
    assert_eq!((report.slate.seen, report.slate.unstable, report.settle_ms), (0, 2, 100));
}

#[tokio::test]
async fn freshness_counts_refused_events_and_empty_slates() {
    let address = serve(Scripted::new(|_, _| Line::slate(&ITEMS, "g1")), SlowLog::refusing()).await;
    let report = freshness(address, "--trials 3").await;
    assert_eq!((report.trials, report.written, report.errors.get("UNAVAILABLE")), (3, 0, Some(&3)));

    let address = serve(Scripted::new(|_, _| Line::slate(&[], "g1")), SlowLog::new(1)).await;
    let report = freshness(address, "--trials 3").await;
    assert_eq!((report.written, report.errors.get("empty_slate")), (0, Some(&3)));
}

#[test]
fn a_brokers_example_waits_for_its_address_and_help_says_that_units_are_named_beforehand() {
    let output = Process::new(env!("CARGO_BIN_EXE_faces-loadtest")).args(["broker", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let place = |part: &str| help.find(part).unwrap_or_else(|| panic!("no {part} in\n{help}"));
    let (started, waited, read) = (place("> broker.txt &"), place("until [ -s broker.txt ]"), place("$(cat broker.txt)"));
    assert!(started < waited && waited < read, "{help}");
    place("Name every business unit that will be needed");
}

#[tokio::test]
async fn a_broker_has_the_topics_of_all_units_until_it_is_told_to_end() {
    let Command::Broker(arguments) = parse("broker", "--bu video --bu books --prefix mine --partitions 3") else {
        panic!("another command")
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let broker = Broker::start(&arguments).unwrap();
    let brokers = broker.address();
    let running = broker.serve(Duration::from_secs(600), async { _ = stopped.await });
    let looking = async {
        let topics = tokio::task::spawn_blocking(move || {
            let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
            let metadata = client.fetch_metadata(None, Duration::from_secs(30)).unwrap();
            metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect()
        });
        let topics: BTreeMap<String, usize> = topics.await.unwrap();
        stop.send(()).unwrap();
        topics
    };
    let ((), topics) = tokio::join!(running, looking);
    let expected = ["catalog", "dlq", "events.books", "events.video", "identity"].map(|name| (format!("mine.{name}"), 3));
    assert_eq!(topics, BTreeMap::from(expected));
}
