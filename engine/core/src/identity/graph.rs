//! The live identity graph: applies statements one by one, keeps the partition up to date, answers "who is this?" without a lock.
//!
//! A statement can change the grouping only inside the connected components (over pairs that count) of the keys whose degree or
//! pairs it touches, so only those are grouped anew. Cost of a statement: O(n log n) in the size of the components touched.

use std::{collections::HashMap, sync::Arc};

use dashmap::DashMap;
use parking_lot::Mutex;

use super::{
    link::{Confidence, Evidence, KeyPair, Register, Statement},
    partition::{Limits, LivePair, group},
};
use crate::key::{KeyHash, SourceKey};

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
    links: Mutex<Links>,
    persons: DashMap<KeyHash, Arc<[KeyHash]>, foldhash::fast::RandomState>, // only persons of two keys or more
    keys: DashMap<KeyHash, SourceKey, foldhash::fast::RandomState>,         // the text of every key ever stated
}

#[derive(Debug, Default)]
struct Links {
    registers: HashMap<(KeyPair, Evidence), Register>,
    live: HashMap<KeyHash, HashMap<KeyHash, Confidence>>, // both directions
    live_pairs: usize,
}

impl IdentityGraph {
    /// An empty graph.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, links: Mutex::default(), persons: DashMap::default(), keys: DashMap::default() }
    }

    /// Applies a statement. Order, repeats and delays between statements don't matter.
    pub fn apply(&self, statement: &Statement) -> Linked {
        let mut links = self.links.lock();
        let slot = (statement.pair(), statement.evidence);
        match links.registers.get(&slot) {
            Some(held) if *held == statement.register() => return Linked::Duplicate,
            Some(held) if *held > statement.register() => return Linked::Superseded,
            _ => links.registers.insert(slot, statement.register()),
        };
        for key in [statement.keys().0, statement.keys().1] {
            self.keys.entry(key.hash()).or_insert_with(|| key.clone());
        }
        self.refresh(&mut links, statement.pair());
        Linked::Applied
    }

    /// Brings live pairs and persons in line with the registers of `pair`.
    fn refresh(&self, links: &mut Links, pair: KeyPair) {
        let now_live = links.live_confidence(pair);
        let (a, b) = pair.ends();
        if links.confidence(a, b) == now_live {
            return;
        }
        // Seeds: the ends, and the neighbours of an end that may become a hub or stop being one.
        let hubs_before = (links.is_hub(a, self.limits), links.is_hub(b, self.limits));
        let mut touched = links.component([a, b], self.limits);
        links.set_live(pair, now_live);
        let mut seeds = vec![a, b];
        for (key, was_hub) in [(a, hubs_before.0), (b, hubs_before.1)] {
            if was_hub != links.is_hub(key, self.limits) {
                seeds.extend(links.neighbours(key));
            }
        }
        touched.extend(links.component(seeds, self.limits));
        touched.sort_unstable();
        touched.dedup();
        let persons = group(links.eligible_pairs(&touched, self.limits), self.limits.person_keys_max);
        self.publish(&touched, persons);
    }

    fn publish(&self, touched: &[KeyHash], persons: Vec<Vec<KeyHash>>) {
        let mut alone: Vec<KeyHash> = touched.to_vec();
        for person in persons {
            alone.retain(|key| person.binary_search(key).is_err());
            let person: Arc<[KeyHash]> = person.into();
            for key in person.iter() {
                self.persons.insert(*key, Arc::clone(&person));
            }
        }
        for key in alone {
            self.persons.remove(&key);
        }
    }

    /// All keys of the person that `key` belongs to, sorted; `None` when it stands alone.
    #[must_use]
    pub fn person(&self, key: KeyHash) -> Option<Arc<[KeyHash]>> {
        self.persons.get(&key).map(|person| Arc::clone(person.value()))
    }

    /// The text of a key that appeared in a statement.
    #[must_use]
    pub fn key(&self, hash: KeyHash) -> Option<SourceKey> {
        self.keys.get(&hash).map(|key| key.value().clone())
    }

    /// Pairs that are live.
    #[must_use]
    pub fn live_pair_count(&self) -> usize {
        self.links.lock().live_pairs
    }

    /// Every live pair, in no order, for digests and oracles.
    #[must_use]
    pub fn live_pairs(&self) -> Vec<LivePair> {
        let links = self.links.lock();
        let pairs = links.live.iter().flat_map(|(a, others)| others.iter().map(move |(b, confidence)| (*a, *b, *confidence)));
        pairs
            .filter(|(a, b, _)| a < b)
            .filter_map(|(a, b, confidence)| Some(LivePair { pair: KeyPair::new(a, b)?, confidence }))
            .collect()
    }
}

impl Links {
    fn live_confidence(&self, pair: KeyPair) -> Option<Confidence> {
        const ALL: [Evidence; 5] =
            [Evidence::Login, Evidence::Declared, Evidence::SharedContact, Evidence::Payment, Evidence::Inferred];
        ALL.iter().filter_map(|evidence| self.registers.get(&(pair, *evidence))?.live_confidence()).max()
    }

    fn confidence(&self, a: KeyHash, b: KeyHash) -> Option<Confidence> {
        self.live.get(&a)?.get(&b).copied()
    }

    fn set_live(&mut self, pair: KeyPair, confidence: Option<Confidence>) {
        let (a, b) = pair.ends();
        let mut changed = 0_isize;
        for (from, to) in [(a, b), (b, a)] {
            let others = self.live.entry(from).or_default();
            match confidence {
                Some(confidence) => changed = if others.insert(to, confidence).is_none() { 1 } else { 0 },
                None => changed = if others.remove(&to).is_some() { -1 } else { 0 },
            }
            if others.is_empty() {
                self.live.remove(&from);
            }
        }
        self.live_pairs = self.live_pairs.saturating_add_signed(changed);
    }

    fn neighbours(&self, key: KeyHash) -> impl Iterator<Item = KeyHash> + '_ {
        self.live.get(&key).into_iter().flat_map(|others| others.keys().copied())
    }

    fn is_hub(&self, key: KeyHash, limits: Limits) -> bool {
        self.live.get(&key).is_some_and(|others| others.len() > limits.degree_max)
    }

    /// All keys reachable from `seeds` over pairs that count, the seeds included.
    fn component(&self, seeds: impl IntoIterator<Item = KeyHash>, limits: Limits) -> Vec<KeyHash> {
        let mut seen: std::collections::HashSet<KeyHash> = seeds.into_iter().collect();
        let mut open: Vec<KeyHash> = seen.iter().copied().collect();
        while let Some(key) = open.pop() {
            if self.is_hub(key, limits) {
                continue;
            }
            for other in self.neighbours(key) {
                if !self.is_hub(other, limits) && seen.insert(other) {
                    open.push(other);
                }
            }
        }
        seen.into_iter().collect()
    }

    /// The pairs that count among `keys` (a union of whole components).
    fn eligible_pairs(&self, keys: &[KeyHash], limits: Limits) -> Vec<LivePair> {
        let mut pairs = Vec::new();
        for &key in keys.iter().filter(|key| !self.is_hub(**key, limits)) {
            for (&other, &confidence) in self.live.get(&key).into_iter().flatten() {
                if key < other
                    && !self.is_hub(other, limits)
                    && let Some(pair) = KeyPair::new(key, other)
                {
                    pairs.push(LivePair { pair, confidence });
                }
            }
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        identity::{link::Operation, partition::partition},
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
        let mut persons: Vec<Vec<KeyHash>> = (0..14).filter_map(|n| graph.person(key(n).hash())).map(|p| p.to_vec()).collect();
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
