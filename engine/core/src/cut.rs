//! Cuts: the state as it was at one moment, read while it goes on changing.
//!
//! A cut is made at a batch boundary: no writer is at work, so all that was applied belongs to it and nothing else does. From then
//! on, whoever changes a value that belongs to the cut and was not read yet leaves a copy of what it was. So a cut is exact at its
//! log positions, writers never wait for its reader, and what it costs is a copy of the values that change while it is read.
//!
//! Every change is stamped with the number of the cut to come, so that a reader can ask for what changed since an earlier cut.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Numbers cuts and says whether one is being read. Shared by everything that is cut together.
#[derive(Debug)]
pub(crate) struct CutClock(AtomicU64); // number of the next cut; in the low half, of the one being read

/// What a change needs to know, read at one moment: not every change waits for batch boundaries (see [`State::sweep`]), and one that
/// took its stamp after a cut began but thought that none was open would be missing from it.
///
/// [`State::sweep`]: crate::state::State::sweep
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutTime {
    /// The stamp of what changes now: the number of the next cut.
    pub(crate) stamp: u32,
    /// The cut being read; 0 for none.
    pub(crate) open: u32,
}

impl CutTime {
    const fn packed(self) -> u64 {
        (self.stamp as u64) << 32 | self.open as u64
    }
}

impl Default for CutClock {
    fn default() -> Self {
        Self(AtomicU64::new(CutTime { stamp: 1, open: 0 }.packed()))
    }
}

impl CutClock {
    pub(crate) fn now(&self) -> CutTime {
        let packed = self.0.load(SeqCst);
        CutTime { stamp: (packed >> 32) as u32, open: packed as u32 }
    }

    /// Makes a cut; `None` while another is being read.
    pub(crate) fn begin(&self) -> Option<u32> {
        let CutTime { stamp, open } = self.now();
        let after = CutTime { stamp: stamp + 1, open: stamp };
        let is_first =
            open == 0 && self.0.compare_exchange(CutTime { stamp, open }.packed(), after.packed(), SeqCst, SeqCst).is_ok();
        is_first.then_some(stamp)
    }

    pub(crate) fn end(&self) {
        self.0.fetch_and(u64::MAX << 32, SeqCst);
    }
}

/// When a value last changed, and what it was before if a cut still wants that.
pub(crate) const UNCHANGED: u32 = 0;

/// Whether a change at `stamp` is part of `cut` and news since `since`.
pub(crate) const fn is_news(stamp: u32, since: u32, cut: u32) -> bool {
    stamp > since && stamp <= cut
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn stamps_belong_to_the_cut_being_read() {
        let clock = CutClock::default();
        thread::scope(|scope| {
            let cuts = scope.spawn(|| {
                for number in 1..=20_000 {
                    assert_eq!(clock.begin(), Some(number));
                    assert_eq!(clock.begin(), None, "one at a time");
                    clock.end();
                }
            });
            while !cuts.is_finished() {
                let CutTime { stamp, open } = clock.now();
                assert!(open == 0 || stamp == open + 1, "stamp {stamp} while cut {open} is read");
            }
        });
    }
}
