//! Cuts: the state as it was at one moment, read while it goes on changing.
//!
//! A cut is made at a batch boundary: no writer is at work, so all that was applied belongs to it and nothing else does. From then
//! on, whoever changes a value that belongs to the cut and was not read yet leaves a copy of what it was. So a cut is exact at its
//! log positions, writers never wait for its reader, and what it costs is a copy of the values that change while it is read.
//!
//! Every change is stamped with the number of the cut to come, so that a reader can ask for what changed since an earlier cut.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Numbers cuts and says whether one is being read. Shared by everything that is cut together.
#[derive(Debug)]
pub(crate) struct CutClock {
    next: AtomicU32,
    open: AtomicU32, // number of the cut being read; 0 for none
}

impl Default for CutClock {
    fn default() -> Self {
        Self { next: AtomicU32::new(1), open: AtomicU32::new(0) }
    }
}

impl CutClock {
    /// The stamp of what changes now: the number of the next cut.
    pub(crate) fn stamp(&self) -> u32 {
        self.next.load(SeqCst)
    }

    /// The cut being read; 0 for none.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(SeqCst)
    }

    /// Makes a cut; `None` while another is being read.
    pub(crate) fn begin(&self) -> Option<u32> {
        let number = self.next.load(SeqCst);
        self.open.compare_exchange(0, number, SeqCst, SeqCst).ok()?;
        self.next.store(number + 1, SeqCst);
        Some(number)
    }

    pub(crate) fn end(&self) {
        self.open.store(0, SeqCst);
    }
}

/// When a value last changed, and what it was before if a cut still wants that.
pub(crate) const UNCHANGED: u32 = 0;

/// Whether a change at `stamp` is part of `cut` and news since `since`.
pub(crate) const fn is_news(stamp: u32, since: u32, cut: u32) -> bool {
    stamp > since && stamp <= cut
}
