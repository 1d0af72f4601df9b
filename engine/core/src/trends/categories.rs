//! What is wanted inside each category of a business unit: a short list for each, brought up to date together with the unit's order and
//! by the same counts.
//!
//! An item counts in its most special category. Where the catalogue moves an item to another category, its demand moves with it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use super::{
    head::{ByName, Head},
    ranking::Ranking,
};
use crate::{
    cards::{Card, Cards},
    ids::{BuId, CategoryId, ItemId},
};

/// Items kept in order per category.
pub const CATEGORY_ITEMS_MAX: usize = 32;
/// Categories with a list, over all units; what comes later has none.
const LISTS_MAX: usize = 1 << 18;

type Short = Head<CATEGORY_ITEMS_MAX>;

/// The lists of all categories.
#[derive(Debug)]
pub(crate) struct Categories {
    numbers: RwLock<HashMap<(BuId, CategoryId), u32, foldhash::fast::RandomState>>,
    cards: Arc<Cards>, // where an item's list is noted
    lists: boxcar::Vec<List>,
}

#[derive(Debug, Default)]
struct List {
    head: ArcSwap<Short>,
    heaviest: AtomicU64,         // bits of a f64
    members: Mutex<Vec<ItemId>>, // all that were ever wanted in it; some may have left since
}

/// What changed about a list.
#[derive(Debug, Default)]
struct Changes {
    weighed: Vec<(ItemId, f64)>,
    left: Vec<ItemId>,
}

impl Categories {
    pub(super) fn new(cards: Arc<Cards>) -> Self {
        Self { numbers: RwLock::default(), cards, lists: boxcar::Vec::new() }
    }

    /// Puts items in their places by what `ranking` holds of them; of an item, `place_of` says unit and category. `is_anew`: all weights
    /// have changed, and all items are given.
    pub(super) fn update(
        &self,
        ranking: &Ranking,
        items: impl Iterator<Item = ItemId>,
        place_of: impl Fn(ItemId) -> Option<(BuId, CategoryId)>,
        is_anew: bool,
        by_name: ByName<'_>,
    ) {
        let mut changes: BTreeMap<u32, Changes> = BTreeMap::new();
        for item in items {
            let number = place_of(item).and_then(|place| self.number_or_new(place)).map_or(0, |number| number + 1);
            let before = self.move_to(item, number);
            if before != number {
                if let Some(list) = before.checked_sub(1) {
                    changes.entry(list).or_default().left.push(item);
                }
                self.list(number).into_iter().for_each(|list| list.members.lock().push(item));
            }
            if let Some(list) = number.checked_sub(1) {
                changes.entry(list).or_default().weighed.push((item, ranking.weight(item)));
            }
        }
        for (number, Changes { weighed, left }) in changes {
            let Some(list) = self.lists.get(number as usize) else { continue };
            let mut next = if is_anew { Short::default() } else { Short::clone(&list.head.load()) };
            left.iter().for_each(|item| next.remove(*item));
            next.place(&weighed, |_, weight| weight, by_name);
            if next.is_short() {
                let members = &mut *list.members.lock();
                members.retain(|item| self.cards.of(*item).is_some_and(|card| card.list.load(Relaxed) == number + 1));
                members.sort_unstable();
                members.dedup();
                next.refill(members.iter().map(|item| (*item, ranking.weight(*item))), by_name);
            }
            list.heaviest.store(next.heaviest().to_bits(), Relaxed);
            list.head.store(Arc::new(next));
        }
    }

    /// Calls `take` with the heaviest items of a category of a unit, heaviest first, each with its share of the heaviest (0 to 1], until
    /// it returns false.
    pub(super) fn top(&self, bu: BuId, category: CategoryId, mut take: impl FnMut(ItemId, f32) -> bool) {
        let number = self.numbers.read().get(&(bu, category)).copied();
        let Some(list) = number.and_then(|number| self.lists.get(number as usize)) else { return };
        let head = list.head.load();
        let heaviest = head.heaviest();
        for (item, weight) in head.items() {
            if !take(*item, (weight / heaviest) as f32) {
                break;
            }
        }
    }

    /// What an item weighs as a share of the heaviest of its category, in [0, 1]; 0 without a category.
    pub(super) fn share(&self, card: &Card, weight: f64) -> f32 {
        let list = self.list(card.list.load(Relaxed));
        list.map_or(0.0, |list| (weight / f64::from_bits(list.heaviest.load(Relaxed))).min(1.0) as f32)
    }

    fn list(&self, number: u32) -> Option<&List> {
        self.lists.get(number.checked_sub(1)? as usize)
    }

    fn number_or_new(&self, place: (BuId, CategoryId)) -> Option<u32> {
        if let Some(number) = self.numbers.read().get(&place) {
            return Some(*number);
        }
        let mut numbers = self.numbers.write();
        if numbers.len() >= LISTS_MAX {
            return None;
        }
        Some(*numbers.entry(place).or_insert_with(|| self.lists.push(List::default()) as u32))
    }

    /// Notes the list of an item; gives the one before.
    fn move_to(&self, item: ItemId, number: u32) -> u32 {
        self.cards.of_or_new(item).map_or(0, |card| card.list.swap(number, Relaxed))
    }
}
