//! What was stated about a key that half the world is linked to: an empty device id, a call centre's phone. Sorted, in chunks that are
//! shared with whoever is copying the node out, so that a statement copies one chunk, however many there are.

use std::sync::Arc;

use super::edge::{PackedEdge, is_live, other_of, place_of};
use crate::key::KeyHash;

/// Edges of a chunk at most; half as many after it was split.
const CHUNK_MAX: usize = 256;

/// The text of a key, and its edges, sorted by place.
#[derive(Clone, Debug)]
pub(super) struct Many {
    text: Box<[u8]>,
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Chunk {
    edges: Arc<[PackedEdge]>, // never empty
    is_live: bool,
}

impl Chunk {
    fn new(edges: &[PackedEdge]) -> Self {
        Self { is_live: edges.iter().any(is_live), edges: edges.into() }
    }
}

impl Many {
    pub(super) fn new(text: &[u8], sorted: &[PackedEdge]) -> Self {
        Self { text: text.into(), chunks: sorted.chunks(CHUNK_MAX / 2).map(Chunk::new).collect(), len: sorted.len() }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The edges, in runs.
    pub(super) fn runs(&self) -> impl Iterator<Item = &[PackedEdge]> {
        self.chunks.iter().map(|chunk| &*chunk.edges)
    }

    /// Runs of edges with all that are live, and some that are not.
    pub(super) fn live_runs(&self) -> impl Iterator<Item = &[PackedEdge]> {
        self.chunks.iter().filter(|chunk| chunk.is_live).map(|chunk| &*chunk.edges)
    }

    /// Runs of edges with all that lead to a key, and some before and after.
    pub(super) fn runs_of(&self, other: KeyHash) -> impl Iterator<Item = &[PackedEdge]> {
        let first = self.last_chunk(|first| other_of(first) < other);
        self.chunks.iter().skip(first).map(|chunk| &*chunk.edges)
    }

    /// The last chunk whose first edge `is_before`, or the first.
    fn last_chunk(&self, is_before: impl Fn(&PackedEdge) -> bool) -> usize {
        self.chunks.partition_point(|chunk| chunk.edges.first().is_some_and(&is_before)).saturating_sub(1)
    }

    /// Puts an edge at its place.
    pub(super) fn put(&mut self, edge: PackedEdge) {
        let number = self.last_chunk(|first| place_of(first) <= place_of(&edge));
        let mut edges = self.chunks.get(number).map(|chunk| chunk.edges.to_vec()).unwrap_or_default();
        match edges.binary_search_by_key(&place_of(&edge), place_of) {
            Ok(at) => _ = edges.splice(at..=at, [edge]),
            Err(at) => {
                edges.insert(at, edge);
                self.len += 1;
            }
        }
        let (one, other) = edges.split_at(if edges.len() > CHUNK_MAX { edges.len() / 2 } else { 0 });
        let anew = [one, other].into_iter().filter(|edges| !edges.is_empty()).map(Chunk::new);
        self.chunks.splice(number..=number, anew);
    }
}
