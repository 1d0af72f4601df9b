//! Who is one person: a pure function of the set of live pairs.
//!
//! 1. A key with more than `degree_max` live pairs is a hub (a shared tablet, a call centre's phone): its pairs count for nobody.
//! 2. The other pairs are taken in a fixed total order (most trusted first, then by hash of the pair) and join groups. The first pair
//!    that would take a group beyond `person_keys_max` ends the growth of both groups it meets: where such a person ends is not
//!    known, so less trusted pairs say nothing of it either.
//!
//! Admitting pairs *as they arrive* under a cap is not reversible (in 999 of 5,000 random histories link + unlink left a trace);
//! the sorted rule is, because arrival is not an input. And it is local: a group is what single linkage finds around any of its keys,
//! by way of its own pairs and those that leave it, however large the component is that it lies in. `grow` finds it so.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
};

use super::link::{Confidence, KeyPair};
use crate::key::KeyHash;

/// Bounds on what links may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most live pairs of a key before it counts as a hub.
    pub degree_max: usize,
    /// Most keys in one person.
    pub person_keys_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { degree_max: 16, person_keys_max: 32 }
    }
}

/// A pair that is live, with its best trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivePair {
    /// The keys.
    pub pair: KeyPair,
    /// The largest confidence of the evidence that stands.
    pub confidence: Confidence,
}

impl LivePair {
    /// The fixed total order: most trusted first, then by pair.
    const fn order(&self) -> Order {
        (Reverse(self.confidence), self.pair)
    }
}

/// Where a pair stands in the order, the first ones smallest.
type Order = (Reverse<Confidence>, KeyPair);

/// Persons of two keys or more, each sorted, from all live pairs at once. Cost: O(n log n).
#[must_use]
pub fn partition(live: &[LivePair], limits: Limits) -> Vec<Vec<KeyHash>> {
    let mut degree: HashMap<KeyHash, usize> = HashMap::new();
    for live_pair in live {
        let (a, b) = live_pair.pair.ends();
        *degree.entry(a).or_default() += 1;
        *degree.entry(b).or_default() += 1;
    }
    let is_hub = |key: &KeyHash| degree.get(key).is_some_and(|&d| d > limits.degree_max);
    let eligible = live.iter().copied().filter(|live_pair| {
        let (a, b) = live_pair.pair.ends();
        !is_hub(&a) && !is_hub(&b)
    });
    let mut eligible: Vec<LivePair> = eligible.collect();
    eligible.sort_unstable_by_key(LivePair::order);
    let mut groups = DisjointSets::default();
    for live_pair in &eligible {
        let (a, b) = live_pair.pair.ends();
        groups.join_within(a, b, limits.person_keys_max);
    }
    groups.into_groups()
}

/// The group that `key` belongs to, itself included, in no order, found from that key alone. `pairs_of` gives the pairs of a key that
/// count.
///
/// Prim's walk takes the most trusted pair that leaves what it has found. Whenever that pair is less trusted than all before it, what it has
/// found is what rule 2 has joined by then; the last such within the cap is the group. Cost: the pairs of `size_max` keys, sorted.
pub(super) fn grow(key: KeyHash, size_max: usize, pairs_of: impl Fn(KeyHash) -> Vec<LivePair>) -> Vec<KeyHash> {
    let leaving = |key| pairs_of(key).into_iter().map(|pair| Reverse(pair.order()));
    let mut open: BinaryHeap<Reverse<Order>> = leaving(key).collect();
    let (mut found, mut joined, mut last) = (vec![key], 1, None);
    while let Some(Reverse(order)) = open.pop() {
        let (a, b) = order.1.ends();
        let Some(other) = [a, b].into_iter().find(|end| !found.contains(end)) else { continue };
        if last.is_none_or(|last| last < order) {
            (joined, last) = (found.len(), Some(order));
        }
        if found.len() == size_max {
            found.truncate(joined);
            break;
        }
        found.push(other);
        open.extend(leaving(other));
    }
    found
}

/// Disjoint sets over keys with sizes (union by size, path halving).
#[derive(Default)]
struct DisjointSets {
    nodes: HashMap<KeyHash, (KeyHash, usize)>, // parent, size at roots
    ended: HashSet<KeyHash>,                   // roots of groups that grow no more
}

impl DisjointSets {
    fn root(&mut self, key: KeyHash) -> (KeyHash, usize) {
        let mut at = key;
        loop {
            let (parent, size) = *self.nodes.entry(at).or_insert((at, 1));
            if parent == at {
                return (at, size);
            }
            let grandparent = self.nodes.get(&parent).map_or(parent, |node| node.0);
            self.nodes.insert(at, (grandparent, size));
            at = grandparent;
        }
    }

    fn join_within(&mut self, a: KeyHash, b: KeyHash, size_max: usize) {
        let ((root_a, size_a), (root_b, size_b)) = (self.root(a), self.root(b));
        let size = size_a + size_b;
        if root_a == root_b {
            return;
        }
        if size > size_max || self.ended.contains(&root_a) || self.ended.contains(&root_b) {
            self.ended.extend([root_a, root_b]);
            return;
        }
        let (winner, loser) = if size_a >= size_b { (root_a, root_b) } else { (root_b, root_a) };
        self.nodes.insert(winner, (winner, size));
        self.nodes.insert(loser, (winner, size_a.min(size_b)));
    }

    fn into_groups(mut self) -> Vec<Vec<KeyHash>> {
        let keys: Vec<_> = self.nodes.keys().copied().collect();
        let mut groups: BTreeMap<KeyHash, Vec<KeyHash>> = BTreeMap::new();
        for key in keys {
            let (root, _) = self.root(key);
            groups.entry(root).or_default().push(key);
        }
        let mut groups: Vec<_> = groups.into_values().filter(|group| group.len() > 1).collect();
        for group in &mut groups {
            group.sort_unstable();
        }
        groups.sort_unstable();
        groups
    }
}
