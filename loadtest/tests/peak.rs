//! The scenarios at and beyond capacity against a scripted server on loopback: what is counted, judged and written. No time is asserted.
#![forbid(unsafe_code)]
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod scripted;

use std::{fs, future::pending, process::Command as Process, sync::Arc};

use clap::Parser as _;
use faces_loadtest::{
    cli::{Cli, Command},
    connections,
    peak::{self, mix::Mix, page, report::PeakReport},
    people::People,
    target::Target,
};
use faces_proto::v1::{RecommendResponse, ServiceLevel};
use scripted::{Line, Scripted, SlowLog, admin, serve, slate};
use tokio::sync::Notify;
use tonic::Status;

const ITEMS: [&str; 3] = ["a", "b", "c"];

fn at_level(level: ServiceLevel) -> Line {
    let answer = RecommendResponse { level: level.into(), ..slate(&ITEMS, "g1") };
    Line { delay: std::time::Duration::ZERO, answer: Ok(answer) }
}

async fn run(scripted: Scripted, scenario: &str, arguments: &str) -> PeakReport {
    run_with(scripted, scenario, arguments, &[]).await
}

/// As [`run`], with arguments that may have spaces in them.
async fn run_with(scripted: Scripted, scenario: &str, arguments: &str, more: &[&str]) -> PeakReport {
    run_until(scripted, scenario, arguments, more, pending()).await
}

/// As [`run_with`], until `stop`.
async fn run_until(
    scripted: Scripted,
    scenario: &str,
    arguments: &str,
    more: &[&str],
    stop: impl Future<Output = ()>,
) -> PeakReport {
    let address = serve(scripted, SlowLog::new(1)).await;
    let uri = format!("http://{address}");
    let common =
        format!("--target {uri} --bu video --page-size 3 --other-calls-share 0 --connections 2 --deadline-ms 60000 --json");
    let all = format!("faces-loadtest {scenario} {common} {arguments}");
    let target = Target::parse(&uri, false).unwrap();
    match Cli::try_parse_from(all.split_whitespace().chain(more.iter().copied())).unwrap().command {
        Command::Overload(arguments) => peak::overload::run(&arguments, &target, stop).await,
        Command::Capacity(arguments) => peak::capacity::run(&arguments, &target, stop).await,
        Command::Soak(arguments) => peak::soak::run(&arguments, &target, stop).await,
        Command::Festival(arguments) => peak::festival::run(&arguments, &target, stop).await,
        other => panic!("{other:?}"),
    }
    .unwrap()
}

#[tokio::test]
async fn an_overload_tells_levels_and_refusals_apart_and_says_what_is_missed() {
    let scripted = Scripted::new(|call, _| match call % 4 {
        0 if call > 0 => Line::error(Status::unavailable("full")), // the first call learns what there is
        _ => at_level(ServiceLevel::Popular),
    });
    let report = run(scripted, "overload", "--capacity 300 --multiples 3 --seconds 0.5 --rest-seconds 1").await;
    let names: Vec<_> = report.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["warm-up", "at capacity", "3 x", "after 3 x"]);
    for phase in &report.phases {
        let counts = phase.counts;
        assert!(counts.due > 30 && counts.errors > 0, "{phase:?}");
        assert_eq!((counts.due, counts.bad), (counts.good + counts.errors, 0));
        assert_eq!((counts.degraded, phase.levels.get("popular")), (counts.good, Some(&counts.good)));
        assert_eq!(phase.errors.get("UNAVAILABLE"), Some(&counts.errors));
        let by_criticality = [phase.critical, phase.default, phase.sheddable];
        assert_eq!(by_criticality.iter().map(|counts| counts.good).sum::<u64>(), counts.good);
        assert_eq!(phase.by_second.iter().map(|second| second.counts.due).sum::<u64>(), counts.due);
    }
    assert_eq!(report.degraded, report.phases[2].counts.degraded, "the highest multiple is what it is about");
    let missed: Vec<_> = report.verdicts.iter().filter(|verdict| !verdict.holds).map(|verdict| verdict.what.as_str()).collect();
    assert!(missed.contains(&"critical requests answered well at 3 x"), "{missed:?}");
    assert!(missed.contains(&"growth of the server's memory since it was at capacity"), "nothing is known of it: {missed:?}");
    assert!(!report.holds);

    let json = serde_json::to_value(&report).unwrap();
    for key in ["rate_per_s", "goodput_per_s", "p50_ms", "p99_ms", "p999_ms", "errors", "degraded", "server_cpu_us_per_answer"] {
        assert!(json.get(key).is_some(), "{key} is missing");
    }
    let html = page::html(&report).unwrap();
    assert!(html.matches("<svg").count() >= 8 && html.contains("after 3 x") && html.ends_with("</html>\n"));
}

