//! `faces eval` as its user runs it: the form of its output, its metrics against a hand computation, and no leakage.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use faces_core::ranking::SourceSet;
use serde_json::Value;

const DAY_MS: i64 = 86_400_000;
const ITEMS: i64 = 40;

/// A folder with a log of two units, in which even and odd people take even and odd items.
struct Bench {
    folder: tempfile::TempDir,
}

/// (person, day, item, bu)
type Row = (i64, i64, i64, &'static str);

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let mut items = String::from("item_id,bu,title\n");
        for n in 0..ITEMS {
            _ = writeln!(items, "i{n},shop,Thing {n}\nf{n},films,Film {n}");
        }
        bench.write("items.csv", &items);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn events(&self, name: &str, rows: &[Row]) -> PathBuf {
        let mut text = String::from("ts_ms,bu,local_user_id,item_id,event_type,value\n");
        for (person, day, item, bu) in rows {
            let letter = if *bu == "shop" { 'i' } else { 'f' };
            _ = writeln!(text, "{},{bu},p{person},{letter}{item},purchase,", (20_000 + day) * DAY_MS);
        }
        self.write(name, &text)
    }

    fn queries(&self, rows: &[(i64, i64)]) -> PathBuf {
        let mut text = String::from("query_id,ts_ms,bu,local_user_id,segment\n");
        for (n, (person, day)) in rows.iter().enumerate() {
            _ = writeln!(text, "{n},{},shop,p{person},warm", (20_000 + day) * DAY_MS);
        }
        self.write("queries.csv", &text)
    }

    /// Runs `faces eval`; the answers by query, and the report.
    fn eval(&self, events: &Path, more: &[&str]) -> (BTreeMap<usize, Vec<String>>, Value) {
        let out = self.path("recs.csv");
        let queries = self.path("queries.csv");
        let items = self.path("items.csv");
        let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
        command.args(["eval", "--json"]).args(more);
        if !more.contains(&"--rebuild-days") {
            command.args(["--rebuild-days", "3"]);
        }
        for (flag, path) in [("--events", events), ("--items", &items), ("--queries", &queries), ("--out", &out)] {
            command.arg(flag).arg(path);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut answers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for row in csv::Reader::from_path(&out).unwrap().into_deserialize::<(usize, usize, String)>() {
            let (query, rank, item) = row.unwrap();
            let list = answers.entry(query).or_default();
            list.push(item);
            assert_eq!(rank, list.len(), "ranks count from 1 without gaps");
        }
        (answers, serde_json::from_slice(&output.stdout).unwrap())
    }
}

fn history() -> Vec<Row> {
    let taste = |person: i64, n: i64| (person * 7 + n * 2 + person % 2) / 2 * 2 % ITEMS + person % 2;
    let mut rows: Vec<Row> = Vec::new();
    for person in 0..30 {
        for n in 0..8 {
            rows.push((person, person % 5 + n, taste(person, n), if n % 4 == 3 { "films" } else { "shop" }));
        }
    }
    rows
}

#[test]
fn nothing_of_the_query_time_or_later_shows_in_an_answer() {
    let bench = Bench::new();
    let asked = [(1, 10), (2, 10), (3, 11)];
    bench.queries(&asked);
    let past = history();
    let later = |seed: i64| (0..60).map(move |n| ((n * seed) % 30, 10 + (n * seed) % 3, (n * seed * 3) % ITEMS, "shop"));
    let with = |extra: Vec<Row>| past.iter().filter(|row| row.1 < 10).copied().chain(extra).collect::<Vec<_>>();
    // Day 10 itself is never history of a query on day 10; for the query on day 11 it is, so that one is left out of the comparison.
    let (one, _) = bench.eval(&bench.events("one.csv", &with(later(7).collect())), &[]);
    let (other, _) = bench.eval(&bench.events("other.csv", &with(later(11).collect())), &[]);
    let (none, _) = bench.eval(&bench.events("none.csv", &with(Vec::new())), &[]);
    for query in [0, 1] {
        assert_eq!(one[&query], other[&query]);
        assert_eq!(one[&query], none[&query]);
    }
    assert_ne!(one[&2], other[&2], "what happened before a query does show");
}

/// Forty days of forty people, each with a taste and a whim, in both units.
fn forty_days() -> Vec<Row> {
    let whim = |person: i64, day: i64| (person * 7_919 + day * 104_729 + person * day * 31) % 997;
    let days = (0..40).flat_map(|person| (0..40).map(move |day| (person, day)));
    let acts = days.filter(|(person, day)| whim(*person, *day) % 3 == 0);
    let row = |(person, day): (i64, i64)| {
        let whim = whim(person, day);
        let item = if whim % 4 == 0 { whim % ITEMS } else { (person % 4 * 10 + whim / 4 % 10) % ITEMS };
        (person, day, item, if whim % 7 == 0 { "films" } else { "shop" })
    };
    acts.map(row).collect()
}

#[test]
fn nothing_to_come_shows_though_generations_and_rankers_are_learnt_on_the_way() {
    const CHANGES: i64 = 31;
    let bench = Bench::new();
    let asked: Vec<(i64, i64)> = (20..40).flat_map(|day| (0..8).map(move |n| ((day * 3 + n * 5) % 40, day))).collect();
    bench.queries(&asked);
    let (past, future): (Vec<Row>, Vec<Row>) = forty_days().into_iter().partition(|row| row.1 < CHANGES);
    let with = |future: Vec<Row>| past.iter().copied().chain(future).collect::<Vec<Row>>();
    let links = |name: &str, of: &dyn Fn(i64) -> Option<(i64, i64)>| {
        let mut text = String::from("ts_ms,bu_a,local_user_a,bu_b,local_user_b\n");
        for (person, (other, day)) in (0..40).filter_map(|person| Some((person, of(person)?))) {
            _ = writeln!(text, "{},shop,p{person},films,p{other}", (20_000 + day) * DAY_MS);
        }
        bench.write(name, &text)
    };
    let joins = |person: i64| person % 20 * 2; // a link on every second day
    let run = |events: &Path, links: &Path, more: &[&str]| {
        let (answers, report) = bench.eval(events, &[&["--links", links.to_str().unwrap()], more].concat());
        assert!(report["rebuilds"].as_u64().unwrap() >= 7, "every three days of twenty");
        answers
    };
    let (events, all_links) = (bench.events("whole.csv", &with(future.clone())), links("links.csv", &|n| Some((n, joins(n)))));
    let whole = run(&events, &all_links, &[]);
    let (_, once) = bench.eval(&events, &["--rebuild-days", "0"]);
    assert_eq!(once["rebuilds"], 1, "those of the ranker's examples answer nobody");
    // The test says something: the ranker and the links that come within the period both show.
    assert_ne!(whole, run(&events, &all_links, &["--set", "training.ranker.examples_max=0"]));
    assert_ne!(whole, run(&events, &links("early.csv", &|n| (joins(n) < 20).then_some((n, joins(n)))), &[]));

    let shuffled: Vec<Row> = future.iter().map(|row| (39 - row.0, row.1, (row.2 * 17 + 3) % ITEMS, row.3)).collect();
    let other_links = links("other.csv", &|n| Some(if joins(n) < CHANGES { (n, joins(n)) } else { (39 - n, joins(n)) }));
    let no_links = links("none.csv", &|n| (joins(n) < CHANGES).then_some((n, joins(n))));
    for (what, future, links) in [
        ("shuffled", shuffled.clone(), &all_links),
        ("shuffled, as are links", shuffled, &other_links),
        ("gone, as are links", Vec::new(), &no_links),
    ] {
        let changed = run(&bench.events("changed.csv", &with(future)), links, &[]);
        for (query, (_, day)) in asked.iter().enumerate() {
            assert!(*day > CHANGES || changed[&query] == whole[&query], "what is to come is {what}: query {query} of day {day}");
        }
        assert!(asked.iter().enumerate().any(|(query, (_, day))| *day > CHANGES && changed[&query] != whole[&query]), "{what}");
    }
}

#[test]
fn metrics_equal_a_hand_computation_and_answers_hold_nothing_had() {
    let bench = Bench::new();
    bench.queries(&[(1, 20), (2, 20), (3, 20)]);
    let mut rows = history();
    // Person 1 takes two things, person 2 one, at the moment of their queries; person 3 takes nothing.
    rows.extend([(1, 20, 5, "shop"), (1, 20, 7, "shop"), (2, 20, 8, "shop")]);
    let (answers, report) = bench.eval(&bench.events("events.csv", &rows), &["--k", "30"]);
    let rank = |query: usize, item: &str| answers[&query].iter().position(|known| known == item).map(|n| n + 1);
    let share = |is_so: bool| f64::from(u8::from(is_so));
    let gain = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
    let (mut hits_10, mut hits_20, mut reciprocal, mut gains) = (0.0, 0.0, 0.0, 0.0);
    for (query, targets) in [(0, vec!["i5", "i7"]), (1, vec!["i8"])] {
        let ranks: Vec<usize> = targets.iter().filter_map(|item| rank(query, item)).filter(|rank| *rank <= 20).collect();
        let best = ranks.iter().min().copied();
        hits_10 += share(best.is_some_and(|rank| rank <= 10));
        hits_20 += share(best.is_some());
        reciprocal += best.map_or(0.0, |rank| 1.0 / rank as f64);
        let ideal: f64 = (1..=targets.len()).map(gain).sum();
        gains += ranks.iter().filter(|rank| **rank <= 10).map(|rank| gain(*rank)).sum::<f64>() / ideal;
    }
    let all = &report["segments"]["all"];
    assert_eq!(all["queries"], 2, "a query without targets says nothing");
    assert!(hits_20 > 0.0, "a test of zeros: {answers:?}");
    for (name, sum) in [("hr_10", hits_10), ("hr_20", hits_20), ("mrr_20", reciprocal), ("ndcg_10", gains)] {
        assert!((all[name].as_f64().unwrap() - sum / 2.0).abs() < 1e-12, "{name}: {report}");
    }
    let recommended: BTreeSet<&String> = answers.values().flat_map(|list| &list[..20]).collect();
    let coverage = recommended.len() as f64 / (2 * ITEMS) as f64;
    assert!((report["coverage_20"].as_f64().unwrap() - coverage).abs() < 1e-12, "{report}");
    for (query, person) in [(0, 1), (1, 2), (2, 3)] {
        let had = |item: &String| {
            rows.iter().any(|row| row.0 == person && row.1 < 20 && row.3 == "shop" && *item == format!("i{}", row.2))
        };
        assert!(!answers[&query].iter().any(had), "what a person has is not offered again");
    }
}

#[test]
fn hidden_accounts_excluded_items_and_silos_are_honoured() {
    let bench = Bench::new();
    bench.queries(&[(1, 20)]);
    let events = bench.events("events.csv", &history());
    let (plain, report) = bench.eval(&events, &[]);
    assert_eq!(report["events_hidden"], 0);

    let first = &plain[&0][0];
    let exclude = bench.write("exclude.csv", &format!("day_ms,bu,item_id\n{},shop,{first}\n", 20_020 * DAY_MS));
    let (excluded, _) = bench.eval(&events, &["--exclude", exclude.to_str().unwrap()]);
    assert!(!excluded[&0].contains(first));
    let exclude = bench.write("exclude.csv", &format!("day_ms,bu,item_id\n{},shop,{first}\n", 20_020 * DAY_MS + 7));
    assert_eq!(bench.eval(&events, &["--exclude", exclude.to_str().unwrap()]).0, excluded, "any moment of the day names it");
    let exclude = bench.write("exclude.csv", &format!("day_ms,bu,item_id\n{},shop,{first}\n", 20_020 * DAY_MS / 1_000));
    let refused = faces_serve::eval::read_queries(&bench.path("queries.csv"), Some(&exclude), None).unwrap_err().to_string();
    assert!(refused.contains("exclude.csv, row 1, column `day_ms`"), "seconds: {refused}");
    let exclude = bench.write("exclude.csv", &format!("day_ms,bu,item_id\n{},shop,{first}\n", 20_019 * DAY_MS));
    let (on_its_day, _) = bench.eval(&events, &["--exclude", exclude.to_str().unwrap()]);
    assert_eq!(on_its_day, plain, "another day's list says nothing");

    let hidden = bench.write("hidden.csv", "bu,local_user_id\nshop,p1\n");
    let (without, report) = bench.eval(&events, &["--hidden", hidden.to_str().unwrap()]);
    let is_hidden = |row: &Row| row.0 == 1 && row.3 == "shop";
    assert_eq!(report["events_hidden"], history().iter().filter(|row| is_hidden(row)).count());
    let others: Vec<Row> = history().into_iter().filter(|row| !is_hidden(row)).collect();
    let (never_there, _) = bench.eval(&bench.events("others.csv", &others), &[]);
    assert_eq!(without, never_there, "hidden is as if it had never happened");

    // Alone in the shop, person 1 is a stranger once the shop's events are hidden: films must not show in a silo.
    let links = linked(&bench);
    let flags = ["--hidden", hidden.to_str().unwrap(), "--links", links.to_str().unwrap()];
    let (siloed, _) = bench.eval(&events, &[&flags[..], &["--siloed"]].concat());
    let (stranger, _) = bench.eval(&events, &["--hidden", hidden.to_str().unwrap(), "--siloed"]);
    let (unified, _) = bench.eval(&events, &flags);
    assert_eq!(siloed, stranger);
    assert_ne!(unified, siloed, "linked films do show in the unified answer");
}

#[test]
fn a_silo_knows_nothing_of_other_units() {
    let bench = Bench::new();
    bench.queries(&[(1, 20), (2, 20), (3, 20)]);
    let films: Vec<Row> = (0..90).map(|n| (n % 30, n % 9, n * 7 % ITEMS, "films")).collect();
    let other_films: Vec<Row> = history().into_iter().filter(|row| row.3 == "shop").chain(films).collect();
    let (events, changed) = (bench.events("events.csv", &history()), bench.events("changed.csv", &other_films));
    let (one, _) = bench.eval(&events, &["--siloed"]);
    let (other, _) = bench.eval(&changed, &["--siloed"]);
    assert_eq!(one, other, "neither in profiles nor in training");
}

#[test]
fn a_link_of_the_query_time_or_later_does_not_show() {
    let bench = Bench::new();
    bench.queries(&[(1, 20), (2, 20)]);
    // Those who ask have films alone; what the others do in both units leads from films to the shop.
    let rows: Vec<Row> = history().into_iter().filter(|row| row.0 >= 4 || row.3 == "films").collect();
    let events = bench.events("events.csv", &rows);
    let links = |name: &str, day: i64, later_by_ms: i64| {
        let mut text = String::from("ts_ms,bu_a,local_user_a,bu_b,local_user_b\n");
        (0..30).for_each(|person| _ = writeln!(text, "{},shop,p{person},films,p{person}", (20_000 + day) * DAY_MS + later_by_ms));
        bench.write(name, &text)
    };
    // The fixed blend shows whatever is known; a ranker may find, of so few people, that nothing personal is worth showing.
    let fixed = ["--set", "training.ranker.examples_max=0"];
    let with = |path: PathBuf| bench.eval(&events, &[&fixed[..], &["--links", path.to_str().unwrap()]].concat()).0;
    let (none, _) = bench.eval(&events, &fixed);
    assert_eq!(with(links("same.csv", 20, 0)), none, "at the moment of the query");
    assert_eq!(with(links("after.csv", 21, 0)), none, "after it");
    assert_ne!(with(links("before.csv", 20, -1)), none, "a millisecond before");
}

/// Runs `faces eval compare --json` over two files of answers.
fn compare(bench: &Bench, events: &Path, more: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
    command.args(["eval", "compare", "--json"]).arg(bench.path("old.csv")).arg(bench.path("new.csv"));
    command.arg("--queries").arg(bench.path("queries.csv")).arg("--events").arg(events).args(more);
    let output = command.output().unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Four people, each with a query on day 20 and what they took then; the first two are one person by a link.
fn compared(bench: &Bench) -> PathBuf {
    bench.queries(&[(1, 20), (2, 20), (3, 20), (4, 20)]);
    bench.write("old.csv", "query_id,rank,item_id\n0,1,i1\n0,2,i9\n1,2,i2\n2,1,i9\n");
    bench.write("new.csv", "query_id,rank,item_id\n0,1,i1\n1,1,i2\n2,1,i9\n2,3,i3\n3,1,i8\n9,1,i1\n");
    let rows: Vec<Row> = (1..5).map(|person| (person, 20, person, "shop")).chain([(1, 3, 30, "shop")]).collect();
    bench.events("taken.csv", &rows)
}

#[test]
fn compare_gives_uplift_by_segment() {
    let bench = Bench::new();
    let events = compared(&bench);
    let report = compare(&bench, &events, &[]).unwrap();
    let all = &report["segments"]["all"];
    assert_eq!((&all["queries"], &all["persons"]), (&4.into(), &4.into()));
    let figure = |measure: &str, name: &str| all[measure][name].as_f64().unwrap();
    assert!((figure("hr_20", "baseline") - 0.5).abs() < 1e-12 && (figure("hr_20", "new") - 0.75).abs() < 1e-12);
    assert!((figure("hr_20", "uplift") - 0.5).abs() < 1e-12);
    // Old: ranks 1 and 2; new: 1, 1 and 3.
    let old_ndcg = (1.0 + 1.0 / 3.0_f64.log2()) / 4.0;
    let new_ndcg = (1.0 + 1.0 + 1.0 / 4.0_f64.log2()) / 4.0;
    assert!((figure("ndcg_10", "uplift") - (new_ndcg / old_ndcg - 1.0)).abs() < 1e-12);
    let interval = &all["hr_20"]["new_interval"];
    assert!(interval[0].as_f64().unwrap() <= 0.75 && interval[1].as_f64().unwrap() >= 0.75, "{interval}");
    // One resampling in sixteen has nobody with a hit before.
    let interval = &all["hr_20"]["uplift_interval"];
    assert!(interval[0].as_f64().unwrap() <= 0.5 && interval[1].is_null(), "{interval}");
    assert_eq!(report["segments"]["thin"]["queries"], 1, "one earlier event");
    assert_eq!(report["segments"]["warm"]["queries"], 4, "as the file says");
    assert_eq!((&report["baseline"]["unanswered"], &report["new"]["unanswered"]), (&1.into(), &0.into()));
    assert_eq!(report, compare(&bench, &events, &[]).unwrap(), "seeded");

    let links = format!("ts_ms,bu_a,local_user_a,bu_b,local_user_b\n{},shop,p1,shop,p2\n", 20_030 * DAY_MS);
    let links = bench.write("links.csv", &links);
    let linked = compare(&bench, &events, &["--links", links.to_str().unwrap()]).unwrap();
    assert_eq!(linked["segments"]["all"]["persons"], 3);
    assert_eq!(linked["segments"]["all"]["hr_20"]["uplift"], all["hr_20"]["uplift"]);

    let none = compare(&bench, &events, &["--target-types", "view,cart"]).unwrap_err();
    assert!(
        none.contains("no event of the types in --target-types") && none.contains("can be compared"),
        "all were bought: {none}"
    );
}

#[test]
fn what_is_read_is_not_written_over_and_what_can_not_be_written_is_said_first() {
    let bench = Bench::new();
    bench.queries(&[(1, 10)]);
    bench.events("events.csv", &history());
    let names = ["events", "items", "queries"].map(|name| (format!("--{name}"), bench.path(&format!("{name}.csv"))));
    let before = names.clone().map(|(_, path)| fs::read(path).unwrap());
    for written in [
        ["--out", "queries.csv", "--report", "r.html"],
        ["--out", "r.csv", "--report", "events.csv"],
        ["--out", "r.csv", "--report", "r.csv"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
        command.arg("eval").current_dir(bench.path("")).args(written);
        names.iter().for_each(|(flag, path)| _ = command.arg(flag).arg(path));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("is another of the files named"), "{said}");
    }
    assert_eq!(names.clone().map(|(_, path)| fs::read(path).unwrap()), before);
    for written in [["--report", "nowhere/r.html"], ["--against-siloed", "nowhere/s.csv"], ["--report", "."]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
        command.arg("eval").current_dir(bench.path("")).args(["--out", "late.csv"]).args(written);
        names.iter().for_each(|(flag, path)| _ = command.arg(flag).arg(path));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(&format!("can't write {}", written[1])), "{said}");
        assert!(!bench.path("late.csv").exists(), "before anything is replayed");
    }
    bench.eval(&bench.path("events.csv"), &["--against-siloed", "/dev/null", "--report", "/dev/null"]);
}

#[test]
fn compare_refuses_what_can_not_be_compared() {
    let bench = Bench::new();
    let events = compared(&bench);
    let refused = |old: &str| {
        bench.write("old.csv", old);
        compare(&bench, &events, &[]).unwrap_err()
    };
    assert!(refused("query_id,rank,item_id\n77,1,i1\n").contains("no answer to any of the 4 queries"));
    assert!(refused("query_id,rank,item_id\n0,0,i1\n").contains("rank 0"));
    assert!(refused("query_id,rank,item_id\n0,1,i1\n0,1,i2\n").contains("two items at one rank"));
    assert!(refused("query_id,rank,item_id\n0,1,i1\n0,2,i1\n").contains("an item twice: \"i1\""));
    compared(&bench);
    assert!(compare(&bench, &events, &["--target-types", "teleport"]).unwrap_err().contains("teleport"));
    let eval = |events: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
        command.arg("eval").arg("--events").arg(events).arg("--items").arg(bench.path("items.csv"));
        command.arg("--queries").arg(bench.path("queries.csv")).arg("--out").arg(bench.path("none.csv"));
        command.output().unwrap()
    };
    for (row, expected) in [
        ("a,1728000000000,shop,p2,", "row 2, column `query_id`: `a` is the name of two queries, here and in row 1"),
        ("b,1728000000,shop,p2,", "row 2, column `ts_ms`: `1728000000` is not a time in milliseconds"),
        ("b,1727000000000,shops,p2,", "row 2, column `bu`: `shops` is no business unit of the log; there are films, shop"),
        ("b,1728000000000,shop,p2,all", "row 2, column `segment`: `all` is what all queries together are called"),
        ("b,1728000000000,shop,,", "row 2: local_user_id \"\" is empty"),
    ] {
        let text = format!("query_id,ts_ms,bu,local_user_id,segment\na,1728000000000,shop,p1,\n{row}\n");
        bench.write("queries.csv", &text);
        let items = bench.path("items.csv");
        let said = compare(&bench, &events, &["--items", items.to_str().unwrap()]).unwrap_err();
        assert!(said.contains(expected) && said.contains("queries.csv"), "{said}");
        let output = eval(&events);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(expected) && said.contains("queries.csv"), "{said}");
        assert!(!bench.path("none.csv").exists(), "before anything is replayed");
    }
}

