//! Sums by item in a dense table, and the best of them as candidates: what several sources share.

use crate::{
    ids::ItemId,
    ranking::{candidate::CandidateSet, query::Query, stage::SourceKind},
};

/// Adds to an item's sum; notes the item when it is the first.
pub(super) fn add(sums: &mut Vec<f32>, touched: &mut Vec<ItemId>, item: ItemId, value: f32) {
    let position = item.position();
    if position >= sums.len() {
        sums.resize(position + 1 + position / 8, 0.0);
    }
    if let Some(sum) = sums.get_mut(position) {
        if *sum == 0.0 {
            touched.push(item);
        }
        *sum += value;
    }
}

/// Empties the sums into the candidates: those that are there already get theirs, and the best `most` others are added. Items of
/// other units, and those that may not be named, are passed over; only the best are asked for that. Nothing
/// is offered where the source may not speak.
pub(super) fn offer(
    query: &Query<'_>,
    kind: SourceKind,
    most: usize,
    (sums, touched, ranked): (&mut [f32], &mut Vec<ItemId>, &mut Vec<(f32, ItemId)>),
    may_name: impl Fn(ItemId) -> bool,
    into: &mut CandidateSet,
) {
    let most = if query.sources.holds(kind) { most } else { 0 };
    let mut take = |item: ItemId| sums.get_mut(item.position()).map(std::mem::take).unwrap_or_default();
    for candidate in into.as_mut_slice() {
        let sum = take(candidate.item);
        if sum > 0.0 && query.sources.holds(kind) && may_name(candidate.item) {
            candidate.set_part(kind, sum);
        }
    }
    ranked.clear();
    ranked.extend(touched.drain(..).map(|item| (take(item), item)).filter(|(sum, _)| *sum > 0.0));
    let catalogue = query.state.catalogue();
    let best_first = |a: &(f32, ItemId), b: &(f32, ItemId)| b.0.total_cmp(&a.0).then_with(|| catalogue.by_name(a.1, b.1));
    let (mut rest, mut left) = (ranked.as_mut_slice(), most);
    while left > 0 && !rest.is_empty() {
        let count = left.min(rest.len());
        if count < rest.len() {
            rest.select_nth_unstable_by(count, best_first);
        }
        let (best, others) = rest.split_at_mut_checked(count).unwrap_or_default();
        for (sum, item) in best {
            if may_name(*item) && catalogue.bu_of(*item) == Some(query.bu) {
                into.add(*item, kind, *sum);
                left -= 1;
            }
        }
        rest = others;
    }
}
