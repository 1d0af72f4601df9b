//! Who sends: connections, what goes over them, and the thread that it is sent from.
//!
//! Critical calls have connections of their own, as callers have whose calls are all of one kind, and a thread of their own: where the others
//! are more than the generator can send, or read the answers of, critical calls leave when they are due all the same. What is lost of
//! them, the server lost.

use std::{future::Future, sync::Arc, time::Duration};

use faces_proto::v1::recommendation_service_client::RecommendationServiceClient;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tonic::{Code, transport::Channel};

use super::{
    books::{Fate, Finished, SharedBooks},
    mix::{Ask, Mix, Shares},
};
use crate::{
    connections,
    error::LoadError,
    open_loop::{self, Books as _, Bounds},
    pace,
    schedule::{Rate, RunLength, Schedule},
    status::{code_name, normalised},
    tally::GENERATOR_FAILED,
    target::Target,
};

/// Who asks must not follow from when, though both come from one seed: the schedule has stream 0.
const MIX_STREAM: u64 = 1;
/// Of so many connections, one is for critical calls.
const CRITICAL_ONE_OF: u16 = 8;

type Client = RecommendationServiceClient<Channel>;

/// A part of the calls.
#[derive(Debug)]
pub struct Lane {
    share: f64, // of all calls
    shares: Shares,
    clients: Arc<[Client]>,
    thread: Option<Thread>, // the caller's, if none
}

/// What all lanes send in a phase.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// What is asked.
    pub mix: &'a Arc<Mix>,
    /// Of each lane.
    pub bounds: Bounds,
    /// Arrivals a second on all lanes together.
    pub rate: Rate,
    /// How long.
    pub length: RunLength,
    /// Of everything drawn.
    pub seed: u64,
}

/// Opens `connections`: an eighth of them for critical calls and the others for the others, or, if `is_mixed`, all for all.
///
/// # Errors
/// As [`connections::connect`]; no thread to be had.
pub async fn open(target: &Target, connections: u16, is_mixed: bool, shares: Shares) -> Result<Vec<Lane>, LoadError> {
    match *shares.split() {
        [(critical, of_critical), (others, of_others)] if !is_mixed && connections > 1 => {
            let few = connections.div_ceil(CRITICAL_ONE_OF);
            let thread = Some(Thread::start()?);
            Ok(vec![
                Lane::open(target, few, critical, of_critical, thread).await?,
                Lane::open(target, connections - few, others, of_others, None).await?,
            ])
        }
        _ => Ok(vec![Lane::open(target, connections, 1.0, shares, None).await?]),
    }
}

/// Sends a load, each lane its part, until its end or until `stop`; what becomes of it is in `books`. For how long calls came due, and
/// whether `stop` came first.
///
/// # Errors
/// No thread for the pace.
pub async fn run(
    lanes: &[Lane],
    load: &Load<'_>,
    books: &SharedBooks,
    stop: impl Future<Output = ()>,
    on_tick: impl FnMut(&SharedBooks, Duration),
) -> Result<(Duration, bool), LoadError> {
    let (mut elsewhere, mut told) = (Vec::new(), Vec::new());
    let (mut here, mut offered) = (None, (Duration::ZERO, false));
    for (place, lane) in lanes.iter().enumerate() {
        let (load, books) = (Load { seed: load.seed ^ ((place as u64) << 32), ..*load }, books.clone());
        match &lane.thread {
            Some(thread) => {
                let (tell, stop) = oneshot::channel();
                told.push(tell);
                elsewhere.push(thread.handle.spawn(lane.send(&load, books, told_to_stop(stop), |_, _| ())?));
            }
            None => here = Some((lane, load, books)),
        }
    }
    let stop = async {
        stop.await;
        told.into_iter().for_each(|tell| _ = tell.send(()));
    };
    if let Some((lane, load, books)) = here {
        offered = lane.send(&load, books, stop, on_tick)?.await;
    }
    for lane in elsewhere {
        if let Err(error) = lane.await {
            books.clone().error(GENERATOR_FAILED, &error.to_string());
        }
    }
    Ok(offered)
}

/// Never, if whoever would tell has gone.
async fn told_to_stop(told: oneshot::Receiver<()>) {
    if told.await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Lane {
    async fn open(
        target: &Target,
        connections: u16,
        share: f64,
        shares: Shares,
        thread: Option<Thread>,
    ) -> Result<Self, LoadError> {
        let target = target.clone();
        let opened = async move {
            let mut clients = Vec::new();
            for _ in 0..connections {
                clients.push(RecommendationServiceClient::new(connections::connect(&target).await?));
            }
            Ok::<Arc<[Client]>, LoadError>(clients.into())
        };
        // What works on a connection does so where it was opened.
        let clients = match &thread {
            Some(thread) => thread.handle.spawn(opened).await.map_err(|error| LoadError::Pace(error.into()))??,
            None => opened.await?,
        };
        Ok(Self { share, shares, clients, thread })
    }

    /// Sends its part of a load.
    fn send<S: Future<Output = ()>, T: FnMut(&SharedBooks, Duration)>(
        &self,
        load: &Load<'_>,
        mut books: SharedBooks,
        stop: S,
        on_tick: T,
    ) -> Result<impl Future<Output = (Duration, bool)> + use<S, T>, LoadError> {
        let rate = Rate::new(load.rate.per_second() * self.share)?;
        let arrivals = pace::start(Schedule::new(rate, load.length, load.seed)).map_err(LoadError::Pace)?;
        let (mix, bounds, shares, clients) = (Arc::clone(load.mix), load.bounds, self.shares, Arc::clone(&self.clients));
        let start = books.read().start();
        let mut random = ChaCha8Rng::seed_from_u64(load.seed);
        random.set_stream(MIX_STREAM);
        let mut turns = (0..clients.len()).cycle();
        let send = move |due| {
            let client = turns.next().and_then(|turn| clients.get(turn)).cloned();
            one(mix.draw(&shares, &mut random), client, start, due, bounds.deadline)
        };
        Ok(async move { open_loop::run(bounds, &mut books, send, arrivals, stop, on_tick).await })
    }
}

async fn one(
    ask: Ask,
    client: Option<RecommendationServiceClient<Channel>>,
    start: Instant,
    due: Instant,
    deadline: Duration,
) -> Finished {
    let (sent, deadline_at, criticality) = (Instant::now(), due + deadline, ask.criticality);
    let fate = match client {
        Some(client) => match timeout_at(deadline_at, ask.send(client, deadline_at.saturating_duration_since(sent))).await {
            Ok(Ok(answer)) => Fate::Answered(answer),
            Ok(Err(status)) => match normalised(status) {
                status if status.code() == Code::DeadlineExceeded => Fate::Late,
                status => Fate::Error { code: code_name(status.code()), message: status.message().to_owned() },
            },
            Err(_) => Fate::Late,
        },
        None => Fate::Error { code: "INTERNAL", message: "no connection".to_owned() },
    };
    let over = Instant::now();
    Finished { criticality, send_lag: sent - due, latency: over - due, due_at: due - start, fate }
}

/// A thread with a runtime of its own, for as long as this lives.
#[derive(Debug)]
struct Thread {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Thread {
    fn start() -> Result<Self, LoadError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("critical").enable_all().build();
        let runtime = runtime.map_err(LoadError::Pace)?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Where it is dropped, waiting for a runtime's end is not allowed.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}
