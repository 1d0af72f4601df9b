//! What was stated about one key: its text, and a register for each other key and evidence.

use super::link::{Confidence, Evidence, Operation, Register};
use crate::{
    ids::EventTime,
    key::{KeyHash, KeyKind, SourceKey},
};

/// One key of the identity graph. There are as many as keys that are linked, so it is one allocation without a gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Nothing, or: `u16` bytes of the text; the text: kind, length of the business unit's name, that name, the id; edges, each as
    /// [`pack`] has it, sorted by other key, then evidence.
    packed: Box<[u8]>,
}

const EDGE_BYTES: usize = 28;
type PackedEdge = [u8; EDGE_BYTES];

/// What stands between two keys by one evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The other key.
    pub other: KeyHash,
    /// What was stated.
    pub stated: Stated,
}

/// What stands, and on what evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stated {
    /// What it rests on.
    pub evidence: Evidence,
    /// What was said last.
    pub register: Register,
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
        let mut packed = Vec::with_capacity(2 + text.len() + count * EDGE_BYTES);
        packed.extend((text.len() as u16).to_le_bytes()); // at most 2 + 64 + 256
        packed.extend(text);
        edges.iter().for_each(|some| packed.extend_from_slice(some.as_flattened()));
        Self { packed: packed.into() }
    }

    fn parts(&self) -> (&[u8], &[PackedEdge]) {
        let Some((text_bytes, rest)) = self.packed.split_first_chunk() else { return (&[], &[]) };
        let (text, edges) = rest.split_at_checked(usize::from(u16::from_le_bytes(*text_bytes))).unwrap_or_default();
        (text, edges.as_chunks().0)
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

    /// Everything stated, sorted by other key and evidence.
    pub fn edges(&self) -> impl ExactSizeIterator<Item = Edge> + '_ {
        self.parts().1.iter().map(unpack)
    }

    pub(super) fn register(&self, other: KeyHash, evidence: Evidence) -> Option<Register> {
        self.of(other).find(|edge| edge.stated.evidence == evidence).map(|edge| edge.stated.register)
    }

    /// Sets what stands.
    pub(super) fn state(&mut self, key: &SourceKey, other: KeyHash, stated: Stated) {
        let edge = Edge { other, stated };
        let (text, held) = self.parts();
        let from = held.partition_point(|held| place(&unpack(held)) < place(&edge));
        let (before, rest) = held.split_at_checked(from).unwrap_or_default();
        let after = match rest.split_first() {
            Some((first, after)) if place(&unpack(first)) == place(&edge) => after,
            _ => rest,
        };
        let edges = [before, &[pack(&edge)], after];
        *self = if text.is_empty() { Self::of_parts(&text_of(key), &edges) } else { Self::of_parts(text, &edges) };
    }

    fn of(&self, other: KeyHash) -> impl Iterator<Item = Edge> + '_ {
        let edges = self.parts().1;
        let start = edges.partition_point(|edge| other_of(edge) < other);
        edges.get(start..).unwrap_or_default().iter().map(unpack).take_while(move |edge| edge.other == other)
    }

    /// The best trust in the link to another key, if it is live.
    pub(super) fn confidence(&self, other: KeyHash) -> Option<Confidence> {
        self.of(other).filter_map(|edge| edge.stated.register.live_confidence()).max()
    }

    /// Other keys with a live link, each once with its best trust.
    pub(super) fn live(&self) -> impl Iterator<Item = (KeyHash, Confidence)> + '_ {
        let of_each = self.parts().1.chunk_by(|a, b| other_of(a) == other_of(b));
        of_each.filter_map(|of_one| {
            let confidence = of_one.iter().filter_map(|edge| unpack(edge).stated.register.live_confidence()).max()?;
            Some((other_of(of_one.first()?), confidence))
        })
    }

    pub(super) fn is_hub(&self, degree_max: usize) -> bool {
        self.edges().len() > degree_max && self.live().nth(degree_max).is_some()
    }
}

/// The order of edges.
fn place(edge: &Edge) -> (KeyHash, Evidence) {
    (edge.other, edge.stated.evidence)
}

/// Other key `u128`, time `i64`, confidence `u16`, evidence `u8`, operation `u8`, little-endian.
fn pack(edge: &Edge) -> PackedEdge {
    let Register { time, operation, confidence } = edge.stated.register;
    let rest = u128::from(time.millis() as u64)
        | u128::from(confidence.thousandths()) << 64
        | u128::from(edge.stated.evidence as u8) << 80
        | u128::from(operation as u8) << 88;
    let mut packed = [0; EDGE_BYTES];
    let bytes = edge.other.raw().to_le_bytes().into_iter().chain(rest.to_le_bytes());
    packed.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    packed
}

fn other_of(packed: &PackedEdge) -> KeyHash {
    KeyHash(packed.first_chunk().map_or(0, |other| u128::from_le_bytes(*other)))
}

/// What [`pack`] packed; only that is ever held.
fn unpack(packed: &PackedEdge) -> Edge {
    let mut rest = [0; 16];
    rest.iter_mut().zip(packed.iter().skip(16)).for_each(|(place, byte)| *place = *byte);
    let rest = u128::from_le_bytes(rest);
    let (evidence, operation) = ((rest >> 80) as u8, (rest >> 88) as u8);
    let register = Register {
        time: EventTime::from_millis(rest as i64),
        operation: if operation == Operation::Link as u8 { Operation::Link } else { Operation::Unlink },
        confidence: Confidence::from_thousandths((rest >> 64) as u16).unwrap_or(Confidence::FULL),
    };
    let evidence = Evidence::ALL.into_iter().find(|known| *known as u8 == evidence).unwrap_or(Evidence::Inferred);
    Edge { other: other_of(packed), stated: Stated { evidence, register } }
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
    use super::*;

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
        assert_eq!((Node::default().key(), Node::default().edges().len()), (None, 0));
    }
}
