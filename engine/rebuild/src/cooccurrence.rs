//! Which items the same person took up, and how close in time: the counts under embeddings and co-visitation.
//!
//! For every person, each interaction is paired with the interactions before it, at most `window` of them, of another
//! item. A pair of interactions `a` before `b` counts for both items
//!
//! ```text
//! sqrt(weight_a · weight_b) / mean weight  ·  max(2^(-(t_b - t_a) / tau), floor)  ·  2^(-(now - t_b) / half_life)
//! ```
//!
//! the last factor only where counts fade (pairs older than eight half-lives are left out). With equal weights this
//! is the co-occurrence of the project's evaluation protocol.
//!
//! Counts are made a *row* at a time, from the places where an item occurs: no list of all pairs is ever held, rows
//! are independent (rayon), and each is summed in the log's order, so the result is bit-equal on every run and for
//! every number of threads. Cost: 2 · interactions · window steps at most; memory: 12 bytes an item and thread.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::training::{Interaction, Log};

const DAY_MS: f64 = 86_400_000.0;

/// Pairs older than this many half-lives are left out: they would count below 0.4 %.
pub const HALF_LIVES_MAX: f64 = 8.0;

/// Items whose rows are made between two reports of progress.
const ROWS_PER_REPORT: usize = 8_192;

/// How pairs of interactions are made and weighed. In a file it is given whole or not at all: what is best for one user
/// of pairs is not for another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairParams {
    /// A pair's weight halves with every `tau_days` between its interactions, in days.
    pub tau_days: f64,
    /// … but does not fall below this share of 1: a person stays one person.
    pub floor: f64,
    /// With how many earlier interactions of the same person one is paired.
    pub window: usize,
}

impl Default for PairParams {
    fn default() -> Self {
        Self { tau_days: 30.0, floor: 0.2, window: 60 }
    }
}

impl PairParams {
    /// The first thing wrong with the parameters, with the way out.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !(self.tau_days.is_finite() && self.tau_days > 0.0) {
            return Err("tau_days must be a number of days above 0");
        }
        if !(0.0..=1.0).contains(&self.floor) {
            return Err("floor must lie between 0 and 1");
        }
        if !(1..=1_000).contains(&self.window) {
            return Err("window must lie between 1 and 1000 interactions");
        }
        Ok(())
    }
}

/// Counts fade with the age of the pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fade {
    pub(crate) half_life_days: f64,
}

/// One item's counts with other items.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) item: u32,
    pub(crate) value: f64,
}

/// Makes the rows of the symmetric co-occurrence matrix of one log.
#[derive(Debug)]
pub(crate) struct Cooccurrence<'log> {
    interactions: &'log [Interaction],
    /// Where each item occurs: `places[offsets[item]..offsets[item + 1]]`, ascending.
    offsets: Vec<u32>,
    places: Vec<u32>,
    params: PairParams,
    fade: Option<Fade>,
    mean_weight: f64,
    now_ms: i64,
}

impl<'log> Cooccurrence<'log> {
    pub(crate) fn new(log: &'log Log, params: PairParams, fade: Option<Fade>) -> Self {
        let interactions = log.interactions();
        let mut offsets = vec![0_u32; log.items().len() + 1];
        for interaction in interactions {
            offsets[interaction.item as usize + 1] += 1;
        }
        for item in 0..log.items().len() {
            offsets[item + 1] += offsets[item];
        }
        let mut next = offsets.clone();
        let mut places = vec![0_u32; interactions.len()];
        for (place, interaction) in interactions.iter().enumerate() {
            let slot = &mut next[interaction.item as usize];
            places[*slot as usize] = place as u32;
            *slot += 1;
        }
        let (mean_weight, now_ms) = (log.mean_weight(), log.cut_off_ms());
        Self { interactions, offsets, places, params, fade, mean_weight, now_ms }
    }

    /// Every item's own count: its interactions' weights over the mean weight, faded as the pairs are, but from all
    /// of the past.
    pub(crate) fn item_counts(&self) -> Vec<f64> {
        let mut counts = vec![0.0; self.offsets.len() - 1];
        for interaction in self.interactions {
            let fade = self.fade.map_or(1.0, |fade| (-self.age_days(interaction.ts_ms) / fade.half_life_days).exp2());
            counts[interaction.item as usize] += f64::from(interaction.weight) / self.mean_weight * fade;
        }
        counts
    }

