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
        let new = |item| {
            let age_days = query.now.days_since(catalogue.listed_at(item)?);
            let is_new = (0.0..self.age_days_max).contains(&age_days);
            (is_new && catalogue.is_servable(item) && is_wanted(query, item)).then_some((item, age_days))
        };
        let newest = catalogue.items_of(query.bu).rev().take(self.items * LOOKED_AT);
        for (item, age_days) in newest.filter_map(new).take(self.items) {
            into.add(item, SourceKind::New, (1.0 - age_days / self.age_days_max) as f32);
        }
    }
}
