//! `faces-loadtest festival`: the night of a sale. Calm, a countdown, the step at midnight, a plateau; events and queries together, and in the
//! middle of the plateau what the operator makes happen: another generation, and a cut from the brokers.
//!
//! Events are written through the public API with what the people who ask do, so that queries and events concern the same. The cut is a
//! command of the operator's (`--at-cut`), as only they know how their brokers are reached; so is publishing a generation (`--at-swap`).
//! A night without what was to happen in it is measured all the same, but does not pass.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use faces_proto::v1::{Event, EventType, KeyKind, SourceKey, WriteEventsRequest, event_service_client::EventServiceClient};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::transport::Channel;

use super::{
    beside::Running,
    phase::{PhaseReport, Stage},
    report::{Finding, PeakReport},
    slo::{Slo, Verdict},
    watch::Sample,
};
use crate::{
    cli::FestivalArgs,
    connections,
    error::LoadError,
    freshness::now_ms,
    schedule::{Rate, RunLength},
    target::Target,
};

/// Events are written in requests of so many.
const EVENTS_TOGETHER: u64 = 100;
/// Pause between two looks at whether there is anything to write by now.
const IDLE: Duration = Duration::from_millis(20);

/// Name, rate as a share of the step's, and length as a share of the night's.
const NIGHT: [(&str, f64, f64); 6] = [
    ("calm", 0.1, 0.15),
    ("countdown 1", 0.3, 0.1),
    ("countdown 2", 0.6, 0.1),
    ("midnight", 1.0, 0.2),
    ("plateau, swap", 0.7, 0.2),
    ("plateau, cut", 0.7, 0.25),
];

/// Runs the scenario until it is done or until `stop`.
///
/// # Errors
/// When the run can't start.
pub async fn run(arguments: &FestivalArgs, target: &Target, stop: impl Future<Output = ()>) -> Result<PeakReport, LoadError> {
    let peak = &arguments.peak;
    let (slo, mut stage) = (Slo::read(peak.slo.as_deref())?, Stage::open(peak, target).await?);
    let events = Events::start(connections::connect(target).await?, arguments, stage.items());
    let (mut phases, mut commands) = (Vec::<PhaseReport>::new(), Vec::new());
    let mut stop = std::pin::pin!(stop);
    for (name, share, part) in NIGHT {
        let rate = Rate::new(arguments.rate.per_second() * share)?;
        let length = RunLength::from_seconds(arguments.seconds.duration().as_secs_f64() * part)?;
        events.pace(arguments.events_per_s * share);
        let command = match name {
            "plateau, swap" => arguments.at_swap.as_deref().map(|command| ("--at-swap", command)),
            "plateau, cut" => arguments.at_cut.as_deref().map(|command| ("--at-cut", command)),
            _ => None,
        };
        let beside = command.map(|(option, command)| Running::start(option, command, length.duration() / 3));
        phases.push(stage.phase(name, rate, length, stop.as_mut()).await?);
        let is_stopped = phases.last().is_some_and(|phase| phase.stopped_early);
        if let Some(beside) = beside.filter(|beside| !is_stopped || beside.is_over()) {
            commands.push(beside.end().await);
        }
        if is_stopped {
            break;
        }
    }
    let (written, refused) = events.stop().await;
    let samples = stage.close();
    let verdicts = verdicts(&slo, &phases, &samples);
    let headline = phases.iter().find(|phase| phase.name == "midnight").cloned();
    let finding = Finding { events_written: Some(written), events_refused: Some(refused), commands, ..Finding::default() };
    Ok(PeakReport::new("festival", peak, target, phases, samples, verdicts, headline.as_ref(), finding))
}

fn verdicts(slo: &Slo, phases: &[PhaseReport], samples: &[Sample]) -> Vec<Verdict> {
    let plateau = phases.iter().filter(|phase| phase.name.starts_with("plateau"));
    let p99 = plateau.clone().filter_map(|phase| phase.p99_ms).reduce(f64::max);
    let good = phases.iter().map(|phase| phase.counts.good_share()).reduce(f64::min);
    let critical = phases.iter().map(|phase| phase.critical.good_share()).reduce(f64::min);
    let age = samples.last().and_then(|sample| sample.view_age_s);
    vec![
        Verdict::at_most("p99 on the plateau, ms", slo.p99_ms_max, p99),
        Verdict::at_least("share answered well in the worst phase", slo.good_share_min, good),
        Verdict::at_least("critical requests answered well in the worst phase", slo.critical_good_share_min, critical),
        Verdict::at_most("age of the view at the end, s", slo.view_age_seconds_max, age),
    ]
}

/// Events that are written while queries run.
struct Events {
    per_s: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(u64, u64)>,
}

impl Events {
    fn start(channel: Channel, arguments: &FestivalArgs, items: Vec<String>) -> Self {
        let (per_s, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (bu, people, seed) = (arguments.peak.target.bu.clone(), arguments.peak.people_count, arguments.peak.target.seed);
        let task = tokio::spawn(write(channel, bu, people, items, seed, Arc::clone(&per_s), Arc::clone(&stop)));
        Self { per_s, stop, task }
    }

    fn pace(&self, per_s: f64) {
        self.per_s.store(per_s.ceil() as u64, Relaxed); // few are not none
    }

    /// Events acknowledged and refused.
    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Relaxed);
        self.task.await.unwrap_or_default()
    }
}

async fn write(
    channel: Channel,
    bu: String,
    people: u32,
    items: Vec<String>,
    seed: u64,
    per_s: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> (u64, u64) {
    let mut client = EventServiceClient::new(channel);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut written, mut refused) = (0, 0);
    let mut next = tokio::time::Instant::now();
    while !stop.load(Relaxed) {
        let rate = per_s.load(Relaxed);
        if rate == 0 {
            tokio::time::sleep(IDLE).await;
            next = tokio::time::Instant::now();
            continue;
        }
        next += Duration::from_secs_f64(EVENTS_TOGETHER as f64 / rate as f64).min(Duration::from_secs(1));
        let count = EVENTS_TOGETHER.min(rate);
        let events = (0..count).map(|_| Event {
            event_time_ms: now_ms(),
            bu: bu.clone(),
            source: Some(SourceKey {
                bu: bu.clone(),
                kind: KeyKind::Account.into(),
                id: format!("u{}", random.random_range(1..=people)),
            }),
            r#type: EventType::View.into(),
            item_id: items.get(random.random_range(0..items.len().max(1))).cloned().unwrap_or_default(),
            ..Event::default()
        });
        match client.write_events(WriteEventsRequest { events: events.collect() }).await {
            Ok(answer) => {
                let failed = answer.into_inner().results.iter().filter(|result| result.error.is_some()).count() as u64;
                written += count - failed;
                refused += failed;
            }
            Err(_) => refused += count,
        }
        tokio::time::sleep_until(next).await;
    }
    (written, refused)
}
