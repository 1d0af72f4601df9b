//! Caps: how much of a slate one category, one brand or one group of items may hold.
//!
//! A cap decides who stands on the slate, not where. What caps held back fills up when nothing else is left.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    ids::ItemId,
    ranking::{
        candidate::Candidate,
        query::Query,
        rules::{Cap, CapBy, Matcher, Rule, Seen, Share},
    },
};

/// Counts what is taken under every cap in force.
#[derive(Clone)]
pub(super) struct Caps<'q> {
    query: &'q Query<'q>,
    limits: Vec<Limit<'q>>,
}

#[derive(Clone)]
struct Limit<'q> {
    by: By<'q>,
    places: usize,
    taken: HashMap<u64, usize, foldhash::fast::RandomState>,
}

#[derive(Clone, Copy)]
enum By<'q> {
    Category,
    Brand,
    Items(&'q Matcher),
}

impl<'q> Caps<'q> {
    /// The caps of rules and, unless a rule has another by category, the configured one.
    pub(super) fn of(query: &'q Query<'q>, category_share_max: Option<Share>) -> Self {
        let limit = |by, share: Share| Limit { by, places: share.at_most(query.wanted), taken: HashMap::default() };
        let of_rule = |cap: &&'q Rule<Cap>| {
            let by = match &cap.what.by {
                CapBy::Category => By::Category,
                CapBy::Brand => By::Brand,
                CapBy::Items(matcher) => By::Items(matcher),
            };
            limit(by, cap.what.share_max)
        };
        let mut limits: Vec<_> = query.rules.caps.iter().map(of_rule).collect();
        if !limits.iter().any(|limit| matches!(limit.by, By::Category)) {
            limits.extend(category_share_max.map(|share| limit(By::Category, share)));
        }
        limits.retain(|limit| limit.places < query.wanted); // the others never bind
        Self { query, limits }
    }

    /// Whether no cap can hold anything back.
    pub(super) const fn are_off(&self) -> bool {
        self.limits.is_empty()
    }

    /// Counts an item that stands whatever caps say.
    pub(super) fn count(&mut self, item: ItemId) {
        let seen = Seen::new(self.query.state.catalogue(), item);
        for limit in &mut self.limits {
            if let Some(group) = limit.by.group(self.query, item, &seen) {
                *limit.taken.entry(group).or_default() += 1;
            }
        }
    }

    /// Counts an item if every cap has room for it.
    pub(super) fn take(&mut self, item: ItemId) -> bool {
        let seen = Seen::new(self.query.state.catalogue(), item);
        let is_full = |limit: &Limit<'_>| {
            let group = limit.by.group(self.query, item, &seen);
            group.is_some_and(|group| limit.taken.get(&group).is_some_and(|taken| *taken >= limit.places))
        };
        if self.limits.iter().any(is_full) {
            return false;
        }
        self.count(item);
        true
    }
}

impl By<'_> {
    /// Which group of the cap the item belongs to.
    fn group(self, query: &Query<'_>, item: ItemId, seen: &Seen<'_>) -> Option<u64> {
        match self {
            Self::Category => query.state.catalogue().category(item).map(|category| u64::from(category.0)),
            Self::Brand => Some(seen.attributes().brand.as_bytes()).filter(|brand| !brand.is_empty()).map(xxh3_64),
            Self::Items(matcher) => matcher.holds(seen).then_some(0),
        }
    }
}

/// A walk over candidates, best first, that takes what caps allow.
pub(super) struct Walk<'c, 'q> {
    candidates: &'c [Candidate],
    caps: Caps<'q>,
    next: usize,
    chosen: Vec<usize>,
    held_back: Vec<usize>,
}

impl<'c, 'q> Walk<'c, 'q> {
    pub(super) const fn new(candidates: &'c [Candidate], caps: Caps<'q>) -> Self {
        Self { candidates, caps, next: 0, chosen: Vec::new(), held_back: Vec::new() }
    }

    /// Goes on until `count` are chosen, passing over those in `elsewhere`.
    pub(super) fn choose(&mut self, count: usize, elsewhere: &[Candidate]) {
        while self.chosen.len() < count {
            let Some(candidate) = self.candidates.get(self.next) else { return };
            if elsewhere.iter().any(|other| other.item == candidate.item) {
                // It has a place already.
            } else if self.caps.take(candidate.item) {
                self.chosen.push(self.next);
            } else {
                self.held_back.push(self.next);
            }
            self.next += 1;
        }
    }

    /// Candidates before place `end` that the walk has not come to, and the caps as they stand.
    pub(super) fn ahead(&self, end: usize) -> (&'c [Candidate], Caps<'q>) {
        (self.candidates.get(self.next..end).unwrap_or_default(), self.caps.clone())
    }

    /// Counts candidates that stand on the slate otherwise.
    pub(super) fn count(&mut self, elsewhere: &[Candidate]) {
        elsewhere.iter().for_each(|candidate| self.caps.count(candidate.item));
    }

    /// Whether `count` were chosen, with nothing of what was held back.
    pub(super) const fn holds(&self, count: usize) -> bool {
        self.chosen.len() >= count
    }

    /// What was chosen, in its order, filled up to `count` from what was held back.
    pub(super) fn finish(mut self, count: usize) -> impl Iterator<Item = Candidate> + use<'c> {
        let missing = count.saturating_sub(self.chosen.len());
        self.chosen.extend(self.held_back.into_iter().take(missing));
        self.chosen.sort_unstable(); // what was held back goes back to its place
        let candidates = self.candidates;
        self.chosen.into_iter().filter_map(|n| candidates.get(n).copied())
    }
}