#[test]
fn queries_without_targets_are_answered_with_a_warning() {
    let bench = Bench::new();
    bench.queries(&[(1, 20)]);
    let events = bench.events("events.csv", &history());
    let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
    command.arg("eval").arg("--events").arg(&events).arg("--items").arg(bench.path("items.csv"));
    command.arg("--queries").arg(bench.path("queries.csv")).arg("--out").arg(bench.path("recs.csv"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert!(output.status.success() && warnings.len() == 1, "{said}");
    assert!(warnings[0].contains("queries.csv has a target") && warnings[0].contains("events.csv has no event"), "{said}");
    assert!(fs::read_to_string(bench.path("recs.csv")).unwrap().lines().count() > 1);
}

#[test]
fn figures_of_short_answers_come_with_a_note() {
    let bench = Bench::new();
    bench.queries(&[(1, 20)]);
    let events = bench.events("events.csv", &history());
    let noted = |k: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
        command
            .args(["eval", "--rebuild-days", "0", "--k", k])
            .arg("--events")
            .arg(&events)
            .arg("--items")
            .arg(bench.path("items.csv"));
        command.arg("--queries").arg(bench.path("queries.csv")).arg("--out").arg(bench.path("recs.csv"));
        String::from_utf8(command.output().unwrap().stderr).unwrap().contains("note: answers hold")
    };
    assert_eq!((noted("5"), noted("20")), (true, false));
}

#[test]
fn comparing_a_run_with_itself_gives_its_own_figures_and_no_uplift() {
    let bench = Bench::new();
    bench.queries(&[(1, 20), (2, 20), (3, 20)]);
    let mut rows = history();
    rows.extend([(1, 20, 5, "shop"), (1, 20, 7, "shop"), (2, 20, 8, "shop")]);
    let events = bench.events("events.csv", &rows);
    let (_, run) = bench.eval(&events, &[]);
    for name in ["old.csv", "new.csv"] {
        fs::copy(bench.path("recs.csv"), bench.path(name)).unwrap();
    }
    let report = compare(&bench, &events, &[]).unwrap();
    for measure in ["hr_10", "hr_20", "ndcg_10", "mrr_20", "recall_20", "novelty_20"] {
        let compared = &report["segments"]["all"][measure];
        assert_eq!(compared["baseline"], run["segments"]["all"][measure], "{measure}");
        assert_eq!(compared["new_interval"], run["segments"]["all"]["intervals"][measure], "{measure}");
        assert_eq!(compared["uplift"], 0.0, "{measure}");
    }
}

/// Links of every person's two accounts, long before anything else.
fn linked(bench: &Bench) -> PathBuf {
    let mut links = String::from("ts_ms,bu_a,local_user_a,bu_b,local_user_b\n");
    (0..30).for_each(|person| _ = writeln!(links, "{},shop,p{person},films,p{person}", 19_999 * DAY_MS));
    bench.write("links.csv", &links)
}

#[test]
fn other_answers_out_of_the_same_replay_change_nothing_and_are_set_beside_the_served() {
    let bench = Bench::new();
    let asked: Vec<(i64, i64)> = (0..30).map(|person| (person, 20)).collect();
    bench.queries(&asked);
    let taken = asked.iter().map(|(person, day)| (*person, *day, person * 3 % ITEMS, "shop"));
    let events = bench.events("events.csv", &history().into_iter().chain(taken).collect::<Vec<_>>());
    let page = bench.path("sources.html");
    let flags = ["--ablations", "--levels", "--textbook", "--only", "neighbours + latest", "--report", page.to_str().unwrap()];
    let (with, report) = bench.eval(&events, &flags);
    let (without, plain) = bench.eval(&events, &[]);
    assert_eq!(with, without);
    assert_eq!(plain["variants"], serde_json::json!({}));
    let variants = report["variants"].as_object().unwrap();
    assert_eq!(variants.len(), 2 * SourceSet::NAMES.len() + 1 + 3 + 2 + 1);
    for (name, segments) in variants {
        let [of_variant, served] = [&segments["all"], &report["segments"]["all"]];
        for measure in ["hr_20", "ndcg_10", "mrr_20"] {
            assert_eq!(of_variant[measure]["baseline"], served[measure], "{name}");
            assert!(of_variant[measure]["uplift_interval"].is_array(), "{name}");
        }
    }
    let hr_20 = |name: &str, figure: &str| report["variants"][name]["all"]["hr_20"][figure].as_f64().unwrap();
    assert_eq!(hr_20("without neighbours_elsewhere", "uplift"), 0.0, "nobody is linked, so they had nothing to say");
    for heard in
        ["only neighbours", "only neighbours+latest", "only trending", "textbook neighbours", "level lean", "level popular"]
    {
        assert!(hr_20(heard, "new") > 0.0, "{heard}");
    }
    assert_eq!(hr_20("only history", "new"), 0.0, "what a person bought is not offered again");
    let over_textbook = &report["over_textbook"]["textbook neighbours"]["all"]["hr_20"];
    assert_eq!(over_textbook["new"].as_f64(), Some(hr_20("only neighbours", "new")));
    assert_eq!(over_textbook["baseline"].as_f64(), Some(hr_20("textbook neighbours", "new")));
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("without together+latest") && page.contains("textbook neighbours, 3 takers"));
}

