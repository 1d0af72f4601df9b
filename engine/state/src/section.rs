//! The bytes of sections. Dumb and fast: numbers little-endian, one after the other, so that writing is copying.
//!
//! Keys of a shard: `u32` fragments, `u32` nodes; each fragment: key `u128`, `u16` n, n packed behaviours `u128`; each node: key
//! `u128`, `u16` bytes of its text, the text, `u32` n, n edges: other key `u128`, time `i64`, confidence `u16`, evidence `u8`,
//! operation `u8`.
//!
//! Items: each: number `u32`, flags `u8` (1: named here, 2: has a record), where named two texts (business unit, id; `u16` bytes,
//! text), and the record (see [`items`]).
//!
//! Readers take nothing on trust: a length is believed as far as there are bytes, and nothing panics.

pub(crate) mod bytes;
pub(crate) mod items;
pub(crate) mod keys;
