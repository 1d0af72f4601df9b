//! What the person turned down speaks against what is like it. Retrieves nothing: it speaks of the candidates that are there.
//!
//! Turned down is what was disliked or sent back, and, half as much, what was shown several times of late and never touched since. Of a
//! candidate it says, from 0 to 1, the largest of
//!
//! - the share that turning down has of what the person did in the candidate's category: `down / (down + liked + 1)`, so that one
//!   dislike among many purchases says little;
//! - how much nearer the candidate's vector is to what was disliked or sent back than to the person's interest;
//! - of an item shown in vain itself: `shown / (shown + 2)`; of one disliked or sent back: 1.
//!
//! Cost: nothing for a person who turned nothing down; else a walk over what was shown and rejected, a few comparisons a candidate,
//! and one cosine a candidate where anything was rejected.

use crate::{
    ids::{CategoryId, ItemId},
    ranking::{candidate::CandidateSet, query::Query, scratch::Scratch, source_kind::SourceKind, stage::Source, weights},
};

/// Impressions without a touch from which an item counts as shown in vain.
const IN_VAIN_MIN: u32 = 3;
/// How far back impressions count, days.
const SHOWN_DAYS: f64 = 7.0;
/// What an item shown in vain weighs, in items turned down.
const IN_VAIN_WEIGHT: f32 = 0.5;
/// Rejected items looked at, the newest.
const REJECTED_MAX: usize = 16;
/// What the person is believed to have done in any category, in items liked.
const SHRINK: f32 = 1.0;

/// What speaks against candidates.
#[derive(Debug)]
pub struct TurnedDown;

impl Source for TurnedDown {
    fn kind(&self) -> SourceKind {
        SourceKind::TurnedDown
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let catalogue = query.state.catalogue();
        let mut in_vain = shown_in_vain(query);
        let rejected = || query.profile.rejected.iter().take(REJECTED_MAX).map(|behaviour| behaviour.item);
        if in_vain.is_empty() && query.profile.rejected.is_empty() {
            return;
        }
        let mut down: Vec<(CategoryId, f32)> = Vec::new();
        let mut add = |item: ItemId, weight: f32| {
            let category = catalogue.category(item).filter(|_| catalogue.bu_of(item) == Some(query.bu));
            category.into_iter().for_each(|category| weights::add(&mut down, category, weight));
        };
        rejected().for_each(|item| add(item, 1.0));
        in_vain.iter().for_each(|(item, _)| add(*item, IN_VAIN_WEIGHT));
        for (category, weight) in &mut down {
            let of_category = query.profile.taste.iter().filter(|b| catalogue.category(b.item) == Some(*category));
            let liked: f32 = of_category.map(|behaviour| behaviour.kind.strength()).sum();
            *weight /= *weight + liked + SHRINK;
        }
        in_vain.sort_unstable();
        for candidate in into.as_mut_slice() {
            let category = catalogue.category(candidate.item);
            let of_category = down.iter().find(|(held, _)| Some(*held) == category).map_or(0.0, |(_, share)| *share);
            let shown = in_vain.binary_search_by_key(&candidate.item, |(item, _)| *item).ok().and_then(|n| in_vain.get(n));
            let of_item = shown.map_or(0.0, |(_, shown)| *shown as f32 / (*shown as f32 + 2.0));
            candidate.set_part(SourceKind::TurnedDown, of_category.max(of_item));
        }
        rejected().for_each(|item| {
            if let Some(candidate) = into.get_mut(item) {
                candidate.set_part(SourceKind::TurnedDown, 1.0);
            }
        });
        compare_vectors(query, scratch, into, rejected());
    }
}

/// Items shown in vain of late, each once, with how often.
fn shown_in_vain(query: &Query<'_>) -> Vec<(ItemId, u32)> {
    let profile = query.profile;
    if profile.shown.len() < IN_VAIN_MIN as usize {
        return Vec::new();
    }
    let of_late = profile.shown.iter().filter(|behaviour| query.now.days_since(behaviour.time) < SHOWN_DAYS);
    let mut shown: Vec<_> = of_late.map(|behaviour| (behaviour.item, behaviour.time)).collect();
    shown.sort_unstable();
    let in_vain = shown.chunk_by(|a, b| a.0 == b.0).filter(|times| times.len() >= IN_VAIN_MIN as usize).filter_map(|times| {
        let (item, _) = times.first()?;
        let touched = profile.taste.iter().filter(|behaviour| behaviour.item == *item).map(|behaviour| behaviour.time).max();
        let since = times.iter().filter(|(_, time)| touched.is_none_or(|touched| *time > touched)).count() as u32;
        (since >= IN_VAIN_MIN).then_some((*item, since))
    });
    in_vain.collect()
}

/// Raises the part of what lies nearer to the rejected items than to the interest.
fn compare_vectors(query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet, rejected: impl Iterator<Item = ItemId>) {
    let Some(model) = query.model else { return };
    let Scratch { vector, items, cosines, .. } = scratch;
    vector.clear();
    vector.resize(model.dimension(), 0.0);
    let known = rejected.filter(|item| model.add_vector(*item, 1.0, vector)).count();
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if known == 0 || !(length.is_finite() && length > 1e-9) {
        return;
    }
    vector.iter_mut().for_each(|value| *value /= length);
    items.clear();
    items.extend(into.as_slice().iter().map(|candidate| candidate.item));
    model.cosines(query.bu, vector, items, cosines);
    for (candidate, cosine) in into.as_mut_slice().iter_mut().zip(&*cosines) {
        let nearer = cosine - candidate.part(SourceKind::Interest).max(0.0);
        let held = candidate.part(SourceKind::TurnedDown);
        candidate.set_part(SourceKind::TurnedDown, held.max(nearer).min(1.0));
    }
}
