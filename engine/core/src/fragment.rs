//! A fragment is what one source key has done: a join-semilattice, so that replay, duplicates and reordering change nothing.
//!
//! **The law.** A fragment is `(floor, S)`: an erase floor and, per behaviour class, the newest `capacity` behaviours later than the
//! floor, by (event time, event id). Inserting is joining with a singleton. Taking the newest N of a union is associative,
//! commutative and idempotent (what falls out of the newest N of a part can't be among the newest N of the whole); cutting at a
//! floor commutes with it; the larger floor and the larger version win. Hence any two replicas that have seen the same *set* of
//! records hold equal fragments, whatever the order, the batching and the repeats.
//!
//! Two versions of one event (same class, time and id) leave the larger by content, not the one that arrived last: arrival order
//! is not part of the set.

use crate::{
    event::{Behaviour, BehaviourClass},
    ids::EventTime,
};

/// What an insert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The fragment did not have it: derived counters may count it.
    New,
    /// The same event in a larger version: remembered, but no new event to count.
    Replaced,
    /// Already there.
    Duplicate,
    /// Older than what the fragment keeps.
    Expired,
}

/// What one source key has done, bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    floor: EventTime,
    behaviours: Vec<Behaviour>, // sorted by key: class by class, oldest first
}

impl Default for Fragment {
    fn default() -> Self {
        Self { floor: EventTime::MIN, behaviours: Vec::new() }
    }
}

impl Fragment {
    /// Joins one behaviour. Cost: a binary search and a move of at most a few kilobytes.
    pub fn insert(&mut self, behaviour: Behaviour) -> Inserted {
        if behaviour.time <= self.floor {
            return Inserted::Expired;
        }
        match self.behaviours.binary_search_by_key(&behaviour.key(), Behaviour::key) {
            Ok(position) => self.replace(position, behaviour),
            Err(position) => self.insert_at(position, behaviour),
        }
    }

    fn replace(&mut self, position: usize, behaviour: Behaviour) -> Inserted {
        match self.behaviours.get_mut(position) {
            Some(held) if held.version() < behaviour.version() => {
                *held = behaviour;
                Inserted::Replaced
            }
            _ => Inserted::Duplicate,
        }
    }

    fn insert_at(&mut self, position: usize, behaviour: Behaviour) -> Inserted {
        let class = behaviour.class();
        let start = self.behaviours.partition_point(|held| held.class() < class);
        let end = self.behaviours.partition_point(|held| held.class() <= class);
        if end - start < class.capacity() {
            if self.behaviours.len() == self.behaviours.capacity() {
                self.behaviours.reserve_exact(4 + self.behaviours.len() / 4);
            }
            self.behaviours.insert(position, behaviour);
            return Inserted::New;
        }
        if position == start {
            return Inserted::Expired;
        }
        // The oldest of the class goes: shift the older part down over it.
        if let Some(older) = self.behaviours.get_mut(start..position) {
            older.rotate_left(1);
            if let Some(last) = older.last_mut() {
                *last = behaviour;
            }
        }
        Inserted::New
    }

    /// Forgets everything up to and including `floor`, for good: a replay does not bring it back.
    pub fn erase_up_to(&mut self, floor: EventTime) {
        self.floor = self.floor.max(floor);
        let floor = self.floor;
        self.behaviours.retain(|held| held.time > floor);
    }

    /// Joins another fragment of the same key (another replica's, or a stored one).
    pub fn join(&mut self, other: &Self) {
        self.erase_up_to(other.floor);
        for behaviour in &other.behaviours {
            self.insert(*behaviour);
        }
    }

    /// Narrows a copy to the behaviours that one view may use.
    pub(crate) fn retain(&mut self, may_use: impl FnMut(&Behaviour) -> bool) {
        self.behaviours.retain(may_use);
    }

    /// Behaviours of one class, oldest first.
    #[must_use]
    pub fn class(&self, class: BehaviourClass) -> &[Behaviour] {
        let start = self.behaviours.partition_point(|held| held.class() < class);
        let end = self.behaviours.partition_point(|held| held.class() <= class);
        self.behaviours.get(start..end).unwrap_or_default()
    }

    /// All behaviours, by class, oldest first.
    #[must_use]
    pub fn behaviours(&self) -> &[Behaviour] {
        &self.behaviours
    }

    /// Event time of the newest behaviour.
    #[must_use]
    pub fn newest(&self) -> Option<EventTime> {
        self.behaviours.iter().map(|held| held.time).max()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::EventKind,
        ids::{EventId, ItemId},
    };

    const KINDS: [EventKind; 6] =
        [EventKind::Impression, EventKind::View, EventKind::Click, EventKind::Cart, EventKind::Purchase, EventKind::Return];

    #[derive(Clone, Debug)]
    enum Op {
        Insert(Behaviour),
        Erase(EventTime),
    }

