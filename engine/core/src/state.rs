//! Everything the engine knows that came from the log: fragments, identity, catalogue, and what is derived from them.
//!
//! One writer applies records; any number of readers look on without waiting for it. Reads copy out: no guard leaves this module.

use std::{
    num::NonZeroU8,
    sync::atomic::{AtomicU64, Ordering},
};

use dashmap::DashMap;

use crate::{
    catalogue::{Catalogue, Changed, ItemChange},
    event::{Behaviour, EventKind},
    fragment::{Fragment, Inserted},
    identity::{IdentityGraph, Limits, Linked, Statement},
    ids::BuId,
    key::{KeyHash, SourceKey},
    profile::Profile,
    record::{Apply, EventView, Outcome, Writer},
    trends::Trends,
};

/// What the state may be told at its start.
#[derive(Clone, Copy, Debug)]
pub struct StateOptions {
    /// Half-life of what counts as trending, days.
    pub trend_half_life_days: f64,
    /// Half-life of what counts as popular (the last resort), days.
    pub popular_half_life_days: f64,
    /// Bounds on identity links.
    pub identity: Limits,
}

impl Default for StateOptions {
    fn default() -> Self {
        Self { trend_half_life_days: 7.0, popular_half_life_days: 180.0, identity: Limits::default() }
    }
}

/// Everything that came from the log.
#[derive(Debug)]
pub struct State {
    fragments: DashMap<KeyHash, Fragment, foldhash::fast::RandomState>,
    behaviours: AtomicU64,
    identity: IdentityGraph,
    catalogue: Catalogue,
    trending: Trends,
    popular: Trends,
}

impl Default for State {
    fn default() -> Self {
        Self::new(StateOptions::default())
    }
}

impl State {
    /// An empty state.
    #[must_use]
    pub fn new(options: StateOptions) -> Self {
        Self {
            fragments: DashMap::default(),
            behaviours: AtomicU64::new(0),
            identity: IdentityGraph::new(options.identity),
            catalogue: Catalogue::default(),
            trending: Trends::new(options.trend_half_life_days),
            popular: Trends::new(options.popular_half_life_days),
        }
    }

    /// Items and business units.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Who is who.
    #[must_use]
    pub const fn identity(&self) -> &IdentityGraph {
        &self.identity
    }

    /// What is wanted right now.
    #[must_use]
    pub const fn trending(&self) -> &Trends {
        &self.trending
    }

    /// What is wanted in the long run.
    #[must_use]
    pub const fn popular(&self) -> &Trends {
        &self.popular
    }

    /// All keys of the persons that `keys` belong to, sorted, `keys` included.
    #[must_use]
    pub fn person_keys(&self, keys: &[SourceKey]) -> Vec<KeyHash> {
        let mut all = Vec::with_capacity(keys.len() * 2);
        for key in keys {
            let hash = key.hash();
            match self.identity.person(hash) {
                Some(person) => all.extend_from_slice(&person),
                None => all.push(hash),
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The unified profile of the persons that `keys` belong to, taken as one. Unknown keys give an empty one.
    ///
    /// `only` keeps to what was done on items of one business unit, and is applied before anything is bounded: what was done
    /// elsewhere pushes nothing out. Cost: a map access and a copy per key.
    #[must_use]
    pub fn profile(&self, keys: &[SourceKey], only: Option<BuId>) -> Profile {
        let held = self.person_keys(keys).into_iter().filter_map(|key| {
            let mut fragment = self.fragments.get(&key)?.value().clone();
            if let Some(bu) = only {
                fragment.retain(|behaviour| self.catalogue.bu_of(behaviour.item) == Some(bu));
            }
            Some((key, fragment))
        });
        Profile::fold(held.collect())
    }

    /// Source keys with behaviour.
    #[must_use]
    pub fn fragment_count(&self) -> usize {
        self.fragments.len()
    }

    /// Behaviours remembered.
    #[must_use]
    pub fn behaviour_count(&self) -> u64 {
        self.behaviours.load(Ordering::Relaxed)
    }

    fn apply_event(&self, event: &EventView<'_>) -> Outcome {
        let Some(item_id) = event.item_id else { return Outcome::Ignored };
        let Some(bu) = self.catalogue.bu_or_new(event.bu) else { return Outcome::Ignored };
        let Some(item) = self.catalogue.item_or_new(bu, item_id) else { return Outcome::Ignored };
        let behaviour =
            Behaviour { time: event.time, event: event.id, item, kind: event.kind, rating_tenths: rating_tenths(event) };
        let mut fragment = self.fragments.entry(event.source).or_default();
        let held_before = fragment.behaviours().len();
        let inserted = fragment.insert(behaviour);
        let grown = fragment.behaviours().len() - held_before;
        drop(fragment);
        self.behaviours.fetch_add(grown as u64, Ordering::Relaxed);
        match inserted {
            Inserted::New => {
                self.trending.count(bu, item, event.kind.strength(), event.time);
                self.popular.count(bu, item, event.kind.strength(), event.time);
                Outcome::Applied
            }
            Inserted::Replaced => Outcome::Applied,
            Inserted::Duplicate => Outcome::Duplicate,
            Inserted::Expired => Outcome::Expired,
        }
    }
}

impl Apply for State {
    fn writer(&self) -> Box<dyn Writer + '_> {
        Box::new(StateWriter { state: self })
    }
}

struct StateWriter<'a> {
    state: &'a State,
}

impl Writer for StateWriter<'_> {
    fn event(&mut self, event: &EventView<'_>) -> Outcome {
        self.state.apply_event(event)
    }

    fn link(&mut self, statement: &Statement) -> Outcome {
        match self.state.identity.apply(statement) {
            Linked::Applied => Outcome::Applied,
            Linked::Duplicate => Outcome::Duplicate,
            Linked::Superseded => Outcome::Expired,
        }
    }

    fn item(&mut self, change: &ItemChange) -> Outcome {
        match self.state.catalogue.apply(change) {
            Some(Changed::Applied) => Outcome::Applied,
            Some(Changed::Duplicate) => Outcome::Duplicate,
            Some(Changed::Superseded) => Outcome::Expired,
            None => Outcome::Ignored,
        }
    }

    fn flush(&mut self) {}
}

fn rating_tenths(event: &EventView<'_>) -> Option<NonZeroU8> {
    let stars = (event.kind == EventKind::Rating).then_some(event.value).flatten()?;
    NonZeroU8::new((stars * 10.0).round().clamp(0.0, 255.0) as u8)
}
