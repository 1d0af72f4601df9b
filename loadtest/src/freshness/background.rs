//! Load beside the trials: events written straight to the log by a paced producer, and an open loop of Recommend.
//!
//! Each has a thread of its own, so that the trials' clock does not wait for them; on a busy machine it waits all the same, which the
//! report owns up to.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use faces_proto::v1::RecommendRequest;
use serde::Serialize;
use tokio::sync::oneshot;
use tonic::Request;

use super::now_ms;
use crate::{
    cli::{Compression, FreshnessArgs},
    connections::{Connections, Recommender as _},
    error::LoadError,
    ingest::{
        error::IngestError,
        events::{Crowd, Events, Items},
        preload::{self, Names},
        procfs::{self, Usage},
        writer::Writer,
    },
    open_loop::{self, LoadPlan},
    pace,
    people::People,
    report::LoadReport,
    schedule::{Rate, RunLength, Schedule},
    target::Target,
};

/// The trials begin once the background runs, or after so long in any case.
const WARM_PATIENCE: Duration = Duration::from_secs(30);
const WARM_PAUSE: Duration = Duration::from_millis(5);
const PACE: Duration = Duration::from_millis(1);
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);
const LENGTH_SECONDS_MAX: f64 = 7_200.0;
const CONNECTIONS: usize = 4;
const PAGE_SIZE: u8 = 20;
const DEADLINE: Duration = Duration::from_secs(1);
const IN_FLIGHT_MAX: usize = 10_000;
/// Answers that are asked for the names of items, and people to ask for.
const ASKED: usize = 20;
const ASKED_PAGE_SIZE: i32 = 200;

/// What ran beside the trials.
#[derive(Clone, Debug, Serialize)]
pub struct BackgroundReport {
    /// How long.
    pub seconds: f64,
    /// The events, if there were any.
    pub events: Option<BackgroundEvents>,
    /// The calls, if there were any.
    pub recommends: Option<LoadReport>,
    /// Share of all processors of the machine that was busy: near 1, the times hold waits for a processor.
    pub machine_busy_share: Option<f64>,
    /// Processors of the machine.
    pub processors: Option<usize>,
    /// Processors that this generator kept busy.
    pub generator_cpu_cores: Option<f64>,
}

/// Events of the background.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BackgroundEvents {
    /// As asked for.
    pub per_s_asked: u32,
    /// Acknowledged by the log.
    pub per_s: f64,
    /// Not acknowledged.
    pub failed: u64,
    /// How far the producer was behind its own pace at worst.
    pub late_ms_max: f64,
}

/// Load that runs.
pub struct Background {
    began: Instant,
    machine: Option<(f64, usize)>,
    cpu_s: Option<f64>,
    stop: Arc<AtomicBool>,
    events: Option<JoinHandle<BackgroundEvents>>,
    recommends: Option<Calls>,
}

/// Calls that go on until they are told to end.
type Calls = (oneshot::Sender<()>, JoinHandle<Result<LoadReport, LoadError>>);

