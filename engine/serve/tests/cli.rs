//! The command line: what is wrong is named, with the way out; and the commands that need no server.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use house::{faces, faces_says, shops, write_lines};
use serde_json::Value;

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("cli-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Runs `faces`, which must fail with the exit code and say all of `expected` on standard error, and nothing on standard output.
fn fails(arguments: &[&str], code: i32, expected: &[&str]) {
    let output = faces(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "faces {arguments:?}: {said}");
    for part in expected {
        assert!(said.contains(part), "faces {arguments:?} does not say {part:?} but {said}");
    }
}

#[test]
fn bad_configuration_is_named() {
    let folder = folder();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unknown = file("unknown.toml", "[server]\nteapot = 1\n");
    let ports = "[server]\ngrpc_address = \"127.0.0.1:0\"\nadmin_address = \"127.0.0.1:0\"\n";
    let reserved = file(
        "reserved.toml",
        &format!("{ports}[kafka.extra]\n\"group.id\" = \"x\"\n[generations]\nfolder = {:?}\n", folder.path()),
    );
    let broken = file("broken.toml", "[server\n");
    let wrong = file("wrong.toml", "[generations]\nwatch_ms = \"often\"\n");
    let cases: [(&[&str], &[&str]); 10] = [
        (&["--set", "server.teapot=1"], &["server", "teapot", "faces.example.toml"]),
        (&["--set", "teapot.size=1"], &["teapot", "faces.example.toml"]),
        (&["--set", "server.request_bytes_max=plenty"], &["server.request_bytes_max", "plenty"]),
        (&["--set", "server.grpc_address=here"], &["server.grpc_address", "socket address"]),
        (&["--set", "ranking.position_decay=2"], &["ranking.position_decay is 2", "above 0 and at most 1"]),
        (&["--set", "log.filter=a=b=c"], &["log.filter", "a=b=c"]),
        (&["--config", &reserved], &["group.id"]),
        (&["--config", &unknown], &["teapot", "faces.example.toml"]),
        (&["--config", &wrong], &["watch_ms", "often"]),
        (&["--config", &broken], &["broken.toml"]),
    ];
    for (arguments, expected) in cases {
        fails(&[&["serve"], arguments].concat(), 1, expected);
    }
    fails(&["serve", "--config", "no-such-file.toml"], 1, &["no-such-file.toml"]);
    let variable = Command::new(env!("CARGO_BIN_EXE_faces")).arg("serve").env("FACES__KAFKA__TEAPOT", "1").output().unwrap();
    let said = String::from_utf8(variable.stderr).unwrap();
    assert!(variable.status.code() == Some(1) && said.contains("teapot"), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["server.grpc_address", "server.admin_address"] {
        let other = ["server.grpc_address", "server.admin_address"].into_iter().find(|other| *other != key).unwrap();
        let settings = [format!("{key}={address}"), format!("{other}=127.0.0.1:0")];
        fails(&["serve", "--set", &settings[0], "--set", &settings[1]], 1, &[&address, &format!("change {key}")]);
    }
}

#[test]
fn bad_usage_is_named() {
    let cases: [(&[&str], &[&str]); 11] = [
        (&["demo", "--once", "--trials", "0"], &["--trials", "1.."]),
        (&["teleport"], &["teleport"]),
        (&["serve", "--teapot"], &["--teapot"]),
        (&["serve", "--set", "teapot"], &["section.key=value"]),
        (&["rebuild"], &["--events", "--items"]),
        (&["import"], &["--events"]),
        (&["eval", "--k", "201"], &["201"]),
        (&["demo", "--shoppers", "9"], &["10..=5000"]),
        (&["generations", "show", "the-best"], &["the-best"]),
        (&["recommend", "--key", "u1", "--bu", "video"], &["unit/kind/id"]),
        (&["act", "--key", "video/person/u1", "--event", "view", "--item", "video/i1"], &["account, device, session"]),
    ];
    for (arguments, expected) in cases {
        fails(arguments, 2, expected);
    }
    let nobody = "http://127.0.0.1:1";
    let act = |event: &'static str, item: &'static str| {
        ["act", "--server", nobody, "--key", "video/account/u1", "--event", event, "--item", item]
    };
    fails(&["recommend", "--server", nobody, "--bu", "video"], 1, &[nobody, "faces serve"]);
    fails(&act("view", "video/i1"), 1, &[nobody, "faces serve"]);
    fails(&act("view", "i1"), 1, &["--item", "unit/id"]);
    fails(&["recommend", "--server", "https://127.0.0.1:1", "--bu", "video"], 1, &["https://127.0.0.1:1", "TLS", "http://"]);
    fails(&["recommend", "--server", "127.0.0.1:1", "--bu", "video"], 1, &["nobody answers at 127.0.0.1:1"]);
    fails(&act("teleport", "video/i1"), 1, &["teleport", "purchase"]);
    fails(&["generations", "list", "--folder", "nowhere"], 1, &["nowhere", "generations.folder"]);
    fails(&["generations", "history", "--folder", "nowhere"], 1, &["nowhere"]);
}

#[test]
fn bad_tables_are_named_by_file_and_row() {
    let folder = folder();
    let tables = shops::write_tables(folder.path(), 0);
    let (good, items) = (fs::read_to_string(&tables.events).unwrap(), tables.items.to_str().unwrap());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let with_row = |row: &str| format!("{good}{row}\n");
    let row_number = good.lines().count().to_string(); // rows are counted from 1 without the header
    let cases: [(&str, String, Vec<&str>); 6] = [
        ("time.csv", with_row("yesterday,market,u1,m1,view"), vec!["time.csv", &row_number, "ts_ms", "yesterday"]),
        ("seconds.csv", with_row("1700000000,market,u1,m1,view"), vec!["seconds.csv", &row_number, "ts_ms", "1700000000"]),
        ("short.csv", with_row("1700000000000,market"), vec!["short.csv", &row_number]),
        ("empty-id.csv", with_row("1700000000000,market,,m1,view"), vec!["empty-id.csv", &row_number, "local_user_id"]),
        ("column.csv", good.replacen("local_user_id", "user", 1), vec!["column.csv", "local_user_id"]),
        ("table.xlsx", good.clone(), vec!["table.xlsx", ".csv", ".parquet"]),
    ];
    let out = folder.path().join("generations");
    let out = out.to_str().unwrap();
    let queries = file("queries.csv", "query_id,ts_ms,bu,local_user_id\nq1,1700000000000,market,u1\n");
    let recs = folder.path().join("recs.csv");
    let recs = recs.to_str().unwrap();
    for (name, text, expected) in &cases {
        let events = file(name, text);
        fails(&["rebuild", "--events", &events, "--items", items, "--out", out], 1, expected);
        fails(&["import", "--events", &events], 1, expected); // before anything is asked of a broker
        fails(&["eval", "--events", &events, "--items", items, "--queries", &queries, "--out", recs], 1, expected);
    }
    let kind = file("kind.csv", &with_row("1700000000000,market,u1,m1,teleport"));
    let place = format!("row {row_number}, column `event_type`: `teleport` is unknown");
    fails(&["import", "--events", &kind], 1, &["kind.csv", &place, "purchase"]);
    let unit = file("unit.csv", &with_row("1700000000000,Market,u1,m1,view"));
    fails(&["import", "--events", &unit], 1, &["unit.csv", &format!("row {row_number}, column `bu`: `Market` may hold only")]);
    fails(&["import", "--events", "nowhere.csv"], 1, &["nowhere.csv"]);
    fails(&["rebuild", "--events", "nowhere.csv", "--items", items, "--out", out], 1, &["nowhere.csv"]);
    let none = file("none.csv", good.lines().next().unwrap());
    fails(
        &["rebuild", "--events", &none, "--items", items, "--out", out],
        1,
        &["none.csv holds no events", "the log has no interactions;", "nothing was published"],
    );
    let of_events = ["rebuild", "--events", tables.events.to_str().unwrap(), "--out", out, "--items"];
    let early = [&of_events[..], &[items, "--until", "2001-01-01T00:00:00Z"]].concat();
    let why = format!("none of {} events in", good.lines().count() - 1);
    fails(&early, 1, &[&why, "after the cut-off)", "no interactions before 2001-01-01T00:00:00Z"]);
    let twice = file("twice.csv", "item_id,bu\nm1,market\nm2,market\nm1,market\n");
    fails(&[&of_events[..], &[&twice]].concat(), 1, &["twice.csv: item market/m1 is in rows 1 and 3"]);
    assert!(faces_says(&["generations", "list", "--folder", out]).contains("no generations"));
    let stock = file("stock.csv", "item_id,bu,stock\nm1,market,sold_out\nm2,market,soldout\n");
    for command in [&of_events[..], &["import", "--items"]] {
        fails(&[command, &[&stock]].concat(), 1, &["stock.csv, row 2, column `stock`: `soldout`", "`in_stock`, `sold_out`"]);
    }
    let events = tables.events.to_str().unwrap();
    let eval = |queries: &str| {
        vec!["eval", "--events", events, "--items", items, "--out", recs, "--queries"]
            .into_iter()
            .chain([queries])
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for (name, text, expected) in [
        ("q-column.csv", "query_id,bu,local_user_id\nq1,market,u1\n", "ts_ms"),
        ("q-none.csv", "query_id,ts_ms,bu,local_user_id\n", "no queries"),
        ("q-unit.csv", "query_id,ts_ms,bu,local_user_id\nq1,1700000000000,Market,u1\n", "Market"),
    ] {
        let path = file(name, text);
        fails(&eval(&path).iter().map(String::as_str).collect::<Vec<_>>(), 1, &[expected]);
    }
}

#[test]
fn what_is_wanted_at_the_end_is_missed_before_the_work() {
    let folder = folder();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (page, rules) = (file("nowhere/page.html"), format!("ranking.rules={}", file("nowhere.toml")));
    let (out, tables) = (file("generations"), file("nowhere.csv"));
    let rebuild = ["rebuild", "--events", &tables, "--items", &tables, "--out", &out];
    let kept = file("kept.csv");
    fs::write(&kept, "ts_ms").unwrap();
    let over = ["rebuild", "--events", &kept, "--items", &tables, "--out", &out, "--report", &kept];
    fails(&over, 1, &["--report", "kept.csv is another of the files named"]);
    fails(
        &["index", "bench", "--base", &kept, "--queries", &tables, "--metric", "ip", "--plot", &kept],
        1,
        &["--plot", "kept.csv is another of the files named"],
    );
    assert_eq!(fs::read_to_string(&kept).unwrap(), "ts_ms");
    fails(&[&rebuild[..], &["--report", &page]].concat(), 1, &["can't write", &page]);
    fails(&[&rebuild[..], &["--set", &rules]].concat(), 1, &["can't read ranking.rules", "nowhere.toml"]);
    fails(
        &["index", "bench", "--base", &tables, "--queries", &tables, "--metric", "ip", "--plot", &page],
        1,
        &["can't write", &page],
    );
}

#[test]
fn the_server_to_ask_is_the_configured_one() {
    let folder = folder();
    let (config, rules) = (folder.path().join("faces.toml"), folder.path().join("rules.toml"));
    fs::write(&config, "[server]\ngrpc_address = \"0.0.0.0:1\"\n").unwrap();
    fs::write(&rules, "").unwrap();
    let config = config.to_str().unwrap();
    let commands: [&[&str]; 4] = [
        &["recommend", "--bu", "video"],
        &["act", "--key", "video/account/u1", "--event", "view", "--item", "video/i1"],
        &["level"],
        &["rules", "try", rules.to_str().unwrap(), "--bu", "video"],
    ];
    for command in commands {
        fails(&[command, &["--config", config]].concat(), 1, &["nobody answers at http://127.0.0.1:1;"]);
        let given = ["--config", config, "--server", "http://127.0.0.2:1"];
        fails(&[command, &given].concat(), 1, &["nobody answers at http://127.0.0.2:1;"]);
    }
    assert!(faces_says(&["recommend", "--help"]).contains("server.grpc_address of the configuration"));
}

#[test]
fn a_broker_that_is_away_is_named() {
    let folder = folder();
    let tables = shops::write_tables(folder.path(), 0);
    let away = ["--set", "kafka.brokers=127.0.0.1:1"];
    fails(
        &[&["import", "--items", tables.items.to_str().unwrap()][..], &away].concat(),
        1,
        &["127.0.0.1:1", "check that they run"],
    );
}

#[test]
fn damaged_images_are_a_failure() {
    let folder = folder();
    for name in ["image-00000001-0123456789abcdef.json", "image-00000002-0123456789abcdef.json"] {
        fs::write(folder.path().join(name), "torn").unwrap();
    }
    let show = ["state", "show", "--verify", "--folder", folder.path().to_str().unwrap()];
    for more in [&[][..], &["--json"]] {
        let output = faces(&[&show[..], more].concat());
        let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("no usable image in") && said.contains("(2 damaged); restore the folder"), "{said}");
        assert!(!text.contains("no images") && text.contains("image-00000002-0123456789abcdef.json"), "{text}");
    }
}

#[test]
fn every_command_helps_with_an_example() {
    let overview = faces_says(&["--help"]);
    let commands = overview.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.strip_prefix("  ").filter(|name| !name.starts_with(' '))?.split(' ').next());
    let commands: Vec<&str> = names.filter(|name| *name != "help").collect();
    for expected in ["demo", "serve", "import", "rebuild", "generations", "eval"] {
        assert!(commands.contains(&expected), "{commands:?}");
    }
    for command in commands {
        let help = faces_says(&[command, "--help"]);
        let (_, example) = help.split_once("Example").unwrap_or_else(|| panic!("faces {command} --help has no example"));
        assert!(example.contains(&format!("faces {command}")), "{example}");
    }
    assert!(overview.contains("Example") && faces_says(&["--version"]).starts_with("faces "));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = folder();
    let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
    command.args(["state", "show", "--folder"]).arg(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reader = command.spawn().unwrap();
    drop(reader.stdout.take());
    let output = reader.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_can_not_be_written_is_a_failure() {
    let folder = folder();
    let show = ["state", "show", "--folder", folder.path().to_str().unwrap()];
    for arguments in [&show[..], &["--help"], &["--version"]] {
        let full = fs::File::create("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_faces")).args(arguments).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("error: the output can't be written: ") && said.lines().count() == 1, "{arguments:?}: {said}");
    }
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&faces_says(arguments)).unwrap()
}

