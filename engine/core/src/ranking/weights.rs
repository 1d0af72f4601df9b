//! Weights by key in a short list: faster than a map for the few categories that a person's items have.

/// Adds to the weight of a key, new if need be. Cost: a walk over the list.
pub(crate) fn add<Key: PartialEq>(weights: &mut Vec<(Key, f32)>, key: Key, weight: f32) {
    match weights.iter_mut().find(|(held, _)| *held == key) {
        Some((_, held)) => *held += weight,
        None => weights.push((key, weight)),
    }
}
