//! Who took an item: lines in a fixed number of places. Part are the latest; part were the latest of an earlier minute, so that an
//! item taken thousands of times a second still remembers the last half hour, and one taken once a month the last years.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use foldhash::fast::RandomState;
use parking_lot::RwLock;

use super::TAKERS_MIN;
use crate::{cards::Cards, ids::ItemId, rows::Rows};

/// Places for the latest takers of an item.
const RECENT: usize = 64;
/// Places for takers of earlier minutes.
const SAMPLED: usize = 64;

/// Takers of an item that are kept.
pub const TAKERS_MAX: usize = RECENT + SAMPLED;
/// Of which so many are on a line of memory.
const SLOTS_PER_LINE: usize = 64 / size_of::<u32>();
/// Rows whose lines come from memory together.
const ROWS_AT_ONCE: usize = 8;

/// Takers, to look one up among.
pub(super) type Slots = HashSet<u32, RandomState>;

/// Takers by item.
#[derive(Debug, Default)]
pub(super) struct Postings {
    rows: Rows<RwLock<Row>>,
    cards: Arc<Cards>, // where takers are counted: it is asked of every item that a neighbour has
}

#[derive(Debug, Default)]
struct Row {
    recent: Ring<RECENT>,
    sampled: Ring<SAMPLED>,
    sampled_minute: u32,
}

/// The latest `N`, in the order they came.
#[derive(Debug, Default)]
struct Ring<const N: usize> {
    slots: Vec<u32>,
    next: usize,
}

impl<const N: usize> Ring<N> {
    /// Gives what had to go.
    fn push(&mut self, slot: u32) -> Option<u32> {
        if self.slots.len() < N {
            if self.slots.len() == self.slots.capacity() {
                self.slots.reserve_exact((self.slots.len() / 2).max(2).min(N - self.slots.len()));
            }
            self.slots.push(slot);
            return None;
        }
        let oldest = self.slots.get_mut(self.next).map(|held| std::mem::replace(held, slot));
        self.next = (self.next + 1) % N;
        oldest
    }

    /// Takes some out; gives how many.
    fn remove(&mut self, is_gone: impl Fn(u32) -> bool) -> u32 {
        let before = self.slots.len();
        if !self.slots.iter().any(|slot| is_gone(*slot)) {
            return 0;
        }
        // The oldest is at the beginning again, as in a ring that is not full yet.
        self.slots.rotate_left(self.next);
        self.next = 0;
        self.slots.retain(|slot| !is_gone(*slot));
        (before - self.slots.len()) as u32
    }

    fn newest_first(&self) -> impl Iterator<Item = u32> + '_ {
        let (newer, older) = self.slots.split_at_checked(self.next).unwrap_or_default();
        newer.iter().rev().chain(older.iter().rev()).copied()
    }
}

impl Row {
    /// Whether [`TAKERS_MIN`] persons are among the takers. Ends as soon as they are found.
    fn is_by_several(&self, are_one: impl Fn(u32, u32) -> bool) -> bool {
        let mut persons = [None; TAKERS_MIN - 1];
        for slot in self.recent.slots.iter().chain(&self.sampled.slots) {
            if persons.iter().flatten().any(|one| are_one(*one, *slot)) {
                continue;
            }
            match persons.iter_mut().find(|place| place.is_none()) {
                Some(place) => *place = Some(*slot),
                None => return true,
            }
        }
        false
    }
}

impl Postings {
    pub(super) fn new(cards: Arc<Cards>) -> Self {
        Self { rows: Rows::default(), cards }
    }

    /// Notes a taker, once. `are_one` says whether two takers are one person.
    pub(super) fn add(&self, item: ItemId, slot: u32, minute: u32, are_one: impl Fn(u32, u32) -> bool) {
        let (Some(row), Some(card)) = (self.rows.get_or_new(item.position()), self.cards.of_or_new(item)) else { return };
        let row = &mut *row.write();
        if row.recent.slots.contains(&slot) || row.sampled.slots.contains(&slot) {
            return;
        }
        if let Some(before) = row.recent.push(slot)
            && minute != row.sampled_minute
        {
            row.sampled_minute = minute;
            row.sampled.push(before);
        }
        card.takers.store(card.takers.load(Relaxed).saturating_add(1), Relaxed); // under the row's lock
        if !card.is_by_several.load(Relaxed) {
            card.is_by_several.store(row.is_by_several(are_one), Relaxed);
        }
    }

    /// Takes a taker out, who is then as one that never was.
    pub(super) fn remove(&self, item: ItemId, slot: u32, are_one: impl Fn(u32, u32) -> bool) {
        self.remove_those(item, |held| held == slot, are_one);
    }

    /// The same for several takers, of all items below `items`.
    pub(super) fn remove_all(&self, slots: &Slots, items: usize, are_one: impl Fn(u32, u32) -> bool) {
        let items = (0..items).map(|position| ItemId::new(position as u32));
        items.for_each(|item| self.remove_those(item, |held| slots.contains(&held), &are_one));
    }