#[tokio::test]
async fn the_search_for_capacity_ends_where_the_limits_break() {
    // From its 400th call on the server degrades: the first step holds, a later one does not.
    let scripted = Scripted::new(|call, _| at_level(if call < 400 { ServiceLevel::Full } else { ServiceLevel::Lean }));
    let folder = tempfile::tempdir().unwrap();
    let slo = folder.path().join("slo.toml");
    fs::write(&slo, "p99_ms_max = 60000.0\ndegraded_share_max = 0.0\n").unwrap();
    let arguments = format!("--from 400 --step-seconds 0.5 --steps 4 --slo {}", slo.display());
    let report = run(scripted, "capacity", &arguments).await;
    assert!(report.phases[1..].iter().all(|phase| phase.counts.degraded > 0), "{:?}", report.phases);
    let first = &report.phases[0];
    assert_eq!((first.counts.degraded, first.rate_asked_per_s), (0, 400.0));
    assert_eq!((report.finding.capacity_per_s, report.finding.capacity_is_lower_bound), (Some(400.0), Some(false)));
    assert!(report.holds, "{:?}", report.verdicts);
    assert!(report.to_string().contains("capacity, per second: 400.0\n"), "{report}");
}

#[tokio::test]
async fn a_capacity_at_which_no_step_broke_is_a_lower_bound() {
    let folder = tempfile::tempdir().unwrap();
    let slo = folder.path().join("slo.toml");
    fs::write(&slo, "p99_ms_max = 60000.0\n").unwrap();
    let arguments = format!("--from 100 --step-seconds 0.2 --steps 2 --slo {}", slo.display());
    let report = run(Scripted::new(|_, _| at_level(ServiceLevel::Full)), "capacity", &arguments).await;
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["capacity_per_s"], &json["capacity_is_lower_bound"]), (&200.0.into(), &true.into()), "{json}");
    for text in [report.to_string(), page::html(&report).unwrap()] {
        assert!(text.contains("capacity, per second: at least 200.0 (no step broke"), "{text}");
    }
}

#[tokio::test]
async fn batches_are_one_call_of_many_slates_and_good_only_if_all_are() {
    for (items, is_good) in [(ITEMS, true), (["a", "b", "a"], false)] {
        let scripted = Scripted::new(move |_, _| Line { delay: std::time::Duration::ZERO, answer: Ok(slate(&items, "g1")) });
        let report = run(scripted.clone(), "soak", "--rate 200 --seconds 0.9 --pieces 3 --batch 5 --filtered-share 0").await;
        let due = report.phases.iter().map(|phase| phase.counts.due).sum::<u64>();
        assert_eq!((report.good(), scripted.calls()), (if is_good { due } else { 0 }, due + 1), "{items:?}"); // the first call learns what there is
    }
}

