//! Stopping: asked for once, seen by all that wait.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// The wish to stop, and how long it may take to come true.
#[derive(Debug)]
pub(crate) struct Stop {
    requested: AtomicBool,
    patience: Duration,
}

impl Stop {
    pub(super) fn new(patience: Duration) -> Self {
        Self { requested: AtomicBool::new(false), patience }
    }

    pub(super) fn request(&self) {
        self.requested.store(true, Relaxed);
    }

    /// How long stopping may take.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Relaxed)
    }

    /// Waits, but not past a request to stop.
    pub(crate) fn sleep(&self, duration: Duration) {
        let until = Instant::now() + duration;
        while !self.is_requested() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left.min(Duration::from_millis(200)));
        }
    }
}
