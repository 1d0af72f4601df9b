//! What is wanted, per business unit: counts that fade with a half-life, always ready in order.
//!
//! **The law.** Demand is a fold over the behaviours that fragments *hold*: an item's count in a span of time is the sum of the
//! strengths of the behaviours held on it in that span. A behaviour counts when a fragment takes it, and stops counting when the
//! fragment lets it go. Counts are whole numbers, so the order of adding and taking away leaves no trace: duplicates, replays and
//! reordering change nothing, because they change nothing in the fragments; demand need not be stored, because it can be counted
//! anew from them; and one key, whatever it does, weighs no more than what a fragment holds.
//!
//! Weights fade by forward decay (Cormode et al., ICDE 2009): a span *s* weighs `2^((s − landmark) / half-life)`. Nothing is ever
//! multiplied down, so the order of items does not change while time passes.

mod categories;
mod counts;
mod decay;
mod head;
mod ranking;
mod regions;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use parking_lot::Mutex;

pub use self::{categories::CATEGORY_ITEMS_MAX, regions::REGION_HEAD_MAX};
use self::{
    categories::Categories,
    counts::Counts,
    head::ByName,
    ranking::{Ranking, UnitHead},
    regions::Regions,
};
pub(crate) use self::{counts::Demanded, regions::Placed};
use crate::{
    cards::{Cards, LANES},
    ids::{BuId, CategoryId, EventTime, ItemId},
};

/// Items kept in order per business unit.
pub const HEAD_ITEMS_MAX: usize = 1_000;
/// Items that [`Trends::lift`] looks at: about a slate.
pub const HOTTEST: usize = 20;
const DAY_MS: f64 = 86_400_000.0;
/// Spans of time in one half-life: what happens in one span counts as happening at once.
const SPANS_PER_HALF_LIFE: f64 = 16.0;

/// Counts of all items, and their order by each of several half-lives.
#[derive(Debug)]
pub(crate) struct Demand<const N: usize> {
    span_ms: i64,
    counts: Mutex<Counts>,
    trends: [Trends; N],
    cards: Arc<Cards>,
    categories: Categories, // by the first of the half-lives
    regions: Regions,       // by the same
}

/// The order of items by demand that fades with one half-life, for all business units.
#[derive(Debug)]
pub struct Trends {
    ranking: Ranking,
}

impl<const N: usize> Demand<N> {
    /// Nothing wanted yet. `half_lives_days` are above 0; the shortest decides how finely time is cut into spans. What items weigh is
    /// written on `cards`.
    pub(crate) fn new(half_lives_days: [f64; N], cards: Arc<Cards>) -> Self {
        let shortest = half_lives_days.into_iter().fold(f64::INFINITY, f64::min);
        let span_days = shortest / SPANS_PER_HALF_LIFE;
        const { assert!(N <= LANES) };
        let mut lanes = 0..;
        let trends = half_lives_days.map(|days| {
            let lane = lanes.next().unwrap_or(0);
            Trends { ranking: Ranking::new(days / span_days, lane, Arc::clone(&cards)) }
        });
        let span_ms = ((span_days * DAY_MS) as i64).max(1);
        let regions = Regions::new(half_lives_days.first().copied().unwrap_or(shortest) / span_days, span_ms);
        let categories = Categories::new(Arc::clone(&cards));
        Self { span_ms, counts: Mutex::new(Counts::new(span_ms)), trends, cards, categories, regions }
    }

    /// Counts what fragments took and let go, in any order. What it changes shows after [`Self::settle`].
    pub(crate) fn count(&self, demanded: &[Demanded]) {
        if !demanded.is_empty() {
            self.counts.lock().add(demanded);
        }
    }

    /// Counts that are kept apart until they are merged: for threads that count so much that they would wait for each other.
    pub(crate) const fn tally(&self) -> Tally {
        Tally(Counts::new(self.span_ms))
    }

    /// Adds a tally; `bu_of` says whose an item is.
    pub(crate) fn merge(&self, tally: &Tally, bu_of: impl Fn(ItemId) -> Option<BuId>) {
        self.counts.lock().merge(&tally.0, bu_of);
    }

    /// The same, by region.
    pub(crate) const fn regions(&self) -> &Regions {
        &self.regions
    }

    /// Says that the category of an item may have changed.
    pub(crate) fn moved(&self, item: ItemId) {
        self.counts.lock().touch_known(item);
    }

