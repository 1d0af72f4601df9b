//! What changed in the catalogue of late, in order: how whoever keeps something derived from it (an index, its filters) follows.
//!
//! A reader asks for everything since a position and goes on from the next one. Only the last million changes are kept; a reader
//! that comes later reads the whole catalogue anew. Cost of a change: one short lock.

use std::{collections::VecDeque, time::Duration};

use parking_lot::{Condvar, Mutex};

use crate::ids::ItemId;

/// Changes kept: 4 MiB.
const KEPT: usize = 1 << 20;

/// A reader came too late: the changes it asks for are no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the changes since position {position} are no longer kept; read everything anew")]
pub struct TooLate {
    /// Where the reader was.
    pub position: u64,
}

/// The latest changes.
#[derive(Debug, Default)]
pub struct Journal {
    kept: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    first: u64,
    items: VecDeque<ItemId>,
}

impl Kept {
    fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }
}

impl Journal {
    /// Notes that an item is not what it was; the change must be visible already.
    pub fn push(&self, item: ItemId) {
        let mut kept = self.kept.lock();
        if kept.items.len() == KEPT {
            kept.items.pop_front();
            kept.first += 1;
        }
        kept.items.push_back(item);
        drop(kept);
        self.changed.notify_all();
    }

    /// The position after the latest change.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.kept.lock().end()
    }

    /// Appends what changed since `position` to `items`, oldest first, repeats included; the position to ask from next.
    ///
    /// # Errors
    /// [`TooLate`]; `items` is as it was.
    pub fn since(&self, position: u64, items: &mut Vec<ItemId>) -> Result<u64, TooLate> {
        let kept = self.kept.lock();
        let passed = position.checked_sub(kept.first).ok_or(TooLate { position })?;
        items.extend(kept.items.iter().skip(usize::try_from(passed).unwrap_or(usize::MAX)));
        Ok(kept.end())
    }

    /// Waits until something changes after `position`, no longer than `patience`.
    pub fn wait(&self, position: u64, patience: Duration) {
        let mut kept = self.kept.lock();
        if kept.end() <= position {
            self.changed.wait_for(&mut kept, patience);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_get_each_change_once_and_in_order() {
        let journal = Journal::default();
        let (mut first, mut second) = ((0, Vec::new()), (0, Vec::new()));
        for n in 0..50 {
            journal.push(ItemId::new(n % 7));
            if n % 3 == 0 {
                first.0 = journal.since(first.0, &mut first.1).unwrap();
            }
        }
        first.0 = journal.since(first.0, &mut first.1).unwrap();
        second.0 = journal.since(second.0, &mut second.1).unwrap();
        assert_eq!((first.0, second.0, journal.end()), (50, 50, 50));
        assert_eq!(first.1, (0..50).map(|n| ItemId::new(n % 7)).collect::<Vec<_>>());
        assert_eq!(first.1, second.1);
    }

    #[test]
    fn who_comes_too_late_is_told() {
        let journal = Journal::default();
        for n in 0..KEPT as u32 + 5 {
            journal.push(ItemId::new(n));
        }
        let mut items = vec![ItemId::new(9)];
        assert_eq!(journal.since(4, &mut items), Err(TooLate { position: 4 }));
        assert_eq!(items, [ItemId::new(9)]);
        assert_eq!(journal.since(KEPT as u64 + 3, &mut items), Ok(KEPT as u64 + 5));
        assert_eq!(items, [9, KEPT as u32 + 3, KEPT as u32 + 4].map(ItemId::new));
    }

    #[test]
    fn a_change_wakes_who_waits() {
        let journal = Journal::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                while journal.end() == 0 {
                    journal.wait(0, Duration::from_secs(60));
                }
                journal.end()
            });
            journal.push(ItemId::new(1));
            assert_eq!(waiter.join().unwrap(), 1);
        });
    }
}
