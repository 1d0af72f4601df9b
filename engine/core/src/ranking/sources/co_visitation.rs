//! What people took together with the person's items, as of the generation: Σ weight · strength over the neighbours of each signal.
//!
//! Cost: neighbours per item × [`SIGNALS_MAX`] additions, then a partial sort of what was touched.

use crate::ranking::{
    candidate::CandidateSet,
    query::{Query, Scratch},
    stage::{Source, SourceKind},
};

/// Items of the person looked at.
const SIGNALS_MAX: usize = 10;

/// Retrieval by co-visitation.
#[derive(Debug)]
pub struct CoVisitation {
    /// Candidates added at most; others that are already there get their sum too.
    pub candidates_max: usize,
}

impl Source for CoVisitation {
    fn kind(&self) -> SourceKind {
        SourceKind::CoVisitation
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let Some(model) = query.model else { return };
        let Scratch { sums, .. } = scratch;
        let mut weighed = query.signals.iter().take(SIGNALS_MAX).map(|signal| (signal.item, signal.weight));
        model.co_visited_with_each(&mut weighed, query.bu, &mut |item, strength| sums.add(item, strength));
        sums.offer(query, SourceKind::CoVisitation, self.candidates_max, |_| true, into);
    }
}