#[test]
fn generations_are_listed_shown_and_activated() {
    let folder = folder();
    let store = folder.path().join("generations");
    let in_store = ["--folder", store.to_str().unwrap()];
    let list = || json(&[&["generations", "list", "--json"], &in_store[..]].concat());
    let first = shops::rebuild(folder.path(), &store, 0, &[]);
    let second = shops::rebuild(folder.path(), &store, 1, &[]);
    let third = shops::rebuild(folder.path(), &store, 2, &["--no-activate"]);
    let all = serde_json::json!([first, second, third]);
    assert_eq!(list(), serde_json::json!({ "current": second, "generations": all, "broken": [] }), "oldest first");
    let shown = json(&[&["generations", "show", &first], &in_store[..]].concat());
    assert_eq!((shown["id"].as_str(), shown["counts"]["items"].as_u64()), (Some(first.as_str()), Some(2 * shops::ITEMS as u64)));
    assert_eq!(shown["inputs"].as_array().map(Vec::len), Some(3), "it says what it was made from: {shown}");
    faces_says(&[&["generations", "activate", &first], &in_store[..]].concat());
    assert_eq!(list()["current"], Value::from(first.as_str()));

    let manifest = store.join(&third).join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"dimension\": 8", "\"dimension\": 9", 1)).unwrap();
    fails(&[&["generations", "activate", &third], &in_store[..]].concat(), 1, &["manifest.json", "checksum"]);
    fails(&[&["generations", "show", "gen-0123456789abcdef"], &in_store[..]].concat(), 1, &["gen-0123456789abcdef"]);
    assert_eq!(list()["current"], Value::from(first.as_str()), "what does not verify is not pointed at");
    let text = faces_says(&[&["generations", "list"], &in_store[..]].concat());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with(&format!("* {first}")), "{text}");
    assert!(lines[1].starts_with(&format!("  {second}")) && lines[2].contains("broken"), "{text}");
    fs::remove_dir_all(store.join(&first)).unwrap();
    let missing = serde_json::json!({ "current": first, "generations": [second, third], "broken": [third, first] });
    assert_eq!(list(), missing, "what is pointed at is gone");
    let text = faces_says(&[&["generations", "list"], &in_store[..]].concat());
    assert!(text.lines().any(|line| line.starts_with(&format!("* {first}  broken: "))), "{text}");
}

