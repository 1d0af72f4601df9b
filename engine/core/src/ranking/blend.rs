//! The fixed blend, for as long as no learned ranker is published.
//!
//! `score = ((personal + base) · (trend + floor) + novelty · newness) · (1 − penalty · turned down)`
//!
//! - *personal*: co-visitation as a share of the best candidate's, mixed with the cosine to the interest, and likeness by content as a
//!   share of the best candidate's on top;
//! - *trend*: faded demand of the business unit as a share of its hottest item's;
//! - *turned down*: how like it is to what the person turned down or was shown in vain ([`crate::ranking::sources::TurnedDown`]).
//!
//! A product, because the two parts are worth more together: what goes with a person's items *and* is wanted now beats
//! what is only one of both. Multiplied out, `base · trend` ranks what is hot for people of whom little is known (and for all
//! of them what nothing personal speaks for), `floor · personal` what is personal though nobody else wants it now. The ratio
//! `(1 + base) / base` is how far a personal item may lead over an equally hot one; the larger `base`, the more alike are slates.
//!
//! The trend speaks as loudly as demand is concentrated: `base` shrinks where the twenty hottest items are wanted less than
//! `lift_full` times the average item. In a review log of 13,000 items a unit they are wanted 100 to 150 times as much, and what is hot is the best
//! guess for anybody; where demand is even (10 times, in a simulated group of shops), the same weight would show everybody one shop.
//!
//! The constants were chosen on `xbu`, on the eight months before the test period (2013-05 to 2013-12), in a prototype without
//! the interest part, so that one setting serves hot items and the long tail. HR@20 of warm persons, trending items kept / left
//! out, where recent popularity has 21.4 / 1.6 %: base 0.2 20.5 / 3.7, 0.3 21.2 / 3.7, **0.5 21.6 / 3.4**, 1.0 21.8 / 2.9.
//! A sum (personal + w · trend) and a root of the trend were no better. Through the served code, on 2013-11 and 2013-12 (recent
//! popularity 18.9 / 1.3): co-visitation alone 19.2 / 3.2, with a share of 0.7 **19.3 / 3.9**, of one half 19.1 / 3.9.
//! Content, through the served code without a learned ranker, on time before the test periods, HR@20 of warm persons with 0, **0.3**,
//! 0.7 and 1: xbu without what trends 3.49, **3.76**, 4.18, 4.49 %; onlineretail2 41.2, **42.6**, 44.6, 45.3 %; ml100k 33.95, **34.11**,
//! 33.69, 33.32 %. The weight that lost nowhere is the default: what people do outweighs what the catalogue says.

use crate::ranking::{
    candidate::{Candidate, Score},
    query::Query,
    source_kind::SourceKind,
    sources::set_trends,
    stage::Scorer,
};

/// A fixed blend of parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedBlend {
    /// Weight of co-visitation inside the personal part, in [0, 1]; the rest is the interest's.
    pub co_visitation: f32,
    /// Weight of likeness by content beside both, in [0, 1].
    pub content: f32,
    /// Personal score of an item that only trends, where demand is concentrated.
    pub base: f32,
    /// Lift of the hottest items ([`crate::trends::Trends::lift`]) from which demand counts as concentrated; below, `base` shrinks with it.
    pub lift_full: f32,
    /// Trend of an item that nobody wants now.
    pub floor: f32,
    /// Added for the newest items.
    pub novelty: f32,
    /// Share of the score that what is wholly like what was turned down loses, in [0, 1].
    pub turned_down: f32,
}

impl Default for FixedBlend {
    fn default() -> Self {
        Self { co_visitation: 0.7, content: 0.3, base: 0.5, lift_full: 100.0, floor: 0.05, novelty: 0.02, turned_down: 0.5 }
    }
}

impl Scorer for FixedBlend {
    fn score(&self, query: &Query<'_>, candidates: &mut [Candidate]) {
        set_trends(query, candidates);
        let best = |kind| candidates.iter().map(|candidate| candidate.part(kind)).fold(f32::MIN_POSITIVE, f32::max);
        let (most_co_visited, most_alike) = (best(SourceKind::CoVisitation), best(SourceKind::Content));
        let lift = query.state.trending().lift(query.bu, query.state.catalogue().item_count_of(query.bu)) as f32;
        let base = self.base * (lift / self.lift_full).min(1.0);
        for candidate in candidates {
            let co_visited = candidate.part(SourceKind::CoVisitation) / most_co_visited;
            let alike = candidate.part(SourceKind::Content) / most_alike;
            let interest = candidate.part(SourceKind::Interest).max(0.0);
            let of_behaviour = self.co_visitation * co_visited + (1.0 - self.co_visitation) * interest;
            let personal = of_behaviour + self.content * alike;
            let trend = candidate.part(SourceKind::Trending) + self.floor;
            let wanted = (personal + base) * trend + self.novelty * candidate.part(SourceKind::New);
            candidate.score = Score::new(wanted * (1.0 - self.turned_down * candidate.part(SourceKind::TurnedDown)));
        }
    }
}
