//! Values by source key in virtual shards, each with one writer at a time, that can be cut (`cut.rs`).
//!
//! A shard is chosen by the key's hash alone, so it does not depend on partitions of the log, and writers of different keys seldom
//! meet. Readers copy out: no guard leaves this module.

mod dense;

use parking_lot::{RwLock, RwLockUpgradableReadGuard};

use self::dense::Dense;
use crate::{
    cut::{CutClock, CutTime, UNCHANGED, is_news},
    key::KeyHash,
};

/// Virtual shards. So many that copying one out holds its writers up for a few milliseconds at ten million values.
pub const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 10;

/// The shard of a key.
#[must_use]
pub fn shard_of(key: KeyHash) -> usize {
    (key.raw() >> (u128::BITS - SHARD_BITS)) as usize
}

#[derive(Debug)]
pub(crate) struct Table<V> {
    shards: Box<[RwLock<Shard<V>>]>,
}

#[derive(Debug)]
struct Shard<V> {
    entries: Dense<Entry<V>>,
    before: Vec<(KeyHash, Entry<V>)>, // as it was at the cut `before_cut`, of what changed since
    before_cut: u32,
    read_cut: u32, // the last cut that was read
}

#[derive(Clone, Debug)]
struct Entry<V> {
    value: V,
    changed: u32,
    tag: u32, // what is derived of the value lies there: no part of it, and no part of a cut
}

/// What to do with a value after an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Yes,
    No,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        let shard = || Shard { entries: Dense::default(), before: Vec::new(), before_cut: 0, read_cut: 0 };
        Self { shards: (0..SHARDS).map(|_| RwLock::new(shard())).collect() }
    }
}

impl<V: Clone + Default> Table<V> {
    fn shard(&self, number: usize) -> &RwLock<Shard<V>> {
        #[expect(clippy::indexing_slicing, reason = "the remainder is in range, and there is always a shard")]
        &self.shards[number % SHARDS]
    }

    /// Reads a value under its shard's lock, briefly.
    pub(crate) fn read<R>(&self, key: KeyHash, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.shard(shard_of(key)).read().entries.get(key).map(|entry| read(&entry.value))
    }

    /// Reads a value and its tag under its shard's lock, briefly.
    pub(crate) fn read_tagged<R>(&self, key: KeyHash, read: impl FnOnce(&V, u32) -> R) -> Option<R> {
        self.shard(shard_of(key)).read().entries.get(key).map(|entry| read(&entry.value, entry.tag))
    }

    /// Changes a value, made new if need be. `change` says whether it did.
    pub(crate) fn update<R>(&self, key: KeyHash, clock: &CutClock, change: impl FnOnce(&mut V) -> (Changed, R)) -> R {
        self.update_tagged(key, clock, |value, _| change(value))
    }

    /// [`Self::update`] with the value's tag, which is 0 at first.
    pub(crate) fn update_tagged<R>(
        &self,
        key: KeyHash,
        clock: &CutClock,
        change: impl FnOnce(&mut V, &mut u32) -> (Changed, R),
    ) -> R {
        let shard = &mut *self.shard(shard_of(key)).write();
        let CutTime { stamp, open } = clock.now();
        let entry = shard.entries.get_or_insert_with(key, || Entry { value: V::default(), changed: u32::MAX, tag: 0 });
        let is_wanted = open > shard.read_cut && entry.changed <= open;
        let before = is_wanted.then(|| entry.clone());
        let (changed, result) = change(&mut entry.value, &mut entry.tag);
        if changed == Changed::Yes {
            entry.changed = stamp;
            if let Some(before) = before {
                if shard.before_cut != open {
                    shard.before.clear(); // of a cut that was never read to its end
                    shard.before_cut = open;
                }
                shard.before.push((key, before));
            }
        } else if entry.changed == u32::MAX {
            shard.entries.remove(key);
        }
        result
    }

    /// Calls `change` with every value of a shard, as [`Self::update`] does.
    pub(crate) fn update_all(
        &self,
        shard: usize,
        clock: &CutClock,
        mut change: impl FnMut(KeyHash, &mut V, &mut u32) -> Changed,
    ) {
        let shard = &mut *self.shard(shard).write();
        let CutTime { stamp, open } = clock.now();
        if shard.before_cut != open {
            shard.before.clear();
            shard.before_cut = open;
        }
        for (key, entry) in shard.entries.iter_mut() {
            let is_wanted = open > shard.read_cut && entry.changed <= open;
            let before = is_wanted.then(|| entry.clone());
            if change(key, &mut entry.value, &mut entry.tag) == Changed::Yes {
                entry.changed = stamp;
                shard.before.extend(before.map(|before| (key, before)));
            }
        }
    }

