//! What was stated about one key: its text, and a register for each other key and evidence.

use super::link::{Confidence, Evidence, Register};
use crate::key::{KeyHash, KeyKind, SourceKey};

/// One key of the identity graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    text: Box<[u8]>,    // kind, length of the business unit's name, that name, the id
    edges: Box<[Edge]>, // sorted by other key, then evidence
}

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
        edges.sort_unstable_by_key(|edge| (edge.other, edge.stated.evidence));
        Self { text: key.map(text_of).unwrap_or_default(), edges: edges.into() }
    }

    /// The key as text.
    #[must_use]
    pub fn key(&self) -> Option<SourceKey> {
        let (kind, rest) = self.text.split_first()?;
        let (bu_bytes, rest) = rest.split_first()?;
        let (bu, id) = rest.split_at_checked(usize::from(*bu_bytes))?;
        let kind = KeyKind::ALL.into_iter().find(|known| *known as u8 == *kind)?;
        SourceKey::new(std::str::from_utf8(bu).ok()?, kind, std::str::from_utf8(id).ok()?).ok()
    }

    /// The key's stored text: kind, length of the business unit's name, that name, the id. Empty if the key is not known.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Everything stated, sorted by other key and evidence.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    pub(super) fn register(&self, other: KeyHash, evidence: Evidence) -> Option<Register> {
        self.of(other).iter().find(|edge| edge.stated.evidence == evidence).map(|edge| edge.stated.register)
    }

    /// Sets what stands.
    pub(super) fn state(&mut self, key: &SourceKey, other: KeyHash, stated: Stated) {
        if self.text.is_empty() {
            self.text = text_of(key);
        }
        let edge = Edge { other, stated };
        let place = |held: &Edge| (held.other, held.stated.evidence);
        match self.edges.binary_search_by_key(&place(&edge), place) {
            Ok(position) => {
                if let Some(held) = self.edges.get_mut(position) {
                    *held = edge;
                }
            }
            Err(position) => {
                let mut edges = Vec::with_capacity(self.edges.len() + 1);
                edges.extend_from_slice(&self.edges);
                edges.insert(position, edge);
                self.edges = edges.into();
            }
        }
    }

    fn of(&self, other: KeyHash) -> &[Edge] {
        let start = self.edges.partition_point(|edge| edge.other < other);
        let end = self.edges.partition_point(|edge| edge.other <= other);
        self.edges.get(start..end).unwrap_or_default()
    }

    /// The best trust in the link to another key, if it is live.
    pub(super) fn confidence(&self, other: KeyHash) -> Option<Confidence> {
        self.of(other).iter().filter_map(|edge| edge.stated.register.live_confidence()).max()
    }

    /// Other keys with a live link, each once with its best trust.
    pub(super) fn live(&self) -> impl Iterator<Item = (KeyHash, Confidence)> + '_ {
        let of_each = self.edges.chunk_by(|a, b| a.other == b.other);
        of_each.filter_map(|of_one| {
            let confidence = of_one.iter().filter_map(|edge| edge.stated.register.live_confidence()).max()?;
            Some((of_one.first()?.other, confidence))
        })
    }

    pub(super) fn is_hub(&self, degree_max: usize) -> bool {
        self.edges.len() > degree_max && self.live().count() > degree_max
    }
}

fn text_of(key: &SourceKey) -> Box<[u8]> {
    let (bu, id) = (key.bu().as_bytes(), key.id().as_bytes());
    let mut text = Vec::with_capacity(2 + bu.len() + id.len());
    text.extend([key.kind() as u8, bu.len() as u8]); // a business unit's name has 64 bytes at most
    text.extend(bu);
    text.extend(id);
    text.into()
}
