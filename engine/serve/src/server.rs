//! The server: binding is apart from building, and running hands back when everything is drained.
//!
//! `App::bind` reads configuration and opens ports; `App::run` starts the consumer and serves until told to stop. Order of the
//! end: not ready → no new connections, requests under way finish → consumer stops and commits.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use arc_swap::ArcSwap;
use faces_core::{ranking::Model as _, record::Apply as _, state::State};
use faces_ingest::{Cluster, Ingest, LogWriter, Positions, Progress, WriterConfig};
use faces_proto::v1;
use faces_rebuild::Store;
use faces_state::ImageStore;
use tokio::sync::watch;

use crate::{
    admin_http::{self, Pages},
    background::Background,
    causes::causes,
    config::Config,
    engine::{Engine, EngineOptions},
    follow,
    grpc::{self, Door, Services, connections::ConnectionLimits},
    images::{self, Loading},
    metrics, mirrored,
    overload::Overload,
    oversight::{Health, RecentQueries},
    own_model,
    publish::open_store,
    rules::{self, RulesFile},
    seed::Planted,
    shared::{self, Shared},
    swap::GenerationSwap,
};

/// A server that has its ports and is ready to run.
pub struct App {
    config: Config,
    grpc: TcpListener,
    admin: TcpListener,
}

/// Where an [`App`] listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// Admin HTTP.
    pub admin: SocketAddr,
}

impl App {
    /// Opens the ports.
    ///
    /// # Errors
    /// A port that can't be had, with the setting to change.
    pub fn bind(config: Config) -> Result<Self> {
        let open = |address: SocketAddr, key: &str| {
            let listener = TcpListener::bind(address).with_context(|| format!("can't listen on {address}; change {key}"))?;
            listener.set_nonblocking(true)?;
            anyhow::Ok(listener)
        };
        let grpc = open(config.server.grpc_address, "server.grpc_address")?;
        let admin = open(config.server.admin_address, "server.admin_address")?;
        Ok(Self { config, grpc, admin })
    }

    /// Where it listens (with the real ports where 0 was asked for).
    ///
    /// # Errors
    /// When the system can't say.
    pub fn addresses(&self) -> Result<Addresses> {
        Ok(Addresses { grpc: self.grpc.local_addr()?, admin: self.admin.local_addr()? })
    }

