//! What the person had or looked at before, in the asked unit: where people buy again, the best guess of all. Cost: a walk over the
//! person's signals.

use crate::ranking::{
    candidate::CandidateSet,
    query::{Query, Scratch},
    stage::{Source, SourceKind},
};

/// Retrieval of the person's own items.
#[derive(Debug)]
pub struct History;

impl Source for History {
    fn kind(&self) -> SourceKind {
        SourceKind::History
    }

    fn retrieve(&self, query: &Query<'_>, _scratch: &mut Scratch, into: &mut CandidateSet) {
        for signal in query.signals.iter().filter(|signal| !signal.is_elsewhere) {
            into.add(signal.item, SourceKind::History, signal.weight);
        }
    }
}
