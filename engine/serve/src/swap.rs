//! Putting generations into service: load and verify off the request path, warm up, then one atomic pointer swap.
//!
//! A generation that does not verify is refused with the reason, and the one in service stays. At start a broken newest one makes
//! way for the one before. After a swap answers are watched; where they get worse, the server goes back to the one before by itself. It
//! leaves the store's pointer alone then: one server must not decide for all.

mod load;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use faces_core::ranking::Model as _;
use faces_rebuild::{GenerationId, Pace, Store, generation::Held};
use tokio::sync::{Mutex, watch};

use self::load::{Loaded, Loading};
use crate::{
    background::aside,
    causes::causes,
    config::Generations,
    engine::Engine,
    metrics,
    oversight::{Health, Overseer, RecentQueries, WatchOver},
};

/// Generations that are kept from being collected: the one in service, and the one to go back to.
const HELD: usize = 2;

/// Loads generations from a store into an engine, one at a time.
pub struct GenerationSwap {
    engine: Arc<Engine>,
    store: Store,
    memory_mib_max: u64,
    health: Arc<Health>,
    recent: Arc<RecentQueries>,
    overseer: parking_lot::Mutex<Overseer>,
    /// The one that a watched generation replaced.
    before: parking_lot::Mutex<Option<GenerationId>>,
    held: parking_lot::Mutex<VecDeque<Held>>,
    /// What the store said was current when something was last activated, well or not. The watcher waits until it says something else:
    /// a refused generation is not tried every second, and a roll-back by hand stands until the next one is published.
    settled: Mutex<Option<GenerationId>>,
}

/// What a swap did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Generation in service now.
    pub now: String,
    /// The one before; empty if none.
    pub before: String,
}

impl GenerationSwap {
    /// Swaps generations of `store` into `engine`.
    #[must_use]
    pub fn new(engine: Arc<Engine>, store: Store) -> Self {
        Self {
            engine,
            store,
            memory_mib_max: 0,
            health: Arc::default(),
            recent: Arc::new(RecentQueries::new(0)),
            overseer: parking_lot::Mutex::new(Overseer::new(WatchOver::default())),
            before: parking_lot::Mutex::default(),
            held: parking_lot::Mutex::default(),
            settled: Mutex::new(None),
        }
    }

    /// Where it takes them from.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Within these limits.
    #[must_use]
    pub fn limited(mut self, limits: &Generations) -> Self {
        self.memory_mib_max = limits.memory_mib_max;
        self.overseer = parking_lot::Mutex::new(Overseer::new(limits.watch_over));
        self
    }

    /// Watches what is counted there, and warms generations up with who asked lately.
    #[must_use]
    pub fn watching(self, health: Arc<Health>, recent: Arc<RecentQueries>) -> Self {
        Self { health, recent, ..self }
    }

    /// Loads, verifies and swaps in a generation: the named one, or the store's current one.
    ///
    /// # Errors
    /// Why it is refused; the one in service stays.
    pub async fn activate(&self, id: Option<String>) -> Result<Swapped> {
        let mut settled = self.settled.lock().await;
        let current = self.store.current();
        let (id, current) = match id {
            Some(id) => {
                let id = id.parse::<GenerationId>().with_context(|| format!("{id:?} is not the name of a generation"))?;
                (id, current.ok().flatten())
            }
            None => {
                let current = current?.context("the store has no current generation; run `faces rebuild` first")?;
                (current.clone(), Some(current))
            }
        };
        *settled = current;
        let pace = if self.engine.generation().is_some() { Pace::gentle() } else { Pace::full() };
        let swapped = self.put_in_service(id.clone(), pace).await;
        match &swapped {
            Ok(swapped) => {
                let is_new = !swapped.before.is_empty() && swapped.before != swapped.now;
                if is_new {
                    self.overseer.lock().swapped(Instant::now(), self.health.counts());
                    *self.before.lock() = swapped.before.parse().ok();
                }
                tracing::info!(generation = %swapped.now, before = %swapped.before, "generation in service");
            }
            Err(error) => {
                metrics::generation("refused");
                tracing::error!(generation = %id.as_str(), error = causes(error), "generation refused");
            }
        }
        swapped
    }