    fn op() -> impl Strategy<Value = Op> {
        // Few times and ids, so that classes overflow, keys collide and versions differ.
        let behaviour = (0..300_i64, 0..3_u64, 0..4_u32, 0..KINDS.len()).prop_map(|(time, event, item, kind)| Behaviour {
            time: EventTime::from_millis(time),
            event: EventId::from_raw(event + 10 * u64::from(item)),
            item: ItemId::new(item),
            kind: KINDS[kind],
            rating_tenths: None,
        });
        prop_oneof![60 => behaviour.prop_map(Op::Insert), 1 => (0..60_i64).prop_map(|t| Op::Erase(EventTime::from_millis(t)))]
    }

    fn apply<'a>(ops: impl IntoIterator<Item = &'a Op>) -> Fragment {
        let mut fragment = Fragment::default();
        for op in ops {
            match op {
                Op::Insert(behaviour) => {
                    fragment.insert(*behaviour);
                }
                Op::Erase(floor) => fragment.erase_up_to(*floor),
            }
        }
        fragment
    }

    /// The definition, straight: a set, a floor, the newest N of each class.
    fn oracle(ops: &[Op]) -> Vec<Behaviour> {
        let floor =
            ops.iter().filter_map(|op| if let Op::Erase(t) = op { Some(*t) } else { None }).max().unwrap_or(EventTime::MIN);
        let mut newest = std::collections::BTreeMap::<_, Behaviour>::new();
        for op in ops {
            if let Op::Insert(b) = op
                && b.time > floor
            {
                let held = newest.entry(b.key()).or_insert(*b);
                if held.version() < b.version() {
                    *held = *b;
                }
            }
        }
        let mut kept: Vec<Behaviour> = Vec::new();
        for class in KINDS.map(EventKind::class).into_iter().collect::<std::collections::BTreeSet<_>>() {
            let of_class: Vec<_> = newest.values().filter(|b| b.class() == class).copied().collect();
            kept.extend(&of_class[of_class.len().saturating_sub(class.capacity())..]);
        }
        kept
    }

    proptest! {
        #[test]
        fn shuffle_duplicates_and_replay_change_nothing(
            ops in proptest::collection::vec(op(), 0..600),
            swaps in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 0..300),
            replay in any::<proptest::sample::Index>(),
        ) {
            let clean = apply(&ops);
            prop_assert_eq!(clean.behaviours(), oracle(&ops));
            let mut shuffled = ops.clone();
            if !shuffled.is_empty() {
                for (a, b) in swaps {
                    let (a, b) = (a.index(shuffled.len()), b.index(shuffled.len()));
                    shuffled.swap(a, b);
                }
                let from = replay.index(shuffled.len());
                let again: Vec<_> = shuffled[from..].to_vec();
                shuffled.extend(again);
            }
            prop_assert_eq!(apply(&shuffled), clean);
        }

        #[test]
        fn join_is_commutative_associative_idempotent(
            a in proptest::collection::vec(op(), 0..200),
            b in proptest::collection::vec(op(), 0..200),
            c in proptest::collection::vec(op(), 0..200),
        ) {
            let (a, b, c) = (apply(&a), apply(&b), apply(&c));
            let join = |x: &Fragment, y: &Fragment| { let mut z = x.clone(); z.join(y); z };
            prop_assert_eq!(join(&a, &b), join(&b, &a));
            prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
            prop_assert_eq!(join(&a, &a), a);
        }
    }

    #[test]
    fn an_insert_says_what_it_did() {
        let mut fragment = Fragment::default();
        let view = |time| Behaviour {
            time: EventTime::from_millis(time),
            event: EventId::from_raw(7),
            item: ItemId::new(1),
            kind: EventKind::View,
            rating_tenths: None,
        };
        for time in 100..100 + BehaviourClass::Interest.capacity() as i64 {
            assert_eq!(fragment.insert(view(time)), Inserted::New);
        }
        assert_eq!(fragment.insert(view(120)), Inserted::Duplicate);
        assert_eq!(fragment.insert(view(99)), Inserted::Expired);
        let bought = Behaviour { kind: EventKind::Purchase, ..view(1) };
        assert_eq!(fragment.insert(bought), Inserted::New, "views don't crowd purchases");
        assert_eq!(fragment.insert(Behaviour { kind: EventKind::Click, ..view(120) }), Inserted::Replaced);
        assert_eq!(fragment.insert(view(1000)), Inserted::New);
        assert_eq!(fragment.class(BehaviourClass::Interest).len(), BehaviourClass::Interest.capacity());
        fragment.erase_up_to(EventTime::from_millis(500));
        assert_eq!(fragment.behaviours(), [view(1000)]);
        assert_eq!(fragment.insert(bought), Inserted::Expired, "erased stays erased");
    }
}
