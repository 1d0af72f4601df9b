//! A fragment is what one source key has done: a join-semilattice, so that replay, duplicates and reordering change nothing.
//!
//! **The law.** A fragment is `(floor, S)`: an erase floor and, per behaviour class, the newest `capacity` behaviours later than the
//! floor, by (event time, event id). Inserting is joining with a singleton. Taking the newest N of a union is associative,
//! commutative and idempotent (what falls out of the newest N of a part can't be among the newest N of the whole); cutting at a
//! floor commutes with it; the larger floor and the larger version win. Hence any two replicas that have seen the same *set* of
//! records hold equal fragments, whatever the order, the batching and the repeats.
//!
//! Beside them stands where the key was seen last: the newest event that names a region, by (event time, region), which is a join as
//! well; the floor cuts it like a behaviour.
//!
//! Two versions of one event (same class, time and id) leave the larger by content, not the one that arrived last: arrival order
//! is not part of the set.

use crate::{
    event::{Behaviour, BehaviourClass, Packed},
    ids::{EventTime, RegionId},
};

/// What an insert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The fragment did not have it; its class is full, so the oldest was let go if one is given.
    New {
        /// What was let go.
        let_go: Option<Behaviour>,
    },
    /// The same event in a larger version: remembered, but no other event than before.
    Replaced,
    /// Already there.
    Duplicate,
    /// Older than what the fragment keeps.
    Expired,
}

/// What one source key has done, bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    held: Vec<Packed>, // the floor, if there is one; behaviours in order: class by class, oldest first; the region, if there is one
}

impl Fragment {
    /// Joins one behaviour. Cost: three binary searches and a move of at most 2 KiB.
    pub fn insert(&mut self, behaviour: Behaviour) -> Inserted {
        let packed = Packed::new(&behaviour);
        if self.floor().is_some_and(|floor| packed.time() <= floor) {
            return Inserted::Expired;
        }
        let position = self.held.partition_point(|held| held.identity() < packed.identity());
        match self.held.get_mut(position) {
            Some(held) if held.identity() == packed.identity() => {
                // The item does not decide: it is a number of this process.
                let is_larger = held.without_item() < packed.without_item();
                if is_larger {
                    *held = packed;
                }
                if is_larger { Inserted::Replaced } else { Inserted::Duplicate }
            }
            _ => self.insert_at(position, packed, behaviour.class()),
        }
    }

    fn insert_at(&mut self, position: usize, packed: Packed, class: BehaviourClass) -> Inserted {
        let range = self.range(class);
        if range.len() < class.capacity() {
            self.make_room();
            self.held.insert(position, packed);
            return Inserted::New { let_go: None };
        }
        if position == range.start {
            return Inserted::Expired;
        }
        // The oldest of the class goes: shift the older part down over it.
        let mut let_go = None;
        if let Some(older) = self.held.get_mut(range.start..position) {
            let_go = older.first().and_then(|oldest| oldest.behaviour());
            older.rotate_left(1);
            if let Some(last) = older.last_mut() {
                *last = packed;
            }
        }
        Inserted::New { let_go }
    }

    /// Grows by an eighth to a quarter, to sizes that allocators have.
    fn make_room(&mut self) {
        let len = self.held.len();
        if len == self.held.capacity() {
            let step = ((len + 1).next_power_of_two() / 8).max(2);
            self.held.reserve_exact(step - len % step);
        }
    }

    /// Joins that the key was seen in a region; says whether that is news.
    pub fn place_in(&mut self, region: RegionId, time: EventTime) -> bool {
        let seen = Packed::seen_in(region, time);
        if self.floor().is_some_and(|floor| seen.time() <= floor) {
            return false;
        }
        match self.held.last_mut() {
            Some(last) if last.region().is_some() => {
                let is_news = *last < seen;
                *last = seen.max(*last);
                is_news
            }
            _ => {
                self.make_room();
                self.held.push(seen);
                true
            }
        }
    }

