//! What a Recommend asks.

use std::hash::BuildHasher as _;

use faces_core::{
    event::EventKind,
    ids::{BuId, ItemId},
    key::SourceKey,
    ranking::Condition,
};
use foldhash::fast::FixedState;

use super::deadline::Due;
use crate::{clock, engine::Ask, overload::remembered::Question};

/// A request for a slate in the engine's terms.
pub(super) struct Asked {
    pub(super) keys: Vec<SourceKey>,
    pub(super) wanted: usize,
    pub(super) bu: BuId,
    pub(super) placement: String,
    pub(super) context: Vec<(ItemId, EventKind)>,
    pub(super) condition: Option<Condition>,
    pub(super) filter_hash: u64,
    pub(super) region: Option<String>,
    pub(super) question: u64,
    pub(super) served: Vec<u64>,
    pub(super) suppress_owned: Option<bool>,
    /// Of somebody who was ranked anew too often to be so again now.
    pub(super) is_flood: bool,
    pub(super) explain: bool,
}

impl Asked {
    pub(super) fn ask(&self, due: Due) -> Ask<'_> {
        Ask {
            wanted: self.wanted,
            placement: Some(&self.placement),
            context: &self.context,
            condition: self.condition.as_ref(),
            region: self.region.as_deref(),
            served: &self.served,
            suppress_owned: self.suppress_owned,
            explain: self.explain,
            deadline: Some(due.instant()),
            ..Ask::new(&self.keys, self.bu, clock::now())
        }
    }

    /// What a ranking hangs on: all that the request says, but for how many it wants, where they are shown and whether they are explained.
    /// Later pages are ranked anew.
    pub(super) fn question_of_first_page(&self) -> Option<Question> {
        let context: Vec<(ItemId, u8)> = self.context.iter().map(|(item, kind)| (*item, *kind as u8)).collect();
        let all = (self.question, &self.region, self.filter_hash, self.suppress_owned, context);
        self.served.is_empty().then(|| Question(FixedState::default().hash_one(all)))
    }
}
