//! Item-to-item transitions: who took this up, took that up too.
//!
//! Counts of [`crate::cooccurrence`], normalised so that an item everybody has is not everybody's neighbour, and cut
//! to the best few per item. Two normalisations:
//!
//! - [`Normalisation::Symmetric`]: `c_ij / sqrt((n_i + shrink)(n_j + shrink))`, cosine with shrinkage
//!   (Sarwar et al., WWW 2001; shrinkage after Koren, TKDD 2010): similarity over all time;
//! - [`Normalisation::Transition`]: `c_ij / ((n_i + shrink)(n_j + shrink)^damping)`, with counts that fade by a half-life.
//!   Undamped it is the share of i's takers that took j: where people go from i *these days*. Damping takes away what j
//!   owes to being wanted by everybody, which the blend puts back as j's trend of the moment.
//!
//! The default is the first: where people go *these days* is what live transitions count as events come (`neighbours/transitions.rs` in
//! the core), so that what a generation adds is what they fade: similarity over all time. Measured through the served code with the
//! learned ranker, on time before the test periods, against the second with a half-life of 60 days and a damping of one half (HR@20 /
//! NDCG@10 or MRR@20 of warm persons, %; one run each): moviebook 3.79 / 0.74 → 4.08 / 1.12 (as a source alone 1.61 / 0.58 → 2.51 / 0.98),
//! `xbu` 19.11 / 6.47 → 19.19 / 6.56, without trending items 4.38 / 1.37 → 4.33 / 1.35, ml100k 40.05 / 10.14 → 39.55 / 10.06, onlineretail2
//! 83.01 / 31.46 → 82.60 / 31.45, ali2014 43.40 / 17.90 → 43.55 / 17.94, sessions equal. The ranker's judging changed with it, which is part of
//! moviebook's gain. With 365 days and a damping of one half: moviebook 3.79 / 0.95, ml100k 39.86 / 10.11, onlineretail2 82.96 / 31.45, `xbu`
//! 19.08 / 6.49.
//!
//! **Places per unit.** A slate is asked for one unit, and a person who is new there has history in others alone. So
//! half of an item's places go to its own unit and half are split evenly among the others; places that a unit cannot
//! fill go to the best of the rest, whatever their unit.

use serde::{Deserialize, Serialize};

use crate::{
    cooccurrence::{Cooccurrence, Count, Fade, PairParams},
    neighbour_lists::NeighbourLists,
    training::Log,
};

/// How the neighbours of items are counted, normalised and cut.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoVisitationParams {
    /// How interactions of one person pair up.
    pub pairs: PairParams,
    /// How counts become weights.
    pub normalisation: Normalisation,
    /// Neighbours kept for one item, over all units.
    pub neighbours_max: usize,
}

impl Default for CoVisitationParams {
    fn default() -> Self {
        Self { pairs: PairParams::default(), normalisation: Normalisation::Symmetric { shrink: 5.0 }, neighbours_max: 64 }
    }
}

const fn default_damping() -> f64 {
    0.5
}

/// How the count of a pair becomes a weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalisation {
    /// Cosine with shrinkage, over all time.
    Symmetric {
        /// Interactions an item is believed to have had before the log began.
        shrink: f64,
    },
    /// The share of the item's takers that took the other, faded, over a power of the other's takers.
    Transition {
        /// As above, in faded interactions.
        shrink: f64,
        /// By how many days' age a pair counts half.
        half_life_days: f64,
        /// How much of the other item's general demand is taken away, in [0, 1]: nothing at 0, all of it at 1.
        #[serde(default = "default_damping")]
        damping: f64,
    },
}

impl CoVisitationParams {
    pub(crate) fn fade(&self) -> Option<Fade> {
        match self.normalisation {
            Normalisation::Symmetric { .. } => None,
            Normalisation::Transition { half_life_days, .. } => Some(Fade { half_life_days }),
        }
    }

    /// The first thing wrong with the parameters, with the way out.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        self.pairs.check()?;
        if !(1..=1_024).contains(&self.neighbours_max) {
            return Err("neighbours_max must lie between 1 and 1024");
        }
        let (shrink, half_life_days, damping) = match self.normalisation {
            Normalisation::Symmetric { shrink } => (shrink, 1.0, 0.0),
            Normalisation::Transition { shrink, half_life_days, damping } => (shrink, half_life_days, damping),
        };
        if !(shrink.is_finite() && shrink >= 0.0) {
            return Err("shrink must be a number of interactions, 0 or above");
        }
        if !(half_life_days.is_finite() && half_life_days > 0.0) {
            return Err("half_life_days must be a number of days above 0");
        }
        if !(0.0..=1.0).contains(&damping) {
            return Err("damping must lie between 0 and 1");
        }
        Ok(())
    }
}

