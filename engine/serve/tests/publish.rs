//! From a rebuild to what is current: gates refuse and say why, force is noted, one job runs at a time, and nothing is half-published.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use faces_rebuild::{Store, generation::GenerationError};
use house::{
    disk::Disk,
    faces,
    shops::{self, Tables},
    write_lines,
};
use serde_json::Value;

/// A folder with a history of the shops and a store.
struct Desk {
    folder: tempfile::TempDir,
    tables: Tables,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("publish-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let tables = shops::write_tables(folder.path(), 0);
        Self { folder, tables }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> Store {
        Store::open(self.path("generations")).unwrap()
    }

    fn arguments(&self, out: &Path, more: &[&str]) -> Vec<String> {
        let Tables { events, items, links } = &self.tables;
        let fixed = ["rebuild", "--json", "--set", "training.embedding.dimension=8", "--set", "training.ranker.examples_max=0"];
        let paths = [("--events", events), ("--items", items), ("--links", links)];
        let paths = paths.iter().flat_map(|(flag, path)| [(*flag).to_owned(), path.display().to_string()]);
        let out = ["--out".to_owned(), out.display().to_string()];
        fixed.iter().chain(more).map(|text| (*text).to_owned()).chain(paths).chain(out).collect()
    }

    fn rebuild(&self, more: &[&str]) -> (Option<i32>, Value, String) {
        let arguments = self.arguments(&self.path("generations"), more);
        said(faces(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// A rebuild that is published.
    fn published(&self, more: &[&str]) -> (String, Value) {
        let (code, object, errors) = self.rebuild(more);
        assert_eq!(code, Some(0), "{errors}");
        (object["generation_id"].as_str().unwrap().to_owned(), object)
    }

    /// A rebuild that the gates named refuse; what it says.
    fn refused(&self, more: &[&str], gates: &[&str]) -> String {
        let entries = || fs::read_dir(self.path("generations")).unwrap();
        let names = || -> BTreeSet<_> { entries().map(|entry| entry.unwrap().file_name()).collect() };
        let (before, current) = (names(), self.store().pointer().unwrap());
        let (code, object, errors) = self.rebuild(more);
        let findings = object["gates"]["findings"].as_array().unwrap();
        let refused =
            findings.iter().filter(|finding| finding["outcome"] == "refused").map(|finding| finding["gate"].as_str().unwrap());
        assert_eq!((code, refused.collect::<Vec<_>>().as_slice()), (Some(1), gates), "{errors}");
        assert!(object["generation_id"].is_null() && object["activated"] == false, "{object}");
        assert!(errors.contains("nothing was published") && gates.iter().all(|gate| errors.contains(gate)), "{errors}");
        assert_eq!((names(), self.store().pointer().unwrap()), (before, current), "nothing is left of it");
        errors
    }

    /// Adds lines to a table.
    fn add(table: &Path, lines: &[&str]) {
        let text = fs::read_to_string(table).unwrap();
        write_lines(table, text.lines().chain(lines.iter().copied()).map(str::to_owned));
    }

    /// Keeps the lines of a table that `stays` says, and the header.
    fn keep(&self, table: &Path, stays: impl Fn(usize, &str) -> bool) {
        let text = fs::read_to_string(table).unwrap();
        let lines = text.lines().enumerate().filter(|(n, line)| *n == 0 || stays(*n, line));
        write_lines(table, lines.map(|(_, line)| line.to_owned()));
    }
}

fn said(output: Output) -> (Option<i32>, Value, String) {
    let object = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), object, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn half_the_catalogue_gone_is_refused_and_published_only_by_force() {
    let desk = Desk::new();
    let (first, object) = desk.published(&[]);
    assert_eq!(object["gates"]["findings"].as_array().unwrap().len(), 11, "{object}");
    desk.keep(&desk.tables.items, |n, _| n % 2 == 0);
    let report = desk.path("gates.html");
    let report = ["--report", report.to_str().unwrap()];
    let errors = desk.refused(&report, &["size", "churn"]);
    assert!(errors.contains("20 of 40 served items are gone") && errors.contains("--force"), "{errors}");
    let page = fs::read_to_string(report[1]).unwrap();
    assert!(page.contains("<svg") && page.contains(&first) && page.contains("20 of 40 served items are gone"), "{page}");

    let (second, object) = desk.published(&["--force", "the other half was sold"]);
    assert_eq!(object["gates"]["forced"], "the other half was sold");
    let manifest = desk.store().manifest(&second.parse().unwrap()).unwrap();
    let verdict = manifest.gates.unwrap();
    assert_eq!((verdict.forced.as_deref(), verdict.refusals().count()), (Some("the other half was sold"), 2));
    let history = desk.store().history().unwrap();
    assert_eq!((history.len(), history[1].why.as_str()), (2, "the other half was sold"));
    let store = desk.path("generations").display().to_string();
    let list = String::from_utf8(faces(&["generations", "list", "--folder", &store]).stdout).unwrap();
    assert!(list.lines().nth(1).is_some_and(|line| line.starts_with('*') && line.ends_with("published by force")), "{list}");
}

#[test]
fn what_needs_no_force_is_not_marked() {
    let desk = Desk::new();
    let (id, object) = desk.published(&["--force", "to be sure"]);
    assert!(object["gates"]["forced"].is_null(), "{object}");
    assert!(desk.store().manifest(&id.parse().unwrap()).unwrap().gates.unwrap().forced.is_none());
}

#[test]
fn a_ranker_that_was_not_wanted_is_not_said_to_have_had_too_little() {
    let desk = Desk::new();
    let mut arguments = desk.arguments(&desk.path("generations"), &[]);
    arguments.retain(|argument| argument != "--json");
    let output = faces(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("no ranker, as training.ranker.examples_max is 0"), "{said}");
}

#[test]
fn links_that_are_none_are_left_out_by_the_ranker_too() {
    let desk = Desk::new();
    let ranked = ["--set", "training.ranker.examples_max=100"];
    let (_, clean) = desk.published(&ranked);
    let links = fs::read_to_string(&desk.tables.links).unwrap();
    let first_ms = links.lines().nth(1).and_then(|line| line.split(',').next()).unwrap();
    Desk::add(&desk.tables.links, &[&format!("{first_ms},market,p1,market,p1"), &format!("{first_ms},Market!,p1,cinema,p2")]);
    let (_, object) = desk.published(&ranked);
    assert_eq!(object["events"]["links_left_out"], 2);
    assert_eq!((&object["counts"], &object["ranker"]), (&clean["counts"], &clean["ranker"]));
}

#[test]
fn of_a_table_of_changes_what_stands_is_trained_on() {
    let desk = Desk::new();
    let (_, clean) = desk.published(&[]);
    let items = fs::read_to_string(&desk.tables.items).unwrap();
    let dated = |(n, line): (usize, &str)| if n == 0 { format!("{line},updated_ms,deleted") } else { format!("{line},2,0") };
    write_lines(&desk.tables.items, items.lines().enumerate().map(dated));
    Desk::add(&desk.tables.items, &["m1,market,older,,,,1,0", "gone,market,,,,,,1", "gone-later,market,,,,,3,1"]);
    let (id, object) = desk.published(&[]);
    assert_eq!(object["counts"], clean["counts"]);
    assert_eq!(desk.store().manifest(&id.parse().unwrap()).unwrap().inputs[1].rows, 43, "rows that were read");
}

#[test]
fn rows_of_a_wrong_clock_are_left_out() {
    let desk = Desk::new();
    let ranked = ["--set", "training.ranker.examples_max=100"];
    let (_, clean) = desk.published(&ranked);
    Desk::add(&desk.tables.events, &["7000000000000,market,p1,m1,purchase"]);
    Desk::add(&desk.tables.links, &["7000000000000,market,p1,market,p2"]);
    let (code, object, errors) = desk.rebuild(&ranked);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("1 events of") && errors.contains("dated later than now and left out"), "{errors}");
    assert_eq!((&object["counts"], &object["ranker"]), (&clean["counts"], &clean["ranker"]));
    assert_eq!((&object["events"]["after_cut_off"], &object["events"]["links_left_out"]), (&1.into(), &1.into()));
    let (_, object) = desk.published(&["--until", "2199-01-01T00:00:00Z"]);
    assert_eq!(object["events"]["after_cut_off"], 0, "who says a time means it");
}

#[test]
fn an_old_log_is_refused() {
    let desk = Desk::new();
    desk.published(&[]);
    let text = fs::read_to_string(&desk.tables.events).unwrap();
    let time = |line: &str| line.split(',').next().unwrap().parse::<i64>().unwrap();
    let newest_ms = text.lines().skip(1).map(time).max().unwrap();
    desk.keep(&desk.tables.events, |_, line| time(line) < newest_ms - 30 * 3_600_000);
    let errors = desk.refused(&[], &["inputs"]);
    assert!(errors.contains("h before the log of gen-"), "{errors}");
    desk.published(&["--set", "gates.behind_hours_max=1000"]);
}

const DAY_MS: i64 = 86_400_000;
const END_MS: i64 = 1_767_225_600_000;

/// People who go through circles of ten items that belong together, another circle each day; before `scrambled_until_ms` they take
/// anything instead.
fn circles(tables: &Tables, scrambled_until_ms: i64) {
    let (mut items, mut events) = (vec!["item_id,bu".to_owned()], vec!["ts_ms,bu,local_user_id,item_id,event_type".to_owned()]);
    items.extend((0..300).map(|id| format!("{id},market")));
    for (day, person, step) in (0..12).flat_map(|day| (0..80).flat_map(move |person| (0..5).map(move |step| (day, person, step))))
    {
        let ts_ms = END_MS - (12 - day) * DAY_MS + (person * 60 + step * 7) * 10_000;
        let item = (person * 7 + day * 11) % 30 * 10 + (person + step * 3) % 10;
        let item = if ts_ms < scrambled_until_ms { (item * 97 + step * 31 + person) % 300 } else { item };
        events.push(format!("{ts_ms},market,p{person},{item},view"));
    }
    write_lines(&tables.items, items);
    write_lines(&tables.events, events);
    write_lines(&tables.links, ["ts_ms,bu_a,local_user_a,bu_b,local_user_b".to_owned()]);
}

#[test]
fn answers_that_got_worse_are_refused() {
    let desk = Desk::new();
    circles(&desk.tables, 0);
    // A clock must not decide, and the company that items keep must not tell before answers do.
    let gates = [
        ["--set", "gates.latency_ratio_max=1e9"],
        ["--set", "gates.neighbours_changed_share_max=1"],
        ["--set", "gates.items_share_min=0.5"],
    ]
    .concat();
    desk.published(&[&gates[..], &["--until", "2025-12-31T00:00:00Z"]].concat());
    circles(&desk.tables, END_MS - DAY_MS);
    let errors = desk.refused(&gates, &["quality"]);
    assert!(errors.contains("NDCG@10") && errors.contains("trained like the candidate, but without them"), "{errors}");
    circles(&desk.tables, 0);
    let (_, object) = desk.published(&gates);
    let outcome = |gate: &str| {
        let findings = object["gates"]["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["gate"] == gate).unwrap()["outcome"].clone()
    };
    assert_eq!((outcome("quality"), outcome("latency")), ("passed".into(), "passed".into()), "{object}");
}

#[test]
fn a_pointer_that_was_moved_meanwhile_stays() {
    let desk = Desk::new();
    let (first, _) = desk.published(&[]);
    let seen = desk.store().pointer().unwrap();
    let (second, _) = desk.published(&["--no-activate"]);
    assert_eq!(desk.store().pointer().unwrap(), seen, "not activated");
    let store = desk.path("generations").display().to_string();
    let run = |arguments: &[&str]| said(faces(&[&["generations", "--json", "--folder", &store], arguments].concat()));
    assert_eq!(run(&["activate", &second, "--why", "looked at it"]).1["current"], second.as_str());
    let (code, object, _) = run(&["rollback", "--why", "too dear"]);
    assert_eq!(
        (code, &object["current"], &object["left"]),
        (Some(0), &Value::from(first.as_str()), &Value::from(second.as_str()))
    );
    let (code, _, errors) = run(&["rollback"]);
    assert!(code == Some(1) && errors.contains("knows no generation before"), "{errors}");
    let history = String::from_utf8(faces(&["generations", "history", "--folder", &store]).stdout).unwrap();
    let lines: Vec<&str> = history.lines().collect();
    assert!(
        lines.len() == 3 && lines[1].ends_with("activated  (looked at it)") && lines[2].ends_with("rolled back to  (too dear)"),
        "{history}"
    );
}

#[test]
fn old_generations_are_collected_and_what_is_needed_stays() {
    let desk = Desk::new();
    let ids: Vec<String> = (0..4).map(|_| desk.published(&["--set", "gates.quality_moments_max=0"]).0).collect();
    let store = desk.path("generations").display().to_string();
    let gc = |more: &[&str]| said(faces(&[&["generations", "gc", "--json", "--folder", &store, "--keep", "1"], more].concat())).1;
    let planned = gc(&["--dry-run"]);
    assert_eq!((planned["deleted"].as_array().unwrap().len(), desk.store().list().unwrap().len()), (2, 4));
    let done = gc(&[]);
    assert_eq!(done["deleted"], planned["deleted"]);
    assert_eq!((&done["kept"][&ids[3]], &done["kept"][&ids[2]]), (&Value::from("current"), &Value::from("before")));
    assert_eq!(desk.store().list().unwrap().len(), 2);
}

#[test]
fn a_second_job_leaves_or_waits() {
    let desk = Desk::new();
    let lease = desk.store().lease("rebuild", Duration::from_secs(60)).unwrap();
    let (code, _, errors) = desk.rebuild(&[]);
    assert!(code == Some(1) && errors.contains("is leased by `rebuild` of process") && errors.contains("--wait"), "{errors}");
    let store = desk.path("generations").display().to_string();
    assert_eq!(faces(&["generations", "gc", "--folder", &store]).status.code(), Some(1));
    let arguments = desk.arguments(&desk.path("generations"), &["--wait"]);
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_faces"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("waiting: ") && line.contains("is leased by"), "{line}");
    drop(lease);
    let waiting = waiting.wait_with_output().unwrap();
    assert_eq!(said(waiting).0, Some(0));
    desk.store().lease("rebuild", Duration::from_secs(60)).unwrap();
}

#[test]
fn with_a_key_only_what_it_signed_is_published_and_activated() {
    let desk = Desk::new();
    let (key, store) = (desk.path("sign.key").display().to_string(), desk.path("generations").display().to_string());
    let made = faces(&["generations", "keygen", "--out", &key]);
    let public = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert_eq!((made.status.code(), public.len()), (Some(0), 64));
    let (code, _, errors) = said(faces(&["generations", "keygen", "--out", &key]));
    assert!(code == Some(1) && errors.contains("sign.key is there already; name a new file"), "{errors}");
    let (signs, verifies) = (format!("generations.sign_key={key}"), format!("generations.verify_key={public}"));
    let named = desk.path("named.key").display().to_string();
    let made =
        faces(&["generations", "keygen", "--out", &named, "--set", &format!("generations.sign_key={named}"), "--folder", "none"]);
    assert!(made.status.success() && !Path::new("none").exists(), "a key that the configuration names already, and no store");
    let (unsigned, _) = desk.published(&[]);
    let (signed, _) = desk.published(&["--set", &signs]);
    let activate = |id: &str| said(faces(&["generations", "activate", id, "--folder", &store, "--set", &verifies]));
    let (code, _, errors) = activate(&unsigned);
    assert!(code == Some(1) && errors.contains("manifest.sig") && errors.contains("generations.verify_key"), "{errors}");
    assert_eq!(activate(&signed).0, Some(0));
    let (code, _, errors) = desk.rebuild(&["--set", &verifies]); // and forgot to sign
    assert!(code == Some(1) && errors.contains("manifest.sig"), "{errors}");
    assert_eq!(desk.store().list().unwrap().len(), 2);
    let (code, _, errors) = desk.rebuild(&["--set", "generations.verify_key=abc"]);
    assert!(code == Some(1) && errors.contains("generations.verify_key") && errors.contains("keygen"), "{errors}");
}

#[test]
fn a_disk_without_room_is_named_and_nothing_is_half_published() {
    let desk = Desk::new();
    let (first, _) = desk.published(&[]);
    // Files may not grow past 4 KiB: the disk is full in the middle of writing.
    let arguments = desk.arguments(&desk.path("generations"), &[]);
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let output = Command::new("sh").args(["-c", limited, env!("CARGO_BIN_EXE_faces")]).args(arguments).output().unwrap();
    let (code, _, errors) = said(output);
    assert!(
        code == Some(1) && errors.contains("cannot write") && errors.contains(".staging-gen-") && errors.contains("space left"),
        "{errors}"
    );
    let store = desk.store();
    assert_eq!(store.list().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), std::slice::from_ref(&first));
    assert_eq!(store.current().unwrap().map(|id| id.to_string()), Some(first));
    let left = fs::read_dir(store.root())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".staging"));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_full_device_is_named_and_what_was_current_stays() {
    let desk = Desk::new();
    fs::create_dir(desk.path("disk")).unwrap();
    let Some(disk) = Disk::mount(&desk.path("disk"), 1_024) else { return };
    let folder = disk.root().join("generations");
    let arguments = desk.arguments(&folder, &["--set", "gates.quality_moments_max=0"]);
    let rebuild = || said(faces(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    // Before there is a generation, and beside one.
    let mut current = None;
    for _ in 0..2 {
        for kib in [0, 8, 16, 24] {
            disk.leave_kib(kib);
            let (code, _, errors) = rebuild();
            disk.clear();
            let is_named = errors.contains("No space left on device") && errors.contains(folder.to_str().unwrap());
            assert!(code == Some(1) && is_named, "{kib} KiB left: {errors}");
            let store = Store::open(&folder).unwrap();
            let (listed, pointed) = (store.list().unwrap(), store.current().unwrap());
            assert_eq!((listed, pointed), (current.iter().cloned().collect(), current.clone()), "{kib} KiB left");
            let mut names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            assert!(!names.any(|name| name.starts_with(".staging")), "{kib} KiB left");
        }
        let (code, object, errors) = rebuild();
        assert_eq!(code, Some(0), "with room again: {errors}");
        current = Some(object["generation_id"].as_str().unwrap().parse().unwrap());
    }
}

#[test]
fn a_folder_that_can_not_be_made_is_named() {
    let desk = Desk::new();
    let file = desk.path("file");
    fs::write(&file, "").unwrap();
    let arguments = desk.arguments(&file.join("generations"), &[]);
    let (code, _, errors) = said(faces(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(code == Some(1) && errors.contains("file/generations") && errors.contains("permissions"), "{errors}");
    assert!(matches!(Store::open(file.join("generations")), Err(GenerationError::Io { .. })));
}

#[test]
fn what_is_wrong_with_the_configuration_is_said_before_anything_is_read() {
    let desk = Desk::new();
    fs::remove_file(&desk.tables.events).unwrap();
    for (set, said) in [
        ("training.embedding.dimension=1", "parameters of embedding: dimension must lie between"),
        ("ranking.rules=none.toml", "can't read ranking.rules, none.toml"),
    ] {
        let (code, _, errors) = desk.rebuild(&["--set", set]);
        assert!(code == Some(1) && errors.contains(said), "{errors}");
    }
}

#[test]
fn who_is_to_mend_the_pointer_sees_what_it_may_point_at() {
    let desk = Desk::new();
    let (id, _) = desk.published(&[]);
    fs::write(desk.path("generations/CURRENT"), "torn").unwrap();
    let store = desk.path("generations").display().to_string();
    let listed = faces(&["generations", "list", "--folder", &store]);
    assert!(String::from_utf8(listed.stdout.clone()).unwrap().contains(&id));
    let (code, _, errors) = said(listed);
    assert!(code == Some(1) && errors.contains("CURRENT is damaged") && errors.contains("generations activate"), "{errors}");
    let (code, object, _) = said(faces(&["generations", "list", "--json", "--folder", &store]));
    assert_eq!((code, &object["current"], &object["generations"][0]), (Some(1), &Value::Null, &Value::from(id)));
}