    async fn put_in_service(&self, id: GenerationId, mut pace: Pace) -> Result<Swapped> {
        let before = self.engine.generation().map(|generation| generation.id().to_owned()).unwrap_or_default();
        if before == id.as_str() {
            return Ok(Swapped { now: before.clone(), before });
        }
        let (began, name) = (Instant::now(), id.as_str().to_owned());
        let loading = Loading {
            engine: Arc::clone(&self.engine),
            store: self.store.clone(),
            memory_mib_max: self.memory_mib_max,
            recent: self.recent.all(),
        };
        let loaded = aside("faces-load", move || {
            let Loaded { serving, held } = loading.load(&id, &mut pace)?;
            anyhow::Ok((loading.engine.swap(serving), held))
        });
        let (old, newly_held) = loaded.await.context("loading was interrupted")??;
        tokio::spawn(aside("faces-free", move || old.map(load::free)));
        let mut held = self.held.lock();
        held.extend(newly_held);
        while held.len() > HELD {
            held.pop_front();
        }
        metrics::generation("activated");
        metrics::generation_loaded(began.elapsed());
        Ok(Swapped { now: name, before })
    }

    /// At start: the current generation, or else the newest that verifies. Serving without one is possible, and said.
    ///
    /// # Errors
    /// When the store itself can't be read.
    pub async fn start(&self) -> Result<()> {
        let current = match self.store.current() {
            Ok(Some(current)) => Some(current),
            Ok(None) => {
                let folder = self.store.root().display();
                tracing::warn!(%folder, "no generation yet; answering from trends until `faces rebuild` publishes one");
                return Ok(());
            }
            Err(error) => {
                tracing::error!(%error, "which generation is current can't be read; taking the newest one that verifies");
                None
            }
        };
        if current.is_some() && self.activate(None).await.is_ok() {
            return Ok(());
        }
        let is_older = |id: &GenerationId| current.as_ref().is_none_or(|current| id < current);
        for id in self.store.list()?.into_iter().filter(is_older) {
            if self.activate(Some(id.as_str().to_owned())).await.is_ok() {
                *self.settled.lock().await = current; // what became current meanwhile is still to be looked at
                tracing::warn!(serving = %id.as_str(), "the current generation is broken; serving the newest one before it that verifies");
                return Ok(());
            }
        }
        tracing::error!("no generation verifies; answering from trends until one is published");
        Ok(())
    }

    /// Watches the store until `stop` says so.
    pub async fn watch(&self, period: Duration, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if let Err(error) = self.look().await {
                tracing::debug!(error = causes(&error), "the store's current generation is not in service");
            }
            self.watch_over().await;
        }
    }

    /// Goes back to the generation before where answers got worse since the swap.
    async fn watch_over(&self) {
        let cause = self.overseer.lock().look(Instant::now(), &self.health.counts());
        let Some(cause) = cause else { return };
        let Some(before) = self.before.lock().take() else { return };
        let _alone = self.settled.lock().await; // what the store says stays settled: only what is published next is tried
        let left = self.engine.generation().map(|generation| generation.id().to_owned()).unwrap_or_default();
        match self.put_in_service(before.clone(), Pace::full()).await {
            Ok(swapped) => {
                self.overseer.lock().stop();
                metrics::rolled_back(cause.name());
                tracing::error!(
                    generation = %swapped.now, %left, %cause,
                    "answers got worse: went back to the generation before; `faces generations rollback` does so for all servers"
                );
            }
            Err(error) => tracing::error!(
                generation = %before, %cause, error = causes(&error),
                "answers got worse, and the generation before can't be loaded any more"
            ),
        }
    }

    async fn look(&self) -> Result<()> {
        let store = self.store.clone();
        let current = tokio::task::spawn_blocking(move || store.current()).await??;
        let Some(current) = current else { return Ok(()) };
        if self.settled.lock().await.as_ref() == Some(&current) {
            return Ok(());
        }
        self.activate(None).await.map(|_| ()) // whatever it says by the time that it is this one's turn
    }
}

#[cfg(test)]
mod tests;