    /// Maps every item's row of counts (ascending by item, none of them the item itself) in parallel; results come
    /// in the order of items. `progress` hears the share of rows done.
    pub(crate) fn map_rows<T: Send>(&self, map: impl Fn(u32, &[Count]) -> T + Sync, progress: &dyn Fn(f64)) -> Vec<T> {
        let item_count = self.offsets.len() - 1;
        let mut results = Vec::with_capacity(item_count);
        for first in (0..item_count).step_by(ROWS_PER_REPORT) {
            let last = (first + ROWS_PER_REPORT).min(item_count);
            results.par_extend((first..last).into_par_iter().map_init(
                || RowScratch::new(item_count),
                |scratch, item| {
                    self.fill_row(item as u32, scratch);
                    map(item as u32, &scratch.row)
                },
            ));
            progress(last as f64 / item_count as f64);
        }
        results
    }

    fn fill_row(&self, item: u32, scratch: &mut RowScratch) {
        let places = &self.places[self.offsets[item as usize] as usize..self.offsets[item as usize + 1] as usize];
        for &place in places {
            let place = place as usize;
            let this = &self.interactions[place];
            let same_person = |other: &&Interaction| other.person == this.person;
            let before = self.interactions[..place].iter().rev();
            for other in before.take(self.params.window).take_while(same_person) {
                self.add_pair(other, this, other.item, scratch);
            }
            let after = self.interactions[place + 1..].iter();
            for other in after.take(self.params.window).take_while(same_person) {
                self.add_pair(this, other, other.item, scratch);
            }
        }
        scratch.finish(item);
    }

    fn add_pair(&self, first: &Interaction, second: &Interaction, other: u32, scratch: &mut RowScratch) {
        let mut value = (f64::from(first.weight) * f64::from(second.weight)).sqrt() / self.mean_weight;
        let gap_days = second.ts_ms.saturating_sub(first.ts_ms) as f64 / DAY_MS;
        value *= (-gap_days / self.params.tau_days).exp2().max(self.params.floor);
        if let Some(fade) = self.fade {
            let half_lives = self.age_days(second.ts_ms) / fade.half_life_days;
            if half_lives >= HALF_LIVES_MAX {
                return;
            }
            value *= (-half_lives).exp2();
        }
        scratch.add(other, value);
    }

    fn age_days(&self, ts_ms: i64) -> f64 {
        self.now_ms.saturating_sub(ts_ms).max(0) as f64 / DAY_MS
    }
}

/// A dense accumulator that remembers what it touched (Gustavson's sparse row sum).
struct RowScratch {
    sums: Vec<f64>,
    touched: Vec<u32>,
    row: Vec<Count>,
}

impl RowScratch {
    fn new(item_count: usize) -> Self {
        Self { sums: vec![0.0; item_count], touched: Vec::new(), row: Vec::new() }
    }

    fn add(&mut self, item: u32, value: f64) {
        let sum = &mut self.sums[item as usize];
        if *sum == 0.0 {
            self.touched.push(item);
        }
        *sum += value;
    }

    /// Moves the sums into the row, without the item itself, and leaves the accumulator empty.
    fn finish(&mut self, own: u32) {
        self.touched.sort_unstable();
        // A sum that underflowed to 0 was touched twice.
        self.touched.dedup();
        self.row.clear();
        for &item in &self.touched {
            let value = std::mem::take(&mut self.sums[item as usize]);
            if item != own && value > 0.0 {
                self.row.push(Count { item, value });
            }
        }
        self.touched.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::TrainingItem;

    #[test]
    fn pairs_are_symmetric_and_weighed_by_closeness() {
        let items = (0..3).map(|id| TrainingItem { bu: "a".into(), item_id: id.to_string() });
        let day = DAY_MS as i64;
        let act = |item, days: i64| Interaction { person: 1, item, ts_ms: days * day, weight: 3.0 };
        let log = Log::new(items.collect(), vec![act(0, 0), act(1, 30), act(0, 30), act(2, 400)]).unwrap();
        let pairs = Cooccurrence::new(&log, PairParams::default(), None);
        let rows = pairs.map_rows(|_, row| row.iter().map(|count| (count.item, count.value)).collect::<Vec<_>>(), &|_| ());
        // 0 and 1: once 30 days apart (a half), once on the same day (1). 2 is far from all: the floor.
        assert_eq!(rows[0], [(1, 1.5), (2, 0.4)]);
        assert_eq!(rows[1], [(0, 1.5), (2, 0.2)]);
        assert_eq!(rows[2], [(0, 0.4), (1, 0.2)]);
        assert_eq!(pairs.item_counts(), [2.0, 1.0, 1.0]);
    }
}
