//! What was taken together with an item, counted as it happens: for every item a bounded row of others, with weights that fade.
//!
//! A row keeps its time and fades as a whole when that moves on; weights inside are relative to it. A full row lets its lightest go,
//! so what comes again and again stays and what came once makes room.

use parking_lot::RwLock;

use crate::{
    by_item::row,
    ids::{BuId, ItemId},
};

/// Others kept in one business unit, for one item.
const PLACES: usize = 64;
/// Half-life of a count.
const HALF_LIFE_MINUTES: f32 = 365.0 * 1_440.0;

/// Rows by item.
#[derive(Debug, Default)]
pub(super) struct Transitions {
    rows: boxcar::Vec<RwLock<Row>>,
}

#[derive(Debug, Default)]
struct Row {
    minute: u32,
    total: f32,
    units: Vec<(BuId, Vec<(ItemId, f32)>)>, // few; the item's own is nearly always first
}

fn fade(minutes: u32) -> f32 {
    (-(minutes as f32) / HALF_LIFE_MINUTES).exp2()
}

impl Row {
    /// What an event of `minute` weighs in this row, which is brought forward if the event is newer.
    fn weigh(&mut self, minute: u32) -> f32 {
        if minute <= self.minute {
            return fade(self.minute - minute);
        }
        let factor = fade(minute - self.minute);
        if factor < 1.0 {
            self.total *= factor;
            self.units.iter_mut().flat_map(|(_, cells)| cells).for_each(|(_, weight)| *weight *= factor);
        }
        self.minute = minute;
        1.0
    }

    fn add(&mut self, other: ItemId, bu: BuId, weight: f32) {
        let place = self.units.iter().position(|(of, _)| *of == bu).unwrap_or_else(|| {
            self.units.push((bu, Vec::new()));
            self.units.len() - 1
        });
        let Some((_, cells)) = self.units.get_mut(place) else { return };
        if let Some((_, held)) = cells.iter_mut().find(|(item, _)| *item == other) {
            *held += weight;
            return;
        }
        if cells.len() < PLACES {
            if cells.len() == cells.capacity() {
                cells.reserve_exact((cells.len() / 2).max(2).min(PLACES - cells.len()));
            }
            cells.push((other, weight));
            return;
        }
        // Of equal ones the first to come is the first to go.
        let lightest = cells.iter().enumerate().min_by(|(_, a), (_, b)| a.1.total_cmp(&b.1));
        if let Some((place, _)) = lightest {
            cells.remove(place);
            cells.push((other, weight));
        }
    }
}

impl Transitions {
    /// Counts that an item was taken.
    pub(super) fn count(&self, item: ItemId, minute: u32) {
        if let Some(row) = row(&self.rows, item) {
            let mut row = row.write();
            let weight = row.weigh(minute);
            row.total += weight;
        }
    }

    /// Counts that `other`, of unit `bu`, was taken together with `item`.
    pub(super) fn add(&self, item: ItemId, other: ItemId, bu: BuId, minute: u32, weight: f32) {
        if let Some(row) = row(&self.rows, item) {
            let mut row = row.write();
            let faded = row.weigh(minute);
            row.add(other, bu, weight * faded);
        }
    }

    /// Calls `take` with the items of `bu` taken together with `item`, each with its weight as a share of how often the item itself
    /// was taken (`shrink` times more, so that a single case is no certainty).
    pub(super) fn visit(&self, item: ItemId, bu: BuId, shrink: f32, mut take: impl FnMut(ItemId, f32)) {
        let Some(row) = self.rows.get(item.position()) else { return };
        let row = row.read();
        let Some((_, cells)) = row.units.iter().find(|(of, _)| *of == bu) else { return };
        let scale = 1.0 / (row.total + shrink);
        cells.iter().for_each(|(other, weight)| take(*other, weight * scale));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: BuId = BuId(0);

    fn seen(transitions: &Transitions, bu: BuId) -> Vec<(u32, f32)> {
        let mut found = Vec::new();
        transitions.visit(ItemId::new(1), bu, 0.0, |item, share| found.push((item.number(), share)));
        found
    }

    #[test]
    fn shares_fade_and_units_are_apart() {
        let transitions = Transitions::default();
        let item = ItemId::new(1);
        let later = HALF_LIFE_MINUTES as u32;
        for (minute, other, bu) in [(0, 2, SHOP), (later, 3, SHOP), (later, 4, BuId(1)), (0, 3, SHOP)] {
            transitions.count(item, minute);
            transitions.add(item, ItemId::new(other), bu, minute, 1.0);
        }
        assert_eq!(seen(&transitions, SHOP), [(2, 0.5 / 3.0), (3, 1.5 / 3.0)], "late or not, an event weighs by its time");
        assert_eq!(seen(&transitions, BuId(1)), [(4, 1.0 / 3.0)]);
    }

    #[test]
    fn what_comes_again_stays_in_a_full_row() {
        let transitions = Transitions::default();
        let item = ItemId::new(1);
        for n in 0..5_000 {
            transitions.count(item, 0);
            transitions.add(item, ItemId::new(if n % 50 == 0 { 7 } else { 1_000 + n }), SHOP, 0, 1.0);
        }
        let found = seen(&transitions, SHOP);
        let share = found.iter().find(|(other, _)| *other == 7).map(|(_, share)| *share);
        assert_eq!(found.len(), PLACES);
        assert!(share.is_some_and(|share| (share - 0.02).abs() < 0.001), "{share:?}");
    }
}
