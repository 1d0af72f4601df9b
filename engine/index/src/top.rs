//! The k best of a stream of scored ids, in one order that every search shares: score first, then the smaller id.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A score and an id packed so that comparing numbers compares scores (as `total_cmp` does), then prefers smaller ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

impl Key {
    #[inline]
    pub(crate) fn new(score: f32, id: u32) -> Self {
        let bits = score.to_bits();
        // Flips negative numbers around and puts positive ones above them.
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Self(u64::from(ordered) << 32 | u64::from(!id))
    }

    #[inline]
    pub(crate) fn score(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    }

    #[inline]
    pub(crate) fn id(self) -> u32 {
        !(self.0 as u32)
    }
}

/// Keeps the `limit` largest keys pushed. Reused from query to query without giving its memory back.
#[derive(Debug, Default)]
pub(crate) struct Top {
    heap: BinaryHeap<Reverse<Key>>,
    limit: usize,
}

impl Top {
    /// Forgets everything; keeps `limit` keys from now on.
    pub(crate) fn reset(&mut self, limit: usize) {
        self.heap.clear();
        self.limit = limit;
    }

    /// Whether `key` would be kept.
    #[inline]
    pub(crate) fn admits(&self, key: Key) -> bool {
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|worst| key > worst.0)
    }

    /// The smallest key kept, once there are `limit` of them.
    #[inline]
    pub(crate) fn worst(&self) -> Option<Key> {
        let worst = self.heap.peek().map(|worst| worst.0);
        worst.filter(|_| self.heap.len() >= self.limit)
    }

    /// Keeps `key` if it is among the largest so far. Logarithmic in `limit`.
    #[inline]
    pub(crate) fn push(&mut self, key: Key) {
        if self.heap.len() < self.limit {
            self.heap.push(Reverse(key));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && key > worst.0
        {
            *worst = Reverse(key);
        }
    }

    /// The kept keys, in no order.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Key> + '_ {
        self.heap.iter().map(|kept| kept.0)
    }

    /// Moves the kept keys to `sorted`, largest first; `sorted` is cleared first.
    pub(crate) fn drain_into(&mut self, sorted: &mut Vec<Key>) {
        sorted.clear();
        sorted.extend(self.heap.drain().map(|kept| kept.0));
        sorted.sort_unstable_by_key(|key| Reverse(*key));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_order_by_score_then_smaller_id(left: f32, left_id: u32, right: f32, right_id: u32) {
            let (left_key, right_key) = (Key::new(left, left_id), Key::new(right, right_id));
            prop_assert_eq!(left_key.cmp(&right_key), left.total_cmp(&right).then(right_id.cmp(&left_id)));
            prop_assert_eq!((left_key.score().to_bits(), left_key.id()), (left.to_bits(), left_id));
        }

        #[test]
        fn keeps_what_sorting_would(scores in prop::collection::vec(-9i8..9, 0..80), limit in 0usize..20) {
            let mut keys: Vec<Key> = scores.iter().zip(0..).map(|(score, id)| Key::new(f32::from(*score), id)).collect();
            let mut top = Top::default();
            top.reset(limit);
            for key in &keys {
                let admitted = top.admits(*key);
                let before = top.heap.len();
                top.push(*key);
                prop_assert!(admitted || top.heap.len() == before);
            }
            let mut kept = vec![Key::new(0.0, 0)];
            top.drain_into(&mut kept);
            keys.sort_unstable_by_key(|key| Reverse(*key));
            keys.truncate(limit);
            prop_assert_eq!(kept, keys);
        }
    }
}
