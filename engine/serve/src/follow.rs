//! Keeps the generation in service up with the catalogue: what is upserted, sold out or deleted reaches the index some milliseconds
//! later. (What can't be had is filtered from answers at once; here it stops taking up places among the nearest.)

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::engine::Engine;

/// How long changes are gathered after the first: each batch copies a bit for every row of the index.
const GATHERED: Duration = Duration::from_millis(2);

/// How soon the thread notices that it should stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// A thread that follows the catalogue until this is dropped.
pub struct Follower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(engine: Arc<Engine>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("catalogue-follower".into()).spawn({
            let stop = Arc::clone(&stop);
            move || run(&engine, &stop)
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that follows the catalogue had panicked");
        }
    }
}

fn run(engine: &Engine, stop: &AtomicBool) {
    let journal = engine.state().catalogue().journal();
    while !stop.load(Ordering::Relaxed) {
        let seen = journal.end();
        engine.follow_catalogue();
        journal.wait(seen, PATIENCE);
        if journal.end() != seen {
            std::thread::sleep(GATHERED);
        }
    }
}
