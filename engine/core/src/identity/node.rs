//! What was stated about one key: its text, and a register for each other key and evidence.

use std::iter;

use super::{
    edge::{EDGE_BYTES, Edge, PackedEdge, Stated, other_of, pack, place, place_of, unpack},
    link::{Confidence, Evidence, Register},
    many::Many,
};
use crate::key::{KeyHash, KeyKind, SourceKey};

/// One key of the identity graph. There are as many as keys that are linked, so it is one allocation without a gap, but where it has very
/// many links.
#[derive(Clone, Debug)]
pub struct Node(Held);

#[derive(Clone, Debug)]
enum Held {
    /// Nothing, or: `u16` bytes of the text; the text: kind, length of the business unit's name, that name, the id; edges, each
    /// packed, sorted by place.
    Few(Box<[u8]>),
    /// More than [`FEW_MAX`].
    Many(Box<Many>),
}

/// Edges that one allocation holds: up to so many, copying all of them costs next to nothing.
const FEW_MAX: usize = 64;

impl Default for Node {
    fn default() -> Self {
        Self(Held::Few(Box::default()))
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() && self.edges().eq(other.edges())
    }
}

impl Node {
    /// A node from its stored parts.
    #[must_use]
    pub fn new(key: Option<&SourceKey>, mut edges: Vec<Edge>) -> Self {
        edges.sort_unstable_by_key(place);
        let packed: Vec<PackedEdge> = edges.iter().map(pack).collect();
        Self::of_parts(&key.map(text_of).unwrap_or_default(), &[&packed])
    }

    fn of_parts(text: &[u8], edges: &[&[PackedEdge]]) -> Self {
        let count: usize = edges.iter().map(|some| some.len()).sum();
        if count > FEW_MAX {
            return Self(Held::Many(Box::new(Many::new(text, &edges.concat()))));
        }
        let mut packed = Vec::with_capacity(2 + text.len() + count * EDGE_BYTES);
        packed.extend((text.len() as u16).to_le_bytes()); // at most 2 + 64 + 256
        packed.extend(text);
        edges.iter().for_each(|some| packed.extend_from_slice(some.as_flattened()));
        Self(Held::Few(packed.into()))
    }

    /// The text, and the edges: in one run, or in many.
    fn parts(&self) -> (&[u8], &[PackedEdge], Option<&Many>) {
        let packed = match &self.0 {
            Held::Few(packed) => packed,
            Held::Many(many) => return (many.text(), &[], Some(many)),
        };
        let Some((text_bytes, rest)) = packed.split_first_chunk() else { return (&[], &[], None) };
        let (text, edges) = rest.split_at_checked(usize::from(u16::from_le_bytes(*text_bytes))).unwrap_or_default();
        (text, edges.as_chunks().0, None)
    }

    /// The key as text.
    #[must_use]
    pub fn key(&self) -> Option<SourceKey> {
        let (kind, rest) = self.text().split_first()?;
        let (bu_bytes, rest) = rest.split_first()?;
        let (bu, id) = rest.split_at_checked(usize::from(*bu_bytes))?;
        let kind = KeyKind::ALL.into_iter().find(|known| *known as u8 == *kind)?;
        SourceKey::new(std::str::from_utf8(bu).ok()?, kind, std::str::from_utf8(id).ok()?).ok()
    }

    /// The key's stored text: kind, length of the business unit's name, that name, the id. Empty if the key is not known.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.parts().0
    }

    /// How much was stated.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        let (_, few, many) = self.parts();
        many.map_or(few.len(), Many::len)
    }

    /// Everything stated, sorted by other key and evidence.
    pub fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        let (_, few, many) = self.parts();
        few.iter().chain(many.into_iter().flat_map(Many::runs).flatten()).map(unpack)
    }

    pub(super) fn register(&self, other: KeyHash, evidence: Evidence) -> Option<Register> {
        self.of(other).find(|edge| edge.stated.evidence == evidence).map(|edge| edge.stated.register)
    }

    /// Sets what stands.
    pub(super) fn state(&mut self, key: &SourceKey, other: KeyHash, stated: Stated) {
        let edge = pack(&Edge { other, stated });
        if let Held::Many(many) = &mut self.0 {
            return many.put(edge);
        }
        let (text, held, _) = self.parts();
        let from = held.partition_point(|held| place_of(held) < place_of(&edge));
        let (before, rest) = held.split_at_checked(from).unwrap_or_default();
        let after = match rest.split_first() {
            Some((first, after)) if place_of(first) == place_of(&edge) => after,
            _ => rest,
        };
        let edges = [before, &[edge], after];
        *self = if text.is_empty() { Self::of_parts(&text_of(key), &edges) } else { Self::of_parts(text, &edges) };
    }

    fn of(&self, other: KeyHash) -> impl Iterator<Item = Edge> + '_ {
        let (_, few, many) = self.parts();
        let runs = iter::once(few).chain(many.into_iter().flat_map(move |many| many.runs_of(other)));
        runs.flat_map(move |run| run.iter().skip(run.partition_point(|edge| other_of(edge) < other)))
            .map(unpack)
            .take_while(move |edge| edge.other == other)
    }

    /// The best trust in the link to another key, if it is live.
    pub(super) fn confidence(&self, other: KeyHash) -> Option<Confidence> {
        self.of(other).filter_map(|edge| edge.stated.register.live_confidence()).max()
    }

    /// Other keys with a live link, each once with its best trust.
    pub(super) fn live(&self) -> impl Iterator<Item = (KeyHash, Confidence)> + '_ {
        let (_, few, many) = self.parts();
        let runs = iter::once(few).chain(many.into_iter().flat_map(Many::live_runs));
        let mut live =
            runs.flatten().map(unpack).filter_map(|edge| Some((edge.other, edge.stated.register.live_confidence()?))).peekable();
        iter::from_fn(move || {
            let (other, mut confidence) = live.next()?;
            while let Some((_, again)) = live.next_if(|(next, _)| *next == other) {
                confidence = confidence.max(again);
            }
            Some((other, confidence))
        })
    }

    pub(super) fn is_hub(&self, degree_max: usize) -> bool {
        self.edge_count() > degree_max && self.live().nth(degree_max).is_some()
    }
}