#[test]
fn rebuild_accounts_for_every_event_and_keeps_to_its_time() {
    let folder = folder();
    let tables = shops::write_tables(folder.path(), 0);
    let text = fs::read_to_string(&tables.events).unwrap();
    let rows = text.lines().count() - 1;
    let time = |line: &str| line.split(',').next().unwrap().parse::<i64>().unwrap();
    let mut times: Vec<i64> = text.lines().skip(1).map(time).collect();
    times.sort_unstable();
    let cut_ms = times[rows / 2];
    let kept = times.iter().filter(|at| **at < cut_ms).count();
    let extra = [format!("{},market,u1,no-such-item,view", times[0]), format!("{},market,u1,m1,impression", times[0])];
    let events = folder.path().join("more.csv");
    write_lines(&events, text.lines().map(str::to_owned).chain(extra));
    let until = jiff::Timestamp::from_millisecond(cut_ms).unwrap().to_string();
    let run = |events: &Path, more: &[&str]| {
        let out = folder.path().join(format!("store-{}", more.len())); // or the gates would ask for as long a log as before
        let [events, items, out] = [events, &tables.items, &out].map(|path| path.to_str().unwrap().to_owned());
        let fixed = [
            "rebuild",
            "--events",
            &events,
            "--items",
            &items,
            "--out",
            &out,
            "--json",
            "--set",
            "training.embedding.dimension=8",
        ];
        json(&[&fixed, more].concat())
    };
    let whole = run(&events, &[])["events"].clone();
    assert_eq!((whole["read"].as_u64(), whole["interactions"].as_u64()), (Some(rows as u64 + 2), Some(rows as u64)));
    assert_eq!((whole["of_unknown_item"].as_u64(), whole["unweighted_by_type"]["impression"].as_u64()), (Some(1), Some(1)));
    let cut = run(&events, &["--until", &until])["events"].clone();
    assert_eq!((cut["interactions"].as_u64(), cut["after_cut_off"].as_u64()), (Some(kept as u64), Some((rows - kept) as u64)));
}

