//! What the person's items lead to, as of the generation: Σ weight · strength over the neighbours of each signal. Neighbours are what
//! people took together with an item, or what the catalogue describes alike: also what nobody took yet.
//!
//! Cost: neighbours per item × [`SIGNALS_MAX`] additions, then a partial sort of what was touched.

use crate::ranking::{
    candidate::CandidateSet, model::Relation, query::Query, scratch::Scratch, source_kind::SourceKind, stage::Source,
};

/// Items of the person looked at.
const SIGNALS_MAX: usize = 10;

/// Retrieval by one relation among items.
#[derive(Debug)]
pub struct Related {
    /// Which one.
    pub relation: Relation,
    /// Candidates added at most; others that are already there get their sum too.
    pub candidates_max: usize,
}

impl Source for Related {
    fn kind(&self) -> SourceKind {
        match self.relation {
            Relation::CoVisited => SourceKind::CoVisitation,
            Relation::Content => SourceKind::Content,
        }
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let Some(model) = query.model else { return };
        let Scratch { sums, .. } = scratch;
        let mut weighed = query.signals.iter().take(SIGNALS_MAX).map(|signal| (signal.item, signal.weight));
        model.related_to_each(self.relation, &mut weighed, query.bu, &mut |item, strength| sums.add(item, strength));
        sums.offer(query, self.kind(), self.candidates_max, |_| true, into);
    }
}
