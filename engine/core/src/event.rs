//! What people do: kinds of event, the classes in which they are remembered, and the remembered form.

use std::num::NonZeroU8;

use crate::ids::{EventId, EventTime, ItemId};

/// Sorts of event. The number is part of derived event ids and of every stored form: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventKind {
    /// The item was shown.
    Impression = 1,
    /// The item's page was opened.
    View = 2,
    /// The item was clicked in a list.
    Click = 3,
    /// The item was chosen from a search result.
    Search = 4,
    /// Marked as favourite.
    Favourite = 5,
    /// Put in the cart.
    Cart = 6,
    /// Bought.
    Purchase = 7,
    /// Rated with stars.
    Rating = 8,
    /// Reviewed in words.
    Review = 9,
    /// "Not for me".
    Dislike = 10,
    /// Sent back.
    Return = 11,
}

impl EventKind {
    /// All kinds with the names that files use for them, the first being the one to write.
    pub const NAMES: [(Self, &'static [&'static str]); 11] = [
        (Self::Impression, &["impression"]),
        (Self::View, &["view"]),
        (Self::Click, &["click"]),
        (Self::Search, &["search"]),
        (Self::Favourite, &["favourite", "favorite", "fav"]),
        (Self::Cart, &["cart"]),
        (Self::Purchase, &["purchase", "buy"]),
        (Self::Rating, &["rating"]),
        (Self::Review, &["review"]),
        (Self::Dislike, &["dislike"]),
        (Self::Return, &["return"]),
    ];

    /// The kind that a file names, letter case ignored.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let of = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        Self::NAMES.iter().find(|(_, names)| of(names)).map(|(kind, _)| *kind)
    }

    /// Class in which the event is remembered.
    #[must_use]
    pub const fn class(self) -> BehaviourClass {
        match self {
            Self::Impression => BehaviourClass::Exposure,
            Self::View | Self::Click | Self::Search => BehaviourClass::Interest,
            Self::Favourite | Self::Cart => BehaviourClass::Intent,
            Self::Purchase | Self::Rating | Self::Review => BehaviourClass::Ownership,
            Self::Dislike | Self::Return => BehaviourClass::Rejection,
        }
    }

    /// What the event says for the item, in views: the weight in interests and trends. 0 for what says nothing in favour.
    #[must_use]
    pub const fn strength(self) -> f32 {
        match self {
            Self::Impression | Self::Dislike | Self::Return => 0.0,
            Self::View | Self::Click | Self::Search => 1.0,
            Self::Favourite | Self::Cart => 2.0,
            Self::Purchase | Self::Rating | Self::Review => 3.0,
        }
    }
}

/// Classes of behaviour, each a bounded set of its own, so that a hundred views do not push a purchase out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum BehaviourClass {
    /// Shown to the person.
    Exposure,
    /// Looked at.
    Interest,
    /// Wanted.
    Intent,
    /// Had.
    Ownership,
    /// Turned down.
    Rejection,
}

impl BehaviourClass {
    /// Most behaviours of this class that one fragment remembers.
    #[must_use]
    pub const fn capacity(self) -> usize {
        match self {
            Self::Ownership => 128,
            Self::Interest | Self::Exposure => 64,
            Self::Intent | Self::Rejection => 32,
        }
    }
}

/// One remembered event, 24 bytes. Ordered by class, then time, then event id; content breaks what ties are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Behaviour {
    /// When it happened.
    pub time: EventTime,
    /// Which event it was.
    pub event: EventId,
    /// The item concerned.
    pub item: ItemId,
    /// What was done.
    pub kind: EventKind,
    /// Stars of a rating in tenths, capped at 25.5.
    pub rating_tenths: Option<NonZeroU8>,
}

impl Behaviour {
    /// Class in which it is remembered.
    #[must_use]
    pub const fn class(&self) -> BehaviourClass {
        self.kind.class()
    }

    /// Identity and age: two behaviours with equal keys are versions of one event.
    #[must_use]
    pub const fn key(&self) -> (BehaviourClass, EventTime, EventId) {
        (self.class(), self.time, self.event)
    }

    /// Decides between versions of one event: any total order does, as long as every replica uses it.
    pub(crate) const fn version(&self) -> (EventKind, Option<NonZeroU8>) {
        (self.kind, self.rating_tenths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_kind() {
        for (kind, names) in EventKind::NAMES {
            names.iter().for_each(|name| assert_eq!(EventKind::from_name(&name.to_uppercase()), Some(kind)));
        }
        assert_eq!(EventKind::from_name("teleport"), None);
    }

    #[test]
    fn a_behaviour_stays_small() {
        assert_eq!(size_of::<Behaviour>(), 24);
    }
}
