//! What is taken together with the person's items these days, counted by the events themselves ([`crate::neighbours`]).
//!
//! Three sums, because they are worth differently to different people: over all of the person's items in the unit, over the last
//! few, and over what was done in other units. Cost: a row of at most 64 for each of [`SIGNALS_MAX`] items; for those of other units
//! a look at [`TAKERS_MAX_IN_ALL`] people.

use super::sums::{add, offer};
use crate::{
    neighbours::Fade,
    ranking::{
        candidate::CandidateSet,
        query::{Query, Scratch},
        source_set::SourceSet,
        stage::{Source, SourceKind},
    },
};

/// Items of the person looked at.
const SIGNALS_MAX: usize = 16;
/// What the next older item weighs among the last few.
const LATEST_FADE: f32 = 0.5;
const LATEST_PLACES: u8 = 4;
/// Takers of items of other units whose other lines are looked at: of one item, and of all.
const TAKERS_MAX: usize = 64;
const TAKERS_MAX_IN_ALL: usize = 128;
/// By how many days an item of such a line counts half, and what it counts at least.
const HALF_LIFE_DAYS: f32 = 180.0;
const FADED_MIN: f32 = 0.01;
/// Takes of an item that are believed to have led nowhere.
const SHRINK: f32 = 2.0;

/// Retrieval by live transitions.
#[derive(Debug)]
pub struct Together {
    candidates_max: usize,
    fade: Fade,
}

impl Together {
    /// Each sum adds at most `candidates_max` candidates.
    #[must_use]
    pub fn new(candidates_max: usize) -> Self {
        Self { candidates_max, fade: Fade::new(HALF_LIFE_DAYS, FADED_MIN) }
    }
}

impl Source for Together {
    fn kind(&self) -> SourceKind {
        SourceKind::Together
    }

    fn kinds(&self) -> SourceSet {
        let kinds = [SourceKind::Together, SourceKind::Latest, SourceKind::Elsewhere];
        kinds.into_iter().fold(SourceSet::NONE, |set, kind| set.with(SourceSet::of(kind)))
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let neighbours = query.state.neighbours();
        let Scratch { sums, touched, order, .. } = scratch;
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
            offer(query, kind, self.candidates_max, (sums, touched, order), |item| neighbours.may_name(item), into);
        };
        sum(SourceKind::Together, &|signal| if signal.is_elsewhere { 0.0 } else { signal.weight });
        sum(SourceKind::Latest, &|signal| {
            if signal.place < LATEST_PLACES && !signal.is_elsewhere { LATEST_FADE.powi(i32::from(signal.place)) } else { 0.0 }
        });
        self.elsewhere(query, scratch, into);
    }
}

impl Together {
    /// What those who took the person's items of other units take here: counted when asked, around the rings, so that it holds for
    /// the links that stand now.
    fn elsewhere(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let neighbours = query.state.neighbours();
        let Scratch { sums, touched, order, .. } = scratch;
        let elsewhere = || query.signals.iter().filter(|signal| signal.is_elsewhere).take(SIGNALS_MAX);
        let most = (TAKERS_MAX_IN_ALL / elsewhere().count().max(1)).min(TAKERS_MAX);
        for signal in elsewhere() {
            let takers = neighbours.taker_count(signal.item).min(most);
            let weight = signal.weight / (takers as f32 + SHRINK);
            let mut left = most;
            neighbours.takers(signal.item, |line| {
                if left == 0 || query.profile.lines.contains(&line) {
                    return;
                }
                left -= 1;
                for other in neighbours.others(line) {
                    neighbours.faded(other, query.now, &self.fade, |item, faded| add(sums, touched, item, weight * faded));
                }
            });
        }
        offer(query, SourceKind::Elsewhere, self.candidates_max, (sums, touched, order), |item| neighbours.may_name(item), into);
    }
}
