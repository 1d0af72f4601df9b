//! What orders items like a given one: how alike they are, and demand between those that are equally so.
//!
//! `score = personal · (1 + lift · trend) + ε · trend`, where *personal* is how strongly people take an item with the given one (as of the
//! generation, and these days), its cosine to it, and likeness by content: what people do outweighs what the catalogue says. Rankers are trained for what a person takes
//! next, where what is hot is the best guess for anybody; who looks for something like this wants this.

use crate::ranking::{
    candidate::{Candidate, Score},
    query::Query,
    source_kind::SourceKind,
    sources::set_trends,
    stage::Scorer,
};

const CO_VISITED: f32 = 0.5;
const TOGETHER: f32 = 0.2;
const NEAR: f32 = 0.3;
const CONTENT: f32 = 0.15;
/// By how much the hottest item leads over one that nobody wants now.
const TREND_LIFT: f32 = 0.2;
/// Orders what is in no way like the given item.
const TREND_ALONE: f32 = 1e-3;

/// The scorer of similar items.
#[derive(Clone, Copy, Debug)]
pub struct Alike;

impl Scorer for Alike {
    fn score(&self, query: &Query<'_>, candidates: &mut [Candidate]) {
        set_trends(query, candidates);
        let best = |kind| candidates.iter().map(|candidate| candidate.part(kind)).fold(f32::MIN_POSITIVE, f32::max);
        let kinds = [SourceKind::CoVisitation, SourceKind::Together, SourceKind::Content];
        let bests = kinds.map(best);
        for candidate in candidates {
            let mut shares = kinds.map(|kind| candidate.part(kind));
            shares.iter_mut().zip(bests).for_each(|(share, best)| *share /= best);
            let [co_visited, together, content] = shares;
            let near = candidate.part(SourceKind::Interest).max(0.0);
            let personal = CO_VISITED * co_visited + TOGETHER * together + NEAR * near + CONTENT * content;
            let trend = candidate.part(SourceKind::Trending);
            candidate.score = Score::new(personal * (1.0 + TREND_LIFT * trend) + TREND_ALONE * trend);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::EventKind,
        ids::{EventId, EventTime, ItemId},
        key::{KeyKind, SourceKey},
        profile::Profile,
        ranking::query::Query,
        record::{Apply as _, Event, Record},
        state::State,
    };

    #[test]
    fn what_is_alike_comes_before_what_is_hot_and_demand_breaks_ties() {
        let state = State::default();
        let bu = state.catalogue().bu_or_new("shop").unwrap();
        let viewed = |who: u32, item: u32| {
            let (time, item_id) = (EventTime::from_millis(0), item.to_string());
            Record::Event(Event {
                source: SourceKey::new("shop", KeyKind::Account, &who.to_string()).unwrap(),
                bu: "shop".into(),
                id: EventId::from_content(time, "shop", &item_id, EventKind::View as u8, None),
                item_id: Some(item_id),
                kind: EventKind::View,
                time,
                value: None,
                region: None,
            })
        };
        for (item, viewers) in [10, 3, 0, 0, 0, 5].into_iter().enumerate() {
            state.catalogue().item_or_new(bu, &item.to_string()).unwrap();
            (0..viewers).for_each(|who| _ = state.apply(&viewed(who, item as u32)));
        }
        state.settle();
        let candidate = |number: u32, parts: &[(SourceKind, f32)]| {
            let mut candidate = Candidate::new(ItemId::new(number));
            parts.iter().for_each(|(kind, value)| candidate.set_part(*kind, *value));
            candidate
        };
        // No source of demand has spoken: most of what is alike is not among the hottest of the unit.
        let mut candidates = [
            candidate(0, &[]),
            candidate(1, &[]),
            candidate(2, &[(SourceKind::Together, 0.2)]),
            candidate(3, &[(SourceKind::CoVisitation, 4.0), (SourceKind::Interest, 0.9)]),
            candidate(4, &[(SourceKind::Content, 0.5)]),
            candidate(5, &[(SourceKind::Together, 0.2)]),
        ];
        let profile = Profile::default();
        let query = Query::new(&state, None, &profile, &[], bu, EventTime::from_millis(0));
        Alike.score(&query, &mut candidates);
        candidates.sort_by(|a, b| b.score.value().total_cmp(&a.score.value()));
        assert_eq!(candidates.map(|candidate| candidate.item.position()), [3, 5, 2, 4, 0, 1]);
    }
}
