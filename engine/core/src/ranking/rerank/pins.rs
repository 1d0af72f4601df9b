//! Pins: items at places. A pin gives way to every firm filter, and is counted then.

use crate::{
    ids::ItemId,
    ranking::{
        candidate::{Candidate, CandidateSet, Placed},
        query::Query,
    },
};

/// A pin that this page has a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) item: ItemId,
    position: u16, // from 1
}

/// The pins of this page and how many have no chance on it: an item that nothing has named, a place beyond the page, or one that
/// an earlier pin has. Pins are for first pages: later ones would repeat or move them.
pub(crate) fn due(query: &Query<'_>) -> (Vec<Due>, usize) {
    let mut due: Vec<Due> = Vec::new();
    if !query.served.is_empty() {
        return (due, 0);
    }
    for pin in &query.rules.pins {
        let position = pin.what.position.get();
        let Some(item) = query.state.catalogue().item(query.bu, &pin.what.item) else { continue };
        let is_free = due.iter().all(|other| other.item != item && other.position != position);
        if is_free && usize::from(position) <= query.wanted {
            due.push(Due { item, position });
        }
    }
    let without_chance = query.rules.pins.len() - due.len();
    (due, without_chance)
}

/// Makes the pins candidates, so that filters see and account for them and the scorer scores them.
pub(crate) fn offer(due: &[Due], candidates: &mut CandidateSet) {
    for pin in due {
        _ = candidates.entry(pin.item);
    }
}

/// Pins of `due` that filters left among the candidates, with their places.
pub(super) fn pinned(query: &Query<'_>, candidates: &[Candidate]) -> Vec<Candidate> {
    let (due, _) = due(query);
    let with_place = |pin: &Due| {
        let candidate = candidates.iter().find(|candidate| candidate.item == pin.item)?;
        Some(Candidate { placed: Some(Placed::Pinned { position: pin.position }), ..*candidate })
    };
    due.iter().filter_map(with_place).collect()
}