    /// Consumes and serves until `stop` turns true, then drains. `started` gets the engine once it answers.
    ///
    /// # Errors
    /// A log that can't be reached at start, a store that can't be read, a listener that fails.
    pub async fn run(self, stop: watch::Receiver<bool>, started: impl FnOnce(&Arc<Engine>, &Arc<Progress>)) -> Result<()> {
        let Self { config, grpc, admin } = self;
        config.kafka.check().context("the section [kafka] can't be used")?; // before anything is touched
        let rules_path = Some(config.ranking.rules.clone()).filter(|path| !path.as_os_str().is_empty());
        let rules = rules_path.as_deref().map(RulesFile::open).transpose().context("ranking.rules can't be used")?;
        let store = open_store(None, &config)
            .with_context(|| format!("can't open the generations folder {}", config.generations.folder.display()))?;
        let shared = Shared::of(&config)?;
        let recorder = metrics::install()?;
        let upkeep = tokio::spawn(metrics::upkeep(recorder.clone()));
        let own_model = own_model::for_serving(&config.ranking.own_model)?;
        let state = Arc::new(State::new(config.state_options()));
        let engine = Arc::new(Engine::new(Arc::clone(&state), EngineOptions { own_model, ..config.engine_options() }));
        let overload = Arc::new(Overload::new(&config.overload, Instant::now()));
        let (loading, running) = (Arc::<Loading>::default(), Arc::<OnceLock<Arc<Progress>>>::default());
        let pages = Pages {
            engine: Arc::clone(&engine),
            loading: Arc::clone(&loading),
            progress: Arc::clone(&running),
            overload: Arc::clone(&overload),
            recorder,
            draining: stop.clone(),
        };
        let admin_server = serve_admin(admin, pages)?;

        // The state comes first: an image's items keep their numbers, so nothing may be numbered before.
        let (images, resume) = load_state(config.clone(), Arc::clone(&state), loading).await?;
        let shared = follow_shared(shared, &config, &store).await?;
        let health = Arc::<Health>::default();
        let recent = Arc::new(RecentQueries::new(config.generations.warm_queries));
        let swap = GenerationSwap::new(Arc::clone(&engine), store).limited(&config.generations);
        let swap = Arc::new(swap.watching(Arc::clone(&health), Arc::clone(&recent)));
        swap.start().await?;
        // An image whose topics were all forgotten knows people too, though no position.
        let is_blank = resume.is_empty() && state.fragment_count() == 0;
        let planted = if is_blank { plant(&engine, swap.store()).await? } else { None };
        let rules = rules.map(|(file, parsed)| {
            rules::put_in_force(&engine, parsed, &config.ranking.rules); // now that it is known which items there are
            tokio::spawn(file.watch(Arc::clone(&engine), stop.clone()))
        });
        let follower = follow::start(Arc::clone(&engine)).context("can't start the thread that follows the catalogue")?;
        let settler = settle(Arc::clone(&state)).context("can't start the thread that settles what is derived")?;
        let mirror = mirrored::start(Arc::clone(&recent), Arc::clone(&state), &config);
        let mirror = mirror.context("can't start the thread that leaves recent queries")?;
        let watchers = overload.start(&engine).context("can't start the threads that watch the load")?;

        let sink = Arc::clone(&state);
        let ingest = Ingest::start(config.kafka.clone(), sink, resume).context("can't start the consumer")?;
        let progress = Arc::clone(running.get_or_init(|| ingest.progress()));
        let period = Duration::from_secs(config.state.image_seconds);
        let planted = planted.map(|planted| planted.start(Arc::clone(&state), Arc::clone(&progress))).transpose()?;
        let images = match images {
            Some(store) => images::start(store, state, ingest.boundary(), period)?,
            None => images::start_without(state, period)?,
        };
        let writer = LogWriter::new(&writer_config(&config)).context("can't start the producer")?;
        let lags = Arc::<ArcSwap<Vec<v1::UnitLag>>>::default();
        let services = Arc::new(Services {
            engine: Arc::clone(&engine),
            progress: Arc::clone(&progress),
            lags: Arc::clone(&lags),
            boundary: ingest.boundary(),
            writer: Arc::new(writer),
            topics: config.kafka.topics()?,
            swap: Arc::clone(&swap),
            health,
            recent,
            overload: Arc::clone(&overload),
            future_tolerance_ms: config.kafka.future_tolerance_ms,
            deadline_ms_max: config.server.deadline_ms_max,
            request_bytes_max: config.server.request_bytes_max,
        });
        let (door, health) = grpc::door(services)?;
        let limits = ConnectionLimits { connections_max: config.server.connections_max, streams_max: config.server.streams_max };
        let grpc_server = serve_grpc(grpc, door, Arc::clone(&overload), limits, stop.clone());
        let watch = tokio::spawn({
            let (swap, stop) = (Arc::clone(&swap), stop.clone());
            let period = Duration::from_millis(config.generations.watch_ms);
            async move { swap.watch(period, stop).await }
        });
        let readiness = tokio::spawn(watch_progress(health, lags, Arc::clone(&progress), stop.clone()));
        started(&engine, &progress);

        let drain = Duration::from_secs(config.server.drain_seconds_max);
        let served = tokio::select! {
            served = until_drained(grpc_server, stop, drain) => served,
            failure = failed_to_catch_up(&progress) => Err(anyhow::anyhow!("the log can't be read on: {failure}")),
        };
        let stopped = tokio::task::spawn_blocking(move || {
            let stopped = ingest.stop();
            drop(images); // writes a last one
            stopped
        });
        let stopped = stopped.await;
        admin_server.abort();
        drop((follower, settler, mirror, watchers, shared, planted));
        for task in [watch, readiness, upkeep].into_iter().chain(rules) {
            task.abort();
        }
        stopped.context("stopping the consumer was interrupted")?.context("the consumer did not stop cleanly")?;
        served
    }
}

/// Loads the newest image beside the runtime: it keeps all cores busy.
async fn load_state(config: Config, state: Arc<State>, loading: Arc<Loading>) -> Result<(Option<ImageStore>, Positions)> {
    let loaded = tokio::task::spawn_blocking(move || images::load(&config, &state, &loading)).await;
    let loaded = loaded.context("loading the state was interrupted")??;
    Ok(loaded.map_or_else(Default::default, |(store, positions)| (Some(store), positions)))
}

/// Plants the seed of the generation in service: without an image of the state, all there is beside the log.
async fn plant(engine: &Arc<Engine>, store: &Store) -> Result<Option<Planted>> {
    let Some(generation) = engine.generation() else { return Ok(None) };
    let (state, store) = (Arc::clone(engine.state()), store.clone());
    let planting = tokio::task::spawn_blocking(move || Planted::plant(&state, &store, generation.id()));
    match planting.await.context("planting was interrupted")? {
        Ok(planted) => Ok(planted),
        Err(error) => {
            tracing::warn!(error = causes(&error), "the generation's seed can't be used: starting from the log alone");
            Ok(None)
        }
    }
}

