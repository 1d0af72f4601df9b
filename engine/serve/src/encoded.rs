//! Parts of answers as the wire has them, encoded straight from what is borrowed: no message is made first.

use faces_proto::v1;
use prost::{
    Message as _,
    bytes::BufMut,
    encoding::{WireType, double, encode_key, encode_varint, encoded_len_varint, float},
};

/// Numbers of fields, as the `.proto` files have them.
const ITEMS: u32 = 1; // of `RecommendResponse`
const ITEM_ID: u32 = 1; // of `Recommendation`
const SCORE: u32 = 2;
const PROPENSITY: u32 = 4;

/// Bytes that an item takes beside its name, at most.
const BESIDE_NAME: usize = 24;

/// Room for so many items with names of a usual length.
#[must_use]
pub const fn room_for(items: usize) -> usize {
    items * (BESIDE_NAME + 16)
}

/// Appends an item without reasons to an encoded `RecommendResponse`.
pub fn put_item(into: &mut impl BufMut, item_id: &str, score: f32, propensity: f64) {
    let of_score = if score == 0.0 { 0 } else { float::encoded_len(SCORE, &score) };
    let of_propensity = if propensity == 0.0 { 0 } else { double::encoded_len(PROPENSITY, &propensity) };
    let of_name = if item_id.is_empty() { 0 } else { 1 + encoded_len_varint(item_id.len() as u64) + item_id.len() };
    encode_key(ITEMS, WireType::LengthDelimited, into);
    encode_varint((of_name + of_score + of_propensity) as u64, into);
    if !item_id.is_empty() {
        encode_key(ITEM_ID, WireType::LengthDelimited, into);
        encode_varint(item_id.len() as u64, into);
        into.put_slice(item_id.as_bytes());
    }
    if of_score > 0 {
        float::encode(SCORE, &score, into);
    }
    if of_propensity > 0 {
        double::encode(PROPENSITY, &propensity, into);
    }
}

/// The items of what [`put_item`] wrote.
#[must_use]
pub fn items(encoded: &[u8]) -> Vec<v1::Recommendation> {
    v1::RecommendResponse::decode(encoded).map(|response| response.items).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_items_one_after_the_other_are_an_answer() {
        let message = |n: usize| v1::Recommendation {
            item_id: "x".repeat(n),
            score: n as f32,
            propensity: if n.is_multiple_of(2) { 0.25 } else { 0.0 },
            reason: None,
        };
        let expected: Vec<_> = [0, 1, 127, 128, 300].map(message).into();
        let mut bytes = Vec::new();
        expected.iter().for_each(|item| put_item(&mut bytes, &item.item_id, item.score, item.propensity));
        assert_eq!(items(&bytes), expected);
        let whole = v1::RecommendResponse { items: expected, generation_id: "g1".into(), ..v1::RecommendResponse::default() };
        bytes.extend(v1::RecommendResponse { items: Vec::new(), ..whole.clone() }.encode_to_vec());
        assert_eq!(bytes, whole.encode_to_vec());
    }
}
