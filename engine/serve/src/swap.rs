//! Putting generations into service: load and verify off the request path, then one atomic pointer swap.
//!
//! A generation that does not verify is refused with the reason, and the one in service stays. At start a broken newest one makes
//! way for the one before.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use faces_core::ranking::Model as _;
use faces_rebuild::{GenerationId, Store};
use tokio::sync::{Mutex, watch};

use crate::{engine::Engine, metrics, serving::ServingGeneration};

/// Loads generations from a store into an engine, one at a time.
pub struct GenerationSwap {
    engine: Arc<Engine>,
    store: Store,
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
        Self { engine, store, settled: Mutex::new(None) }
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
        let swapped = self.load(id.clone()).await;
        match &swapped {
            Ok(swapped) => tracing::info!(generation = %swapped.now, before = %swapped.before, "generation in service"),
            Err(error) => {
                metrics::generation("refused");
                tracing::error!(generation = %id.as_str(), error = format!("{error:#}"), "generation refused");
            }
        }
        swapped
    }

    async fn load(&self, id: GenerationId) -> Result<Swapped> {
        let before = self.engine.generation().map(|generation| generation.id().to_owned()).unwrap_or_default();
        if before == id.as_str() {
            return Ok(Swapped { now: before.clone(), before });
        }
        let (store, engine, name) = (self.store.clone(), Arc::clone(&self.engine), id.as_str().to_owned());
        let old = tokio::task::spawn_blocking(move || {
            let generation = store.load(&id)?;
            let serving = ServingGeneration::new(generation, engine.state().catalogue());
            anyhow::Ok(engine.swap(serving))
        });
        let old = old.await.context("loading was interrupted")??;
        tokio::task::spawn_blocking(move || drop(old)); // freeing a large generation takes time: not here
        metrics::generation("activated");
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
                tracing::debug!(error = format!("{error:#}"), "the store's current generation is not in service");
            }
        }
    }

    async fn look(&self) -> Result<()> {
        let store = self.store.clone();
        let current = tokio::task::spawn_blocking(move || store.current()).await??;
        let Some(current) = current else { return Ok(()) };
        if self.settled.lock().await.as_ref() == Some(&current) {
            return Ok(());
        }
        self.activate(Some(current.as_str().to_owned())).await.map(|_| ())
    }
}
