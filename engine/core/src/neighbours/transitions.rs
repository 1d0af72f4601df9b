//! What was taken together with an item, counted as it happens: for every item a bounded row of others, with weights that fade.
//!
//! Counts fade forward (Cormode et al., ICDE 2009): the later one comes the more it weighs, and what is there stays as it is. A full
//! row lets its lightest go, so what comes again and again stays and what came once makes room.

use parking_lot::RwLock;

use crate::{
    ids::{BuId, ItemId},
    ranking::fast,
    rows::Rows,
};

/// Others kept in one business unit, for one item.
const PLACES: usize = 64;
/// Of which so many are on a line of memory.
const CELLS_PER_LINE: usize = 64 / size_of::<(ItemId, f32)>();
/// Rows whose lines come from memory together.
const ROWS_AT_ONCE: usize = 10;
/// Half-life of a count.
const HALF_LIFE_MINUTES: f32 = 365.0 * 1_440.0;
/// Octaves that weights may grow by before a row starts from 1 again: few enough that the oldest is still counted exactly.
const OCTAVES_MAX: f32 = 16.0;

/// Rows by item.
#[derive(Debug, Default)]
pub(super) struct Transitions {
    rows: Rows<RwLock<Row>>,
}

/// Another item that was taken together with a row's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) other: ItemId,
    pub(super) bu: BuId,
    pub(super) weight: f32,
}

#[derive(Debug, Default)]
struct Row {
    origin: u32, // the minute at which an event weighs 1
    newest: u32,
    total: f32,
    unit: Unit, // of the first other item: nearly always the item's own
    more: Vec<Unit>,
}

#[derive(Debug, Default)]
struct Unit {
    bu: Option<BuId>,
    hand: u8, // where the next newcomer looks first
    cells: Vec<(ItemId, f32)>,
}

impl Row {
    /// What an event of `minute` weighs in this row.
    fn weigh(&mut self, minute: u32) -> f32 {
        if self.total == 0.0 {
            (self.origin, self.newest) = (minute, minute);
        }
        self.newest = self.newest.max(minute);
        if self.octaves(minute) > OCTAVES_MAX {
            let factor = fast::exp2(-self.octaves(minute));
            self.total *= factor;
            let units = std::iter::once(&mut self.unit).chain(&mut self.more);
            units.flat_map(|unit| &mut unit.cells).for_each(|(_, weight)| *weight *= factor);
            self.origin = minute;
        }
        fast::exp2(self.octaves(minute))
    }

    fn octaves(&self, minute: u32) -> f32 {
        (i64::from(minute) - i64::from(self.origin)) as f32 / HALF_LIFE_MINUTES
    }

    fn unit_mut(&mut self, bu: BuId) -> Option<&mut Unit> {
        if *self.unit.bu.get_or_insert(bu) == bu {
            return Some(&mut self.unit);
        }
        let place = self.more.iter().position(|unit| unit.bu == Some(bu)).unwrap_or_else(|| {
            self.more.push(Unit { bu: Some(bu), ..Unit::default() });
            self.more.len() - 1
        });
        self.more.get_mut(place)
    }

    fn unit(&self, bu: BuId) -> Option<&Unit> {
        std::iter::once(&self.unit).chain(&self.more).find(|unit| unit.bu == Some(bu))
    }
}

impl Unit {
    fn add(&mut self, other: ItemId, weight: f32) {
        let cells = &mut self.cells;
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
        // Of equal ones the first to come is the first to go: the hand stands behind the last to come.
        let hand = usize::from(self.hand);
        let lightest = (hand..PLACES).chain(0..hand).filter_map(|place| Some((place, cells.get(place)?.1)));
        let lightest = lightest.reduce(|least, one| if one.1 < least.1 { one } else { least });
        if let Some((place, _)) = lightest
            && let Some(cell) = cells.get_mut(place)
        {
            *cell = (other, weight);
            self.hand = (place as u8 + 1) % PLACES as u8;
        }
    }
}

impl Transitions {
    /// Has the rows of some items come from memory at once.
    pub(super) fn fetch(&self, items: impl Iterator<Item = ItemId>) {
        self.rows.fetch(items);
    }

    /// The same with what the rows hold of a business unit; of at most [`ROWS_AT_ONCE`] items.
    pub(super) fn fetch_cells(&self, mut items: impl Iterator<Item = ItemId>, bu: BuId) {
        let (rows, _) = self.rows.read_next::<ROWS_AT_ONCE>(&mut items);
        fetch_lines(rows.iter().flatten().filter_map(|row| row.unit(bu)));
    }

    /// Counts that an item was taken, together with those.
    pub(super) fn count(&self, item: ItemId, minute: u32, pairs: impl Iterator<Item = Pair>) {
        let Some(row) = self.rows.get_or_new(item.position()) else { return };
        let row = &mut *row.write();
        let weight = row.weigh(minute);
        row.total += weight;
        add(row, weight, pairs);
    }

