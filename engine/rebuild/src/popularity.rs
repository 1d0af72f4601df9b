//! What each unit's people take up most, these days: the last resort of every slate.
//!
//! An item's score is the sum of its interactions' weights (over the log's mean weight), each halved per half-life of
//! age. Recent popularity is a hard baseline on real data and all-time popularity a useless one (FACTS).

use serde::{Deserialize, Serialize};

use crate::training::Log;

const DAY_MS: f64 = 86_400_000.0;
/// Older than this the factor underflows, and an all-time favourite must not vanish.
pub const HALF_LIVES_MAX: f64 = 120.0;

/// How popularity is counted and cut.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PopularityParams {
    /// By how many days' age an interaction counts half.
    pub half_life_days: f64,
    /// Items kept for one unit.
    pub items_max: usize,
}

impl Default for PopularityParams {
    fn default() -> Self {
        Self { half_life_days: 7.0, items_max: 1_000 }
    }
}

impl PopularityParams {
    /// The first thing wrong with the parameters, with the way out.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !(self.half_life_days.is_finite() && self.half_life_days > 0.0) {
            return Err("half_life_days must be a number of days above 0");
        }
        if !(1..=1_000_000).contains(&self.items_max) {
            return Err("items_max must lie between 1 and 1000000");
        }
        Ok(())
    }
}

/// The most popular items of every unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Popularity {
    units: Vec<UnitPopularity>,
}

/// The most popular items of one unit, most popular first.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitPopularity {
    /// The unit.
    pub bu: String,
    /// Item rows, highest score first, ties by row.
    pub rows: Vec<u32>,
    /// Their scores, above 0.
    pub scores: Vec<f32>,
}

impl Popularity {
    /// Takes the units' lists.
    ///
    /// # Errors
    /// What is wrong: units out of order or twice, rows and scores of different number, an item twice, a score that is
    /// not finite and above 0, or scores not in falling order. Whether rows exist is for the owner of the items.
    pub fn new(units: Vec<UnitPopularity>) -> Result<Self, String> {
        if !units.is_sorted_by(|left, right| left.bu < right.bu) {
            return Err("the units of the popular items are out of order".into());
        }
        for UnitPopularity { bu, rows, scores } in &units {
            if rows.len() != scores.len() {
                return Err(format!("unit {bu} has {} popular items and {} scores", rows.len(), scores.len()));
            }
            let falling = scores.is_sorted_by(|left, right| left >= right);
            if !falling || scores.iter().any(|score| !(score.is_finite() && *score > 0.0)) {
                return Err(format!("unit {bu} has popular items whose scores do not fall"));
            }
            let mut sorted = rows.clone();
            sorted.sort_unstable();
            if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(format!("unit {bu} has a popular item twice"));
            }
        }
        Ok(Self { units })
    }

    /// The units' lists, by name of the unit. Units whose items nobody took up are missing.
    pub fn units(&self) -> &[UnitPopularity] {
        &self.units
    }

    /// The list of one unit.
    pub fn unit(&self, bu: &str) -> Option<&UnitPopularity> {
        let place = self.units.binary_search_by(|unit| unit.bu.as_str().cmp(bu)).ok()?;
        self.units.get(place)
    }
}

/// Counts and cuts. O(interactions + items log items).
pub fn popularity(log: &Log, params: &PopularityParams) -> Popularity {
    let mean_weight = log.mean_weight();
    let mut scores = vec![0.0_f64; log.items().len()];
    for interaction in log.interactions() {
        let age_days = log.cut_off_ms().saturating_sub(interaction.ts_ms).max(0) as f64 / DAY_MS;
        let half_lives = (age_days / params.half_life_days).min(HALF_LIVES_MAX);
        scores[interaction.item as usize] += f64::from(interaction.weight) / mean_weight * (-half_lives).exp2();
    }
    most_popular(log, &scores, params.items_max)
}

/// Cuts: the best items of every unit, by score of row.
pub(crate) fn most_popular(log: &Log, scores: &[f64], items_max: usize) -> Popularity {
    let mut ranked: Vec<Vec<(u32, f32)>> = vec![Vec::new(); log.units().len()];
    for (row, (&score, &unit)) in scores.iter().zip(log.units_of_rows()).enumerate() {
        if score > 0.0 {
            ranked[unit as usize].push((row as u32, score as f32));
        }
    }
    let named = log.units().iter().zip(&mut ranked).filter(|(_, list)| !list.is_empty());
    let units = named.map(|(bu, list)| {
        list.sort_unstable_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        list.truncate(items_max);
        let (rows, scores) = list.iter().copied().unzip();
        UnitPopularity { bu: bu.clone(), rows, scores }
    });
    Popularity { units: units.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::{Interaction, TrainingItem};

    fn log(acts: &[(u32, i64)]) -> Log {
        let items = (0..6).map(|id| TrainingItem { bu: format!("u{}", id % 2), item_id: id.to_string() });
        let acts = acts.iter().enumerate().map(|(person, &(item, days))| Interaction {
            person: person as u32,
            item,
            ts_ms: days * DAY_MS as i64,
            weight: 2.0,
        });
        Log::new(items.collect(), acts.collect()).unwrap()
    }

    #[test]
    fn recent_items_lead_and_old_ones_stay() {
        let popular = popularity(&log(&[(0, 0), (0, 0), (2, 30), (4, 30), (4, 29), (1, 0)]), &PopularityParams::default());
        let lists: Vec<_> = popular.units().iter().map(|unit| (unit.bu.as_str(), unit.rows.as_slice())).collect();
        assert_eq!(lists, [("u0", [4, 2, 0].as_slice()), ("u1", &[1])]);
        assert!((popular.unit("u0").unwrap().scores[1] - 1.0).abs() < 1e-6);
        assert!(popular.unit("u2").is_none());
        assert!(Popularity::new(popular.units().to_vec()).is_ok());
    }

    #[test]
    fn is_cut_and_ties_go_by_row() {
        let params = PopularityParams { items_max: 2, ..PopularityParams::default() };
        let popular = popularity(&log(&[(4, 0), (2, 0), (0, 0)]), &params);
        assert_eq!(popular.unit("u0").unwrap().rows, [0, 2]);
    }

    #[test]
    fn an_age_of_centuries_still_counts() {
        let popular = popularity(&log(&[(0, 0), (2, 80_000)]), &PopularityParams::default());
        assert_eq!(popular.unit("u0").unwrap().rows, [2, 0]);
    }
}
