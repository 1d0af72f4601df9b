//! What is wanted right now in the business unit. Cost: a walk over the head of a sorted list.

use crate::ranking::{
    candidate::CandidateSet,
    query::{Query, Scratch},
    stage::{Source, SourceKind},
};

/// Retrieval of trending items.
#[derive(Debug)]
pub struct Trending {
    /// Items taken.
    pub items: usize,
}

impl Source for Trending {
    fn kind(&self) -> SourceKind {
        SourceKind::Trending
    }

    fn retrieve(&self, query: &Query<'_>, _scratch: &mut Scratch, into: &mut CandidateSet) {
        let mut left = self.items;
        query.state.trending().top(query.bu, |item, share| {
            // What the caller rules out is most often the head itself.
            if query.excluded.is_empty() || query.excluded.binary_search(&item).is_err() {
                into.add(item, SourceKind::Trending, share);
                left -= 1;
            }
            left > 0
        });
    }
}