#[test]
fn against_siloed_is_what_a_siloed_run_and_compare_say() {
    let bench = Bench::new();
    let asked: Vec<(i64, i64)> = (0..30).map(|person| (person, 20)).collect();
    bench.queries(&asked);
    let taken = asked.iter().map(|(person, day)| (*person, *day, person * 3 % ITEMS, "shop"));
    let events = bench.events("events.csv", &history().into_iter().chain(taken).collect::<Vec<_>>());
    let (links, old) = (linked(&bench), bench.path("old.csv"));
    let flags = ["--links", links.to_str().unwrap()];
    let (_, report) = bench.eval(&events, &[&flags[..], &["--against-siloed", old.to_str().unwrap()]].concat());
    fs::copy(bench.path("recs.csv"), bench.path("new.csv")).unwrap();
    let compared = compare(&bench, &events, &flags).unwrap();
    for groups in ["segments", "units", "target_types"] {
        assert_eq!(report["over_siloed"][groups], compared[groups], "{groups}");
    }
    let (_, siloed) = bench.eval(&events, &[&flags[..], &["--siloed"]].concat());
    assert_eq!(fs::read(bench.path("recs.csv")).unwrap(), fs::read(old).unwrap());
    assert_eq!(siloed["segments"]["all"]["hr_20"], report["over_siloed"]["segments"]["all"]["hr_20"]["baseline"]);
}

