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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use faces_core::{
        catalogue::{ItemAttributes, ItemRecord},
        event::{Behaviour, EventKind},
        fragment::Fragment,
        identity::{Confidence, Edge, Evidence, Node, Operation, Register, Stated},
        ids::{EventId, EventTime, ItemId},
        key::{KeyHash, KeyKind, SourceKey},
    };
    use proptest::prelude::*;

    use super::{
        items::{Item, put_item, read_items},
        keys::{KeysBuffer, counts, read_keys},
    };

    fn keys_section() -> Vec<u8> {
        let mut buffer = KeysBuffer::default();
        buffer.clear();
        let mut fragment = Fragment::default();
        for n in 0..5 {
            let (time, event, item) = (EventTime::from_millis(n), EventId::from_raw(7), ItemId::new(n as u32));
            fragment.insert(Behaviour { time, event, item, kind: EventKind::Rating, rating_tenths: None });
        }
        buffer.put_fragment(KeyHash::from_raw(1), &fragment);
        buffer.put_fragment(KeyHash::from_raw(2), &Fragment::default());
        let register = Register { time: EventTime::from_millis(-1), operation: Operation::Unlink, confidence: Confidence::FULL };
        let edge = Edge { other: KeyHash::from_raw(9), stated: Stated { evidence: Evidence::Payment, register } };
        let key = SourceKey::new("shop", KeyKind::Device, "é").unwrap();
        buffer.put_node(KeyHash::from_raw(3), &Node::new(Some(&key), vec![edge]));
        buffer.put_node(KeyHash::from_raw(4), &Node::default());
        assert_eq!(buffer.values(), 4);
        buffer.finish().to_vec()
    }

    fn items_section() -> Vec<u8> {
        let attributes = ItemAttributes {
            title: "tea".into(),
            tags: vec!["a".into(), String::new()],
            price: Some(0.5),
            sold_out: true,
            embedding: vec![1.0, -2.0],
            ..ItemAttributes::default()
        };
        let time = EventTime::from_millis(5);
        let record = ItemRecord { version: Some((time, false, 6)), listed_at: Some(time), attributes: Arc::new(attributes) };
        let gone = ItemRecord { version: Some((time, true, 0)), ..ItemRecord::default() };
        let mut bytes = Vec::new();
        put_item(&mut bytes, ItemId::new(0), Some(("shop", "i0")), Some(&record));
        put_item(&mut bytes, ItemId::new(1), Some(("shop", "i1")), None);
        put_item(&mut bytes, ItemId::new(0), None, Some(&gone));
        let mut read = Vec::new();
        let all = read_items(&bytes, |Item { id, name, record }| {
            read.push((id.number(), name.map(|(_, id)| id.to_owned()), record));
            Some(())
        });
        let expected = vec![(0, Some("i0".into()), Some(record)), (1, Some("i1".into()), None), (0, None, Some(gone))];
        assert_eq!((all, read), (Some(()), expected));
        bytes
    }

    type Keys = (Vec<(KeyHash, Fragment)>, Vec<(KeyHash, Node)>);

    fn read_all_keys(bytes: &[u8]) -> Option<Keys> {
        let (mut fragments, mut nodes) = (Vec::new(), Vec::new());
        let (fragments_max, nodes_max) = counts(bytes);
        read_keys(
            bytes,
            |key, stored| {
                stored.items_end()?;
                fragments.push((key, stored.fragment()?));
                Some(())
            },
            |key, stored| {
                nodes.push((key, stored.node()?));
                Some(())
            },
        )?;
        assert!(fragments.len() <= fragments_max && nodes.len() <= nodes_max && fragments_max + nodes_max <= bytes.len());
        Some((fragments, nodes))
    }

    #[test]
    fn keys_come_back() {
        let (fragments, nodes) = read_all_keys(&keys_section()).unwrap();
        assert_eq!((fragments.len(), nodes.len()), (2, 2));
        assert_eq!((fragments[0].1.len(), fragments[1].1.is_empty()), (5, true));
        assert_eq!(nodes[0].1.key().unwrap().id(), "é");
        assert_eq!(nodes[0].1.edges().next().unwrap().stated.evidence, Evidence::Payment);
        assert_eq!(nodes[1].1, Node::new(None, Vec::new()));
    }

    fn damaged(whole: fn() -> Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
        let whole = whole();
        let changes = proptest::collection::vec((0..whole.len(), any::<u8>()), 0..4);
        let damaged = (changes, 0..=whole.len()).prop_map(move |(changes, bytes)| {
            let mut damaged = whole.clone();
            changes.into_iter().for_each(|(place, byte)| damaged[place] = byte);
            damaged.truncate(bytes.max(damaged.len() / 2));
            damaged
        });
        prop_oneof![damaged, proptest::collection::vec(any::<u8>(), 0..200)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_can_be_read_as_keys(bytes in damaged(keys_section)) {
            _ = read_all_keys(&bytes);
        }

        #[test]
        fn any_bytes_can_be_read_as_items(bytes in damaged(items_section)) {
            _ = read_items(&bytes, |_| Some(()));
        }
    }
}
