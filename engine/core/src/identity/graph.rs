//! The live identity graph: applies statements one by one and answers "who is this?" without waiting for whoever applies.
//!
//! A key's node holds what was stated about it, and nothing else is kept: a person is found by a walk from any of its keys, over no more
//! keys than one person may have. A statement can change the persons only of the keys whose degree or pairs it touches, as they were
//! and as they become, so only those are looked at. Cost of a statement: a few such walks, and a copy of the two nodes' statements, or of
//! a chunk of them where there are many.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::{
    edge::Stated,
    link::{Confidence, KeyPair, Statement},
    node::Node,
    partition::{Limits, LivePair, grow},
};
use crate::{
    cut::CutClock,
    key::{KeyHash, SourceKey},
    table::{Changed, SHARDS, Table},
};

/// What a statement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// The register took it.
    Applied,
    /// The register already held it.
    Duplicate,
    /// A later statement on the same pair and evidence stands.
    Superseded,
}

/// All statements that stand, and the persons they make.
#[derive(Debug)]
pub struct IdentityGraph {
    limits: Limits,
    nodes: Table<Node>,
    writing: Mutex<()>, // one statement at a time: it changes two nodes
    live_pairs: AtomicUsize,
    clock: Arc<CutClock>,
}

impl IdentityGraph {
    /// An empty graph.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::with_clock(limits, Arc::default())
    }

    /// An empty graph that is cut together with whatever shares its clock.
    pub(crate) fn with_clock(limits: Limits, clock: Arc<CutClock>) -> Self {
        let live_pairs = AtomicUsize::new(0);
        Self { limits, nodes: Table::default(), writing: Mutex::new(()), live_pairs, clock }
    }

    /// Applies a statement. Order, repeats and delays between statements don't matter.
    pub fn apply(&self, statement: &Statement) -> Linked {
        self.apply_and_tell(statement, &mut Vec::new())
    }

    /// [`Self::apply`]; appends the keys whose persons it may have changed.
    pub(crate) fn apply_and_tell(&self, statement: &Statement, changed: &mut Vec<KeyHash>) -> Linked {
        let _one_at_a_time = self.writing.lock();
        let (a, b) = statement.pair().ends();
        let stated = Stated { evidence: statement.evidence, register: statement.register() };
        match self.nodes.read(a, |node| node.register(b, statement.evidence)).flatten() {
            Some(held) if held == stated.register => return Linked::Duplicate,
            Some(held) if held > stated.register => return Linked::Superseded,
            _ => {}
        }
        let was_live = self.confidence(a, b).is_some();
        let near = self.near(a, b);
        near.iter().for_each(|key| self.tell_person(*key, changed));
        for key in [statement.keys().0, statement.keys().1] {
            let other = if key.hash() == a { b } else { a };
            self.nodes.update(key.hash(), &self.clock, |node| {
                node.state(key, other, stated);
                (Changed::Yes, ())
            });
        }
        let is_live = self.confidence(a, b).is_some();
        match (was_live, is_live) {
            (false, true) => _ = self.live_pairs.fetch_add(1, Relaxed),
            (true, false) => _ = self.live_pairs.fetch_sub(1, Relaxed),
            _ => {}
        }
        near.iter().for_each(|key| self.tell_person(*key, changed));
        changed.sort_unstable();
        changed.dedup();
        Linked::Applied
    }

    /// The keys whose persons, as they are and as they become, hold every key whose person a statement about two keys may change: these two,
    /// and the neighbours of one that may become a hub or cease to be one. (A group that no changed pair touches stays a group, and if it
    /// grows by the change, then into one with a key that a changed pair touches.)
    fn near(&self, a: KeyHash, b: KeyHash) -> Vec<KeyHash> {
        let mut near = vec![a, b];
        for key in [a, b] {
            let degree = self.nodes.read(key, |node| node.live().take(self.limits.degree_max + 2).count()).unwrap_or_default();
            if degree == self.limits.degree_max || degree == self.limits.degree_max + 1 {
                self.neighbours(key, |other| near.push(other));
            }
        }
        near
    }

    fn tell_person(&self, key: KeyHash, to: &mut Vec<KeyHash>) {
        match self.person(key) {
            Some(person) => to.extend(person),
            None => to.push(key),
        }
    }

    /// All keys of the person that `key` belongs to, sorted; `None` when it stands alone. Cost: a map access per key; where the
    /// component is larger than a person may be, one per pair of the person's keys.
    #[must_use]
    pub fn person(&self, key: KeyHash) -> Option<Vec<KeyHash>> {
        let mut found: Vec<KeyHash> = vec![key];
        let mut next = 0;
        while let Some(at) = found.get(next).copied() {
            let is_hub = self.nodes.read(at, |node| {
                let is_hub = node.is_hub(self.limits.degree_max);
                if !is_hub {
                    node.live().for_each(|(other, _)| {
                        if !found.contains(&other) {
                            found.push(other)
                        }
                    });
                }
                is_hub
            });
            match is_hub {
                Some(true) => _ = found.remove(next),
                _ if next == self.limits.person_keys_max => {
                    found = grow(key, self.limits.person_keys_max, |key| self.eligible_pairs(key));
                    break;
                }
                _ => next += 1,
            }
        }
        found.sort_unstable();
        (found.len() > 1).then_some(found)
    }

    /// The text of a key that appeared in a statement.
    #[must_use]
    pub fn key(&self, hash: KeyHash) -> Option<SourceKey> {
        self.nodes.read(hash, Node::key).flatten()
    }

    /// Pairs that are live.
    #[must_use]
    pub fn live_pair_count(&self) -> usize {
        self.live_pairs.load(Relaxed)
    }

    /// Every live pair, in no order, for oracles.
    #[must_use]
    pub fn live_pairs(&self) -> Vec<LivePair> {
        let mut pairs = Vec::new();
        for shard in 0..SHARDS {
            self.nodes.visit(shard, |key, node| {
                pairs.extend(node.live().filter_map(|(other, confidence)| live_pair(key, other, confidence)));
            });
        }
        pairs
    }

    /// The nodes, for cuts.
    pub(crate) const fn nodes(&self) -> &Table<Node> {
        &self.nodes
    }

    /// Counts anew, after nodes were restored.
    pub(crate) fn recount(&self) {
        let _one_at_a_time = self.writing.lock();
        let mut pairs = 0;
        for shard in 0..SHARDS {
            self.nodes.visit(shard, |key, node| pairs += node.live().filter(|(other, _)| key < *other).count());
        }
        self.live_pairs.store(pairs, Relaxed);
    }

    fn confidence(&self, a: KeyHash, b: KeyHash) -> Option<Confidence> {
        self.nodes.read(a, |node| node.confidence(b)).flatten()
    }

    fn neighbours(&self, key: KeyHash, mut take: impl FnMut(KeyHash)) {
        self.nodes.read(key, |node| node.live().for_each(|(other, _)| take(other)));
    }

    fn is_hub(&self, key: KeyHash) -> bool {
        self.nodes.read(key, |node| node.is_hub(self.limits.degree_max)) == Some(true)
    }

    /// The pairs of a key that count.
    fn eligible_pairs(&self, key: KeyHash) -> Vec<LivePair> {
        let mut others = Vec::new();
        self.nodes.read(key, |node| others.extend(node.live()));
        others.retain(|(other, _)| !self.is_hub(*other));
        let pair = |(other, confidence)| Some(LivePair { pair: KeyPair::new(key, other)?, confidence });
        others.into_iter().filter_map(pair).collect()
    }
}

