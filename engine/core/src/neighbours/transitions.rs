//! What was taken together with an item, counted as it happens: for every item a bounded row of others, with weights that fade.
//!
//! Counts fade forward (Cormode et al., ICDE 2009): the later one comes the more it weighs, and what is there stays as it is. A row
//! is as many lines of memory as it needs, up to eight, and another item's hash says which is its: a change looks at one of them. A
//! full one lets its lightest go, so what comes again and again stays and what came once makes room.

use parking_lot::RwLock;

use crate::{
    ids::{BuId, ItemId},
    ranking::fast,
    rows::Rows,
};

/// Lines of others kept in one business unit, for one item, and others on a line.
const LINES_MAX: usize = 8;
const PLACES: usize = 8;
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
    hands: [u8; LINES_MAX], // by line: where the next newcomer looks first
    lines: Vec<Line>,       // none, or a power of two of them
}

/// Others, and what each weighs: nothing where a place is free.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line {
    others: [u32; PLACES], // item numbers
    weights: [f32; PLACES],
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
            units.flat_map(|unit| &mut unit.lines).flat_map(|line| &mut line.weights).for_each(|weight| *weight *= factor);
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
    /// The line on which another item stands, or would stand.
    fn line_of(&self, other: u32) -> usize {
        let hash = other.wrapping_mul(0x9E37_79B1) >> 29; // Fibonacci hashing
        hash as usize & self.lines.len().wrapping_sub(1)
    }

    fn line(&self, other: ItemId) -> Option<&Line> {
        self.lines.get(self.line_of(other.number()))
    }

    fn cells(&self) -> impl Iterator<Item = (ItemId, f32)> + '_ {
        let cells = self.lines.iter().flat_map(|line| line.others.into_iter().zip(line.weights));
        cells.filter(|(_, weight)| *weight > 0.0).map(|(other, weight)| (ItemId::new(other), weight))
    }

    fn add(&mut self, other: ItemId, weight: f32) {
        loop {
            let at = self.line_of(other.number());
            let is_last = self.lines.len() == LINES_MAX;
            if let (Some(line), Some(hand)) = (self.lines.get_mut(at), self.hands.get_mut(at))
                && line.add(other.number(), weight, is_last.then_some(hand))
            {
                return;
            }
            self.grow();
        }
    }

    /// Makes twice as many lines: what stands on one comes to stand on it or on its twin.
    fn grow(&mut self) {
        let lines = vec![Line::default(); (2 * self.lines.len()).max(1)];
        let before = std::mem::replace(&mut self.lines, lines);
        let cells = before.iter().flat_map(|line| line.others.into_iter().zip(line.weights));
        for (other, weight) in cells.filter(|(_, weight)| *weight > 0.0) {
            let at = self.line_of(other);
            self.lines.get_mut(at).into_iter().for_each(|line| _ = line.add(other, weight, None));
        }
    }
}

impl Line {
    /// Adds to what another item weighs. Where it does not stand yet and no place is free, the lightest goes, of equal ones the first that
    /// came: `hand` stands behind the last that did. Without a hand nothing is done then; says so. Which place it is can't be foreseen, so
    /// nothing branches on one after the other.
    fn add(&mut self, other: u32, weight: f32, hand: Option<&mut u8>) -> bool {
        let held = self.others.iter().zip(0_u32..).fold(0, |held, (at, place)| held | u32::from(*at == other) << place);
        if held != 0 {
            self.weights.get_mut(held.trailing_zeros() as usize).into_iter().for_each(|of_held| *of_held += weight);
            return true;
        }
        let least = self.weights.into_iter().fold(f32::INFINITY, f32::min);
        if least > 0.0 && hand.is_none() {
            return false;
        }
        let lightest =
            self.weights.iter().zip(0_u32..).fold(0, |lightest, (at, place)| lightest | u32::from(*at == least) << place);
        let mut none = 0;
        let hand = hand.unwrap_or(&mut none);
        let from_hand = lightest >> *hand | lightest << (PLACES as u32 - u32::from(*hand)); // once around
        let place = (usize::from(*hand) + from_hand.trailing_zeros() as usize) % PLACES;
        if let (Some(held), Some(of_held)) = (self.others.get_mut(place), self.weights.get_mut(place)) {
            (*held, *of_held) = (other, weight);
            *hand = (place as u8 + 1) % PLACES as u8;
        }
        true
    }
}

impl Transitions {
    /// Has the rows of some items come from memory at once.
    pub(super) fn fetch(&self, items: impl Iterator<Item = ItemId>) {
        self.rows.fetch(items);
    }

    /// The same with the lines that are going to change when an item of `bu` was taken together with those; at most [`ROWS_AT_ONCE`] less one.
    pub(super) fn fetch_lines(&self, item: ItemId, bu: BuId, pairs: impl Iterator<Item = Pair> + Clone) {
        let (rows, _) =
            self.rows.read_next::<ROWS_AT_ONCE>(&mut std::iter::once(item).chain(pairs.clone().map(|pair| pair.other)));
        let [own, others @ ..] = &rows;
        let of_others = others.iter().flatten().filter_map(|row| row.unit(bu)?.line(item));
        let of_own = own.iter().flat_map(|row| pairs.clone().filter_map(|pair| row.unit(pair.bu)?.line(pair.other)));
        touch(of_others.chain(of_own));
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
            touch(units.iter().flatten().flat_map(|unit| &unit.lines));
            for ((row, unit), place) in rows.iter().zip(units).zip(first..) {
                let Some((row, unit)) = row.as_ref().zip(unit) else { continue };
                let scale = 1.0 / (row.total + shrink * fast::exp2(row.octaves(row.newest)));
                unit.cells().for_each(|(other, weight)| take(place, other, weight * scale));
            }
            if !may_be_more {
                return;
            }
        }
    }
}

/// Has lines of memory come at once.
fn touch<'a>(lines: impl Iterator<Item = &'a Line>) {
    std::hint::black_box(lines.fold(0, |sum, line| sum ^ line.others[0]));
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
        assert_eq!(found.len(), PLACES * LINES_MAX);
        assert!(share.is_some_and(|share| (share - 0.02).abs() < 0.001), "{share:?}");
    }

    #[test]
    fn while_a_row_grows_it_holds_all_and_after_that_each_line_lets_its_lightest_go() {
        let (mut unit, mut expected) = (Unit::default(), std::collections::BTreeMap::<u32, f32>::new());
        for n in 0_u32..64 {
            let other = n * n % 61; // number 0 among them
            unit.add(ItemId::new(other), 1.0);
            *expected.entry(other).or_insert(0.0) += 1.0;
            if unit.lines.len() < LINES_MAX {
                assert_eq!(
                    unit.cells().map(|(other, weight)| (other.number(), weight)).collect::<std::collections::BTreeMap<_, _>>(),
                    expected
                );
            }
        }
        let mut line = Line::default();
        let mut hand = 0;
        for n in 0..8 {
            assert!(line.add(n, [2.0, 1.0][n as usize % 2], Some(&mut hand)));
        }
        assert!(!line.add(9, 1.0, None), "nothing is let go while there may be more lines");
        for n in 10..12 {
            assert!(line.add(n, 1.0, Some(&mut hand)));
        }
        assert_eq!(line.others, [0, 10, 2, 11, 4, 5, 6, 7], "of equal ones the first that came");
        assert!(line.add(4, 1.0, None) && line.weights[4] == 3.0);
    }
}
