//! What the person had or looked at before, in the asked unit: where people buy again, the best guess of all. Cost: a walk over the
//! person's past.

use crate::ranking::{candidate::CandidateSet, fast, query::Query, scratch::Scratch, source_kind::SourceKind, stage::Source};

/// By how many days a behaviour counts half.
const HALF_LIFE_DAYS: f32 = 30.0;

/// Retrieval of the person's own items.
#[derive(Debug)]
pub struct History;

impl Source for History {
    fn kind(&self) -> SourceKind {
        SourceKind::History
    }

    fn retrieve(&self, query: &Query<'_>, _scratch: &mut Scratch, into: &mut CandidateSet) {
        let catalogue = query.state.catalogue();
        for behaviour in query.profile.past.iter().filter(|behaviour| catalogue.bu_of(behaviour.item) == Some(query.bu)) {
            let fade = fast::exp2(-query.now.days_since(behaviour.time).max(0.0) as f32 / HALF_LIFE_DAYS);
            if let Some(candidate) = into.entry(behaviour.item) {
                let held = candidate.part(SourceKind::History);
                candidate.set_part(SourceKind::History, held + behaviour.kind.strength() * fade);
            }
        }
    }
}