#[tokio::test]
async fn a_festival_goes_on_when_a_command_fails_but_does_not_pass() {
    let folder = tempfile::tempdir().unwrap();
    let slo = folder.path().join("slo.toml");
    fs::write(&slo, "p99_ms_max = 60000.0\n").unwrap();
    let page = admin("faces_view_age_seconds 0.1\n");
    let arguments = format!("--rate 200 --events-per-s 1 --seconds 2 --slo {} --admin {page}", slo.display());
    let scripted = Scripted::new(|_, _| at_level(ServiceLevel::Full));
    let good = run_with(scripted.clone(), "festival", &arguments, &["--at-swap", "true", "--at-cut", "exit 0"]).await;
    assert!(good.holds && good.finding.commands.iter().all(|command| command.succeeded), "{good}");

    let bad = run_with(scripted, "festival", &arguments, &["--at-swap", "exit 3", "--at-cut", "true"]).await;
    assert_eq!((bad.phases.len(), bad.verdicts.iter().all(|verdict| verdict.holds), bad.holds), (6, true, false), "{bad}");
    let json = serde_json::to_value(&bad).unwrap();
    assert_eq!((&json["commands"][0]["option"], &json["commands"][0]["exit_code"]), (&"--at-swap".into(), &3.into()), "{json}");
    assert!(bad.to_string().contains("FAIL --at-swap `exit 3`: exit code 3\nok   --at-cut `true`: exit code 0\n"), "{bad}");
    let html = page::html(&bad).unwrap();
    assert!(html.contains("--at-swap <code>exit 3</code><td>exit code 3<td><td class=\"fail\">failed"), "{html}");
}

/// Runs `scenario` where nobody listens; what it complains of.
fn complaint(scenario: &str, more: &[&str]) -> String {
    let mut process = Process::new(env!("CARGO_BIN_EXE_faces-loadtest"));
    process.args(scenario.split_whitespace()).args(["--target", "http://127.0.0.1:1", "--bu", "video"]).args(more);
    let output = process.output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()), "{scenario}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_page_that_cannot_be_written_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let [missing, fine] = ["missing/page.html", "page.html"].map(|name| folder.path().join(name).display().to_string());
    for scenario in ["capacity", "overload --capacity 100", "soak", "festival"] {
        let early = complaint(scenario, &["--html", &missing]);
        assert!(early.starts_with(&format!("error: --html {missing} can't be written: ")), "{scenario}: {early}");
    }
    let nobody = complaint("soak", &["--html", &fine]);
    assert!(nobody.contains("cannot connect") && !fs::exists(&fine).unwrap(), "no page without a run: {nobody}");
}

#[test]
fn an_admin_page_that_says_nothing_is_told_before_anything_is_sent() {
    for scenario in ["capacity", "overload --capacity 100", "soak", "festival"] {
        let early = complaint(scenario, &["--admin", "127.0.0.1:1"]);
        assert!(early.starts_with("error: --admin 127.0.0.1:1: nobody answers /metrics there; give "), "{scenario}: {early}");
    }
    let other = complaint("soak", &["--admin", &admin("go_goroutines 7\n").to_string()]);
    assert!(other.contains("not those of a faces server"), "{other}");
}

#[tokio::test]
async fn a_soak_without_the_admin_page_does_not_pass_for_a_flat_one() {
    let scripted = Scripted::new(|_, _| at_level(ServiceLevel::Full));
    let report = run(scripted, "soak", "--rate 200 --seconds 0.9 --pieces 3").await;
    assert_eq!(report.phases.len(), 3);
    assert_eq!(report.good(), report.phases.iter().map(|phase| phase.counts.due).sum::<u64>());
    let memory = report.verdicts.iter().find(|verdict| verdict.what.contains("memory")).unwrap();
    assert_eq!((memory.found, memory.holds), (None, false));
    assert!(report.to_string().contains("known from its admin page alone (--admin)"), "{report}");
}

#[tokio::test]
async fn a_scenario_that_is_stopped_does_not_pass_for_what_it_never_came_to() {
    let stop = Arc::new(Notify::new());
    let told = Arc::clone(&stop);
    let scripted = Scripted::new(move |call, _| {
        if call == 200 {
            told.notify_one(); // well after the warm-up, well before the end of what follows
        }
        at_level(ServiceLevel::Full)
    });
    let admin = admin("process_resident_memory_bytes 1000\n").to_string();
    let arguments = "--capacity 100 --multiples 2 --seconds 2 --rest-seconds 1";
    let report = run_until(scripted, "overload", arguments, &["--admin", &admin], async move { stop.notified().await }).await;
    assert!(report.phases.last().unwrap().stopped_early && report.phases.len() < 4, "{report}");
    assert!(report.verdicts.iter().all(|verdict| verdict.holds) && !report.holds, "{report}");
    assert!(report.to_string().contains("note: stopped before its end"), "{report}");
}

