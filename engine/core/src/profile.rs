//! One view of a person: a fold over the fragments of all the person's keys, in canonical order, on read.
//!
//! Nothing is stored merged. Fragments are visited newest first (ties by key), at most [`FRAGMENTS_MAX`]; behaviours are merged newest
//! first, at most [`BEHAVIOURS_MAX`]. The same fragments give the same profile everywhere, bit for bit.

use crate::{
    event::{Behaviour, BehaviourClass},
    fragment::Fragment,
    ids::{EventTime, ItemId},
    key::KeyHash,
    neighbours::LineId,
};

/// Most fragments that one profile folds; the newest are taken.
pub const FRAGMENTS_MAX: usize = 8;
/// Most behaviours that speak for taste in one profile; the newest are taken.
pub const BEHAVIOURS_MAX: usize = 64;

/// A person as one request sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// What speaks for taste (interest, intent, ownership), newest first, at most [`BEHAVIOURS_MAX`].
    pub taste: Vec<Behaviour>,
    /// What was turned down, newest first, at most [`BEHAVIOURS_MAX`].
    pub rejected: Vec<Behaviour>,
    /// What was shown, newest first, at most [`BEHAVIOURS_MAX`].
    pub shown: Vec<Behaviour>,
    /// Items bought, rated, reviewed or turned down, sorted, from every fragment folded: these are not offered again by default.
    pub owned: Vec<ItemId>,
    /// The person's own lines among the neighbours.
    pub lines: Vec<LineId>,
}

impl Profile {
    /// Folds fragments into one view. Cost: O(behaviours of the fragments).
    #[must_use]
    pub fn fold(mut fragments: Vec<(KeyHash, Fragment)>) -> Self {
        fragments.sort_unstable_by_key(|(key, fragment)| (std::cmp::Reverse(fragment.newest()), *key));
        fragments.dedup_by_key(|(key, _)| *key);
        fragments.truncate(FRAGMENTS_MAX);
        let newest = |classes: &[BehaviourClass]| {
            let parts = fragments.iter().flat_map(|(_, fragment)| classes.iter().flat_map(|class| fragment.class(*class)));
            let mut merged: Vec<Behaviour> = parts.collect();
            merged.sort_unstable_by_key(|behaviour| std::cmp::Reverse((behaviour.time, behaviour.event)));
            merged.truncate(BEHAVIOURS_MAX);
            merged
        };
        let owned_classes = [BehaviourClass::Ownership, BehaviourClass::Rejection];
        let owned_parts =
            fragments.iter().flat_map(|(_, fragment)| owned_classes.iter().flat_map(|class| fragment.class(*class)));
        let mut owned: Vec<ItemId> = owned_parts.map(|behaviour| behaviour.item).collect();
        owned.sort_unstable();
        owned.dedup();
        Self {
            taste: newest(&[BehaviourClass::Interest, BehaviourClass::Intent, BehaviourClass::Ownership]),
            rejected: newest(&[BehaviourClass::Rejection]),
            shown: newest(&[BehaviourClass::Exposure]),
            owned,
            lines: Vec::new(),
        }
    }

    /// Event time of the newest behaviour in view.
    #[must_use]
    pub fn newest(&self) -> Option<EventTime> {
        [&self.taste, &self.rejected, &self.shown].into_iter().filter_map(|list| list.first()).map(|b| b.time).max()
    }

    /// Whether the person has, or has turned down, the item.
    #[must_use]
    pub fn owns(&self, item: ItemId) -> bool {
        self.owned.binary_search(&item).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::EventKind, ids::EventId};

    fn fragment(kind: EventKind, times: std::ops::Range<i64>) -> Fragment {
        let mut fragment = Fragment::default();
        for time in times {
            fragment.insert(Behaviour {
                time: EventTime::from_millis(time),
                event: EventId::from_raw(time as u64),
                item: ItemId::new(time as u32),
                kind,
                rating_tenths: None,
            });
        }
        fragment
    }

    #[test]
    fn newest_first_across_fragments_and_bounded() {
        let fragments: Vec<_> =
            (0..12).map(|n| (KeyHash(n), fragment(EventKind::View, n as i64 * 100..n as i64 * 100 + 20))).collect();
        let profile = Profile::fold(fragments.clone());
        assert_eq!(profile.taste.len(), BEHAVIOURS_MAX);
        assert!(profile.taste.is_sorted_by(|a, b| a.time >= b.time));
        assert_eq!(profile.newest(), Some(EventTime::from_millis(1119)));
        let mut reversed = fragments;
        reversed.reverse();
        assert_eq!(Profile::fold(reversed), profile, "the order of fragments is not an input");
    }

    #[test]
    fn what_is_had_or_turned_down_is_owned() {
        let profile = Profile::fold(vec![
            (KeyHash(1), fragment(EventKind::Purchase, 0..3)),
            (KeyHash(2), fragment(EventKind::Dislike, 5..6)),
            (KeyHash(3), fragment(EventKind::View, 8..9)),
        ]);
        let owned: Vec<_> = (0..10).filter(|n| profile.owns(ItemId::new(*n))).collect();
        assert_eq!(owned, [0, 1, 2, 5]);
        assert_eq!(profile.rejected.len(), 1);
        assert_eq!(profile.taste.len(), 4, "what is turned down does not speak for taste");
    }
}
