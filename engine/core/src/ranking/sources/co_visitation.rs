//! What people took together with the person's items: Σ weight · strength over the neighbours of each signal.
//!
//! Cost: neighbours per item × signals additions into a dense table, then a partial sort of what was touched.

use crate::{
    ids::ItemId,
    ranking::{
        candidate::CandidateSet,
        query::{Query, Scratch},
        stage::{Source, SourceKind},
    },
};

/// Retrieval by co-visitation.
#[derive(Debug)]
pub struct CoVisitation {
    /// Candidates added at most; others that are already there get their sum too.
    pub candidates_max: usize,
}

impl Source for CoVisitation {
    fn kind(&self) -> SourceKind {
        SourceKind::CoVisitation
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let Some(model) = query.model else { return };
        let (sums, touched) = (&mut scratch.sums, &mut scratch.touched);
        for signal in query.signals {
            model.co_visited(signal.item, query.bu, &mut |item, strength| add(sums, touched, item, signal.weight * strength));
        }
        scratch.ranked.clear();
        for item in touched.drain(..) {
            let sum = sums.get_mut(item.position()).map(std::mem::take).unwrap_or_default();
            match into.get_mut(item) {
                Some(candidate) => candidate.set_part(SourceKind::CoVisitation, sum),
                None => scratch.ranked.push((sum, item)),
            }
        }
        let catalogue = query.state.catalogue();
        let best_first = |a: &(f32, ItemId), b: &(f32, ItemId)| b.0.total_cmp(&a.0).then_with(|| catalogue.by_name(a.1, b.1));
        if scratch.ranked.len() > self.candidates_max {
            scratch.ranked.select_nth_unstable_by(self.candidates_max, best_first);
            scratch.ranked.truncate(self.candidates_max);
        }
        for (sum, item) in &scratch.ranked {
            into.add(*item, SourceKind::CoVisitation, *sum);
        }
    }
}

fn add(sums: &mut Vec<f32>, touched: &mut Vec<ItemId>, item: ItemId, value: f32) {
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
