//! The stages' traits. One file implements one component.

use crate::{
    ids::ItemId,
    ranking::{
        candidate::{Candidate, CandidateSet},
        query::{Query, Scratch},
        source_set::SourceSet,
    },
};

/// Where candidates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SourceKind {
    /// Near the person's interest vector.
    Interest,
    /// Taken together with what the person did.
    CoVisitation,
    /// Wanted right now.
    Trending,
    /// New in the catalogue.
    New,
    /// The last resort.
    Popular,
    /// Given by the caller.
    Request,
    /// Taken by the keys that took what the person took.
    Neighbours,
    /// The same, through what the person did in other business units.
    NeighboursElsewhere,
    /// Taken together, these days, with what the person did.
    Together,
    /// Taken together with what the person did last.
    Latest,
    /// Had or looked at by the person before.
    History,
    /// Wanted right now in a category that the person likes.
    TrendingInCategory,
    /// Wanted right now in the region of the request.
    TrendingInRegion,
    /// Like what the person turned down, or shown to them in vain: speaks against.
    TurnedDown,
    /// Like what the person did, by what the catalogue says.
    Content,
}

impl SourceKind {
    /// How many there are.
    pub const COUNT: usize = 15;

    /// Place in [`Candidate::parts`].
    #[must_use]
    pub const fn position(self) -> usize {
        self as usize
    }
}

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
    /// Appends up to `query.wanted` candidates to `slate`; fewer only if there are no more.
    fn select(&self, query: &Query<'_>, sorted: &[Candidate], slate: &mut Vec<Candidate>);

    /// Puts what has a place ([`Candidate::placed`]) there, once nothing more comes onto the slate.
    fn place(&self, _slate: &mut Vec<Candidate>) {}
}
