//! Items that came into the catalogue of late, newest first. Cost: a walk over the newest items of the business unit.

use crate::ranking::{candidate::CandidateSet, query::Query, scratch::Scratch, source_kind::SourceKind, stage::Source};

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
        for item in catalogue.items_of(query.bu).rev().take(self.items) {
            let Some(listed_at) = catalogue.listed_at(item) else { continue };
            let age_days = query.now.days_since(listed_at);
            if (0.0..self.age_days_max).contains(&age_days) {
                into.add(item, SourceKind::New, (1.0 - age_days / self.age_days_max) as f32);
            }
        }
    }
}
