//! Who asked lately: a bounded ring, to warm a generation up with, and for what [`crate::mirrored`] leaves for the next rebuild.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use faces_core::{
    ids::{BuId, EventTime},
    key::SourceKey,
};
use parking_lot::Mutex;

/// Of so many queries one is noted.
const EVERY: u64 = 8;

/// Who asked for whose items, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who.
    pub keys: Vec<SourceKey>,
    /// Whose items.
    pub bu: BuId,
    /// How many.
    pub wanted: usize,
    /// When.
    pub at: EventTime,
}

/// The latest queries.
#[derive(Debug)]
pub struct RecentQueries {
    most: usize,
    seen: AtomicU64,
    ring: Mutex<VecDeque<Asked>>,
}

impl RecentQueries {
    /// At most so many; 0 notes none.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, seen: AtomicU64::new(0), ring: Mutex::default() }
    }

    /// Notes one query of some; where another thread is noting, this one goes unnoted rather than wait.
    pub fn note(&self, keys: &[SourceKey], bu: BuId, wanted: usize, at: EventTime) {
        if self.most == 0 || !self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(EVERY) {
            return;
        }
        let Some(mut ring) = self.ring.try_lock() else { return };
        if ring.len() >= self.most {
            ring.pop_front();
        }
        ring.push_back(Asked { keys: keys.to_vec(), bu, wanted, at });
    }

    /// Those noted, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Asked> {
        self.ring.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_some_are_kept() {
        let catalogue = faces_core::catalogue::Catalogue::default();
        let bu = catalogue.bu_or_new("shop").unwrap();
        let (recent, at) = (RecentQueries::new(3), EventTime::from_millis(0));
        (0..80).for_each(|wanted| recent.note(&[], bu, wanted, at));
        assert_eq!(recent.all().iter().map(|asked| asked.wanted).collect::<Vec<_>>(), [56, 64, 72]);
        let none = RecentQueries::new(0);
        none.note(&[], bu, 1, at);
        assert!(none.all().is_empty());
    }
}
