//! The thresholds.

use serde::{Deserialize, Serialize};

/// What is asked of a generation before it is published. The defaults let through what a usual day changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateLimits {
    /// Hours by which the newest interaction may lie before the end of the log that the served generation was made from.
    pub behind_hours_max: f64,
    /// Hours by which it may lie before now; 0: any.
    pub age_hours_max: f64,
    /// Interactions at least, as a share of the served generation's.
    pub interactions_share_min: f64,
    /// Items (and items with a vector) of the group and of every unit at least, as a share of the served generation's.
    pub items_share_min: f64,
    /// Share of the served items that may be gone.
    pub items_lost_share_max: f64,
    /// Share of the served items' ten nearest companions that may be others.
    pub neighbours_changed_share_max: f64,
    /// Share of the true 10 nearest that every unit's index must find.
    pub recall_10_min: f64,
    /// Queries of each unit by which recall is measured; each costs a scan of the unit's vectors.
    pub recall_queries: usize,
    /// Share of the categories and brands whose slates can be filled at least as far as they are now.
    pub filter_coverage_min: f64,
    /// Share of its NDCG@10 that answers may lose against the served generation, on the last day of the log.
    pub quality_loss_share_max: f64,
    /// Moments of the last day at least, without which quality is not judged.
    pub quality_moments_min: usize,
    /// Moments at most; 0: quality and latency are not looked at.
    pub quality_moments_max: usize,
    /// Queries that servers were asked in the last day at least, by which latency is judged; where there are fewer, by the log's moments.
    pub mirrored_queries_min: usize,
    /// Processor time of an answer at most, as a multiple of the served generation's.
    pub latency_ratio_max: f64,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            behind_hours_max: 24.0,
            age_hours_max: 0.0,
            interactions_share_min: 0.5,
            items_share_min: 0.8,
            items_lost_share_max: 0.2,
            neighbours_changed_share_max: 0.9,
            recall_10_min: 0.85,
            recall_queries: 200,
            filter_coverage_min: 0.95,
            quality_loss_share_max: 0.05,
            quality_moments_min: 200,
            quality_moments_max: 5_000,
            mirrored_queries_min: 100,
            latency_ratio_max: 2.0,
        }
    }
}

impl GateLimits {
    /// Key, value, whether it fits, and what it must be.
    pub fn ranges(&self) -> [(&'static str, f64, bool, &'static str); 13] {
        let share = |key, value: f64| (key, value, (0.0..=1.0).contains(&value), "a number from 0 to 1");
        let hours = |key, value: f64| (key, value, value >= 0.0, "a number of at least 0");
        [
            hours("gates.behind_hours_max", self.behind_hours_max),
            hours("gates.age_hours_max", self.age_hours_max),
            share("gates.interactions_share_min", self.interactions_share_min),
            share("gates.items_share_min", self.items_share_min),
            share("gates.items_lost_share_max", self.items_lost_share_max),
            share("gates.neighbours_changed_share_max", self.neighbours_changed_share_max),
            share("gates.recall_10_min", self.recall_10_min),
            (
                "gates.recall_queries",
                self.recall_queries as f64,
                (1..=100_000).contains(&self.recall_queries),
                "from 1 to 100000",
            ),
            share("gates.filter_coverage_min", self.filter_coverage_min),
            share("gates.quality_loss_share_max", self.quality_loss_share_max),
            ("gates.quality_moments_min", self.quality_moments_min as f64, self.quality_moments_min >= 1, "at least 1"),
            ("gates.mirrored_queries_min", self.mirrored_queries_min as f64, self.mirrored_queries_min >= 1, "at least 1"),
            ("gates.latency_ratio_max", self.latency_ratio_max, self.latency_ratio_max >= 1.0, "a number of at least 1"),
        ]
    }
}
