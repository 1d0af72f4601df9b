//! What is wanted right now, per business unit: counts that fade with a half-life, always ready in order.
//!
//! Forward decay (Cormode et al., ICDE 2009): an event at time *t* adds `strength · 2^((t − landmark) / half_life)`. Nothing is
//! ever multiplied down, so the order of items does not change while time passes, late events count what they would have counted
//! in time, and a sorted head can be kept by moving only the item that grew.
//!
//! Derived state: an event is counted when a fragment took it as new, so duplicates and replays add nothing. Sums of floats depend
//! on order in the last bits; trends are therefore no part of a digest.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::ids::{BuId, EventTime, ItemId};

/// Items kept in order per business unit.
pub const HEAD_ITEMS_MAX: usize = 1_000;
/// Items that [`Trends::lift`] looks at: about a slate.
pub const HOTTEST: usize = 20;
/// Exponent past which the landmark moves, far below the 1023 that a f64 holds.
const EXPONENT_MAX: f64 = 500.0;

/// Fading counts of one half-life for all business units.
#[derive(Debug)]
pub struct Trends {
    half_life_days: f64,
    tables: boxcar::Vec<RwLock<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    landmark: Option<EventTime>,
    weights: HashMap<ItemId, f64, foldhash::fast::RandomState>,
    total: f64,
    head: Vec<(ItemId, f64)>, // heaviest first; ties by item
}

impl Trends {
    /// Empty counts that halve every `half_life_days` (above 0).
    #[must_use]
    pub fn new(half_life_days: f64) -> Self {
        Self { half_life_days, tables: boxcar::Vec::new() }
    }

    /// Counts one event that is new. Cost: a map access; a short move if the item is in the head.
    pub fn count(&self, bu: BuId, item: ItemId, strength: f32, time: EventTime) {
        if strength <= 0.0 {
            return;
        }
        let position = usize::from(bu.0);
        while self.tables.count() <= position {
            self.tables.push(RwLock::default());
        }
        if let Some(table) = self.tables.get(position) {
            table.write().count(item, strength, time, self.half_life_days);
        }
    }

    /// Calls `take` with the heaviest items of a business unit, heaviest first, each with its share of the heaviest (0 to 1],
    /// until it returns false.
    pub fn top(&self, bu: BuId, mut take: impl FnMut(ItemId, f32) -> bool) {
        let Some(table) = self.tables.get(usize::from(bu.0)).map(|table| table.read()) else { return };
        let heaviest = table.heaviest();
        for (item, weight) in &table.head {
            if !take(*item, (weight / heaviest) as f32) {
                break;
            }
        }
    }

    /// How many times more than the average of `items` items the [`HOTTEST`] ones are wanted; 0 where nothing is wanted.
    #[must_use]
    pub fn lift(&self, bu: BuId, items: usize) -> f64 {
        let Some(table) = self.tables.get(usize::from(bu.0)).map(|table| table.read()) else { return 0.0 };
        let hottest: f64 = table.head.iter().take(HOTTEST).map(|(_, weight)| weight).sum();
        let mean_of_hottest = hottest / HOTTEST.min(items.max(1)) as f64;
        if table.total > 0.0 { mean_of_hottest * items as f64 / table.total } else { 0.0 }
    }

    /// Weights of `items` as shares of the heaviest of the business unit, in [0, 1], in order, under one lock.
    pub fn shares(&self, bu: BuId, items: impl Iterator<Item = ItemId>, mut take: impl FnMut(f32)) {
        let table = self.tables.get(usize::from(bu.0)).map(|table| table.read());
        for item in items {
            let share = table.as_ref().and_then(|table| Some(table.weights.get(&item)? / table.heaviest()));
            take(share.unwrap_or(0.0) as f32);
        }
    }
}

impl Table {
    fn heaviest(&self) -> f64 {
        self.head.first().map_or(1.0, |(_, weight)| weight.max(f64::MIN_POSITIVE))
    }

