//! Everything the engine knows that came from the log: fragments, identity, catalogue, and what is derived from them.
//!
//! Any number of threads apply records ([`Apply::writer`]) and any number read; a source key's shard has one writer at a time.
//! Reads copy out: no guard leaves this module.
//!
//! **Counted once.** The state is a function of the *set* of records applied: fragments are join-semilattices, links and items are
//! registers in which the larger record stands, and what is derived (trends) is a fold over what fragments hold, in whole numbers.
//! So a record may be applied twice, late or in any order. Log positions are no part of it: they only say where reading goes on.
//! Two bounds are kept by the clock of the log itself, the newest event time applied, so that they are functions of the same set:
//! what is older than the retention counts as never having been; see [`retention`] for the one exception, floods of fleeting keys.

mod cut;
pub mod retention;
mod writer;

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU32, Ordering::Relaxed},
};

pub use self::cut::{Cut, Restorer};
use self::retention::Probation;
use crate::{
    cards::Cards,
    catalogue::Catalogue,
    cut::CutClock,
    fragment::Fragment,
    identity::{IdentityGraph, Limits},
    ids::{BuId, CategoryId, EventTime, ItemId, RegionId},
    key::{KeyHash, SourceKey},
    neighbours::{LineId, Neighbours},
    profile::Profile,
    record::{Apply, Writer},
    table::{SHARDS, Table},
    trends::{Demand, Trends},
};

/// What the state may be told at its start.
#[derive(Clone, Copy, Debug)]
pub struct StateOptions {
    /// Half-life of what counts as trending, days.
    pub trend_half_life_days: f64,
    /// Half-life of what counts as popular (the last resort), days.
    pub popular_half_life_days: f64,
    /// How long a behaviour is kept, days before the newest event; 0: for ever.
    pub retention_days: u32,
    /// Most device and session keys that are remembered although they were seen only once.
    pub probation_keys_max: usize,
    /// Most behaviours held, over all keys; beyond, the oldest go first. 0: no bound.
    pub behaviours_max: u64,
    /// Bounds on identity links.
    pub identity: Limits,
}

impl Default for StateOptions {
    fn default() -> Self {
        Self {
            trend_half_life_days: 7.0,
            popular_half_life_days: 180.0,
            retention_days: 0,
            probation_keys_max: 1_000_000,
            behaviours_max: 0,
            identity: Limits::default(),
        }
    }
}

/// Everything that came from the log.
#[derive(Debug)]
pub struct State {
    options: StateOptions,
    fragments: Table<Fragment>,
    behaviours: AtomicI64, // for moments below 0: who lets go may be quicker than who took and says so at the end of a batch
    probation: Probation,
    identity: IdentityGraph,
    catalogue: Catalogue,
    demand: Demand<HALF_LIVES>,
    neighbours: Neighbours,
    clock: Arc<CutClock>,
    newest: AtomicI64,   // newest event time applied
    horizon: AtomicI64,  // behaviours up to it are expired, whatever the retention says
    kept_cut: AtomicU32, // the last cut that somebody builds on
}

/// Half-lives by which demand is put in order.
pub(crate) const HALF_LIVES: usize = 4;
/// Days of the ones that are always there, beside what counts as trending and as popular.
const SHORT_HALF_LIFE_DAYS: f64 = 1.0;
const LONG_HALF_LIFE_DAYS: f64 = 30.0;
const TRENDING: usize = 0;
const POPULAR: usize = 1;

impl Default for State {
    fn default() -> Self {
        Self::new(StateOptions::default())
    }
}

