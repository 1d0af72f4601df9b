//! The heaviest items of a group, in order.

use std::cmp::Ordering;

use crate::ids::ItemId;

/// An order of items that every process agrees on.
pub(super) type ByName<'a> = &'a dyn Fn(ItemId, ItemId) -> Ordering;

/// The `SHOWN` heaviest items of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Head<const SHOWN: usize> {
    items: Vec<(ItemId, f64)>,  // heaviest first; twice as many as are shown, so that some may fall
    bar: Option<(ItemId, f64)>, // every other item comes at or after it
    total: f64,
}

impl<const SHOWN: usize> Head<SHOWN> {
    pub(super) fn items(&self) -> impl Iterator<Item = &(ItemId, f64)> {
        self.items.iter().take(SHOWN)
    }

    pub(super) fn heaviest(&self) -> f64 {
        self.items.first().map_or(1.0, |(_, weight)| weight.max(f64::MIN_POSITIVE))
    }

    pub(super) const fn total(&self) -> f64 {
        self.total
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether so many fell below the bar that it is to be filled again.
    pub(super) const fn is_short(&self) -> bool {
        self.items.len() < SHOWN && self.bar.is_some()
    }

    /// Takes an item out, whatever it weighs.
    pub(super) fn remove(&mut self, gone: ItemId) {
        self.items.retain(|(item, _)| *item != gone);
    }

    /// Takes in new weights of some items; `swap` notes one and gives the weight before.
    pub(super) fn place(&mut self, weighed: &[(ItemId, f64)], swap: impl Fn(ItemId, f64) -> f64, by_name: ByName<'_>) {
        let mut moved: Vec<ItemId> = weighed.iter().map(|(item, _)| *item).collect();
        moved.sort_unstable();
        self.items.retain(|(item, _)| moved.binary_search(item).is_err());
        for placed in weighed {
            self.total += placed.1 - swap(placed.0, placed.1);
            if placed.1 > 0.0 && self.bar.is_none_or(|bar| best_first(placed, &bar, by_name) == Ordering::Less) {
                self.items.push(*placed);
            }
        }
        self.total = self.total.max(0.0);
        self.sort(by_name);
    }

    fn sort(&mut self, by_name: ByName<'_>) {
        self.items.sort_by(|a, b| best_first(a, b, by_name));
        if let Some(bar) = self.items.get(2 * SHOWN) {
            self.bar = Some(*bar);
            self.items.truncate(2 * SHOWN);
        }
    }

    /// Looks through all items again, because too many of the head fell below the bar.
    pub(super) fn refill(&mut self, all: impl Iterator<Item = (ItemId, f64)>, by_name: ByName<'_>) {
        self.bar = None;
        self.items = all.filter(|(_, weight)| *weight > 0.0).collect();
        self.total = self.items.iter().map(|(_, weight)| weight).sum();
        self.sort(by_name);
    }
}

fn best_first(a: &(ItemId, f64), b: &(ItemId, f64), by_name: ByName<'_>) -> Ordering {
    b.1.total_cmp(&a.1).then_with(|| by_name(a.0, b.0))
}
