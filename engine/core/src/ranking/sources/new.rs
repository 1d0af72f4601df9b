//! Items that came into the catalogue of late, newest first. Cost: a walk over the newest items of the business unit.

use crate::ranking::{
    candidate::CandidateSet, filters::is_wanted, query::Query, scratch::Scratch, source_kind::SourceKind, stage::Source,
};

/// Items looked at for each that may be taken: many may be sold out, ruled out, or named by events alone.
const LOOKED_AT: usize = 8;

/// Retrieval of new items.
#[derive(Debug)]
pub struct New {
    /// Items taken.
    pub items: usize,
    /// How long an item counts as new, days.
    pub age_days_max: f64,
}

impl Source for New {
    fn kind(&self) -> SourceKind {
        SourceKind::New
    }

    fn retrieve(&self, query: &Query<'_>, _scratch: &mut Scratch, into: &mut CandidateSet) {
        let catalogue = query.state.catalogue();
        let (mut taken, mut aged) = (0, 0);
        for item in catalogue.items_of(query.bu).rev().take(self.items * LOOKED_AT) {
            let Some(listed_at) = catalogue.listed_at(item) else { continue };
            let age_days = query.now.days_since(listed_at);
            if !(0.0..self.age_days_max).contains(&age_days) {
                aged += 1;
            } else if catalogue.is_servable(item) && is_wanted(query, item) {
                into.add(item, SourceKind::New, (1.0 - age_days / self.age_days_max) as f32);
                taken += 1;
            }
            if taken.max(aged) >= self.items {
                return; // where so many came before the time, the rest did too
            }
        }
    }
}