fn text_of(key: &SourceKey) -> Vec<u8> {
    let (bu, id) = (key.bu().as_bytes(), key.id().as_bytes());
    let mut text = Vec::with_capacity(2 + bu.len() + id.len());
    text.extend([key.kind() as u8, bu.len() as u8]); // a business unit's name has 64 bytes at most
    text.extend(bu);
    text.extend(id);
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{identity::Operation, ids::EventTime};

    #[test]
    fn what_is_packed_comes_back() {
        let key = SourceKey::new("shop", KeyKind::Device, "d1").unwrap();
        let mut edges = Vec::new();
        for (n, evidence) in Evidence::ALL.into_iter().enumerate() {
            for (operation, time) in [(Operation::Link, i64::MIN), (Operation::Unlink, -1), (Operation::Link, i64::MAX)] {
                let confidence = Confidence::from_thousandths(1 + 249 * n as u16).unwrap();
                let register = Register { time: EventTime::from_millis(time), operation, confidence };
                let other = KeyHash(u128::MAX / (edges.len() as u128 + 1));
                edges.push(Edge { other, stated: Stated { evidence, register } });
            }
        }
        let node = Node::new(Some(&key), edges.clone());
        edges.sort_unstable_by_key(place);
        assert_eq!(node.edges().collect::<Vec<_>>(), edges);
        assert_eq!(node.key(), Some(key));
        assert_eq!(size_of::<Node>(), 2 * size_of::<usize>());
        assert_eq!((Node::default().key(), Node::default().edge_count()), (None, 0));
    }

    proptest! {
        #[test]
        fn few_or_many_it_holds_what_was_stated(
            stated in proptest::collection::vec((0..300_u128, 0..Evidence::ALL.len(), any::<bool>()), 0..1_500),
        ) {
            let key = SourceKey::new("shop", KeyKind::Device, "0").unwrap();
            let (mut node, mut model) = (Node::default(), BTreeMap::new());
            for (n, (other, evidence, is_link)) in stated.into_iter().enumerate() {
                let operation = if is_link { Operation::Link } else { Operation::Unlink };
                let confidence = Confidence::from_thousandths(1 + n as u16 % 1_000).unwrap();
                let register = Register { time: EventTime::from_millis(n as i64), operation, confidence };
                // Not in order, and with neighbours far apart.
                let (other, evidence) = (KeyHash((other * 7_919 % 300) << 100), Evidence::ALL[evidence]);
                node.state(&key, other, Stated { evidence, register });
                model.insert((other, evidence), register);
            }
            let edges: Vec<Edge> =
                model.iter().map(|((other, evidence), register)| Edge { other: *other, stated: Stated { evidence: *evidence, register: *register } }).collect();
            prop_assert_eq!(node.edges().collect::<Vec<_>>(), edges.clone());
            prop_assert_eq!(node.edge_count(), edges.len());
            prop_assert!(edges.is_empty() || node.key() == Some(key.clone()));
            let mut live = BTreeMap::new();
            for edge in &edges {
                prop_assert_eq!(node.register(edge.other, edge.stated.evidence), Some(edge.stated.register));
                if let Some(confidence) = edge.stated.register.live_confidence() {
                    let best = live.entry(edge.other).or_insert(confidence);
                    *best = (*best).max(confidence);
                }
            }
            prop_assert_eq!(node.live().collect::<Vec<_>>(), live.clone().into_iter().collect::<Vec<_>>());
            for other in (0..301).map(|n| KeyHash(n << 100)) {
                prop_assert_eq!(node.confidence(other), live.get(&other).copied());
            }
            prop_assert_eq!(node.is_hub(100), live.len() > 100);
            if !edges.is_empty() {
                prop_assert_eq!(Node::new(Some(&key), edges), node);
            }
        }
    }
}
