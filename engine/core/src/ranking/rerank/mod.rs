//! Re-ranking: from sorted candidates to a slate, under the rules of the business. One file per component.
//!
//! In this order: boosts and burials change scores and order (`adjust`); pins take their places (`pins`); diversity reorders the best
//! of the rest (`diversity`); caps decide who of them stands (`caps`); some places go to new items by chance (`explore`). What is
//! never shown is a filter ([`Hidden`]), so that no other component can bring it back.
//!
//! Pins and explored items count against caps. Without rules, the slate is the best of what is sorted, under the configured cap by
//! category.

mod adjust;
mod caps;
mod diversity;
mod explore;
mod hidden;
pub(crate) mod pins;
#[cfg(test)]
mod tests;

use self::caps::{Caps, Walk};
pub use self::hidden::Hidden;
use crate::ranking::{
    candidate::{Candidate, Placed},
    query::Query,
    rules::{Pin, Rule, Seen, Share},
    stage::Selector,
};

/// The selector: all components in a row.
#[derive(Clone, Copy, Debug)]
pub struct Rerank {
    /// Largest share of a slate that one category may hold, where no rule says otherwise; `None`: no such cap.
    pub category_share_max: Option<Share>,
}

impl Selector for Rerank {
    fn select(&self, query: &Query<'_>, sorted: &[Candidate], slate: &mut Vec<Candidate>) -> bool {
        let adjust::Adjusted { mut candidates, mut unburied } = adjust::adjusted(query, sorted);
        let pinned = pins::pinned(query, &candidates);
        if !pinned.is_empty() {
            let is_pinned = |candidate: &Candidate| pinned.iter().any(|pin| pin.item == candidate.item);
            unburied -= candidates.iter().take(unburied).filter(|candidate| is_pinned(candidate)).count();
            candidates.to_mut().retain(|candidate| !is_pinned(candidate));
        }
        if let (Some(rule), Some(model)) = (query.rules.diversity, query.model) {
            let best = candidates.to_mut().get_mut(..unburied).unwrap_or_default();
            diversity::diversify(model, rule.what.lambda, query.wanted, best);
        }
        let free = query.wanted.saturating_sub(pinned.len());
        let mut walk = Walk::new(&candidates, Caps::of(query, self.category_share_max));
        walk.count(&pinned);
        let to_explore = explore::places(query, free);
        walk.choose(free - to_explore, &[]);
        let explored = match to_explore {
            0 => Vec::new(),
            places => {
                let (ahead, caps) = walk.ahead(unburied);
                explore::draw(query, ahead, caps, places, &pinned)
            }
        };
        walk.count(&explored);
        let by_score = free - explored.len();
        walk.choose(by_score, &explored);
        let holds = query.rules.caps.is_empty() || walk.holds(by_score);
        slate.extend(walk.finish(by_score));
        place(slate, pinned.into_iter().chain(explored).collect());
        holds && slate.len() >= query.wanted
    }
}

/// Puts what has a place there.
fn place(slate: &mut Vec<Candidate>, placed: Vec<Candidate>) {
    let places = slate.len() + placed.len();
    let place = |candidate: &Candidate| usize::from(candidate.position().unwrap_or(u16::MAX));
    // On a short slate, a place beyond its end is the end.
    let (mut within, beyond): (Vec<_>, Vec<_>) = placed.into_iter().partition(|candidate| place(candidate) <= places);
    slate.extend(beyond);
    // From the top, so that nothing moves what stands already. The places differ, so each is reached.
    within.sort_unstable_by_key(place);
    for candidate in within {
        slate.insert(place(&candidate).saturating_sub(1).min(slate.len()), candidate);
    }
}

/// Names of the rules that gave an item its score or its place. Diversity and caps concern a whole slate, so they are not among them.
#[must_use]
pub(crate) fn rules_behind(query: &Query<'_>, candidate: &Candidate) -> Vec<Box<str>> {
    let (rules, seen) = (&query.rules, Seen::new(query.state.catalogue(), candidate.item));
    let mut names = Vec::new();
    match candidate.placed {
        Some(Placed::Pinned { position }) => {
            let id = query.state.catalogue().item_name(candidate.item);
            let is_it = |pin: &&&Rule<Pin>| pin.what.position.get() == position && Some(&*pin.what.item) == id;
            names.extend(rules.pins.iter().find(is_it).map(|rule| rule.name.clone()));
        }
        Some(Placed::Explored { .. }) => names.extend(rules.explore.iter().map(|(rule, _)| rule.name.clone())),
        None => {}
    }
    names.extend(rules.boosts.iter().filter(|rule| rule.what.items.holds(&seen)).map(|rule| rule.name.clone()));
    names.extend(rules.burials.iter().filter(|rule| rule.what.holds(&seen)).map(|rule| rule.name.clone()));
    names
}