impl State {
    /// An empty state.
    #[must_use]
    pub fn new(options: StateOptions) -> Self {
        let (clock, cards) = (Arc::<CutClock>::default(), Arc::<Cards>::default());
        let half_lives_days =
            [options.trend_half_life_days, options.popular_half_life_days, SHORT_HALF_LIFE_DAYS, LONG_HALF_LIFE_DAYS];
        Self {
            options,
            fragments: Table::default(),
            behaviours: AtomicI64::new(0),
            probation: Probation::new(options.probation_keys_max),
            identity: IdentityGraph::with_clock(options.identity, Arc::clone(&clock)),
            catalogue: Catalogue::new(Arc::clone(&clock), Arc::clone(&cards)),
            demand: Demand::new(half_lives_days, Arc::clone(&cards)),
            neighbours: Neighbours::new(cards),
            clock,
            newest: AtomicI64::new(i64::MIN),
            horizon: AtomicI64::new(i64::MIN),
            kept_cut: AtomicU32::new(u32::MAX),
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

    /// Adds somebody to the live neighbours of whom the log tells nothing: of each of their keys the items and when they were taken, newest
    /// first. Whoever comes later counts as later, so the oldest come first.
    pub fn seed_neighbour<L>(&self, lines: impl Iterator<Item = L>)
    where
        L: Iterator<Item = (ItemId, EventTime)>,
    {
        self.neighbours.seed(lines, |item| self.catalogue.bu_of(item));
    }

    /// What is wanted right now.
    #[must_use]
    pub fn trending(&self) -> &Trends {
        self.trends(TRENDING)
    }

    /// What is wanted in the long run.
    #[must_use]
    pub fn popular(&self) -> &Trends {
        self.trends(POPULAR)
    }

    /// What is wanted by each half-life: what trends, what is popular, the last days, the last months.
    #[must_use]
    pub fn demand(&self) -> [&Trends; HALF_LIVES] {
        std::array::from_fn(|which| self.trends(which))
    }

    /// Calls `take` with what is wanted right now in a category of a unit, the most wanted first, each with its share of that (0 to 1],
    /// until it returns false. An item may have left the category since, as far as the catalogue knows.
    pub fn trending_in_category(&self, bu: BuId, category: CategoryId, take: impl FnMut(ItemId, f32) -> bool) {
        self.demand.top_of_category(bu, category, take);
    }

    /// What is wanted of `items`, as shares of the most wanted: calls `take` with the place of each, its share in the unit by each
    /// half-life, and its share in its category right now (0 without one), all in [0, 1].
    pub fn demand_shares(&self, bu: BuId, items: impl Iterator<Item = ItemId>, take: impl FnMut(usize, [f32; HALF_LIVES], f32)) {
        self.demand.shares(bu, items, take);
    }

    /// Calls `take` with what is wanted right now in a region, of a unit's items, the most wanted first, each with its share of that
    /// (0 to 1], until it returns false. Nothing for a region that no event has named.
    pub fn trending_in_region(&self, bu: BuId, region: RegionId, take: impl FnMut(ItemId, f32) -> bool) {
        self.demand.regions().top(bu, region, take);
    }

    /// Who did what, and what they took together.
    #[must_use]
    pub const fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// Makes one ring of the lines of the person that `key` belongs to; its keys, and whether it was none before.
    fn group(&self, key: KeyHash) -> (Vec<KeyHash>, bool) {
        let mut person = Vec::new();
        let is_new = self.neighbours.group(|| {
            person = self.identity.person(key).unwrap_or_else(|| vec![key]);
            person.iter().filter_map(|key| LineId::from_tag(self.fragments.read_tagged(*key, |_, tag| tag)?)).collect()
        });
        (person, is_new)
    }

    /// The same where who the person is may have changed; the keys. How many persons took what they did is looked at anew, as far as
    /// their fragments still hold it; takers outlast that, and with [`Self::sweep`] it is the turn of all items.
    fn regroup(&self, key: KeyHash) -> Vec<KeyHash> {
        let (person, is_new) = self.group(key);
        if !is_new {
            return person;
        }
        let mut items = Vec::new();
        for key in &person {
            self.fragments.read_tagged(*key, |fragment, _| items.extend(fragment.behaviours().map(|behaviour| behaviour.item)));
        }
        items.sort_unstable();
        items.dedup();
        self.neighbours.judge(items.into_iter());
        person
    }

    #[expect(clippy::expect_used, reason = "all were made in `new`")]
    fn trends(&self, which: usize) -> &Trends {
        self.demand.trends(which).expect("made in `new`")
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
        let horizon = self.horizon();
        let mut lines = Vec::new();
        let held = self.person_keys(keys).into_iter().filter_map(|key| {
            let (mut fragment, tag) = self.fragments.read_tagged(key, |fragment, tag| (fragment.clone(), tag))?;
            lines.extend(LineId::from_tag(tag));
            if only.is_some() || horizon.is_some() {
                fragment.retain(|behaviour| {
                    let is_asked = only.is_none_or(|bu| self.catalogue.bu_of(behaviour.item) == Some(bu));
                    is_asked && horizon.is_none_or(|horizon| behaviour.time > horizon)
                });
            }
            (!fragment.is_empty()).then_some((key, fragment))
        });
        let fragments = held.collect();
        Profile { lines, ..Profile::fold(fragments) }
    }

    /// Source keys with behaviour.
    #[must_use]
    pub fn fragment_count(&self) -> usize {
        self.fragments.len()
    }

    /// Behaviours remembered.
    #[must_use]
    pub fn behaviour_count(&self) -> u64 {
        self.behaviours.load(Relaxed).max(0).cast_unsigned()
    }

    /// Device and session keys let go because too many were seen only once.
    #[must_use]
    pub fn probation_drops(&self) -> u64 {
        self.probation.drops()
    }

    /// Newest event time applied: the clock of the log. `None` before the first event.
    #[must_use]
    pub fn newest(&self) -> Option<EventTime> {
        Some(self.newest.load(Relaxed)).filter(|newest| *newest > i64::MIN).map(EventTime::from_millis)
    }

    /// Whether trends show everything that writers have flushed ([`Apply::settle`]).
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.demand.is_settled()
    }

    /// The span of time in which demand counts what happens at `time`.
    pub(crate) fn demand_span(&self, time: EventTime) -> i64 {
        self.demand.span_of(time)
    }

    /// Calls `visit` with every count of demand that is not 0: item, span of time, count.
    pub fn visit_demand(&self, visit: impl FnMut(ItemId, i64, i64)) {
        self.demand.visit(visit);
    }
}

impl Apply for State {
    fn writer(&self) -> Box<dyn Writer + '_> {
        Box::new(writer::StateWriter::new(self))
    }

    fn settle(&self) {
        self.demand.settle(&|a, b| self.catalogue.by_name(a, b), &|item| self.catalogue.category(item));
    }
}

/// Every shard's number.
fn shards() -> impl Iterator<Item = usize> {
    0..SHARDS
}