    fn count(&mut self, item: ItemId, strength: f32, time: EventTime, half_life_days: f64) {
        let landmark = *self.landmark.get_or_insert(time);
        let mut exponent = time.days_since(landmark) / half_life_days;
        if exponent > EXPONENT_MAX {
            self.rescale(exponent);
            self.landmark = Some(time);
            exponent = 0.0;
        }
        let added = f64::from(strength) * exponent.exp2();
        if added == 0.0 {
            return; // so old that it weighs nothing
        }
        let weight = self.weights.entry(item).or_default();
        *weight += added;
        let weight = *weight;
        self.total += added;
        self.lift(item, weight);
    }

    /// Moves the landmark `exponent` half-lives on; what weighs nothing any more is forgotten.
    fn rescale(&mut self, exponent: f64) {
        let factor = (-exponent).exp2();
        self.total *= factor;
        self.weights.retain(|_, weight| {
            *weight *= factor;
            *weight > 0.0
        });
        self.head.retain_mut(|(_, weight)| {
            *weight *= factor;
            *weight > 0.0
        });
    }

    /// Brings the head up to date after `item` grew to `weight`. Exact: weights only grow between rescales.
    fn lift(&mut self, item: ItemId, weight: f64) {
        let heavier = |held: &(ItemId, f64)| held.1 > weight || (held.1 == weight && held.0 < item);
        let target = self.head.partition_point(heavier);
        if target >= HEAD_ITEMS_MAX {
            return;
        }
        let after = self.head.get(target..).unwrap_or_default();
        match after.iter().position(|(held, _)| *held == item) {
            Some(distance) => {
                if let Some(range) = self.head.get_mut(target..=target + distance) {
                    range.rotate_right(1);
                    if let Some(first) = range.first_mut() {
                        first.1 = weight;
                    }
                }
            }
            None => {
                self.head.insert(target, (item, weight));
                self.head.truncate(HEAD_ITEMS_MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BU: BuId = BuId(1);

    fn top(trends: &Trends) -> Vec<(ItemId, f32)> {
        let mut top = Vec::new();
        trends.top(BU, |item, share| {
            top.push((item, share));
            true
        });
        top
    }

    proptest! {
        #[test]
        fn the_head_is_the_sorted_decayed_count(events in proptest::collection::vec((0..40_u32, 0..3_000_i64, 1..4_u8), 1..300)) {
            let trends = Trends::new(2.0);
            let day = 86_400_000;
            let mut counts = std::collections::BTreeMap::<ItemId, f64>::new();
            for (item, time, strength) in &events {
                let item = ItemId::new(*item);
                trends.count(BU, item, f32::from(*strength), EventTime::from_millis(time * day));
                // as seen at day 3000: what is older than 1000 half-lives is 0 either way
                *counts.entry(item).or_default() += f64::from(*strength) * (-(3_000.0 - *time as f64) / 2.0).exp2();
            }
            let heaviest = counts.values().copied().fold(0.0, f64::max);
            let found: std::collections::BTreeMap<_, _> = top(&trends).into_iter().collect();
            for (item, count) in counts {
                let expected = if heaviest > 0.0 { (count / heaviest) as f32 } else { continue };
                let share = found.get(&item).copied().unwrap_or(0.0);
                prop_assert!((share - expected).abs() < 1e-5, "{item:?}: {share} for {expected}");
            }
            let order: Vec<f32> = top(&trends).into_iter().map(|(_, share)| share).collect();
            prop_assert!(order.is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn lift_tells_even_demand_from_a_rush() {
        let (even, rush) = (Trends::new(7.0), Trends::new(7.0));
        for item in (0..2_000).map(ItemId::new) {
            even.count(BU, item, 1.0, EventTime::from_millis(1));
            rush.count(BU, ItemId::new(item.position() as u32 % 20), 1.0, EventTime::from_millis(1));
        }
        assert!((even.lift(BU, 2_000) - 1.0).abs() < 1e-9);
        assert!((rush.lift(BU, 2_000) - 100.0).abs() < 1e-9);
        assert_eq!(Trends::new(7.0).lift(BU, 2_000), 0.0);
    }

    #[test]
    fn unknown_units_and_items_weigh_nothing() {
        let trends = Trends::new(7.0);
        assert!(top(&trends).is_empty());
        let mut shares = Vec::new();
        trends.shares(BU, [ItemId::new(3)].into_iter(), |share| shares.push(share));
        assert_eq!(shares, [0.0]);
    }
}
