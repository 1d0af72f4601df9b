//! From a parsed command line to a printed report and an exit code.

use std::{
    future::Future,
    process,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::{
    broker::Broker,
    cli::{Cli, Command, FreshnessArgs, IngestArgs, PeakArgs, RecommendArgs, TargetArgs},
    connections::{self, Connections},
    error::LoadError,
    freshness::{self, FreshnessPlan, FreshnessReport, background::Background},
    ingest::{self, error::IngestError, report::IngestReport},
    open_loop::{self, LoadPlan},
    output::{self, PageFile},
    pace,
    peak::{self, report::PeakReport},
    people::People,
    progress,
    report::LoadReport,
    schedule::Schedule,
    tally::Tally,
    target::Target,
};

/// Longest placement that the API takes.
const PLACEMENT_BYTES_MAX: usize = 64;

/// Does what the command line says and prints the report to standard output.
///
/// # Errors
/// When a run can't start: a bad argument, a refused target, nobody there. What a server answers never is one.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Recommend(arguments) => {
            let report = runtime(arguments.target.threads)?.block_on(recommend(&arguments, stop_signal()))?;
            print(&report, arguments.target.json)?;
            Ok(exit_code(report.answered > 0))
        }
        Command::Freshness(arguments) => {
            let report = runtime(arguments.target.threads)?.block_on(freshness(&arguments, stop_signal()))?;
            print(&report, arguments.target.json)?;
            Ok(exit_code(report.profile.seen > 0))
        }
        Command::Ingest(arguments) => {
            let report = runtime(1)?.block_on(ingest(&arguments, stop_signal()))?;
            print(&report, arguments.json)?;
            Ok(exit_code(report.complete))
        }
        Command::Capacity(arguments) => {
            scenario(&arguments.peak, async |target| peak::capacity::run(&arguments, target, stop_signal()).await)
        }
        Command::Overload(arguments) => {
            scenario(&arguments.peak, async |target| peak::overload::run(&arguments, target, stop_signal()).await)
        }
        Command::Soak(arguments) => {
            scenario(&arguments.peak, async |target| peak::soak::run(&arguments, target, stop_signal()).await)
        }
        Command::Festival(arguments) => {
            scenario(&arguments.peak, async |target| peak::festival::run(&arguments, target, stop_signal()).await)
        }
        Command::Broker(arguments) => {
            let broker = Broker::start(&arguments).context("the broker can't be started")?;
            let address = broker.address();
            let line = if arguments.json { serde_json::json!({ "brokers": address }).to_string() } else { address };
            // A broker whose address nobody reads is of no use.
            if output::print(&format!("{line}\n"))? {
                runtime(1)?.block_on(broker.serve(Duration::from_secs(arguments.seconds), stop_signal()));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs `faces-loadtest ingest` until its end or until `stop`.
///
/// # Errors
/// When the run can't start, or the log can't be written.
pub async fn ingest(arguments: &IngestArgs, stop: impl Future<Output = ()>) -> anyhow::Result<IngestReport> {
    let stopped = Arc::new(AtomicBool::new(false));
    let (arguments, told) = (arguments.clone(), Arc::clone(&stopped));
    let mut work = tokio::task::spawn_blocking(move || ingest::run(&arguments, &told));
    let report = tokio::select! {
        report = &mut work => report,
        () = stop => {
            stopped.store(true, Ordering::Relaxed);
            work.await
        }
    };
    Ok(report.context("the measurement broke")??)
}

/// Runs `faces-loadtest recommend` until its end or until `stop`.
///
/// # Errors
/// When the run can't start.
pub async fn recommend(arguments: &RecommendArgs, stop: impl Future<Output = ()>) -> Result<LoadReport, LoadError> {
    let common = &arguments.target;
    if arguments.placement.len() > PLACEMENT_BYTES_MAX {
        let value = format!("{} bytes", arguments.placement.len());
        return Err(LoadError::OutOfRange { name: "placement", value, allowed: "up to 64 bytes" });
    }
    let target = checked_target(common)?;
    let people = match &arguments.people {
        Some(path) => People::listed(path, arguments.zipf.unwrap_or(0.0))?,
        None => People::numbered(&common.bu, arguments.people_count as usize, arguments.zipf.unwrap_or(1.0))?,
    };
    let plan = LoadPlan {
        bu: common.bu.clone(),
        placement: arguments.placement.clone(),
        page_size: arguments.page_size,
        deadline: Duration::from_millis(arguments.deadline_ms),
        in_flight_max: arguments.in_flight_max as usize,
        seed: common.seed,
    };
    let connections = Connections::open(&target, usize::from(arguments.connections)).await?;
    let bar = progress::bar(arguments.seconds.duration().as_secs(), "s", common.json);
    let schedule = Schedule::new(arguments.rate, arguments.seconds, common.seed);
    let arrivals = pace::start(schedule).map_err(LoadError::Pace)?;
    let on_tick = |tally: &Tally, elapsed| progress::show(&bar, tally, elapsed);
    let driven = open_loop::drive(&plan, &people, &connections, arrivals, stop, on_tick).await?;
    bar.finish_and_clear();
    Ok(LoadReport::new(&target, &plan, arguments.rate, &driven))
}

/// Runs `faces-loadtest freshness` until its end or until `stop`.
///
/// # Errors
/// When the run can't start.
pub async fn freshness(arguments: &FreshnessArgs, stop: impl Future<Output = ()>) -> Result<FreshnessReport, IngestError> {
    let common = &arguments.target;
    let target = checked_target(common)?;
    let plan = FreshnessPlan {
        bu: common.bu.clone(),
        event: arguments.event.into(),
        trials: arguments.trials,
        page_size: arguments.page_size,
        poll: Duration::from_millis(arguments.poll_ms),
        timeout: Duration::from_millis(arguments.timeout_ms),
        settle: Duration::from_millis(arguments.settle_ms),
        pause_max: Duration::from_millis(arguments.pause_ms_max),
        seed: common.seed,
        // Sessions must be new to the server, whatever ran against it before.
        run_id: format!("{:x}-{:x}", freshness::now_ms(), process::id()),
    };
    let channel = connections::connect(&target).await?;
    let background = Background::start(arguments, &target).await?;
    let bar = progress::bar(u64::from(arguments.trials), "trials", common.json);
    let mut report = freshness::measure(&plan, &target, channel, stop, |trials| bar.set_position(u64::from(trials))).await?;
    bar.finish_and_clear();
    report.background = background.map(Background::finish).transpose()?;
    Ok(report)
}

/// Runs a scenario, prints and writes its report.
fn scenario(arguments: &PeakArgs, run: impl AsyncFnOnce(&Target) -> Result<PeakReport, LoadError>) -> anyhow::Result<ExitCode> {
    let target = checked_target(&arguments.target)?;
    let page = arguments.html.as_deref().map(PageFile::open).transpose()?;
    let report = runtime(arguments.target.threads)?.block_on(run(&target))?;
    let written = page.map(|page| anyhow::Ok(page.write(&peak::page::html(&report)?)?)).transpose();
    print(&report, arguments.target.json)?;
    written?; // each way out is tried before the other's failure is told
    Ok(exit_code(report.holds && report.good() > 0))
}

fn checked_target(arguments: &TargetArgs) -> Result<Target, LoadError> {
    let target = Target::parse(&arguments.target, arguments.allow_remote)?;
    if !target.is_loopback() {
        output::warn(&format!("warning: {} is not loopback; loading it because of --allow-remote", target.uri()));
    }
    Ok(target)
}

/// One thread costs the fewest context switches; more of them reach higher rates.
fn runtime(threads: u8) -> anyhow::Result<Runtime> {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(usize::from(threads)).enable_all().build().context("cannot start the runtime")
}

async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => {}
            () = interrupt() => {}
        }
        return;
    }
    interrupt().await;
}

/// Completes at Ctrl-C; never, where the system can't tell.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn print(report: &(impl Serialize + std::fmt::Display), json: bool) -> anyhow::Result<()> {
    let text = if json { format!("{}\n", serde_json::to_string(report)?) } else { report.to_string() };
    output::print(&text)?; // a reader who has gone changes nothing about what was found
    Ok(())
}

const fn exit_code(measured: bool) -> ExitCode {
    if measured { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
