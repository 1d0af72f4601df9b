//! The memory that the stages of a request share.

use crate::{
    ids::ItemId,
    neighbours::LineId,
    ranking::{
        candidate::Candidate,
        features::Features,
        sources::{Alike, Likeness, Sums},
        tastes::Tastes,
    },
};

/// Memory that requests of one thread share, so that none is allocated per request.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) vector: Vec<f32>,
    pub(crate) sums: Sums,
    pub(crate) latest: Sums,
    pub(crate) ranked: Vec<(f32, ItemId)>,
    pub(crate) items: Vec<ItemId>,
    pub(crate) cosines: Vec<f32>,
    pub(crate) likeness: Likeness,
    pub(crate) alike: Vec<Alike>,
    pub(crate) given: Vec<(LineId, f32)>,
    pub(crate) tastes: Tastes,
    pub(crate) ahead: Ahead,
    pub(crate) features: Features,
    pub(crate) scores: Vec<f32>,
    pub(crate) order: Vec<u64>, // how good in the upper half, which it is in the lower
    pub(crate) sorted: Vec<Candidate>,
}

impl Scratch {
    /// All that the last slate was chosen from, best first, as the scorer had it: before rules changed a score or gave a place.
    #[must_use]
    pub fn sorted(&self) -> &[Candidate] {
        &self.sorted
    }
}

/// What was retrieved for the requests of a batch together, before each went its way.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// Place of the present request in the batch; `None` outside batches.
    pub(crate) place: Option<usize>,
    /// Interests, one after the other; empty for a person without one.
    pub(crate) vectors: Vec<Vec<f32>>,
    /// Items near the interests.
    pub(crate) found: Vec<Vec<ItemId>>,
}

impl Ahead {
    /// The interests of the present request; `None` if nothing was retrieved ahead.
    pub(crate) fn vectors(&self) -> Option<&Vec<f32>> {
        self.vectors.get(self.place?)
    }

    /// The items near the interests of the present request; `None` if nothing was retrieved ahead.
    pub(crate) fn found(&self) -> Option<&Vec<ItemId>> {
        self.found.get(self.place?)
    }
}
