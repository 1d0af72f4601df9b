//! What is taken together with the person's items these days, counted by the events themselves ([`crate::neighbours`]).
//!
//! Three sums, because they are worth differently to different people: over all of the person's items in the unit, over the last
//! few, and over what was done in other units. Cost: a row of at most 64 for each of [`SIGNALS_MAX`] items.

use super::sums::{add, offer};
use crate::ranking::{
    candidate::CandidateSet,
    query::{Query, Scratch},
    stage::{Source, SourceKind},
};

/// Items of the person looked at.
const SIGNALS_MAX: usize = 24;
/// What the next older item weighs among the last few.
const LATEST_FADE: f32 = 0.5;
const LATEST_PLACES: u8 = 4;
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

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let neighbours = query.state.neighbours();
        let Scratch { sums, touched, ranked, .. } = scratch;
        let mut sum = |kind: SourceKind, weight_of: &dyn Fn(&crate::ranking::Signal) -> f32| {
            for signal in query.signals.iter().take(SIGNALS_MAX) {
                let weight = weight_of(signal);
                if weight > 0.0 {
                    neighbours.together(signal.item, query.bu, SHRINK, |item, share| {
                        if item != signal.item {
                            add(sums, touched, item, weight * share);
                        }
                    });
                }
            }
            offer(query, kind, self.candidates_max, (sums, touched, ranked), into);
        };
        sum(SourceKind::Together, &|signal| if signal.is_elsewhere { 0.0 } else { signal.weight });
        sum(SourceKind::Latest, &|signal| {
            if signal.place < LATEST_PLACES && !signal.is_elsewhere { LATEST_FADE.powi(i32::from(signal.place)) } else { 0.0 }
        });
        sum(SourceKind::Elsewhere, &|signal| if signal.is_elsewhere { signal.weight } else { 0.0 });
    }
}
