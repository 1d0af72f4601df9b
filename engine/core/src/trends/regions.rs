//! What is wanted in each region, per business unit: the same counts once more, of the keys that are in the region.
//!
//! A key is in the region that the newest of its events to name one names ([`crate::fragment`]); what its fragment holds counts there, and
//! moves with it. So the law of demand holds here too: counts are a fold over fragments, and need not be stored.
//!
//! **Bounds.** What happened more than [`REACH_HALF_LIVES`] half-lives before the newest counted event weighs next to nothing and is not
//! counted; of a region with more than [`REGION_ITEMS_MAX`] items the least wanted are let go; and of all pairs of unit and region the
//! first [`REGIONS_MAX`] are counted. The last two are bounds by arrival, far above what shops have.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

use super::{
    counts::{Row, span_of},
    decay::Decay,
    head::{ByName, Head},
};
use crate::ids::{BuId, EventTime, ItemId, RegionId};

/// Items kept in order per region.
pub const REGION_HEAD_MAX: usize = 50;
const REGIONS_MAX: usize = 1 << 14;
const REGION_ITEMS_MAX: usize = 100_000;
const REACH_HALF_LIVES: i32 = 12;
/// Views, or their worth, from which an item is named as wanted in a region: one purchase is not enough.
const COUNT_MIN: i32 = 4;

type Short = Head<REGION_HEAD_MAX>;
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A behaviour that counts in a region (strength above 0) or does no more (below).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) bu: BuId,
    pub(crate) region: RegionId,
    pub(crate) item: ItemId,
    pub(crate) time: EventTime,
    pub(crate) strength: i8,
}

/// The lists of all regions.
#[derive(Debug)]
pub(crate) struct Regions {
    span_ms: i64,
    decay: Decay,
    counted: Mutex<Counted>,
    heads: RwLock<Map<(BuId, RegionId), Arc<Short>>>,
}

#[derive(Debug)]
struct Counted {
    regions: Map<(BuId, RegionId), Region>,
    touched: BTreeSet<(BuId, RegionId)>,
    newest: i32, // span
    pruned: i32, // spans before it are gone
    landmark: i32,
}

#[derive(Debug, Default)]
struct Region {
    rows: Map<ItemId, Row>,
    touched: Vec<ItemId>,
}

impl Regions {
    pub(super) fn new(half_life_spans: f64, span_ms: i64) -> Self {
        let counted =
            Counted { regions: Map::default(), touched: BTreeSet::new(), newest: i32::MIN, pruned: i32::MIN, landmark: i32::MIN };
        Self { span_ms, decay: Decay::new(half_life_spans), counted: Mutex::new(counted), heads: RwLock::default() }
    }

    /// Counts, in any order. What it changes shows after [`Self::settle`].
    pub(crate) fn count(&self, placed: &[Placed]) {
        if placed.is_empty() {
            return;
        }
        let counted = &mut *self.counted.lock();
        for one in placed {
            let span = i32::try_from(span_of(self.span_ms, one.time)).unwrap_or(i32::MIN);
            counted.newest = counted.newest.max(span);
            if span < counted.pruned {
                continue;
            }
            let group = (one.bu, one.region);
            if counted.regions.len() >= REGIONS_MAX && !counted.regions.contains_key(&group) {
                continue;
            }
            let region = counted.regions.entry(group).or_default();
            region.rows.entry(one.item).or_default().add(span, i32::from(one.strength));
            region.touched.push(one.item);
            counted.touched.insert(group);
        }
    }

    /// Brings the lists up to date. Cost: O(what was counted since the last time), and once a half-life of all that is counted.
    pub(super) fn settle(&self, by_name: ByName<'_>) {
        let counted = &mut *self.counted.lock();
        let mut touched = std::mem::take(&mut counted.touched);
        if touched.is_empty() {
            return;
        }
        let reach = counted.newest.saturating_sub(REACH_HALF_LIVES.saturating_mul(self.decay.half_life()));
        let is_due = reach.saturating_sub(self.decay.half_life()) >= counted.pruned;
        let landmark = self.decay.landmark_of(counted.newest);
        let is_anew = is_due || landmark != counted.landmark;
        if is_anew {
            (counted.pruned, counted.landmark) = (reach.max(counted.pruned), landmark);
            touched.extend(counted.regions.keys());
        }
        let weight_of = |row: &Row| {
            if row.total() < COUNT_MIN { 0.0 } else { row.weigh(|span| self.decay.weight_of(span, counted.landmark)) }
        };
        for group in touched {
            let Some(region) = counted.regions.get_mut(&group) else { continue };
            let mut changed = std::mem::take(&mut region.touched);
            if is_anew {
                region.rows.values_mut().for_each(|row| row.forget_before(counted.pruned));
                changed = region.rows.keys().copied().collect();
            }
            changed.sort_unstable();
            changed.dedup();
            let weight = |item: &ItemId| region.rows.get(item).map_or(0.0, weight_of);
            let weighed: Vec<(ItemId, f64)> = changed.iter().map(|item| (*item, weight(item))).collect();
            let mut next =
                if is_anew { Short::default() } else { self.head(group).map_or_else(Short::default, |held| Short::clone(&held)) };
            next.place(&weighed, |_, weight| weight, by_name);
            if next.is_short() {
                next.refill(region.rows.iter().map(|(item, row)| (*item, weight_of(row))), by_name);
            }
            changed.iter().for_each(|item| {
                if region.rows.get(item).is_some_and(Row::is_void) {
                    region.rows.remove(item);
                }
            });
            region.let_least_go(weight_of);
            self.heads.write().insert(group, Arc::new(next));
        }
    }

    /// Calls `take` with the heaviest items of a unit in a region, heaviest first, each with its share of the heaviest (0 to 1], until it
    /// returns false. Nothing for a region that nobody has named.
    pub(crate) fn top(&self, bu: BuId, region: RegionId, mut take: impl FnMut(ItemId, f32) -> bool) {
        let Some(head) = self.head((bu, region)) else { return };
        let heaviest = head.heaviest();
        for (item, weight) in head.items() {
            if !take(*item, (weight / heaviest) as f32) {
                break;
            }
        }
    }

    /// Whether the lists show all that was counted.
    pub(super) fn is_settled(&self) -> bool {
        self.counted.lock().touched.is_empty()
    }

    fn head(&self, group: (BuId, RegionId)) -> Option<Arc<Short>> {
        self.heads.read().get(&group).cloned()
    }
}

impl Region {
    /// Past the bound, lets a quarter go: the least wanted.
    fn let_least_go(&mut self, weight_of: impl Fn(&Row) -> f64) {
        if self.rows.len() <= REGION_ITEMS_MAX {
            return;
        }
        let mut weights: Vec<f64> = self.rows.values().map(&weight_of).collect();
        let (_, bar, _) = weights.select_nth_unstable_by(REGION_ITEMS_MAX / 4, f64::total_cmp);
        let bar = *bar;
        self.rows.retain(|_, row| weight_of(row) > bar);
    }
}