    /// Counts that another item was taken together with `item`, which was counted before.
    pub(super) fn add(&self, item: ItemId, minute: u32, pair: Pair) {
        let Some(row) = self.rows.get_or_new(item.position()) else { return };
        let row = &mut *row.write();
        let weight = row.weigh(minute);
        add(row, weight, std::iter::once(pair));
    }

    /// Calls `take` with the place of each of `items`, and the items of `bu` taken together with it, each with its weight as a share of how
    /// often the item itself was taken (`shrink` times more, so that a single case is no certainty).
    pub(super) fn visit(
        &self,
        mut items: impl Iterator<Item = ItemId>,
        bu: BuId,
        shrink: f32,
        mut take: impl FnMut(usize, ItemId, f32),
    ) {
        for first in (0..).step_by(ROWS_AT_ONCE) {
            let (rows, may_be_more) = self.rows.read_next::<ROWS_AT_ONCE>(&mut items);
            let units = rows.each_ref().map(|row| row.as_ref().and_then(|row| row.unit(bu)));
            fetch_lines(units.iter().flatten().copied());
            for ((row, unit), place) in rows.iter().zip(units).zip(first..) {
                let Some((row, unit)) = row.as_ref().zip(unit) else { continue };
                let scale = 1.0 / (row.total + shrink * fast::exp2(row.octaves(row.newest)));
                unit.cells.iter().for_each(|(other, weight)| take(place, *other, weight * scale));
            }
            if !may_be_more {
                return;
            }
        }
    }
}

/// Has all lines of memory with cells come at once.
fn fetch_lines<'a>(units: impl Iterator<Item = &'a Unit>) {
    let lines = units.flat_map(|unit| unit.cells.iter().step_by(CELLS_PER_LINE));
    std::hint::black_box(lines.fold(0, |sum, (item, _)| sum ^ item.number()));
}

fn add(row: &mut Row, weight: f32, pairs: impl Iterator<Item = Pair>) {
    for pair in pairs {
        if let Some(unit) = row.unit_mut(pair.bu) {
            unit.add(pair.other, pair.weight * weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: BuId = BuId(0);

    fn seen(transitions: &Transitions, bu: BuId) -> Vec<(u32, f32)> {
        let mut found = Vec::new();
        transitions.visit(std::iter::once(ItemId::new(1)), bu, 0.0, |_, item, share| found.push((item.number(), share)));
        found
    }

    #[test]
    fn shares_fade_and_units_are_apart() {
        let transitions = Transitions::default();
        let item = ItemId::new(1);
        let later = HALF_LIFE_MINUTES as u32;
        for (minute, other, bu) in [(0, 2, SHOP), (later, 3, SHOP), (later, 4, BuId(1)), (0, 3, SHOP)] {
            transitions.count(item, minute, std::iter::once(Pair { other: ItemId::new(other), bu, weight: 1.0 }));
        }
        assert_eq!(seen(&transitions, SHOP), [(2, 0.5 / 3.0), (3, 1.5 / 3.0)], "late or not, an event weighs by its time");
        assert_eq!(seen(&transitions, BuId(1)), [(4, 1.0 / 3.0)]);
    }

    #[test]
    fn rows_of_many_items_come_in_their_order() {
        let transitions = Transitions::default();
        let items = || (0..2 * ROWS_AT_ONCE as u32).chain([3, 900]).map(ItemId::new);
        for n in 0..2 * ROWS_AT_ONCE as u32 {
            transitions.count(ItemId::new(n), 0, std::iter::once(Pair { other: ItemId::new(100 + n), bu: SHOP, weight: 1.0 }));
        }
        let mut found = Vec::new();
        transitions.visit(items(), SHOP, 0.0, |place, item, _| found.push((place, item.number())));
        let expected: Vec<_> = items().enumerate().filter(|(_, item)| item.number() < 900).collect();
        assert_eq!(found, expected.iter().map(|(place, item)| (*place, 100 + item.number())).collect::<Vec<_>>());
    }

    #[test]
    fn what_comes_again_stays_in_a_full_row() {
        let transitions = Transitions::default();
        let item = ItemId::new(1);
        for n in 0..5_000 {
            let other = ItemId::new(if n % 50 == 0 { 7 } else { 1_000 + n });
            transitions.count(item, 0, std::iter::empty());
            transitions.add(item, 0, Pair { other, bu: SHOP, weight: 1.0 });
        }
        let found = seen(&transitions, SHOP);
        let share = found.iter().find(|(other, _)| *other == 7).map(|(_, share)| *share);
        assert_eq!(found.len(), PLACES);
        assert!(share.is_some_and(|share| (share - 0.02).abs() < 0.001), "{share:?}");
    }
}
