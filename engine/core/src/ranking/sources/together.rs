//! What is taken together with the person's items these days, counted by the events themselves ([`crate::neighbours`]).
//!
//! Two sums, because they are worth differently to different people: over all of the person's items in the unit, and over the last
//! few. Cost: a row of at most 64 for each of [`SIGNALS_MAX`] items.

use crate::ranking::{
    candidate::CandidateSet, query::Query, scratch::Scratch, source_kind::SourceKind, source_set::SourceSet, stage::Source,
};

/// Items of the person looked at.
const SIGNALS_MAX: usize = 10;
/// What the next older item weighs among the last few.
const LATEST_FADE: f32 = 0.5;
const LATEST_PLACES: usize = 4; // of those
/// Takes of an item that are believed to have led nowhere.
const SHRINK: f32 = 2.0;

/// Retrieval by live transitions.
#[derive(Debug)]
pub struct Together {
    /// Candidates that each sum adds at most.
    pub candidates_max: usize,
}

impl Source for Together {
    fn kind(&self) -> SourceKind {
        SourceKind::Together
    }

    fn kinds(&self) -> SourceSet {
        SourceSet::of(SourceKind::Together).with(SourceSet::of(SourceKind::Latest))
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let neighbours = query.state.neighbours();
        let Scratch { sums, latest, .. } = scratch;
        let here = query.signals.iter().filter(|signal| !signal.is_elsewhere).take(SIGNALS_MAX);
        let mut weights = [(0.0, 0.0); SIGNALS_MAX]; // for the last few 0 past their end
        for ((place, signal), weights) in here.clone().enumerate().zip(&mut weights) {
            *weights = (signal.weight, if place < LATEST_PLACES { LATEST_FADE.powi(place as i32) } else { 0.0 });
        }
        neighbours.together(here.map(|signal| signal.item), query.bu, SHRINK, |place, item, share| {
            let (weight, fade) = weights.get(place).copied().unwrap_or_default();
            sums.add(item, weight * share);
            if fade > 0.0 {
                latest.add(item, fade * share);
            }
        });
        let may_name = |item| neighbours.may_name(item);
        sums.offer(query, SourceKind::Together, self.candidates_max, may_name, into);
        latest.offer(query, SourceKind::Latest, self.candidates_max, may_name, into);
    }
}
