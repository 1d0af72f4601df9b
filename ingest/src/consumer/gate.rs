//! The gate between readers and those who want to see all of them at a batch boundary.
//!
//! A reader goes in when it begins a batch and comes out when its positions have moved. Whoever holds the gate shut sees no batch half
//! done: state and positions belong together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::{RwLock, RwLockReadGuard};

use crate::{positions::Positions, progress::Progress};

/// Longest time that readers are kept from their next batch by one attempt. Batches are shorter, unless one waits for its dead letters
/// to be written: then the others must not wait too.
const ATTEMPT: Duration = Duration::from_millis(25);

#[derive(Debug, Default)]
pub(super) struct Gate {
    lock: RwLock<()>,
    open_batches: AtomicUsize, // more than 0 with the gate shut: a reader died, or left letters undelivered
}

/// A batch that is under way.
pub(super) struct OpenBatch<'g> {
    open_batches: &'g AtomicUsize,
    _inside: RwLockReadGuard<'g, ()>,
}

impl OpenBatch<'_> {
    /// The batch is applied and its positions have moved. Without this call it counts as half done for ever.
    pub(super) fn complete(self) {
        self.open_batches.fetch_sub(1, Relaxed);
    }
}

impl Gate {
    pub(super) fn enter(&self) -> OpenBatch<'_> {
        let inside = self.lock.read();
        self.open_batches.fetch_add(1, Relaxed);
        OpenBatch { open_batches: &self.open_batches, _inside: inside }
    }

    fn shut<R>(&self, patience: Duration, f: impl FnOnce() -> R) -> Option<R> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(_shut) = self.lock.try_write_for(left.min(ATTEMPT)) {
                return (self.open_batches.load(Relaxed) == 0).then(f);
            }
            if left.is_zero() {
                return None;
            }
            std::thread::sleep(left.min(ATTEMPT));
        }
    }
}

/// Sees the state between batches. It outlives the consumer.
#[derive(Clone, Debug)]
pub struct Boundary {
    gate: Arc<Gate>,
    progress: Arc<Progress>,
}

impl Boundary {
    pub(super) const fn new(gate: Arc<Gate>, progress: Arc<Progress>) -> Self {
        Self { gate, progress }
    }

    /// Calls `f` while no batch is under way, with the position of every partition: exactly what is before these is applied. All readers
    /// wait meanwhile, so `f` should take microseconds: freeze, copy later.
    ///
    /// `None` when no such moment came within `patience`: a reader waits for its dead letters to be written, or ended in the middle of
    /// a batch.
    pub fn at<R>(&self, patience: Duration, f: impl FnOnce(&Positions) -> R) -> Option<R> {
        self.gate.shut(patience, || f(&self.progress.positions()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_shuts_between_batches_only() {
        let gate = Gate::default();
        assert_eq!(gate.shut(Duration::ZERO, || 1), Some(1));
        let (one, other) = (gate.enter(), gate.enter());
        one.complete();
        assert_eq!(gate.shut(Duration::from_millis(1), || 1), None, "a batch is under way");
        other.complete();
        assert_eq!(gate.shut(Duration::ZERO, || 1), Some(1));
        drop(gate.enter());
        assert_eq!(gate.shut(Duration::ZERO, || 1), None, "a batch was left half done");
    }
}