impl Background {
    /// Starts what the arguments ask for; `None` when they ask for nothing.
    ///
    /// # Errors
    /// Brokers that are remote or not to be used, a server that recommends nothing.
    pub async fn start(arguments: &FreshnessArgs, target: &Target) -> Result<Option<Self>, IngestError> {
        let asked = &arguments.background;
        if asked.events.is_none() && asked.recommends.is_none() {
            return Ok(None);
        }
        let bu = arguments.target.bu.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let mut background =
            Self { began: Instant::now(), machine: None, cpu_s: None, stop: Arc::clone(&stop), events: None, recommends: None };
        if let (Some(per_s), Some(brokers)) = (asked.events, &asked.brokers) {
            preload::check_brokers(brokers, arguments.target.allow_remote)?;
            let names = Names { prefix: asked.prefix.clone(), bu: bu.clone() };
            preload::check_there(brokers, &names)?;
            let crowd = Crowd { bu: bu.clone(), people: asked.people, items: Items::Named(items(target, &bu).await?) };
            let writer = Writer::new(brokers, names.events(), Compression::Lz4, asked.linger_ms)?;
            let events = Events::new(crowd, u64::MAX, 0, 0, arguments.target.seed);
            let deliveries = writer.deliveries();
            background.events = Some(spawn("events", move || write(per_s, events, writer, &stop))?);
            let deadline = Instant::now() + WARM_PATIENCE;
            while deliveries.delivered() + deliveries.failed() == 0 && Instant::now() < deadline {
                tokio::time::sleep(WARM_PAUSE).await;
            }
        }
        if let Some(rate) = asked.recommends {
            let people = People::numbered(&bu, asked.people as usize, 0.0)?;
            let (target, seed) = (target.clone(), arguments.target.seed);
            let (end, ended) = oneshot::channel();
            let (begin, begun) = oneshot::channel();
            let run = move || recommend(&target, bu, rate, seed, &people, begin, ended);
            background.recommends = Some((end, spawn("recommends", run)?));
            begun.await.ok(); // a failure to begin is told at the end
        }
        (background.began, background.machine) = (Instant::now(), procfs::machine_busy());
        background.cpu_s = Usage::cpu_seconds_of(std::process::id());
        Ok(Some(background))
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the calls could not be made at all.
    pub fn finish(self) -> Result<BackgroundReport, LoadError> {
        let (machine, cpu_s) = (procfs::machine_busy(), Usage::cpu_seconds_of(std::process::id()));
        let seconds = self.began.elapsed().as_secs_f64();
        self.stop.store(true, Ordering::Relaxed);
        let recommends = self.recommends.map(|(end, work)| {
            end.send(()).ok(); // it may have ended by itself
            work.join()
        });
        let events = self.events.and_then(|work| work.join().ok());
        Ok(BackgroundReport {
            seconds,
            events,
            recommends: recommends.and_then(Result::ok).transpose()?,
            machine_busy_share: self.machine.zip(machine).map(|((a, _), (b, count))| (b - a) / seconds / count.max(1) as f64),
            processors: machine.map(|(_, count)| count),
            generator_cpu_cores: self.cpu_s.zip(cpu_s).map(|(a, b)| (b - a) / seconds),
        })
    }
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, IngestError> {
    thread::Builder::new().name(format!("back-{name}")).spawn(work).map_err(IngestError::Thread)
}

/// Names of items that the server recommends.
async fn items(target: &Target, bu: &str) -> Result<Vec<String>, IngestError> {
    let connections = Connections::open(target, 1).await?;
    let mut names = BTreeSet::new();
    for number in 0..ASKED {
        let keys = vec![faces_proto::v1::SourceKey { bu: bu.to_owned(), kind: 1, id: format!("u{}", number + 1) }];
        let request = RecommendRequest { keys, bu: bu.to_owned(), page_size: ASKED_PAGE_SIZE, ..RecommendRequest::default() };
        let answer =
            connections.recommend(Request::new(request)).await.map_err(|status| IngestError::Answer(status.to_string()))?;
        names.extend(answer.items.into_iter().map(|item| item.item_id));
    }
    if names.is_empty() { Err(IngestError::NoItems { bu: bu.to_owned() }) } else { Ok(names.into_iter().collect()) }
}

fn write(per_s: u32, mut events: Events, mut writer: Writer, stop: &AtomicBool) -> BackgroundEvents {
    let began = Instant::now();
    let (mut sent, mut late_max) = (0_u64, 0.0_f64);
    while !stop.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * f64::from(per_s)) as u64;
        late_max = late_max.max(due.saturating_sub(sent) as f64 / f64::from(per_s));
        let time_ms = now_ms();
        while sent < due && !stop.load(Ordering::Relaxed) {
            let (key, payload) = events.next_at(time_ms);
            writer.send(key, payload);
            sent += 1;
        }
        writer.poll();
        thread::sleep(PACE);
    }
    let seconds = began.elapsed().as_secs_f64();
    writer.flush(FLUSH_PATIENCE);
    let delivered = writer.deliveries().delivered();
    let failed = sent.saturating_sub(delivered);
    BackgroundEvents { per_s_asked: per_s, per_s: delivered as f64 / seconds, failed, late_ms_max: late_max * 1e3 }
}

fn recommend(
    target: &Target,
    bu: String,
    rate: Rate,
    seed: u64,
    people: &People,
    begin: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
) -> Result<LoadReport, LoadError> {
    let plan =
        LoadPlan { bu, placement: String::new(), page_size: PAGE_SIZE, deadline: DEADLINE, in_flight_max: IN_FLIGHT_MAX, seed };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Pace)?;
    runtime.block_on(async {
        let connections = Connections::open(target, CONNECTIONS).await?;
        let schedule = Schedule::new(rate, RunLength::from_seconds(LENGTH_SECONDS_MAX)?, seed);
        let arrivals = pace::start(schedule).map_err(LoadError::Pace)?;
        begin.send(()).ok();
        let stop = async { _ = ended.await };
        let driven = open_loop::drive(&plan, people, &connections, arrivals, stop, |_, _| {}).await?;
        Ok(LoadReport::new(target, &plan, rate, &driven))
    })
}

impl fmt::Display for BackgroundReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<24}{value}");
        if let Some(of) = &self.events {
            let late = format!("late by up to {:.0} ms", of.late_ms_max);
            row("background events", format!("{:.0}/s of {}/s asked, {} failed, {late}", of.per_s, of.per_s_asked, of.failed))?;
            row(
                "note",
                "background events move trends, so a slate may change without the event: the profile is the sure sign".to_owned(),
            )?;
        }
        if let Some(of) = &self.recommends {
            let [p50, p99] = [of.p50_ms, of.p99_ms].map(crate::latency::for_people);
            row(
                "background recommends",
                format!("{:.0}/s good of {:.0}/s due, p50 {p50} ms  p99 {p99} ms", of.goodput_per_s, of.rate_per_s),
            )?;
        }
        if let (Some(busy), Some(processors)) = (self.machine_busy_share, self.processors) {
            let own = self.generator_cpu_cores.unwrap_or(0.0);
            row("machine", format!("{:.0} % of {processors} processors busy, {own:.2} by this generator", busy * 100.0))?;
            if busy > 0.9 {
                row("note", "all processors were busy: the times hold waits for a processor".to_owned())?;
            }
        }
        Ok(())
    }
}
