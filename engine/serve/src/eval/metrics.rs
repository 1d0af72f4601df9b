//! Hit rate, NDCG, MRR and coverage of top-k lists (full ranking, no sampled negatives).

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

/// Sums of metrics over queries.
#[derive(Clone, Debug, Default)]
pub struct Scorecard {
    segments: BTreeMap<String, Sums>,
    recommended: HashSet<(String, String)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    queries: u64,
    hits_10: u64,
    hits_20: u64,
    ndcg_10: f64,
    mrr_20: f64,
}

/// Means over queries, as shares in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Queries with at least one target.
    pub queries: u64,
    /// Share of queries with a target among the first 10.
    pub hr_10: f64,
    /// Share of queries with a target among the first 20.
    pub hr_20: f64,
    /// Normalised discounted cumulative gain of the first 10, binary gains.
    pub ndcg_10: f64,
    /// Mean of 1 / rank of the first target among the first 20.
    pub mrr_20: f64,
}

impl Scorecard {
    /// Adds one answer. `targets` are what the person then took; a query without targets says nothing and is not counted.
    pub fn add(&mut self, segment: &str, bu: &str, recommended: &[&str], targets: &HashSet<&str>) {
        let first_20 = recommended.get(..20.min(recommended.len())).unwrap_or_default();
        for item in first_20 {
            self.recommended.insert((bu.into(), (*item).into()));
        }
        if targets.is_empty() {
            return;
        }
        let hits: Vec<usize> = first_20.iter().enumerate().filter(|(_, item)| targets.contains(**item)).map(|(n, _)| n).collect();
        let gain = |rank: usize| 1.0 / (rank as f64 + 2.0).log2();
        let ideal: f64 = (0..targets.len().min(10)).map(gain).sum();
        let mut names = vec!["all"];
        if !segment.is_empty() {
            names.push(segment);
        }
        for name in names {
            let sums = self.segments.entry(name.into()).or_default();
            sums.queries += 1;
            sums.hits_10 += u64::from(hits.iter().any(|rank| *rank < 10));
            sums.hits_20 += u64::from(!hits.is_empty());
            sums.ndcg_10 += hits.iter().filter(|rank| **rank < 10).map(|rank| gain(*rank)).sum::<f64>() / ideal;
            sums.mrr_20 += hits.first().map_or(0.0, |rank| 1.0 / (*rank as f64 + 1.0));
        }
    }

    /// Means by segment; `"all"` is everything.
    #[must_use]
    pub fn means(&self) -> BTreeMap<String, Metrics> {
        let mean = |sums: &Sums| {
            let n = sums.queries as f64;
            Metrics {
                queries: sums.queries,
                hr_10: sums.hits_10 as f64 / n,
                hr_20: sums.hits_20 as f64 / n,
                ndcg_10: sums.ndcg_10 / n,
                mrr_20: sums.mrr_20 / n,
            }
        };
        self.segments.iter().map(|(name, sums)| (name.clone(), mean(sums))).collect()
    }

    /// Share of a catalogue of `items` that stood among the first 20 of some answer.
    #[must_use]
    pub fn coverage_20(&self, items: usize) -> f64 {
        self.recommended.len() as f64 / items.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_by_hand() {
        let mut card = Scorecard::default();
        card.add("warm", "shop", &["a", "b", "c"], &HashSet::from(["b", "z"]));
        card.add("cold", "shop", &["a"], &HashSet::from(["y"]));
        card.add("cold", "shop", &["d"], &HashSet::new());
        let means = card.means();
        let ideal = 1.0 + 1.0 / 3.0_f64.log2();
        let warm = Metrics { queries: 1, hr_10: 1.0, hr_20: 1.0, ndcg_10: 1.0 / 3.0_f64.log2() / ideal, mrr_20: 0.5 };
        assert_eq!(means.get("warm"), Some(&warm));
        assert_eq!(means.get("all").map(|all| (all.queries, all.hr_20)), Some((2, 0.5)));
        assert_eq!(means.get("cold").map(|cold| (cold.queries, cold.mrr_20)), Some((1, 0.0)));
        assert!((card.coverage_20(8) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn what_stands_below_rank_twenty_does_not_count() {
        let names: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        let list: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut card = Scorecard::default();
        card.add("", "shop", &list, &HashSet::from(["19", "25"]));
        card.add("", "shop", &list, &HashSet::from(["20"]));
        let all = card.means()["all"];
        assert_eq!((all.hr_10, all.hr_20, all.mrr_20), (0.0, 0.5, 1.0 / 20.0 / 2.0));
    }
}
