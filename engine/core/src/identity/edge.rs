//! What was stated about two keys, seen from one of them; there are many, so it is held packed.

use super::link::{Confidence, Evidence, Operation, Register};
use crate::{ids::EventTime, key::KeyHash};

pub(super) const EDGE_BYTES: usize = 28;
pub(super) type PackedEdge = [u8; EDGE_BYTES];

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

/// The order of edges.
pub(super) fn place(edge: &Edge) -> (KeyHash, Evidence) {
    (edge.other, edge.stated.evidence)
}

/// [`place`] of what was packed.
pub(super) fn place_of(packed: &PackedEdge) -> (KeyHash, Evidence) {
    place(&unpack(packed))
}

pub(super) fn is_live(packed: &PackedEdge) -> bool {
    unpack(packed).stated.register.live_confidence().is_some()
}

/// Other key `u128`, time `i64`, confidence `u16`, evidence `u8`, operation `u8`, little-endian.
pub(super) fn pack(edge: &Edge) -> PackedEdge {
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

pub(super) fn other_of(packed: &PackedEdge) -> KeyHash {
    KeyHash(packed.first_chunk().map_or(0, |other| u128::from_le_bytes(*other)))
}

/// What [`pack`] packed; only that is ever held.
pub(super) fn unpack(packed: &PackedEdge) -> Edge {
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
