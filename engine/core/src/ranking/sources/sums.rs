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

/// Empties the sums into the candidates: those that are there already get theirs, and the best `most` others are added. Items that
/// may not be named are passed over, as is everything where the source may not speak.
pub(super) fn offer(
    query: &Query<'_>,
    kind: SourceKind,
    most: usize,
    (sums, touched, ranked): (&mut [f32], &mut Vec<ItemId>, &mut Vec<(f32, ItemId)>),
    may_name: impl Fn(ItemId) -> bool,
    into: &mut CandidateSet,
) {
    ranked.clear();
    for item in touched.drain(..) {
        let sum = sums.get_mut(item.position()).map(std::mem::take).unwrap_or_default();
        if !query.sources.holds(kind) || !may_name(item) {
            continue;
        }
        match into.get_mut(item) {
            Some(candidate) => candidate.set_part(kind, sum),
            None => ranked.push((sum, item)),
        }
    }
    let catalogue = query.state.catalogue();
    let best_first = |a: &(f32, ItemId), b: &(f32, ItemId)| b.0.total_cmp(&a.0).then_with(|| catalogue.by_name(a.1, b.1));
    if ranked.len() > most {
        ranked.select_nth_unstable_by(most, best_first);
        ranked.truncate(most);
    }
    ranked.iter().for_each(|(sum, item)| into.add(*item, kind, *sum));
}
