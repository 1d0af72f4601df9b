//! What an answer is worth: hit rate, NDCG, MRR, recall (full ranking, no sampled negatives) and novelty.

use std::num::NonZeroU8;

/// Ranks below this one are not looked at.
pub const RANK_MAX: u8 = 20;

/// What is measured of each answer and averaged over answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Is a target among the first 10?
    Hr10,
    /// Is a target among the first 20?
    Hr20,
    /// Normalised discounted cumulative gain of the first 10: binary gains, the ideal list holds all targets first.
    Ndcg10,
    /// 1 / rank of the first target, 0 when it is not among the first 20.
    Mrr20,
    /// Share of the targets that are among the first 20.
    Recall20,
    /// Mean surprise of the first 20, `-log2` of the share of events so far, bits.
    Novelty20,
}

impl Measure {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// All, in order of their place.
    pub const ALL: [Self; Self::COUNT] = [Self::Hr10, Self::Hr20, Self::Ndcg10, Self::Mrr20, Self::Recall20, Self::Novelty20];

    /// The name in JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Hr10 => "hr_10",
            Self::Hr20 => "hr_20",
            Self::Ndcg10 => "ndcg_10",
            Self::Mrr20 => "mrr_20",
            Self::Recall20 => "recall_20",
            Self::Novelty20 => "novelty_20",
        }
    }

    /// The name people know.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Hr10 => "HR@10",
            Self::Hr20 => "HR@20",
            Self::Ndcg10 => "NDCG@10",
            Self::Mrr20 => "MRR@20",
            Self::Recall20 => "recall@20",
            Self::Novelty20 => "novelty",
        }
    }

    /// What a value is shown as: shares as percentages, novelty as it is.
    #[must_use]
    pub const fn shown(self, value: f64) -> f64 {
        match self {
            Self::Novelty20 => value,
            _ => value * 100.0,
        }
    }
}

/// A value a measure; `None` where the answer says nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores([Option<f64>; Measure::COUNT]);

impl Scores {
    /// From the ranks (from 1) at which targets stand, how many targets there are (at least 1), and the novelty of the list.
    #[must_use]
    pub fn new(mut hits: Vec<NonZeroU8>, targets: usize, novelty: Option<f64>) -> Self {
        hits.retain(|rank| rank.get() <= RANK_MAX);
        hits.sort_unstable();
        let first = hits.first().map(|rank| f64::from(rank.get()));
        let share = |is_so: bool| f64::from(u8::from(is_so));
        let gain = |rank: f64| 1.0 / (rank + 1.0).log2();
        let ideal: f64 = (1..=targets.min(10)).map(|rank| gain(rank as f64)).sum();
        let gains: f64 = hits.iter().filter(|rank| rank.get() <= 10).map(|rank| gain(f64::from(rank.get()))).sum();
        Self([
            Some(share(first.is_some_and(|rank| rank <= 10.0))),
            Some(share(first.is_some())),
            Some(gains / ideal),
            Some(first.map_or(0.0, |rank| 1.0 / rank)),
            Some(hits.len() as f64 / targets as f64),
            novelty,
        ])
    }

    /// The values, in order of [`Measure::ALL`].
    #[must_use]
    pub const fn values(&self) -> &[Option<f64>; Measure::COUNT] {
        &self.0
    }

    /// A value.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Option<f64> {
        self.0.get(measure as usize).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(ranks: &[u8], targets: usize) -> Vec<f64> {
        let hits = ranks.iter().map(|rank| NonZeroU8::new(*rank).unwrap()).collect();
        let scores = Scores::new(hits, targets, Some(3.0));
        Measure::ALL.iter().map(|measure| scores.get(*measure).unwrap()).collect()
    }

    #[test]
    fn by_hand() {
        let second = 1.0 / 3.0_f64.log2();
        assert_eq!(scores(&[2], 2), [1.0, 1.0, second / (1.0 + second), 0.5, 0.5, 3.0]);
        assert_eq!(scores(&[], 3), [0.0, 0.0, 0.0, 0.0, 0.0, 3.0]);
        assert_eq!(scores(&[20, 12], 2), [0.0, 1.0, 0.0, 1.0 / 12.0, 1.0, 3.0]);
        assert_eq!(scores(&[1, 2], 2), [1.0, 1.0, 1.0, 1.0, 1.0, 3.0]);
        assert_eq!(scores(&[21, 30], 2), [0.0, 0.0, 0.0, 0.0, 0.0, 3.0], "what stands below rank 20 does not count");
        let all: Vec<u8> = (1..=20).collect();
        assert_eq!(scores(&all, 40)[2..5], [1.0, 1.0, 0.5], "the ideal list of 40 targets has ten on ten places");
    }

    #[test]
    fn places_are_those_of_the_list_of_all() {
        assert!(Measure::ALL.iter().enumerate().all(|(place, measure)| *measure as usize == place));
    }
}
