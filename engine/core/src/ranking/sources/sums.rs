//! Sums by item, and the best of them as candidates: what several sources share.

use std::cmp::Ordering;

use crate::{
    ids::ItemId,
    ranking::{by_number::ByNumber, candidate::CandidateSet, filters::is_wanted, query::Query, source_kind::SourceKind},
};

/// Sums of values that are not below 0; all 0 between uses.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    sums: ByNumber<f32>,
    order: Vec<u64>,
}

impl Sums {
    /// Adds to an item's sum.
    pub(super) fn add(&mut self, item: ItemId, value: f32) {
        if let Some(sum) = self.sums.entry(item.number()) {
            *sum += value;
        }
    }

    /// Empties the sums into the candidates: those that are there already get theirs, and the best `most` others are added. Items of
    /// other units, those that may not be named and those that the request rules out are passed over; only the best are asked for that.
    /// Nothing is offered where the source may not speak.
    pub(super) fn offer(
        &mut self,
        query: &Query<'_>,
        kind: SourceKind,
        most: usize,
        may_name: impl Fn(ItemId) -> bool,
        into: &mut CandidateSet,
    ) {
        let Self { sums, order } = self;
        let (catalogue, speaks) = (query.state.catalogue(), query.sources.holds(kind));
        for candidate in into.as_mut_slice() {
            let sum = sums.get_mut(candidate.item.number()).map(std::mem::take).unwrap_or_default();
            if sum > 0.0 && speaks && may_name(candidate.item) {
                candidate.set_part(kind, sum);
            }
        }
        order.clear();
        sums.drain(|item, sum| {
            if sum > 0.0 {
                order.push(key(sum, ItemId::new(item)));
            }
        });
        let (mut rest, mut left) = (order.as_mut_slice(), if speaks { most } else { 0 });
        while left > 0 && !rest.is_empty() {
            let (best, others) = split_best(rest, left, |a, b| catalogue.by_name(item_of(a), item_of(b)));
            catalogue.fetch(best.iter().map(|key| item_of(*key)));
            for key in best {
                let item = item_of(*key);
                if may_name(item) && catalogue.bu_of(item) == Some(query.bu) && is_wanted(query, item) {
                    into.add(item, kind, f32::from_bits(!(*key >> 32) as u32));
                    left -= 1;
                }
            }
            rest = others;
        }
    }
}

/// A number that is the smaller the larger the sum, which is not below 0, with the item in its lower half.
fn key(sum: f32, item: ItemId) -> u64 {
    u64::from(!sum.to_bits()) << 32 | u64::from(item.number())
}

const fn item_of(key: u64) -> ItemId {
    ItemId::new(key as u32)
}

/// Splits the `count` best off, in no order; `by_name` decides between equal sums, as it does the same on every replica.
fn split_best(keys: &mut [u64], count: usize, by_name: impl Fn(u64, u64) -> Ordering) -> (&[u64], &mut [u64]) {
    let count = count.min(keys.len());
    if 0 < count && count < keys.len() {
        let (_, last, others) = keys.select_nth_unstable(count - 1); // whole numbers: three times as fast as floats with names
        let edge = *last >> 32;
        if others.iter().fold(false, |is_tied, key| is_tied | (key >> 32 == edge)) {
            let better = partition(keys, |key| key >> 32 < edge);
            let rest = keys.get_mut(better..).unwrap_or_default();
            let equal = partition(rest, |key| key >> 32 == edge);
            let wanted = count - better;
            if let Some(equal) = rest.get_mut(..equal).filter(|equal| wanted < equal.len()) {
                equal.select_nth_unstable_by(wanted, |a, b| by_name(*a, *b));
            }
        }
    }
    let (best, rest) = keys.split_at_mut_checked(count).unwrap_or_default();
    (best, rest)
}

/// Puts those that `is_first` in front; how many there are.
fn partition(keys: &mut [u64], is_first: impl Fn(u64) -> bool) -> usize {
    let mut first = 0;
    for at in 0..keys.len() {
        if keys.get(at).is_some_and(|key| is_first(*key)) {
            keys.swap(first, at);
            first += 1;
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_by_sum_and_the_first_by_name_of_equal_ones() {
        let sums = [0.5, 2.0, 0.5, 1e-9, 7.0, 0.5, 0.5, 3.0];
        // Names are against the order of numbers.
        let by_name = |a: u64, b: u64| item_of(b).cmp(&item_of(a));
        let expected = [4, 7, 1, 6, 5, 2, 0, 3];
        for count in 0..=expected.len() + 1 {
            let mut keys: Vec<u64> = sums.iter().zip(0..).map(|(sum, n)| key(*sum, ItemId::new(n))).collect();
            let (best, rest) = split_best(&mut keys, count, by_name);
            let mut found: Vec<u32> = best.iter().map(|key| item_of(*key).number()).collect();
            let mut wanted = expected.iter().copied().take(count).collect::<Vec<_>>();
            assert_eq!(best.len() + rest.len(), sums.len());
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "of {count}");
        }
    }

    #[test]
    fn keys_hold_what_they_were_made_of() {
        for sum in [1e-30, 0.25, 1.0, 3.0, 1e30] {
            let key = key(sum, ItemId::new(77));
            assert_eq!((f32::from_bits(!(key >> 32) as u32), item_of(key)), (sum, ItemId::new(77)));
        }
    }
}
