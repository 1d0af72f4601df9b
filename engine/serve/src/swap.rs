//! Putting generations into service: load and verify off the request path, then one atomic pointer swap.
//!
//! A generation that does not verify is refused with the reason, and the one in service stays. At start a broken newest one makes
//! way for the one before.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use faces_core::ranking::Model as _;
use faces_rebuild::{GenerationId, Store};
use tokio::sync::{Mutex, watch};

use crate::{engine::Engine, metrics, serving::ServingGeneration};

/// Loads generations from a store into an engine, one at a time.
pub struct GenerationSwap {
    engine: Arc<Engine>,
    store: Store,
    /// The last id refused, so that a watcher does not try it again every second.
    turn: Mutex<Option<GenerationId>>,
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
        Self { engine, store, turn: Mutex::new(None) }
    }

    /// Loads, verifies and swaps in a generation: the named one, or the store's current one.
    ///
    /// # Errors
    /// Why it is refused; the one in service stays.
    pub async fn activate(&self, id: Option<String>) -> Result<Swapped> {
        let mut refused = self.turn.lock().await;
        let id = match id {
            Some(id) => id.parse::<GenerationId>().with_context(|| format!("{id:?} is not the name of a generation"))?,
            None => self.store.current()?.context("the store has no current generation; run `faces rebuild` first")?,
        };
        let swapped = self.load(id.clone()).await;
        match &swapped {
            Ok(swapped) => tracing::info!(generation = %swapped.now, before = %swapped.before, "generation in service"),
            Err(error) => {
                metrics::generation("refused");
                tracing::error!(generation = %id.as_str(), error = format!("{error:#}"), "generation refused");
                *refused = Some(id);
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
        let Some(current) = self.store.current()? else {
            tracing::warn!(folder = %self.store.root().display(), "no generation yet; answering from trends until `faces rebuild` publishes one");
            return Ok(());
        };
        if self.activate(None).await.is_ok() {
            return Ok(());
        }
        for id in self.store.list()?.into_iter().rev().filter(|id| *id < current) {
            if self.activate(Some(id.as_str().to_owned())).await.is_ok() {
                tracing::warn!(broken = %current.as_str(), serving = %id.as_str(), "the current generation is broken; serving the one before");
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
        let serving = self.engine.generation();
        if serving.is_some_and(|serving| serving.id() == current.as_str()) {
            return Ok(());
        }
        if self.turn.lock().await.as_ref() == Some(&current) {
            bail!("{} was refused before", current.as_str());
        }
        self.activate(Some(current.as_str().to_owned())).await.map(|_| ())
    }
}