#[tokio::test]
async fn a_server_that_refuses_after_an_overload_has_not_recovered() {
    for (after, found) in [(Line::error(Status::unavailable("full")), None), (at_level(ServiceLevel::Full), Some(0.0))] {
        let after = after.answer;
        let scripted = Scripted::new(move |call, _| match call {
            0 => at_level(ServiceLevel::Full),
            _ => Line { delay: std::time::Duration::ZERO, answer: after.clone() },
        });
        let report = run(scripted, "overload", "--capacity 100 --multiples 2 --seconds 0.3 --rest-seconds 1").await;
        let recovery = report.verdicts.iter().find(|verdict| verdict.what == "seconds to full service after 2 x").unwrap();
        assert_eq!((recovery.found, recovery.holds), (found, found.is_some()), "{report}");
    }
}

#[tokio::test]
async fn each_overload_is_judged_by_its_own_figures() {
    let scripted = Scripted::new(|_, _| at_level(ServiceLevel::Full));
    let report = run(scripted, "overload", "--capacity 100 --multiples 2,2 --seconds 0.5 --rest-seconds 1").await;
    let of = |what: &str| report.verdicts.iter().filter(|of| of.what.starts_with(what)).map(|of| of.found.unwrap()).collect();
    let (found, goodput): (Vec<f64>, Vec<f64>) =
        (of("goodput at 2 x"), report.phases.iter().map(|of| of.goodput_per_s).collect());
    assert_eq!(found, [goodput[2] / goodput[1], goodput[4] / goodput[1]], "{report}");
}

#[tokio::test]
async fn an_overload_is_not_measured_by_a_server_that_was_overloaded_before() {
    // One in two is refused from the start: what twice the load brings is no less.
    let scripted = Scripted::new(|call, _| match call % 2 {
        1 => Line::error(Status::unavailable("full")),
        _ => at_level(ServiceLevel::Full),
    });
    let report = run(scripted, "overload", "--capacity 300 --multiples 2 --seconds 0.5 --rest-seconds 1").await;
    let at_capacity = report.verdicts.iter().find(|of| of.what == "goodput at capacity, as a share of what came due").unwrap();
    assert!(!at_capacity.holds && at_capacity.limit == 0.95, "{report}");
}

#[tokio::test]
async fn of_a_search_that_finished_no_step_no_capacity_is_known() {
    let scripted = Scripted::new(|_, _| at_level(ServiceLevel::Full));
    let report = run_until(scripted, "capacity", "--from 100 --step-seconds 60", &[], async {}).await;
    assert!(report.finding.capacity_per_s.is_none() && !report.holds, "{report}");
    assert!(
        report.phases.iter().all(|step| step.stopped_early) && report.phases.len() == 1,
        "the step that was stopped is told: {report}"
    );
    assert!(!report.to_string().contains("at least"), "{report}");
}

#[test]
fn a_multiple_beyond_any_generator_is_told_before_anything_is_sent() {
    let early = complaint("overload --capacity 30000 --multiples 2,10", &[]);
    assert!(early.starts_with("error: rate is 300000; allowed is above 0, at most 200000 a second"), "{early}");
}

#[tokio::test]
async fn a_festival_without_events_writes_none() {
    let scripted = Scripted::new(|_, _| at_level(ServiceLevel::Full));
    let report = run(scripted, "festival", "--rate 200 --events-per-s 0 --seconds 1").await;
    assert_eq!((report.finding.events_written, report.finding.events_refused), (Some(0), Some(0)), "{report}");
}

#[tokio::test]
async fn who_takes_connections_and_never_answers_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::parse(&format!("http://{}", silent.local_addr().unwrap()), false).unwrap();
    let channel = connections::connect(&target).await.unwrap();
    tokio::time::pause(); // from here on nothing but patience takes time
    let refused = Mix::learn(channel, "video", 3, People::numbered("video", 1, 0.0).unwrap()).await.unwrap_err().to_string();
    assert!(refused.starts_with("nothing to ask for in `video`: Timeout expired"), "{refused}");
}