    /// Where the key was seen last, as far as its events say.
    #[must_use]
    pub fn region(&self) -> Option<RegionId> {
        self.held.last()?.region()
    }

    /// Forgets everything up to and including `floor`, for good: a replay does not bring it back. `let_go` gets what was held.
    pub fn erase_up_to(&mut self, floor: EventTime, let_go: impl FnMut(Behaviour)) {
        let floor = Packed::floor(floor);
        match self.held.first_mut() {
            Some(first) if first.is_floor() => *first = floor.max(*first),
            _ => self.held.insert(0, floor),
        }
        let floor = self.floor().unwrap_or(EventTime::MIN);
        self.expire_up_to(floor, let_go);
    }

    /// Lets go of everything up to and including `horizon`, without a trace. `let_go` gets what was held.
    pub fn expire_up_to(&mut self, horizon: EventTime, mut let_go: impl FnMut(Behaviour)) {
        self.held.retain(|held| {
            let stays = held.is_floor() || held.time() > horizon;
            if !stays {
                held.behaviour().into_iter().for_each(&mut let_go);
            }
            stays
        });
    }

    /// Joins another fragment of the same key (another replica's, or a stored one).
    pub fn join(&mut self, other: &Self) {
        if let Some(floor) = other.floor() {
            self.erase_up_to(floor, |_| ());
        }
        for behaviour in other.behaviours() {
            self.insert(behaviour);
        }
        if let Some((region, seen)) = other.region().zip(other.held.last()) {
            self.place_in(region, seen.time());
        }
    }

    /// Narrows a copy to the behaviours that one view may use.
    pub(crate) fn retain(&mut self, mut may_use: impl FnMut(&Behaviour) -> bool) {
        self.held.retain(|held| held.behaviour().is_none_or(|behaviour| may_use(&behaviour)));
    }

    fn range(&self, class: BehaviourClass) -> std::ops::Range<usize> {
        let first = Packed::first_at(class, EventTime::MIN);
        let start = self.held.partition_point(|held| *held < first);
        let after = self.held.get(start..).unwrap_or_default();
        start..start + after.partition_point(|held| held.class() == Some(class))
    }

    /// Up to when everything is erased.
    #[must_use]
    pub fn floor(&self) -> Option<EventTime> {
        self.held.first().filter(|first| first.is_floor()).map(|floor| floor.time())
    }