    /// Drops values for good: those that `is_void` and have not changed after cut `kept`, on which somebody may still build.
    /// Gives their number; `dropped` gets the tag of each.
    pub(crate) fn drop_void(&self, shard: usize, kept: u32, is_void: impl Fn(&V) -> bool, mut dropped: impl FnMut(u32)) -> u64 {
        let entries = &mut self.shard(shard).write().entries;
        let held = entries.len();
        entries.retain(|entry| {
            let stays = entry.changed > kept || !is_void(&entry.value);
            if !stays {
                dropped(entry.tag);
            }
            stays
        });
        (held - entries.len()) as u64
    }

    /// Calls `visit` with every value of a shard as it was at `cut`, if it changed after cut `since`. Once per cut.
    pub(crate) fn visit_cut(&self, shard: usize, cut: u32, since: Option<u32>, mut visit: impl FnMut(KeyHash, &V)) {
        let shard = self.shard(shard).upgradable_read();
        let before = if shard.before_cut == cut { shard.before.as_slice() } else { &[] };
        for (key, entry) in shard.entries.iter().chain(before.iter().map(|(key, entry)| (*key, entry))) {
            let is_wanted = since.map_or(entry.changed <= cut, |since| is_news(entry.changed, since, cut));
            if is_wanted {
                visit(key, &entry.value);
            }
        }
        let mut shard = RwLockUpgradableReadGuard::upgrade(shard);
        shard.read_cut = cut;
        shard.before = Vec::new();
    }

    /// Calls `visit` with every value of a shard, which stays as it is, and its tag.
    pub(crate) fn tag_all(&self, shard: usize, mut visit: impl FnMut(KeyHash, &V, &mut u32)) {
        self.shard(shard).write().entries.iter_mut().for_each(|(key, entry)| visit(key, &entry.value, &mut entry.tag));
    }

    /// Calls `visit` with every value of a shard as it is.
    pub(crate) fn visit(&self, shard: usize, mut visit: impl FnMut(KeyHash, &V)) {
        self.shard(shard).read().entries.iter().for_each(|(key, entry)| visit(key, &entry.value));
    }

    /// Puts stored values back, in place of what is there.
    pub(crate) fn restore(&self, shard: usize, values: impl ExactSizeIterator<Item = (KeyHash, V)>) {
        let mut shard = self.shard(shard).write();
        shard.entries.reserve(values.len());
        values.for_each(|(key, value)| shard.entries.insert(key, Entry { value, changed: UNCHANGED, tag: 0 }));
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().entries.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, u8),
        Begin,
        Visit,
        End,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..6_u8, 0..5_u8).prop_map(|(key, value)| Step::Set(key, value)),
            2 => Just(Step::Begin),
            2 => Just(Step::Visit),
            1 => Just(Step::End),
        ]
    }

    proptest! {
        #[test]
        fn a_cut_is_as_it_was_whatever_happens_meanwhile(steps in proptest::collection::vec(step(), 0..200)) {
            let (table, clock) = (Table::<u8>::default(), CutClock::default());
            let mut now = BTreeMap::new();
            let mut at_cut = BTreeMap::new(); // as of the open cut
            let mut built = BTreeMap::new(); // from what changed since the cut read before
            let (mut open, mut last_read, mut read) = (None, 0, false);
            for step in steps {
                match step {
                    Step::Set(key, value) => {
                        let changed = now.insert(key, value) != Some(value);
                        table.update(KeyHash(u128::from(key)), &clock, |held| {
                            *held = value;
                            (if changed { Changed::Yes } else { Changed::No }, ())
                        });
                    }
                    Step::Begin => if let Some(cut) = clock.begin() {
                        (open, at_cut, read) = (Some(cut), now.clone(), false);
                    } else {
                        prop_assert!(open.is_some());
                    },
                    Step::Visit => if let Some(cut) = open.filter(|_| !read) {
                        table.visit_cut(0, cut, Some(last_read), |key, value| { built.insert(key.0 as u8, *value); });
                        prop_assert_eq!(&built, &at_cut);
                        (last_read, read) = (cut, true);
                    },
                    Step::End => { clock.end(); open = None; }
                }
            }
            let mut all = BTreeMap::new();
            table.visit(0, |key, value| { all.insert(key.0 as u8, *value); });
            prop_assert_eq!(all, now);
        }
    }
}