/// Starts the thread that fetches generations, if machines share an object store. It looks there once before this returns.
async fn follow_shared(shared: Option<Shared>, config: &Config, store: &Store) -> Result<Option<Background>> {
    let Some(shared) = shared else { return Ok(None) };
    let (store, period) = (store.clone(), Duration::from_millis(config.generations.shared_watch_ms));
    let started = tokio::task::spawn_blocking(move || shared::start(shared, store, period)).await;
    started
        .context("looking into the object store was interrupted")?
        .map(Some)
        .context("can't start the thread that fetches generations")
}

/// Waits for reading the log to fail before it has caught up once. (Later, answers go on, with a view that says how old it is.)
async fn failed_to_catch_up(progress: &Progress) -> String {
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    loop {
        ticks.tick().await;
        match progress.failure() {
            _ if progress.was_caught_up() => std::future::pending().await,
            Some(failure) => return failure,
            None => {}
        }
    }
}

/// Time between two looks at what is derived: how soon a trend shows in order.
const SETTLE_PERIOD: Duration = Duration::from_millis(100);
/// At a flood of events of many items, so many times as long as the look took, but never longer than the most.
const SETTLE_PAUSES: u32 = 50;
const SETTLE_PERIOD_MAX: Duration = Duration::from_millis(500);

/// Starts the thread that brings what is derived up to date.
fn settle(state: Arc<State>) -> std::io::Result<Background> {
    Background::start_aside("faces-settle", move |stop| {
        let mut pause = SETTLE_PERIOD;
        while stop.sleep(pause) {
            let began = Instant::now();
            state.settle();
            pause = (began.elapsed() * SETTLE_PAUSES).clamp(SETTLE_PERIOD, SETTLE_PERIOD_MAX);
        }
    })
}

fn writer_config(config: &Config) -> WriterConfig {
    let Cluster { brokers, extra } = config.kafka.cluster();
    let delivery_ms_max = u32::try_from(config.server.deadline_ms_max).unwrap_or(u32::MAX).max(100);
    WriterConfig { brokers, extra, delivery_ms_max, ..WriterConfig::default() }
}

type Serving = tokio::task::JoinHandle<Result<()>>;

fn serve_grpc(
    listener: TcpListener,
    door: Door,
    overload: Arc<Overload>,
    limits: ConnectionLimits,
    stop: watch::Receiver<bool>,
) -> Serving {
    tokio::spawn(async move {
        let gate = Arc::clone(&overload.gate);
        grpc::connections::serve(listener, Arc::new(door), gate, limits, stop).await.context("gRPC failed")
    })
}

/// Threads that requests work on.
#[must_use]
pub fn workers(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Some(config.server.threads).filter(|threads| *threads > 0).unwrap_or_else(cores)
}

/// Serves until it is aborted: while requests drain, `/readyz` must be there to say so.
fn serve_admin(listener: TcpListener, pages: Pages) -> Result<Serving> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    Ok(tokio::spawn(async move { axum::serve(listener, admin_http::router(pages)).await.context("admin HTTP failed") }))
}

/// Waits for the server to end by itself or, once stopped, for requests under way, but no longer than `drain`.
async fn until_drained(mut server: Serving, mut stop: watch::Receiver<bool>, drain: Duration) -> Result<()> {
    tokio::select! {
        ended = &mut server => return ended.context("gRPC was interrupted")?,
        _ = stop.wait_for(|stop| *stop) => tracing::info!("draining"),
    }
    match tokio::time::timeout(drain, &mut server).await {
        Ok(ended) => ended.context("gRPC was interrupted")?,
        Err(_) => {
            tracing::warn!(seconds = drain.as_secs(), "requests were still under way after the drain time; closing");
            server.abort();
            Ok(())
        }
    }
}

/// Tells `grpc.health.v1` what `/readyz` says, and answers how far behind the log they are.
async fn watch_progress(
    mut reporter: tonic_health::server::HealthReporter,
    lags: Arc<ArcSwap<Vec<v1::UnitLag>>>,
    progress: Arc<Progress>,
    mut stop: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut told = None;
    loop {
        lags.store(Arc::new(progress.lags().into_iter().map(|(bu, events)| v1::UnitLag { bu, events }).collect()));
        let ready = progress.was_caught_up() && !*stop.borrow();
        if told != Some(ready) {
            let status = if ready { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
            reporter.set_service_status("", status).await;
            if ready {
                tracing::info!("ready: the log is read to its end");
            }
            told = Some(ready);
        }
        let stopped = tokio::select! {
            _ = ticks.tick() => false,
            result = stop.wait_for(|stop| *stop) => { drop(result); true }
        };
        if stopped {
            reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
            reporter.clear_service_status("").await; // ends calls that watch it, or draining would wait for them
            return;
        }
    }
}