/// Counts, normalises and cuts. `progress` hears the share done. Deterministic; cost as [`crate::cooccurrence`] says.
pub fn co_visitation(log: &Log, params: &CoVisitationParams, progress: &dyn Fn(f64)) -> NeighbourLists {
    let pairs = Cooccurrence::new(log, params.pairs, params.fade());
    let takers = pairs.item_counts();
    let cut = Cut::new(log, params, &takers);
    NeighbourLists::of_lists(pairs.map_rows(|item, row| cut.neighbours(item, row), progress))
}

/// From counts to an item's neighbours: normalised, and cut to the best.
pub(crate) struct Cut<'a> {
    normalisation: Normalisation,
    takers: &'a [f64],
    places: UnitPlaces,
    unit_of_row: &'a [u16],
}

impl<'a> Cut<'a> {
    /// `takers` has every item's own count.
    pub(crate) fn new(log: &'a Log, params: &CoVisitationParams, takers: &'a [f64]) -> Self {
        let places = UnitPlaces::new(params.neighbours_max, log.units().len());
        Self { normalisation: params.normalisation, takers, places, unit_of_row: log.units_of_rows() }
    }

    /// The neighbours of an item that are kept, heaviest first.
    pub(crate) fn neighbours(&self, item: u32, row: &[Count]) -> Vec<(u32, f32)> {
        let mut neighbours: Vec<(u32, f32)> = row.iter().map(|count| (count.item, self.normalised(item, count) as f32)).collect();
        neighbours.retain(|&(_, weight)| weight > 0.0);
        self.places.keep_best(item, &mut neighbours, self.unit_of_row);
        neighbours
    }

    fn normalised(&self, item: u32, count: &Count) -> f64 {
        let (own, other) = (self.takers[item as usize], self.takers[count.item as usize]);
        match self.normalisation {
            Normalisation::Symmetric { shrink } => count.value / ((own + shrink) * (other + shrink)).sqrt(),
            Normalisation::Transition { shrink, damping, .. } => count.value / ((own + shrink) * (other + shrink).powf(damping)),
        }
    }
}

/// How an item's places are split among units.
#[derive(Debug, Clone, Copy)]
struct UnitPlaces {
    total: usize,
    own: usize,
    other: usize,
    units: usize,
}

impl UnitPlaces {
    fn new(total: usize, units: usize) -> Self {
        let others = units.saturating_sub(1);
        let for_others = if others == 0 { 0 } else { total / 2 };
        Self { total, own: total - for_others, other: for_others.checked_div(others).unwrap_or(0), units }
    }

