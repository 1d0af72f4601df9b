//! The fixed blend, for as long as no learned ranker is published.
//!
//! `score = (personal + base) · (trend + floor)^pull`, where `personal` is the mean of co-visitation (as a share of the best
//! candidate's) and the cosine to the interest. People who left no trace are ranked by trend alone; for the others recency of
//! demand pulls, which on real shopping data is worth more than any cleverness in the personal part.

use crate::ranking::{
    candidate::{Candidate, Score},
    query::Query,
    stage::{Scorer, SourceKind},
};

/// A fixed blend of parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedBlend {
    /// Weight of co-visitation inside the personal part, in [0, 1]; the rest is the interest's.
    pub co_visitation: f32,
    /// Personal score of an item that only trends.
    pub base: f32,
    /// Trend of an item that nobody wants now.
    pub floor: f32,
    /// How strongly the trend pulls, in [0, 1].
    pub pull: f32,
    /// Added for the newest items.
    pub novelty: f32,
}

impl Default for FixedBlend {
    fn default() -> Self {
        Self { co_visitation: 0.8, base: 0.05, floor: 0.02, pull: 0.5, novelty: 0.02 }
    }
}

impl Scorer for FixedBlend {
    fn score(&self, query: &Query<'_>, candidates: &mut [Candidate]) {
        let mut shares = candidates.iter().map(|candidate| candidate.item).collect::<Vec<_>>().into_iter();
        let mut at = candidates.iter_mut();
        query.state.trending().shares(query.bu, shares.by_ref(), |share| {
            if let Some(candidate) = at.next() {
                candidate.set_part(SourceKind::Trending, share);
            }
        });
        let best = candidates.iter().map(|c| c.part(SourceKind::CoVisitation)).fold(f32::MIN_POSITIVE, f32::max);
        for candidate in candidates {
            let co_visited = candidate.part(SourceKind::CoVisitation) / best;
            let interest = candidate.part(SourceKind::Interest).max(0.0);
            let personal = self.co_visitation * co_visited + (1.0 - self.co_visitation) * interest;
            let trend = (candidate.part(SourceKind::Trending) + self.floor).powf(self.pull);
            candidate.score = Score::new((personal + self.base) * trend + self.novelty * candidate.part(SourceKind::New));
        }
    }
}