    /// Brings the orders up to date. Cost: O(items counted since the last time), and a sort of the heads that they touch.
    /// `by_name` breaks ties in the same way everywhere; `category_of` says where an item belongs now.
    pub(crate) fn settle(&self, by_name: ByName<'_>, category_of: &dyn Fn(ItemId) -> Option<CategoryId>) {
        let counts = &mut *self.counts.lock();
        let touched = counts.take_touched();
        if !touched.is_empty() {
            let place_of = |item| Some((counts.row(item)?.bu()?, category_of(item)?));
            for (n, Trends { ranking }) in self.trends.iter().enumerate() {
                let is_anew = ranking.update(counts, &touched, by_name);
                match n {
                    0 if is_anew => {
                        let counted = counts.rows().map(|(item, _)| item);
                        self.categories.update(ranking, counted, place_of, true, by_name);
                    }
                    0 => self.categories.update(ranking, touched.iter().copied(), place_of, false, by_name),
                    _ => {}
                }
            }
        }
        self.regions.settle(by_name);
    }

    /// Whether the orders are up to date.
    pub(crate) fn is_settled(&self) -> bool {
        !self.counts.lock().is_touched() && self.regions.is_settled()
    }

    /// Calls `take` with the heaviest items of a category of a unit, heaviest first, each with its share of the heaviest (0 to 1], until
    /// it returns false.
    pub(crate) fn top_of_category(&self, bu: BuId, category: CategoryId, take: impl FnMut(ItemId, f32) -> bool) {
        self.categories.top(bu, category, take);
    }

    /// Calls `take` with the place of each of `items`, its weights by each half-life as shares of the heaviest of the business unit,
    /// and by the first as a share of the heaviest of its category (0 without one), all in [0, 1]. Cost: two looks at memory an item.
    pub(crate) fn shares(&self, bu: BuId, items: impl Iterator<Item = ItemId>, mut take: impl FnMut(usize, [f32; N], f32)) {
        let scales = self.trends.each_ref().map(|trends| trends.ranking.of_head(bu, |head| 1.0 / head.heaviest()).unwrap_or(0.0));
        for (place, item) in items.enumerate() {
            let Some(card) = self.cards.of(item) else {
                take(place, [0.0; N], 0.0);
                continue;
            };
            let weights = card.demand.each_ref().map(|bits| f64::from_bits(bits.load(Relaxed)));
            let mut shares = [0.0; N];
            for ((share, weight), scale) in shares.iter_mut().zip(weights).zip(scales) {
                *share = (weight * scale).min(1.0) as f32;
            }
            let [first, ..] = weights;
            take(place, shares, self.categories.share(card, first));
        }
    }

    /// One of the orders.
    pub(crate) fn trends(&self, which: usize) -> Option<&Trends> {
        self.trends.get(which)
    }

    /// Calls `visit` with every count that is not 0: item, span and count.
    pub(crate) fn visit(&self, visit: impl FnMut(ItemId, i64, i64)) {
        self.counts.lock().visit(visit);
    }

    /// The span that counts what happens at `time`.
    pub(crate) fn span_of(&self, time: EventTime) -> i64 {
        counts::span_of(self.span_ms, time)
    }
}

/// Counts kept apart.
#[derive(Debug)]
pub(crate) struct Tally(Counts);

impl Tally {
    pub(crate) fn count(&mut self, item: ItemId, time: EventTime, strength: i8) {
        self.0.add_unassigned(item, time, strength);
    }
}

impl Trends {
    /// Calls `take` with the heaviest items of a business unit, heaviest first, each with its share of the heaviest (0 to 1],
    /// until it returns false.
    pub fn top(&self, bu: BuId, mut take: impl FnMut(ItemId, f32) -> bool) {
        self.ranking.of_head(bu, |head| {
            let heaviest = head.heaviest();
            head.items().all(|(item, weight)| take(*item, (weight / heaviest) as f32))
        });
    }

    /// How many times more than the average of `items` items the [`HOTTEST`] ones are wanted; 0 where nothing is wanted.
    #[must_use]
    pub fn lift(&self, bu: BuId, items: usize) -> f64 {
        let lift = |head: &UnitHead| {
            let hottest: f64 = head.items().take(HOTTEST).map(|(_, weight)| weight).sum();
            let mean_of_hottest = hottest / HOTTEST.min(items.max(1)) as f64;
            if head.total() > 0.0 { mean_of_hottest * items as f64 / head.total() } else { 0.0 }
        };
        self.ranking.of_head(bu, lift).unwrap_or(0.0)
    }

    /// Weights of `items` as shares of the heaviest of the business unit, in [0, 1], in order.
    pub fn shares(&self, bu: BuId, items: impl Iterator<Item = ItemId>, mut take: impl FnMut(f32)) {
        let heaviest = self.ranking.of_head(bu, UnitHead::heaviest);
        for item in items {
            take(heaviest.map_or(0.0, |heaviest| (self.ranking.weight(item) / heaviest).min(1.0) as f32));
        }
    }
}

#[cfg(test)]
mod tests;
