//! Fragments and identity nodes of a shard.

use faces_core::{
    event::Packed,
    fragment::Fragment,
    identity::{Confidence, Edge, Evidence, Node, Operation, Register, Stated},
    ids::EventTime,
    key::{KeyHash, KeyKind, SourceKey},
};

use super::bytes::Bytes;

const EDGE_BYTES: usize = 28;

/// Collects the values of a shard; a buffer to be used again and again. Fragments go before nodes.
#[derive(Debug, Default)]
pub(crate) struct KeysBuffer {
    bytes: Vec<u8>,
    fragments: u32,
    nodes: u32,
}

impl KeysBuffer {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.extend([0; 8]);
        (self.fragments, self.nodes) = (0, 0);
    }

    pub(crate) fn put_fragment(&mut self, key: KeyHash, fragment: &Fragment) {
        let packed = fragment.packed();
        self.bytes.extend_from_slice(&key.raw().to_le_bytes());
        self.bytes.extend_from_slice(&(packed.len() as u16).to_le_bytes()); // classes are bounded: some hundred at most
        self.bytes.reserve(packed.len() * 16);
        packed.iter().for_each(|one| self.bytes.extend_from_slice(&one.raw().to_le_bytes()));
        self.fragments += 1;
    }

    pub(crate) fn put_node(&mut self, key: KeyHash, node: &Node) {
        let text = node.text();
        self.bytes.extend_from_slice(&key.raw().to_le_bytes());
        self.bytes.extend_from_slice(&(text.len() as u16).to_le_bytes()); // at most 2 + 64 + 256
        self.bytes.extend_from_slice(text);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let mut count = 0_u32;
        for edge in node.edges() {
            let Register { time, operation, confidence } = edge.stated.register;
            self.bytes.extend_from_slice(&edge.other.raw().to_le_bytes());
            self.bytes.extend_from_slice(&time.millis().to_le_bytes());
            self.bytes.extend_from_slice(&confidence.thousandths().to_le_bytes());
            self.bytes.extend_from_slice(&[edge.stated.evidence as u8, operation as u8]);
            count += 1;
        }
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        self.nodes += 1;
    }

    pub(crate) const fn values(&self) -> u64 {
        self.fragments as u64 + self.nodes as u64
    }

    /// The section.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let counts = [self.fragments.to_le_bytes(), self.nodes.to_le_bytes()].concat();
        if let Some(place) = self.bytes.get_mut(..8) {
            place.copy_from_slice(&counts);
        }
        &self.bytes
    }
}

/// A fragment as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredFragment<'a>(&'a [[u8; 16]]);

impl StoredFragment<'_> {
    pub(crate) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// One more than the largest item number in it; `None` if its bytes make no fragment.
    pub(crate) fn items_end(self) -> Option<u64> {
        let mut end = 0;
        for one in self.0 {
            let one = Packed::from_raw(u128::from_le_bytes(*one))?;
            if one.class().is_some() {
                end = end.max(u64::from(one.item().number()) + 1);
            }
        }
        Some(end)
    }

    /// The fragment; `None` if its bytes make none.
    pub(crate) fn fragment(self) -> Option<Fragment> {
        let mut packed = Vec::with_capacity(self.0.len());
        for one in self.0 {
            packed.push(Packed::from_raw(u128::from_le_bytes(*one))?);
        }
        Some(Fragment::from_packed(packed))
    }
}

/// A node as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredNode<'a> {
    text: &'a [u8],
    edges: &'a [[u8; EDGE_BYTES]],
}

impl StoredNode<'_> {
    /// The node; `None` if its bytes make none.
    pub(crate) fn node(self) -> Option<Node> {
        let key = if self.text.is_empty() { None } else { Some(source_key(self.text)?) };
        let edges = self.edges.iter().map(|edge| edge_of(edge)).collect::<Option<Vec<_>>>()?;
        Some(Node::new(key.as_ref(), edges))
    }
}

fn source_key(text: &[u8]) -> Option<SourceKey> {
    let mut bytes = Bytes(text);
    let kind = bytes.u8()?;
    let kind = KeyKind::ALL.into_iter().find(|known| *known as u8 == kind)?;
    let bu_bytes = usize::from(bytes.u8()?);
    let bu = std::str::from_utf8(bytes.take(bu_bytes)?).ok()?;
    SourceKey::new(bu, kind, std::str::from_utf8(bytes.0).ok()?).ok()
}

fn edge_of(edge: &[u8]) -> Option<Edge> {
    let mut bytes = Bytes(edge);
    let other = KeyHash::from_raw(bytes.u128()?);
    let time = EventTime::from_millis(bytes.i64()?);
    let confidence = Confidence::from_thousandths(bytes.u16()?)?;
    let evidence = bytes.u8()?;
    let evidence = Evidence::ALL.into_iter().find(|known| *known as u8 == evidence)?;
    let operation = bytes.u8()?;
    let operation = [Operation::Link, Operation::Unlink].into_iter().find(|known| *known as u8 == operation)?;
    Some(Edge { other, stated: Stated { evidence, register: Register { time, operation, confidence } } })
}

/// Calls back with what is stored in a section, without copying. `None` if the bytes, or a call back, make no sense; what was seen
/// until then is not to be used.
pub(crate) fn read_keys<'a>(
    section: &'a [u8],
    mut on_fragment: impl FnMut(KeyHash, StoredFragment<'a>) -> Option<()>,
    mut on_node: impl FnMut(KeyHash, StoredNode<'a>) -> Option<()>,
) -> Option<()> {
    let mut bytes = Bytes(section);
    let (fragments, nodes) = (bytes.u32()?, bytes.u32()?);
    for _ in 0..fragments {
        let key = KeyHash::from_raw(bytes.u128()?);
        let count = usize::from(bytes.u16()?);
        on_fragment(key, StoredFragment(bytes.take(count * 16)?.as_chunks().0))?;
    }
    for _ in 0..nodes {
        let key = KeyHash::from_raw(bytes.u128()?);
        let text_bytes = usize::from(bytes.u16()?);
        let text = bytes.take(text_bytes)?;
        let count = bytes.u32()? as usize;
        let edges = bytes.take(count.checked_mul(EDGE_BYTES)?)?.as_chunks().0;
        on_node(key, StoredNode { text, edges })?;
    }
    bytes.0.is_empty().then_some(())
}

/// How many values a section says it has, believed as far as there are bytes: fragments, nodes.
pub(crate) fn counts(section: &[u8]) -> (usize, usize) {
    let mut bytes = Bytes(section);
    let mut next = |bytes_min: usize| bytes.u32().map_or(0, |count| (count as usize).min(section.len() / bytes_min));
    (next(18), next(22))
}
