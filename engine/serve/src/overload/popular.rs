//! The last rung: what is popular in each unit, encoded beforehand.
//!
//! Needs no index, no broker, no ranking: a list in memory, made anew in the background from demand, then from the generation's list, then
//! from the catalogue, so that it holds something as long as anything is offered. Whoever answers from it still filters it. Memory:
//! some 150 bytes an item, [`LISTED_MAX`] items a unit.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use faces_core::{
    ids::{BuId, ItemId},
    ranking::Model as _,
};
use faces_proto::v1;
use foldhash::{HashMap, HashSet};
use prost::{
    Message as _,
    bytes::{BufMut as _, Bytes, BytesMut},
    encoding::{WireType, encode_key, encode_varint},
};

use crate::engine::Engine;

/// How often the lists are made anew.
pub const PERIOD: Duration = Duration::from_secs(1);
/// Items listed for a unit.
pub const LISTED_MAX: usize = 400;
/// Number of the field `items` in `RecommendResponse`.
const ITEMS_FIELD: u32 = 1;

/// An item of a list.
#[derive(Debug)]
pub struct Listed {
    /// The item.
    pub item: ItemId,
    /// As the wire has it.
    pub message: v1::Recommendation,
    /// The same, encoded as an element of `RecommendResponse.items`.
    pub encoded: Bytes,
}

/// The lists.
#[derive(Debug, Default)]
pub struct Popular {
    units: ArcSwap<HashMap<BuId, Arc<[Arc<Listed>]>>>,
}

impl Popular {
    /// The list of a unit, most popular first; empty for a unit that was not there at the last look.
    #[must_use]
    pub fn of(&self, bu: BuId) -> Arc<[Arc<Listed>]> {
        self.units.load().get(&bu).cloned().unwrap_or_default()
    }

    /// Makes the lists anew. Some 0.1 ms a unit.
    pub fn refresh(&self, engine: &Engine) {
        let units = engine.state().catalogue().bus().map(|(bu, _)| (bu, list(engine, bu)));
        self.units.store(Arc::new(units.collect()));
    }
}

fn list(engine: &Engine, bu: BuId) -> Arc<[Arc<Listed>]> {
    let (state, catalogue) = (engine.state(), engine.state().catalogue());
    let mut items: Vec<ItemId> = Vec::with_capacity(LISTED_MAX);
    let mut seen = HashSet::default();
    let mut take = |item: ItemId| {
        if catalogue.is_servable(item) && catalogue.bu_of(item) == Some(bu) && seen.insert(item) {
            items.push(item);
        }
        items.len() < LISTED_MAX
    };
    state.popular().top(bu, |item, _| take(item));
    if let Some(generation) = engine.generation() {
        generation.popular(bu, &mut take);
    }
    _ = catalogue.items_of(bu).all(take);
    let listed = items.into_iter().enumerate().filter_map(|(place, item)| {
        // Scores as the last resort gives them: falling, and below all that was ranked.
        let (item_id, score) = (catalogue.item_name(item)?.to_owned(), 1e-6 / (1.0 + place as f32));
        let message = v1::Recommendation { item_id, score, ..v1::Recommendation::default() };
        let encoded = encode(&message);
        Some(Arc::new(Listed { item, message, encoded }))
    });
    listed.collect()
}

fn encode(message: &v1::Recommendation) -> Bytes {
    let body = message.encode_to_vec();
    let mut bytes = BytesMut::with_capacity(body.len() + 4);
    encode_key(ITEMS_FIELD, WireType::LengthDelimited, &mut bytes);
    encode_varint(body.len() as u64, &mut bytes);
    bytes.put_slice(&body);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_items_one_after_the_other_are_an_answer() {
        let message = |n: usize| v1::Recommendation { item_id: "x".repeat(n), score: n as f32, ..v1::Recommendation::default() };
        let items: Vec<_> = [0, 1, 127, 128, 300].map(message).into();
        let rest = v1::RecommendResponse { generation_id: "g1".into(), ..v1::RecommendResponse::default() };
        let bytes: Vec<u8> = items.iter().flat_map(encode).chain(rest.encode_to_vec()).collect();
        assert_eq!(v1::RecommendResponse::decode(&*bytes).unwrap(), v1::RecommendResponse { items, ..rest });
    }
}
