//! The sources by name.

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

    /// Place in [`Candidate::parts`](super::candidate::Candidate::parts).
    #[must_use]
    pub const fn position(self) -> usize {
        self as usize
    }
}
