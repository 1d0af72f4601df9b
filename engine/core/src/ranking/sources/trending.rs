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
            if left == 0 {
                return false;
            }
            left -= 1;
            into.add(item, SourceKind::Trending, share);
            true
        });
    }
}