    /// Behaviours of one class, oldest first.
    pub fn class(&self, class: BehaviourClass) -> impl DoubleEndedIterator<Item = Behaviour> + '_ {
        self.held.get(self.range(class)).unwrap_or_default().iter().filter_map(|held| held.behaviour())
    }

    /// All behaviours, by class, oldest first.
    pub fn behaviours(&self) -> impl DoubleEndedIterator<Item = Behaviour> + '_ {
        self.held.iter().filter_map(|held| held.behaviour())
    }

    /// How many behaviours it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len() - usize::from(self.floor().is_some()) - usize::from(self.region().is_some())
    }

    /// Whether it says nothing at all, neither a floor nor a region.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Event time of the newest behaviour.
    #[must_use]
    pub fn newest(&self) -> Option<EventTime> {
        self.held.iter().filter(|held| held.class().is_some()).map(|held| held.time()).max()
    }

    /// The stored form: the floor, if there is one, the behaviours in order, the region, if there is one.
    #[must_use]
    pub fn packed(&self) -> &[Packed] {
        &self.held
    }

    /// From the stored form; what is in order is taken as it is, anything else is inserted one by one.
    #[must_use]
    pub fn from_packed(packed: Vec<Packed>) -> Self {
        let ordered = packed.iter().skip(1).zip(&packed).all(|(next, held)| held.identity() < next.identity());
        let floors = packed.iter().filter(|held| held.is_floor()).count();
        let as_it_is = Self { held: packed };
        let within = BehaviourClass::ALL.iter().all(|class| as_it_is.range(*class).len() <= class.capacity());
        if ordered && floors == 0 && within {
            return as_it_is;
        }
        let mut fragment = Self::default();
        for one in as_it_is.held {
            match (one.behaviour(), one.region()) {
                (Some(behaviour), _) => _ = fragment.insert(behaviour),
                (None, Some(region)) => _ = fragment.place_in(region, one.time()),
                (None, None) => fragment.erase_up_to(one.time(), |_| ()),
            }
        }
        fragment
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::EventKind,
        ids::{EventId, ItemId, RegionId},
    };

    const KINDS: [EventKind; 6] =
        [EventKind::Impression, EventKind::View, EventKind::Click, EventKind::Cart, EventKind::Purchase, EventKind::Return];

    #[derive(Clone, Debug)]
    enum Op {
        Insert(Behaviour),
        Place(RegionId, EventTime),
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
        let place =
            (0..4_u64, 0..300_i64).prop_map(|(region, t)| Op::Place(RegionId::from_raw(region), EventTime::from_millis(t)));
        prop_oneof![60 => behaviour.prop_map(Op::Insert), 6 => place, 1 => (0..60_i64).prop_map(|t| Op::Erase(EventTime::from_millis(t)))]
    }

    fn apply<'a>(ops: impl IntoIterator<Item = &'a Op>) -> Fragment {
        let mut fragment = Fragment::default();
        for op in ops {
            match op {
                Op::Insert(behaviour) => {
                    fragment.insert(*behaviour);
                }
                Op::Place(region, time) => _ = fragment.place_in(*region, *time),
                Op::Erase(floor) => fragment.erase_up_to(*floor, |_| ()),
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
                if (held.kind, held.rating_tenths) < (b.kind, b.rating_tenths) {
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

    /// The newest that is later than the floor.
    fn oracle_region(ops: &[Op]) -> Option<RegionId> {
        let floor = ops.iter().filter_map(|op| if let Op::Erase(t) = op { Some(*t) } else { None }).max();
        let placed = ops.iter().filter_map(|op| if let Op::Place(region, t) = op { Some((*t, *region)) } else { None });
        placed.filter(|(time, _)| floor.is_none_or(|floor| *time > floor)).max().map(|(_, region)| region)
    }

    proptest! {
        #[test]
        fn shuffle_duplicates_and_replay_change_nothing(
            ops in proptest::collection::vec(op(), 0..600),
            swaps in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 0..300),
            replay in any::<proptest::sample::Index>(),
        ) {
            let clean = apply(&ops);
            prop_assert_eq!(clean.behaviours().collect::<Vec<_>>(), oracle(&ops));
            prop_assert_eq!(clean.region(), oracle_region(&ops));
            prop_assert_eq!(clean.len(), clean.behaviours().count());
            prop_assert_eq!(Fragment::from_packed(clean.packed().to_vec()), clean.clone());
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
            assert_eq!(fragment.insert(view(time)), Inserted::New { let_go: None });
        }
        assert_eq!(fragment.insert(view(120)), Inserted::Duplicate);
        assert_eq!(fragment.insert(view(99)), Inserted::Expired);
        let bought = Behaviour { kind: EventKind::Purchase, ..view(1) };
        assert_eq!(fragment.insert(bought), Inserted::New { let_go: None }, "views don't crowd purchases");
        assert_eq!(fragment.insert(Behaviour { kind: EventKind::Click, ..view(120) }), Inserted::Replaced);
        assert_eq!(fragment.insert(view(1000)), Inserted::New { let_go: Some(view(100)) });
        assert_eq!(fragment.class(BehaviourClass::Interest).count(), BehaviourClass::Interest.capacity());
        fragment.erase_up_to(EventTime::from_millis(500), |_| ());
        assert_eq!(fragment.behaviours().collect::<Vec<_>>(), [view(1000)]);
        assert_eq!(fragment.insert(bought), Inserted::Expired, "erased stays erased");
    }
}
