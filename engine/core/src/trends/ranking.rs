//! Items in order of what they weigh: for one half-life, per business unit.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{HEAD_ITEMS_MAX, counts::Counts};
use crate::ids::{BuId, ItemId};

/// Spans are weighed from landmarks this many half-lives apart: the same for every process, and far inside what a f64 holds.
const LANDMARK_HALF_LIVES: i32 = 400;

#[derive(Debug)]
pub(super) struct Ranking {
    powers: Box<[f64]>,              // 2^(n / half-life) for every span of one half-life
    weights: boxcar::Vec<AtomicU64>, // bits of a f64, by item
    heads: ArcSwap<Vec<Arc<Head>>>,  // by business unit
    landmark: Mutex<Option<i32>>,
}

/// The heaviest items of a business unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    items: Vec<(ItemId, f64)>,  // heaviest first; twice as many as are shown, so that some may fall
    bar: Option<(ItemId, f64)>, // every other item comes at or after it
    total: f64,
}

impl Ranking {
    pub(super) fn new(half_life_spans: f64) -> Self {
        let spans = (half_life_spans.round() as i32).max(1);
        let powers = (0..spans).map(|n| (f64::from(n) / f64::from(spans)).exp2()).collect();
        Self { powers, weights: boxcar::Vec::new(), heads: ArcSwap::default(), landmark: Mutex::new(None) }
    }

    const fn half_life(&self) -> i32 {
        self.powers.len() as i32
    }

    pub(super) fn head(&self, bu: BuId) -> Option<Arc<Head>> {
        self.heads.load().get(bu.position()).filter(|head| !head.items.is_empty()).cloned()
    }

    pub(super) fn weight(&self, item: ItemId) -> f64 {
        self.weights.get(item.position()).map_or(0.0, |bits| f64::from_bits(bits.load(Relaxed)))
    }

    /// Weighs the touched items anew and puts them in their places.
    pub(super) fn update(&self, counts: &Counts, touched: &[ItemId], by_name: ByName<'_>) {
        let mut landmark = self.landmark.lock();
        let newest = touched.iter().filter_map(|item| counts.row(*item)?.newest()).max();
        let apart = LANDMARK_HALF_LIVES.saturating_mul(self.half_life());
        let due = newest.map(|newest| newest.div_euclid(apart) * apart);
        let is_moved = due > *landmark;
        *landmark = due.max(*landmark);
        let mut by_bu: BTreeMap<BuId, Vec<(ItemId, f64)>> = BTreeMap::new();
        let all = counts.rows().filter(|_| is_moved).map(|(item, _)| item); // the landmark moves once in years
        let touched = touched.iter().copied().filter(|_| !is_moved);
        for item in all.chain(touched) {
            let Some((row, bu)) = counts.row(item).and_then(|row| Some((row, row.bu()?))) else { continue };
            let weight = row.weigh(|span| self.weight_of(span, landmark.unwrap_or(0)));
            by_bu.entry(bu).or_default().push((item, weight));
        }
        let mut heads = Vec::clone(&self.heads.load());
        for (bu, weighed) in by_bu {
            if heads.len() <= bu.position() {
                heads.resize_with(bu.position() + 1, Arc::default);
            }
            let Some(head) = heads.get_mut(bu.position()) else { continue };
            let mut next = if is_moved { Head::default() } else { Head::clone(head) };
            next.place(&weighed, |item, weight| self.set_weight(item, weight), by_name);
            if next.items.len() < HEAD_ITEMS_MAX && next.bar.is_some() {
                let of_bu = counts.rows().filter(|(_, row)| row.bu() == Some(bu));
                next.refill(of_bu.map(|(item, _)| (item, self.weight(item))), by_name);
            }
            *head = Arc::new(next);
        }
        self.heads.store(Arc::new(heads));
    }

    /// `2^((span − landmark) / half-life)`: a table for the fraction, the exponent's bits for the rest.
    fn weight_of(&self, span: i32, landmark: i32) -> f64 {
        let passed = span.saturating_sub(landmark);
        let (whole, part) = (passed.div_euclid(self.half_life()), passed.rem_euclid(self.half_life()));
        let scale = if (-1022..=1023).contains(&whole) { f64::from_bits(((whole + 1023) as u64) << 52) } else { 0.0 };
        self.powers.get(part as usize).map_or(0.0, |power| power * scale)
    }

    /// Sets a weight; gives the one before.
    fn set_weight(&self, item: ItemId, weight: f64) -> f64 {
        while self.weights.count() <= item.position() {
            self.weights.push(AtomicU64::new(0));
        }
        let held = self.weights.get(item.position());
        held.map_or(0.0, |held| f64::from_bits(held.swap(weight.to_bits(), Relaxed)))
    }
}

/// An order of items that every process agrees on.
type ByName<'a> = &'a dyn Fn(ItemId, ItemId) -> Ordering;

impl Head {
    pub(super) fn items(&self) -> impl Iterator<Item = &(ItemId, f64)> {
        self.items.iter().take(HEAD_ITEMS_MAX)
    }

    pub(super) fn heaviest(&self) -> f64 {
        self.items.first().map_or(1.0, |(_, weight)| weight.max(f64::MIN_POSITIVE))
    }

    pub(super) const fn total(&self) -> f64 {
        self.total
    }

    /// Takes in new weights of some items.
    fn place(&mut self, weighed: &[(ItemId, f64)], swap: impl Fn(ItemId, f64) -> f64, by_name: ByName<'_>) {
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
        if let Some(bar) = self.items.get(2 * HEAD_ITEMS_MAX) {
            self.bar = Some(*bar);
            self.items.truncate(2 * HEAD_ITEMS_MAX);
        }
    }

    /// Looks through all items again, because too many of the head fell below the bar.
    fn refill(&mut self, all: impl Iterator<Item = (ItemId, f64)>, by_name: ByName<'_>) {
        self.bar = None;
        self.items = all.filter(|(_, weight)| *weight > 0.0).collect();
        self.total = self.items.iter().map(|(_, weight)| weight).sum();
        self.sort(by_name);
    }
}

fn best_first(a: &(ItemId, f64), b: &(ItemId, f64), by_name: ByName<'_>) -> Ordering {
    b.1.total_cmp(&a.1).then_with(|| by_name(a.0, b.0))
}
