//! Sets of event kinds: as what a target was taken.

use faces_core::event::EventKind;

/// A set of event kinds, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindSet(u16);

impl KindSet {
    /// Every kind.
    pub const ALL: Self = Self(u16::MAX);

    /// A kind alone.
    #[must_use]
    pub const fn of(kind: EventKind) -> Self {
        Self(1 << kind as u16)
    }

    /// Is a kind in it?
    #[must_use]
    pub const fn holds(self, kind: EventKind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }

    /// Those of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The name that reports give a kind.
#[must_use]
pub fn kind_name(kind: EventKind) -> &'static str {
    EventKind::NAMES.iter().find(|(known, _)| *known == kind).and_then(|(_, names)| names.first()).copied().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_bit_and_a_name_of_its_own() {
        for (kind, names) in EventKind::NAMES {
            let others = EventKind::NAMES.iter().filter(|(other, _)| KindSet::of(kind).holds(*other));
            assert_eq!(others.count(), 1);
            assert!(KindSet::ALL.holds(kind) && !KindSet::default().holds(kind));
            assert!(KindSet::of(EventKind::View).with(KindSet::of(kind)).holds(kind));
            assert_eq!(kind_name(kind), names[0]);
        }
    }
}