#[test]
fn the_demo_runs_to_its_end() {
    let said = json(&["demo", "--once", "--json", "--shoppers", "500", "--trials", "5", "--port", "0"]);
    for key in ["items", "shoppers", "events", "people", "browse", "overlap", "freshness", "seconds"] {
        assert!(!said[key].is_null(), "{key} is missing in {said}");
    }
    assert_eq!(said["shoppers"].as_u64(), Some(500));
    let people = said["people"].as_array().unwrap();
    let items = |slate: &Value| -> Vec<String> {
        slate.as_array().unwrap().iter().map(|item| item["item_id"].as_str().unwrap().to_owned()).collect()
    };
    let slates: Vec<_> = people.iter().map(|person| items(&person["slate"])).collect();
    assert!(slates.len() == 2 && slates.iter().all(|slate| slate.len() == 10) && slates[0] != slates[1], "{people:?}");
    assert!(people.iter().all(|person| person["slate"].as_array().unwrap().iter().all(|item| item["title"] != "")), "{people:?}");
    let browse = &said["browse"];
    assert_ne!(items(&browse["before"]), items(&browse["after"]), "browsing something new changes the slate");
    let overlap = said["overlap"]["mean_jaccard_20"].as_f64().unwrap();
    assert!((0.0..0.2).contains(&overlap), "a thousand faces: {overlap}");
    assert_eq!((said["freshness"]["trials"].as_u64(), said["freshness"]["unchanged"].as_u64()), (Some(5), Some(0)));
    assert!(said["freshness"]["p99_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_demo_that_is_broken_off_leaves_nothing() {
    let temporary = folder();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_faces"))
        .args(["demo", "--once", "--port", "0"])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("embedded Kafka broker")), "the house opens");
    assert!(temporary.path().read_dir().unwrap().count() > 0, "it has files by then");
    Command::new("kill").arg(demo.id().to_string()).status().unwrap();
    let output = demo.wait_with_output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && why.contains("stopped before the end"), "{why}");
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
}