/// The pair, taken from the smaller key's side only.
fn live_pair(key: KeyHash, other: KeyHash, confidence: Confidence) -> Option<LivePair> {
    let pair = KeyPair::new(key, other).filter(|_| key < other)?;
    Some(LivePair { pair, confidence })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        identity::{Evidence, link::Operation, partition::partition},
        ids::EventTime,
        key::KeyKind,
    };

    const LIMITS: Limits = Limits { degree_max: 4, person_keys_max: 5 };

    fn key(n: u8) -> SourceKey {
        SourceKey::new("shop", KeyKind::Account, &format!("u{n}")).unwrap()
    }

    fn statement() -> impl Strategy<Value = Statement> {
        (0..14_u8, 0..14_u8, 0..2_usize, any::<bool>(), 0..40_i64, 1..4_u8).prop_filter_map(
            "differ",
            |(a, b, e, link, time, trust)| {
                let operation = if link { Operation::Link } else { Operation::Unlink };
                let evidence = [Evidence::Login, Evidence::Payment][e];
                let confidence = Confidence::new(f64::from(trust) / 4.0)?;
                Statement::new(key(a), key(b), evidence, operation, confidence, EventTime::from_millis(time))
            },
        )
    }

    fn persons(graph: &IdentityGraph) -> Vec<Vec<KeyHash>> {
        let mut persons: Vec<Vec<KeyHash>> = (0..14).filter_map(|n| graph.person(key(n).hash())).collect();
        persons.sort_unstable();
        persons.dedup();
        persons
    }

    proptest! {
        #[test]
        fn the_graph_equals_the_partition_from_scratch_after_every_statement(statements in proptest::collection::vec(statement(), 0..120)) {
            let graph = IdentityGraph::new(LIMITS);
            for statement in &statements {
                graph.apply(statement);
                let expected = partition(&graph.live_pairs(), LIMITS);
                prop_assert_eq!(persons(&graph), expected);
                prop_assert_eq!(graph.live_pair_count(), graph.live_pairs().len());
            }
        }

        #[test]
        fn whoever_becomes_another_person_is_told(statements in proptest::collection::vec(statement(), 0..120)) {
            let graph = IdentityGraph::new(LIMITS);
            let each = || (0..14).map(|n| graph.person(key(n).hash())).collect::<Vec<_>>();
            for statement in &statements {
                let (before, mut told) = (each(), Vec::new());
                graph.apply_and_tell(statement, &mut told);
                let changed = (0..14).zip(before.into_iter().zip(each())).filter(|(_, (before, after))| before != after);
                let untold: Vec<_> = changed.map(|(n, _)| n).filter(|n| !told.contains(&key(*n).hash())).collect();
                prop_assert_eq!(untold, Vec::<u8>::new());
            }
        }

        #[test]
        fn order_and_repeats_change_nothing(
            (statements, shuffled) in proptest::collection::vec(statement(), 0..80).prop_flat_map(|s| (Just(s.clone()), Just(s).prop_shuffle())),
        ) {
            let (one, other) = (IdentityGraph::new(LIMITS), IdentityGraph::new(LIMITS));
            statements.iter().for_each(|s| { one.apply(s); });
            shuffled.iter().chain(&statements).for_each(|s| { other.apply(s); });
            prop_assert_eq!(persons(&one), persons(&other));
        }

        #[test]
        fn link_then_unlink_is_never_linked_under_the_cap(
            others in proptest::collection::vec(statement(), 0..80),
            extra in statement(),
            at in any::<proptest::sample::Index>(),
        ) {
            let (never, undone) = (IdentityGraph::new(LIMITS), IdentityGraph::new(LIMITS));
            // An evidence that no other statement uses, so that the pair's other evidence is left alone.
            let link = |operation, time| {
                let (mut stated, time) = (extra.clone(), EventTime::from_millis(time));
                (stated.evidence, stated.operation, stated.time) = (Evidence::Declared, operation, time);
                stated
            };
            let cut = at.index(others.len() + 1);
            for (n, s) in others.iter().enumerate() {
                if n == cut { undone.apply(&link(Operation::Link, 1)); }
                undone.apply(s);
                never.apply(s);
            }
            undone.apply(&link(Operation::Link, 1));
            undone.apply(&link(Operation::Unlink, 2));
            prop_assert_eq!(persons(&never), persons(&undone));
        }
    }

    #[test]
    fn a_link_costs_no_more_in_a_chain_of_thousands_than_in_a_short_one() {
        let graph = IdentityGraph::new(LIMITS);
        let key = |n: u32| SourceKey::new("shop", KeyKind::Account, &format!("u{n}")).unwrap();
        let mut most = 0;
        for n in 0..3_000 {
            let mut told = Vec::new();
            let (time, trust) = (EventTime::from_millis(1), Confidence::new(0.5).unwrap());
            let link = Statement::new(key(n), key(n + 1), Evidence::Login, Operation::Link, trust, time).unwrap();
            graph.apply_and_tell(&link, &mut told);
            most = most.max(told.len());
        }
        assert!(most <= 4 * LIMITS.person_keys_max, "{most}");
        let sizes: Vec<_> = (0..=3_000).filter_map(|n| graph.person(key(n).hash())).map(|person| person.len()).collect();
        assert!(
            sizes.len() > 1_000 && sizes.iter().all(|size| *size <= LIMITS.person_keys_max),
            "{} {:?}",
            sizes.len(),
            sizes.iter().max()
        );
    }

    #[test]
    fn a_hub_joins_nobody() {
        let graph = IdentityGraph::new(LIMITS);
        let link =
            |a, b| Statement::new(key(a), key(b), Evidence::Login, Operation::Link, Confidence::FULL, EventTime::from_millis(1));
        for n in 1..=4 {
            graph.apply(&link(0, n).unwrap());
        }
        assert_eq!(persons(&graph).len(), 1);
        graph.apply(&link(0, 5).unwrap());
        assert!(persons(&graph).is_empty(), "five pairs make a hub of key 0");
    }
}
