//! What is wanted in the business unit: the heads of demand by every half-life, since what was hot this week, this quarter and this
//! year are different lists, and who comes when decides which of them is right. Cost: a walk over the heads of sorted lists.

use crate::ranking::{
    candidate::{Candidate, CandidateSet},
    filters::is_wanted,
    query::Query,
    scratch::Scratch,
    source_kind::SourceKind,
    stage::Source,
};

/// Retrieval of trending items.
#[derive(Debug)]
pub struct Trending {
    /// Items taken by each half-life.
    pub items: usize,
}

impl Source for Trending {
    fn kind(&self) -> SourceKind {
        SourceKind::Trending
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        for trends in query.state.demand() {
            let mut left = self.items;
            trends.top(query.bu, |item, _| {
                // What the caller rules out is most often the head itself.
                if into.place(item).is_some() || is_wanted(query, item) {
                    into.entry(item);
                    left -= 1;
                }
                left > 0
            });
        }
        // What it says of each is how much it is wanted right now.
        scratch.items.clear();
        scratch.items.extend(into.as_slice().iter().map(|candidate| candidate.item));
        query.state.catalogue().fetch(scratch.items.iter().copied());
        query.state.demand_shares(query.bu, scratch.items.iter().copied(), |place, [now, ..], _| {
            let candidate = into.as_mut_slice().get_mut(place);
            candidate.into_iter().for_each(|candidate| candidate.set_part(SourceKind::Trending, now));
        });
    }
}

/// Sets how much each candidate is wanted right now, whichever source found it; nothing where trends may not speak.
pub(crate) fn set_trends(query: &Query<'_>, candidates: &mut [Candidate]) {
    if !query.sources.holds(SourceKind::Trending) {
        return;
    }
    let items: Vec<_> = candidates.iter().map(|candidate| candidate.item).collect();
    let mut at = candidates.iter_mut();
    query.state.trending().shares(query.bu, items.into_iter(), |share| {
        at.next().into_iter().for_each(|candidate| candidate.set_part(SourceKind::Trending, share));
    });
}