#[test]
fn target_types_and_the_page() {
    let bench = Bench::new();
    bench.queries(&[(1, 20), (2, 20)]);
    let mut rows = history();
    rows.extend([(1, 20, 5, "shop"), (2, 20, 8, "shop")]);
    let events = bench.events("events.csv", &rows);
    let page = bench.path("quality.html");
    let (_, bought) = bench.eval(&events, &["--target-types", "BUY,cart", "--report", page.to_str().unwrap()]);
    assert_eq!(bought["segments"]["all"]["queries"], 2, "buy is another name of purchase");
    assert_eq!(bought["target_types"]["purchase"]["queries"], 2);
    assert_eq!(bought["units"]["shop"]["hr_20"], bought["segments"]["all"]["hr_20"]);
    let (_, viewed) = bench.eval(&events, &["--target-types", "view", "--rounds", "0"]);
    assert_eq!(viewed["segments"]["all"]["queries"], 0);
    assert_eq!(viewed["segments"]["all"]["hr_20"], Value::Null);

    let page = fs::read_to_string(page).unwrap();
    let hr_20 = bought["segments"]["all"]["hr_20"].as_f64().unwrap() * 100.0;
    for part in [
        format!("<b>{hr_20:.2}</b>"),
        "queries.csv".into(),
        "purchase, cart".into(),
        "<dt>ranking.co_visitation_weight</dt><dd>0.7</dd>".into(),
    ] {
        assert!(page.contains(&part), "{part}");
    }
    assert!(!page.contains("http"));
}