    fn remove_those(&self, item: ItemId, is_gone: impl Fn(u32) -> bool, are_one: impl Fn(u32, u32) -> bool) {
        let (Some(row), Some(card)) = (self.rows.get(item.position()), self.cards.of(item)) else { return };
        let row = &mut *row.write();
        let gone = row.recent.remove(&is_gone) + row.sampled.remove(&is_gone);
        card.takers.store(card.takers.load(Relaxed).saturating_sub(gone), Relaxed);
        if gone > 0 {
            card.is_by_several.store(row.is_by_several(are_one), Relaxed);
        }
    }

    /// Looks anew at how many persons took an item, of whom some have become one, or are one no more.
    pub(super) fn judge(&self, item: ItemId, are_one: impl Fn(u32, u32) -> bool) {
        let (Some(row), Some(card)) = (self.rows.get(item.position()), self.cards.of(item)) else { return };
        let row = row.write(); // nobody else writes what was found
        card.is_by_several.store(row.is_by_several(are_one), Relaxed);
    }

    /// Whether enough persons took it.
    pub(super) fn is_by_several(&self, item: ItemId) -> bool {
        self.cards.of(item).is_some_and(|card| card.is_by_several.load(Relaxed))
    }

    /// Has the rows of some items come from memory at once.
    pub(super) fn fetch(&self, items: impl Iterator<Item = ItemId>) {
        self.rows.fetch(items);
    }

    /// Calls `take` with the place of each of `items`, and its takers, the latest first.
    pub(super) fn visit(&self, mut items: impl Iterator<Item = ItemId>, mut take: impl FnMut(usize, u32)) {
        for first in (0..).step_by(ROWS_AT_ONCE) {
            let (rows, may_be_more) = self.rows.read_next::<ROWS_AT_ONCE>(&mut items);
            let rings = rows.iter().flatten().flat_map(|row| [&row.recent.slots, &row.sampled.slots]);
            std::hint::black_box(rings.flat_map(|slots| slots.iter().step_by(SLOTS_PER_LINE)).fold(0, |sum, slot| sum ^ slot));
            for (row, place) in rows.iter().zip(first..) {
                let Some(row) = row else { continue };
                row.recent.newest_first().chain(row.sampled.newest_first()).for_each(|slot| take(place, slot));
            }
            if !may_be_more {
                return;
            }
        }
    }

    /// How many took an item; one who took it again after losing the place counts again.
    pub(super) fn count(&self, item: ItemId) -> usize {
        self.cards.of(item).map_or(0, |card| card.takers.load(Relaxed) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody has two keys.
    fn alone(a: u32, b: u32) -> bool {
        a == b
    }

    fn takers(postings: &Postings) -> Vec<u32> {
        let mut found = Vec::new();
        postings.visit(std::iter::once(ItemId::new(3)), |_, slot| found.push(slot));
        found
    }

    #[test]
    fn each_once_and_the_latest_first() {
        let postings = Postings::default();
        for slot in [5, 6, 5, 7, 6] {
            postings.add(ItemId::new(3), slot, 0, alone);
        }
        assert_eq!(takers(&postings), [7, 6, 5]);
        assert_eq!((postings.count(ItemId::new(3)), postings.count(ItemId::new(2)), postings.count(ItemId::new(99))), (3, 0, 0));
    }

    #[test]
    fn who_is_taken_out_was_never_there_and_the_others_keep_their_order() {
        let postings = Postings::default();
        let item = ItemId::new(3);
        (0..2 * RECENT as u32).for_each(|slot| postings.add(item, slot, slot, alone));
        let held = takers(&postings);
        let gone = [held[0], held[5], held[RECENT - 1], held[RECENT], held[held.len() - 1], 4_000];
        gone.iter().for_each(|slot| postings.remove(item, *slot, alone));
        let left: Vec<u32> = held.iter().copied().filter(|slot| !gone.contains(slot)).collect();
        assert_eq!(takers(&postings), left);
        postings.add(item, 5_000, 900, alone);
        assert_eq!(takers(&postings)[..2], [5_000, left[0]]);
        assert_eq!(postings.count(item), 2 * RECENT - 5 + 1);
    }

    #[test]
    fn takers_of_many_items_come_in_their_order() {
        let postings = Postings::default();
        (0..2 * ROWS_AT_ONCE as u32).for_each(|n| postings.add(ItemId::new(n), 100 + n, 0, alone));
        let items = || (0..2 * ROWS_AT_ONCE as u32).chain([3, 900]).map(ItemId::new);
        let mut found = Vec::new();
        postings.visit(items(), |place, slot| found.push((place, slot)));
        let known = items().enumerate().filter(|(_, item)| item.number() < 900);
        assert_eq!(found, known.map(|(place, item)| (place, 100 + item.number())).collect::<Vec<_>>());
    }

    #[test]
    fn a_hot_item_keeps_some_of_every_minute() {
        let postings = Postings::default();
        for minute in 0..100 {
            (0..10_000).for_each(|n| postings.add(ItemId::new(3), minute * 10_000 + n, minute, alone));
        }
        let minutes: std::collections::BTreeSet<_> = takers(&postings).iter().map(|slot| slot / 10_000).collect();
        assert_eq!(takers(&postings).len(), RECENT + SAMPLED);
        assert!(minutes.len() >= SAMPLED && minutes.contains(&(99 - SAMPLED as u32 + 1)), "{minutes:?}");
        assert_eq!(postings.count(ItemId::new(3)), 1_000_000, "how common it is shows, though few of them are held");
    }
}
