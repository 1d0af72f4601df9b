//! `faces-loadtest ingest` against a real broker and scripted admin pages; against the real server too, where its program was built.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod scripted;

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Command, Output},
    sync::{Arc, Mutex, OnceLock},
    thread,
};

use faces_testbroker::Broker;
use scripted::{Line, Scripted, SlowLog, serve};
use serde_json::Value;

fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    BROKER.get_or_init(Broker::start).as_ref()
}

fn ingest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_faces-loadtest")).arg("ingest").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The report of a run that must end with `code`.
fn report(arguments: &[&str], code: i32) -> Value {
    let output = ingest(&[arguments, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Must fail with the code and say `expected` on standard error.
fn fails(arguments: &[&str], code: i32, expected: &[&str]) {
    let output = ingest(arguments);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{arguments:?}: {said}");
    for part in expected {
        assert!(said.contains(part), "{arguments:?} does not say {part:?} but {said}");
    }
}

/// Admin pages that show one line of the script a look, and the last one for ever.
fn admin_pages(script: Vec<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(Mutex::new((0, script)));
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(connection.try_clone().unwrap());
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let page = {
                let mut script = script.lock().unwrap();
                let number = script.0.min(script.1.len() - 1);
                script.0 += 1;
                script.1[number]
            };
            let lines = page.split_whitespace().filter_map(|part| part.split_once('='));
            let lines: Vec<_> =
                lines.map(|(outcome, count)| format!("faces_ingest_records_total{{outcome=\"{outcome}\"}} {count}\n")).collect();
            let body = lines.concat();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            connection.write_all((head + &body).as_bytes()).ok();
        }
    });
    address
}

/// Preloads a few events; the prefix.
fn preloaded(broker: &Broker) -> String {
    let prefix = broker.prefix();
    let size = ["--events", "2000", "--people", "300", "--partitions", "4"];
    let report = report(&[&["--brokers", broker.address(), "--preload-only", "--prefix", &prefix], &size[..]].concat(), 0);
    assert_eq!(
        (&report["complete"], &report["events"], &report["prefix"]),
        (&true.into(), &2_000.into(), &prefix.as_str().into())
    );
    assert!(report["event_bytes"].as_f64().unwrap() > 100.0 && report["preload_seconds"].is_number(), "{report}");
    prefix
}

#[test]
fn a_running_server_is_watched_to_the_end_and_counts_must_add_up() {
    let Some(broker) = broker() else { return };
    let prefix = preloaded(broker);
    let watch = |script, more: &[&str], code| {
        let (admin, pid) = (format!("http://{}", admin_pages(script)), std::process::id().to_string());
        let fixed = ["--brokers", broker.address(), "--prefix", &prefix, "--partitions", "4", "--sample-ms", "5"];
        report(&[&fixed[..], &["--admin", &admin, "--pid", &pid, "--events", "2000"], more].concat(), code)
    };
    let good = watch(
        vec!["consumed=0 applied=0", "consumed=100 applied=90 duplicate=10", "consumed=2000 applied=1990 duplicate=10"],
        &[],
        0,
    );
    assert_eq!((&good["complete"], &good["window_events"]), (&true.into(), &1_900.into()), "{good}");
    assert_eq!((&good["outcomes"]["applied"], &good["outcomes"]["duplicate"]), (&1_990.into(), &10.into()));
    for key in [
        "seconds",
        "events_per_s",
        "cpu_us_per_event",
        "cpu_wait_cores",
        "rss_bytes",
        "rss_peak_bytes",
        "partitions",
        "people",
        "processors",
    ] {
        assert!(good[key].is_number(), "{key}: {good}");
    }
    let sudden = watch(vec!["consumed=0", "consumed=2000 applied=2000"], &[], 0);
    assert_eq!(sudden["window_events"], 2_000, "what came before the first look counts too: {sudden}");

    let bad = watch(vec!["consumed=0", "consumed=1 applied=1", "consumed=2000 applied=1999 dead=1"], &[], 1);
    let note = bad["notes"][0].as_str().unwrap();
    assert!(bad["complete"] == false && note.contains("1999, not 2000") && note.contains("dead 1"), "{bad}");
    let late = watch(vec!["consumed=7 applied=7"], &["--timeout-seconds", "1"], 1);
    assert!(late["notes"][0].as_str().unwrap().contains("7 of 2000"), "{late}");
}

