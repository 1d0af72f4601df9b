//! The stages' traits. One file implements one component.

use crate::{
    ids::ItemId,
    ranking::{
        candidate::{Candidate, CandidateSet},
        query::Query,
        scratch::Scratch,
        source_kind::SourceKind,
        source_set::SourceSet,
    },
};

/// Retrieval: adds candidates of the asked business unit. Has a budget of items it may add, stated by its constructor.
pub trait Source: Send + Sync {
    /// Which source it is.
    fn kind(&self) -> SourceKind;

    /// All that it speaks for, where that is more than one.
    fn kinds(&self) -> SourceSet {
        SourceSet::of(self.kind())
    }

    /// Looks up for many requests at once what [`Self::retrieve`] will need for each, where that is cheaper.
    fn retrieve_ahead(&self, _queries: &[Query<'_>], _scratch: &mut Scratch) {}

    /// Adds candidates and says what it holds of each; may also speak of candidates that are already there.
    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet);
}

/// Says which items may stand on this slate.
pub trait Filter: Send + Sync {
    /// Name in explanations and metrics.
    fn name(&self) -> &'static str;

    /// Whether the filter has anything to say for this request; if not it is skipped.
    fn applies(&self, _query: &Query<'_>) -> bool {
        true
    }

    /// Whether the filter gives way before a place of the slate stays empty.
    fn yields(&self) -> bool {
        false
    }

    /// Whether the item may stand.
    fn keeps(&self, query: &Query<'_>, item: ItemId) -> bool;
}

/// Turns parts into scores.
pub trait Scorer: Send + Sync {
    /// Sets the score of every candidate.
    fn score(&self, query: &Query<'_>, candidates: &mut [Candidate]);
}

/// Chooses the slate from candidates that are sorted best first.
pub trait Selector: Send + Sync {
    /// Appends up to `query.wanted` candidates to `slate`; fewer only if there are no more. False if more of them would make it longer, or
    /// spare a cap of the rules that gave way.
    fn select(&self, query: &Query<'_>, sorted: &[Candidate], slate: &mut Vec<Candidate>) -> bool;
}