    /// Leaves the kept neighbours, heaviest first, ties by row.
    fn keep_best(&self, item: u32, neighbours: &mut Vec<(u32, f32)>, unit_of_row: &[u16]) {
        neighbours.sort_unstable_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        if neighbours.len() <= self.total {
            return;
        }
        let own_unit = unit_of_row[item as usize];
        let mut taken = vec![0_usize; self.units];
        let mut kept = vec![false; neighbours.len()];
        let mut free = self.total;
        for (place, &(row, _)) in neighbours.iter().enumerate() {
            let unit = unit_of_row[row as usize];
            let places = if unit == own_unit { self.own } else { self.other };
            if taken[unit as usize] < places {
                taken[unit as usize] += 1;
                kept[place] = true;
                free -= 1;
            }
        }
        for keep in kept.iter_mut().filter(|keep| !**keep).take(free) {
            *keep = true;
        }
        let mut kept = kept.iter();
        neighbours.retain(|_| kept.next().copied().unwrap_or(false));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::training::{Interaction, TrainingItem};

    const ITEMS: u32 = 12;
    const DAY_MS: f64 = 86_400_000.0;

    fn small_log() -> impl Strategy<Value = Log> {
        let act = (0_u32..6, 0..ITEMS, 0_i64..200, 1_u8..=3).prop_map(|(person, item, days, weight)| Interaction {
            person,
            item,
            ts_ms: days * DAY_MS as i64,
            weight: f32::from(weight),
        });
        proptest::collection::vec(act, 0..80).prop_map(|acts| {
            let item = |id: u32| TrainingItem { bu: format!("u{}", id % 3), item_id: id.to_string() };
            Log::new((0..ITEMS).map(item).collect(), acts).unwrap()
        })
    }

    /// The definition, pair by pair, in a dense matrix.
    fn oracle(log: &Log, params: &CoVisitationParams) -> Vec<Vec<f64>> {
        let acts = log.interactions();
        let mean = log.mean_weight();
        let half_life = match params.normalisation {
            Normalisation::Symmetric { .. } => f64::INFINITY,
            Normalisation::Transition { half_life_days, .. } => half_life_days,
        };
        let age = |act: &Interaction| (log.cut_off_ms() - act.ts_ms) as f64 / DAY_MS;
        let mut counts = vec![vec![0.0; ITEMS as usize]; ITEMS as usize];
        let mut own = vec![0.0; ITEMS as usize];
        for (place, second) in acts.iter().enumerate() {
            own[second.item as usize] += f64::from(second.weight) / mean * 0.5_f64.powf(age(second) / half_life);
            for first in &acts[place.saturating_sub(params.pairs.window)..place] {
                if first.person == second.person && first.item != second.item && age(second) < 8.0 * half_life {
                    let gap = (second.ts_ms - first.ts_ms) as f64 / DAY_MS;
                    let close = 0.5_f64.powf(gap / params.pairs.tau_days).max(params.pairs.floor);
                    let weight = f64::from(first.weight * second.weight).sqrt() / mean;
                    let value = weight * close * 0.5_f64.powf(age(second) / half_life);
                    counts[first.item as usize][second.item as usize] += value;
                    counts[second.item as usize][first.item as usize] += value;
                }
            }
        }
        for (i, row) in counts.iter_mut().enumerate() {
            for (j, value) in row.iter_mut().enumerate() {
                *value /= match params.normalisation {
                    Normalisation::Symmetric { shrink } => ((own[i] + shrink) * (own[j] + shrink)).sqrt(),
                    Normalisation::Transition { shrink, damping, .. } => (own[i] + shrink) * (own[j] + shrink).powf(damping),
                };
            }
        }
        counts
    }

    proptest! {
        #[test]
        fn equals_the_oracle(log in small_log(), faded: bool, damping in 0.0..=1.0, window in 1_usize..8) {
            let normalisation = if faded {
                Normalisation::Transition { shrink: 2.0, half_life_days: 10.0, damping }
            } else {
                Normalisation::Symmetric { shrink: 5.0 }
            };
            let pairs = PairParams { window, ..PairParams::default() };
            let params = CoVisitationParams { pairs, normalisation, neighbours_max: 64 };
            let found = co_visitation(&log, &params, &|_| ());
            let expected = oracle(&log, &params);
            for item in 0..ITEMS {
                let mut row = vec![0.0; ITEMS as usize];
                for (neighbour, weight) in found.neighbours(item) {
                    row[neighbour as usize] = f64::from(weight);
                }
                for (got, want) in row.iter().zip(&expected[item as usize]) {
                    prop_assert!((got - want).abs() <= 1e-6 * want.max(1e-3), "{got} is not {want}");
                }
            }
        }

        #[test]
        fn keeps_the_invariant_and_the_places(log in small_log(), neighbours_max in 1_usize..10) {
            let params = CoVisitationParams { neighbours_max, ..CoVisitationParams::default() };
            let cut = co_visitation(&log, &params, &|_| ());
            let whole = co_visitation(&log, &CoVisitationParams::default(), &|_| ());
            prop_assert_eq!(&cut, &co_visitation(&log, &params, &|_| ()));
            let parts = (cut.offsets().to_vec(), cut.rows().to_vec(), cut.weights().to_vec());
            prop_assert!(NeighbourLists::new(parts.0, parts.1, parts.2).is_ok());
            let places = UnitPlaces::new(neighbours_max, 3);
            for item in 0..ITEMS {
                prop_assert_eq!(cut.neighbours(item).len(), whole.neighbours(item).len().min(neighbours_max));
                for unit in 0..3 {
                    let of_unit = |row: &(u32, f32)| row.0 % 3 == unit;
                    let best: Vec<_> = whole.neighbours(item).filter(of_unit).collect();
                    let kept: Vec<_> = cut.neighbours(item).filter(of_unit).collect();
                    let due = if item % 3 == unit { places.own } else { places.other };
                    prop_assert!(kept.len() >= best.len().min(due));
                    prop_assert_eq!(&kept[..], &best[..kept.len()], "the best of a unit come first");
                }
            }
        }
    }
}