#[test]
fn mistakes_are_named_with_the_way_out() {
    let nobody = "127.0.0.1:1";
    for (arguments, expected) in [
        (vec!["--brokers", nobody], "--serve"),
        (vec!["--brokers", nobody, "--preload-only", "--events", "0"], "--events"),
        (vec!["--brokers", nobody, "--preload-only", "--partitions", "0"], "--partitions"),
        (vec!["--brokers", nobody, "--preload-only", "--compression", "gzip"], "lz4"),
        (vec!["--brokers", nobody, "--preload-only", "--bu", "Shop"], "a-z0-9"),
        (vec!["--brokers", nobody, "--admin", "http://127.0.0.1:1"], "--prefix"),
        (vec!["--brokers", nobody, "--preload-only", "--set", "a=b"], "--set"),
    ] {
        fails(&arguments, 2, &[expected]);
    }
    fails(&["--brokers", "10.0.0.1:9092", "--preload-only"], 1, &["10.0.0.1:9092", "--allow-remote"]);
    fails(&["--brokers", "localhost", "--preload-only"], 1, &["host:port"]);
    let remote = ["--brokers", nobody, "--prefix", "p", "--admin", "http://10.0.0.1:9090"];
    fails(&remote, 1, &["10.0.0.1", "--allow-remote"]);
    let Some(broker) = broker() else { return };
    let reuse = ["--brokers", broker.address(), "--prefix", "never-made", "--serve", "faces"];
    fails(&reuse, 1, &["never-made.events.shop", "--preload-only"]);
    let prefix = preloaded(broker);
    let again = ["--brokers", broker.address(), "--prefix", &prefix];
    fails(&[&again[..], &["--preload-only", "--events", "1"]].concat(), 1, &["--prefix", &prefix]);
    let missing = [&again[..], &["--partitions", "4", "--serve", "/nowhere/faces"]].concat();
    fails(&missing, 1, &["/nowhere/faces", "--serve"]);
    let ends = [&again[..], &["--partitions", "4", "--serve", "/bin/false"]].concat();
    fails(&ends, 1, &["ended by itself"]);
    let mute = format!("http://{}", admin_pages(vec![""]));
    fails(&[&again[..], &["--partitions", "4", "--admin", &mute]].concat(), 1, &["faces_ingest_records_total"]);
}

#[test]
fn help_has_examples_and_a_broker() {
    let help = text(&ingest(&["--help"]).stdout);
    assert!(help.contains("faces-loadtest ingest --brokers 127.0.0.1:9092 --serve") && help.contains("tansu broker"), "{help}");
}

/// `faces`, beside our own program or where `FACES_BIN` names it: this crate may not depend on it, so it may not be there.
fn program() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_faces-loadtest")).with_file_name("faces");
    let program = env::var_os("FACES_BIN").map_or(beside, PathBuf::from);
    if program.exists() {
        return Some(program);
    }
    eprintln!("skipped: no {}; build it by `cargo build -p faces-serve` or name one in FACES_BIN", program.display());
    None
}

#[test]
fn the_real_server_applies_every_event() {
    let (Some(broker), Some(program)) = (broker(), program()) else { return };
    let size = ["--events", "20000", "--people", "3000", "--partitions", "4", "--sample-ms", "20", "--compression", "none"];
    let serve = ["--brokers", broker.address(), "--serve", program.to_str().unwrap(), "--set", "kafka.watermark_ms=100"];
    let report = report(&[&serve[..], &size[..]].concat(), 0);
    assert_eq!((&report["outcomes"]["applied"], &report["exit_code"]), (&20_000.into(), &0.into()), "{report}");
    for key in ["events_per_s", "seconds", "cpu_us_per_event", "rss_bytes", "preload_seconds", "event_bytes"] {
        assert!(report[key].is_number(), "{key}: {report}");
    }
    assert!(report["durable_state"] == true && report["cpu_s_by_thread"].is_object(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn freshness_is_measured_beside_a_background_of_events_and_calls() {
    let Some(broker) = broker() else { return };
    let prefix = preloaded(broker);
    let slate = Scripted::new(|_, _| Line::slate(&["a", "b"], "g1"));
    let target = format!("http://{}", serve(slate.clone(), SlowLog::new(3)).await);
    let freshness = async |more: &'static str, bu: &'static str| {
        let fixed = ["freshness", "--target", &target, "--bu", bu, "--page-size", "2", "--trials", "5", "--timeout-ms", "200"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_faces-loadtest"));
        command.args(fixed).args(["--settle-ms", "0", "--json", "--prefix", &prefix]).args(more.split_whitespace());
        let brokers = more.contains("events").then_some(["--brokers", broker.address()]);
        command.args(brokers.into_iter().flatten());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let output = freshness("--background-events 1000 --background-recommends 500", "shop").await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let background = &report["background"];
    assert_eq!((&background["events"]["per_s_asked"], &background["events"]["failed"]), (&1_000.into(), &0.into()), "{report}");
    assert!(background["events"]["per_s"].as_f64().unwrap() > 0.0, "{report}");
    assert!(background["recommends"]["answered"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["profile"]["seen"], 5);
    for key in ["seconds", "machine_busy_share", "generator_cpu_cores"] {
        assert!(background[key].is_number(), "{key}: {report}");
    }
    let output = freshness("", "shop").await;
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["background"], Value::Null);
    let output = freshness("--background-events 1000", "attic").await;
    assert!(text(&output.stderr).contains(".events.attic"), "{}", text(&output.stderr));
}

#[test]
fn background_events_need_brokers_that_are_near() {
    let run = |more: &[&str]| {
        let fixed = ["freshness", "--target", "http://127.0.0.1:1", "--bu", "shop", "--background-events", "10"];
        Command::new(env!("CARGO_BIN_EXE_faces-loadtest")).args(fixed).args(more).output().unwrap()
    };
    let output = run(&[]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("--brokers"), "{}", text(&output.stderr));
}
