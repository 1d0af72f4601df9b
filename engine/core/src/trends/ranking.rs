//! Items in order of what they weigh: for one half-life, per business unit.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{
    HEAD_ITEMS_MAX,
    counts::Counts,
    decay::Decay,
    head::{ByName, Head},
};
use crate::{
    cards::Cards,
    ids::{BuId, ItemId},
};

/// The heaviest items of a business unit.
pub(super) type UnitHead = Head<HEAD_ITEMS_MAX>;

#[derive(Debug)]
pub(super) struct Ranking {
    decay: Decay,
    lane: usize,
    cards: Arc<Cards>,
    heads: ArcSwap<Vec<Arc<UnitHead>>>, // by business unit
    landmark: Mutex<Option<i32>>,
}

impl Ranking {
    /// `lane` is its place among those that write on these cards.
    pub(super) fn new(half_life_spans: f64, lane: usize, cards: Arc<Cards>) -> Self {
        let decay = Decay::new(half_life_spans);
        Self { decay, lane, cards, heads: ArcSwap::default(), landmark: Mutex::new(None) }
    }

    /// What the head of a unit says, if anything is wanted there.
    pub(super) fn of_head<R>(&self, bu: BuId, look: impl FnOnce(&UnitHead) -> R) -> Option<R> {
        self.heads.load().get(bu.position()).filter(|head| !head.is_empty()).map(|head| look(head))
    }

    pub(super) fn weight(&self, item: ItemId) -> f64 {
        let held = self.cards.of(item).and_then(|card| card.demand.get(self.lane));
        held.map_or(0.0, |held| f64::from_bits(held.load(Relaxed)))
    }

    /// Sets a weight; gives the one before.
    fn swap(&self, item: ItemId, weight: f64) -> f64 {
        let held = self.cards.of_or_new(item).and_then(|card| card.demand.get(self.lane));
        held.map_or(0.0, |held| f64::from_bits(held.swap(weight.to_bits(), Relaxed)))
    }

    /// Weighs the touched items anew and puts them in their places; says whether all others were weighed anew as well.
    pub(super) fn update(&self, counts: &Counts, touched: &[ItemId], by_name: ByName<'_>) -> bool {
        let mut landmark = self.landmark.lock();
        let newest = touched.iter().filter_map(|item| counts.row(*item)?.newest()).max();
        let due = newest.map(|newest| self.decay.landmark_of(newest));
        let is_moved = due > *landmark;
        *landmark = due.max(*landmark);
        let mut by_bu: BTreeMap<BuId, Vec<(ItemId, f64)>> = BTreeMap::new();
        let all = counts.rows().filter(|_| is_moved).map(|(item, _)| item); // the landmark moves once in years
        let touched = touched.iter().copied().filter(|_| !is_moved);
        for item in all.chain(touched) {
            let Some((row, bu)) = counts.row(item).and_then(|row| Some((row, row.bu()?))) else { continue };
            let weight = row.weigh(|span| self.decay.weight_of(span, landmark.unwrap_or(0)));
            by_bu.entry(bu).or_default().push((item, weight));
        }
        let mut heads = Vec::clone(&self.heads.load());
        for (bu, weighed) in by_bu {
            if heads.len() <= bu.position() {
                heads.resize_with(bu.position() + 1, Arc::default);
            }
            let Some(head) = heads.get_mut(bu.position()) else { continue };
            let mut next = if is_moved { Head::default() } else { Head::clone(head) };
            next.place(&weighed, |item, weight| self.swap(item, weight), by_name);
            if next.is_short() {
                let of_bu = counts.rows().filter(|(_, row)| row.bu() == Some(bu));
                next.refill(of_bu.map(|(item, _)| (item, self.weight(item))), by_name);
            }
            *head = Arc::new(next);
        }
        self.heads.store(Arc::new(heads));
        is_moved
    }
}
