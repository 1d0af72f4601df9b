//! The served code: from "who, where" to a slate. gRPC answers with it and `faces eval` measures it; there is no other.
//!
//! Knows nothing of wire types, sockets or clocks: time comes in with the request.

use std::{cell::RefCell, sync::Arc, time::Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use faces_core::{
    event::{Behaviour, EventKind},
    ids::{BuId, EventId, EventTime, ItemId},
    key::SourceKey,
    profile::{BEHAVIOURS_MAX, Profile},
    ranking::{
        Candidate, CandidateSet, Condition, Features, Model, OwnModel, Pipeline, Query, RankingOptions, Regime, Scratch, Signal,
        Slate, SourceSet,
        explain::{Reason, explain},
        query::signals,
        rules::{InForce, Moment, Rules},
    },
    state::State,
};

use crate::serving::ServingGeneration;

/// State, generation and pipeline: all that answering needs.
pub struct Engine {
    state: Arc<State>,
    generation: ArcSwapOption<ServingGeneration>,
    rules: ArcSwap<Rules>,
    pipeline: Pipeline,
    options: EngineOptions,
}

/// What may be tuned about answering.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Ranking.
    pub ranking: RankingOptions,
    /// Business units where people take the same item again: what they have is offered again unless the request says no.
    pub repeat_units: Vec<String>,
    /// A model of the user's own, asked for scores before the learned ranker.
    pub own_model: Option<Arc<dyn OwnModel>>,
}

/// A question, in the domain's terms.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Who.
    pub keys: &'a [SourceKey],
    /// Whose items.
    pub bu: BuId,
    /// Where the slate is shown; `None` for answers that are no placement's.
    pub placement: Option<&'a str>,
    /// Rules to try instead of those in force.
    pub trial: Option<Trial<'a>>,
    /// How many.
    pub wanted: usize,
    /// What the person just did, newest first.
    pub context: &'a [(ItemId, EventKind)],
    /// Only items that match.
    pub condition: Option<&'a Condition>,
    /// Where the person is.
    pub region: Option<&'a str>,
    /// Items ruled out, sorted.
    pub excluded: &'a [ItemId],
    /// Items of earlier pages by name hash, sorted.
    pub served: &'a [u64],
    /// Leave out what the person has; `None`: as the business unit has it.
    pub suppress_owned: Option<bool>,
    /// Use only what was done in the asked business unit.
    pub siloed: bool,
    /// Items like the context are wanted, rather than what the person will take next.
    pub is_alike: bool,
    /// As if the person had done nothing in the asked business unit: what rankers learn of newcomers from.
    pub as_newcomer: bool,
    /// Sources that may speak: all, but where it is measured what each is worth.
    pub sources: SourceSet,
    /// Say why.
    pub explain: bool,
    /// Now.
    pub now: EventTime,
    /// When the answer is due.
    pub deadline: Option<Instant>,
}

impl<'a> Ask<'a> {
    /// A plain question: twenty items, no conditions.
    #[must_use]
    pub const fn new(keys: &'a [SourceKey], bu: BuId, now: EventTime) -> Self {
        Self {
            keys,
            bu,
            placement: None,
            trial: None,
            wanted: 20,
            context: &[],
            condition: None,
            region: None,
            excluded: &[],
            served: &[],
            suppress_owned: None,
            siloed: false,
            is_alike: false,
            as_newcomer: false,
            sources: SourceSet::ALL,
            explain: false,
            now,
            deadline: None,
        }
    }
}

/// Rules that are not in force.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// The time they are tried for.
    pub at: EventTime,
}

/// An answer, before it is encoded.
#[derive(Debug, Default)]
pub struct Answer {
    /// The items, best first, and what was removed.
    pub slate: Slate,
    /// One per item if asked for.
    pub reasons: Vec<Reason>,
    /// The generation that answered.
    pub generation: Option<Arc<ServingGeneration>>,
    /// Event time of the newest behaviour used.
    pub newest: Option<EventTime>,
}

thread_local! {
    static WORK: RefCell<(Scratch, CandidateSet)> = RefCell::default();
}

impl Engine {
    /// An engine over `state`, without a generation yet.
    #[must_use]
    pub fn new(state: Arc<State>, options: EngineOptions) -> Self {
        let (generation, rules) = (ArcSwapOption::empty(), ArcSwap::default());
        let pipeline = Pipeline::new(&options.ranking).with_own_model(options.own_model.clone());
        Self { state, generation, rules, pipeline, options }
    }

    /// What came from the log.
    #[must_use]
    pub const fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The generation in service.
    #[must_use]
    pub fn generation(&self) -> Option<Arc<ServingGeneration>> {
        self.generation.load_full()
    }

    /// Puts a generation into service; requests under way finish with the one they began with. Returns the one before.
    pub fn swap(&self, generation: impl Into<Arc<ServingGeneration>>) -> Option<Arc<ServingGeneration>> {
        let before = self.generation.swap(Some(generation.into()));
        self.follow_catalogue(); // what changed while it was loaded
        before
    }

    /// Puts rules in force; requests under way finish with those they began with.
    pub fn swap_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// Brings the generation in service up to what the catalogue says now.
    pub fn follow_catalogue(&self) {
        if let Some(generation) = self.generation() {
            generation.follow(self.state.catalogue());
        }
    }

    /// A slate for a person.
    #[must_use]
    pub fn recommend(&self, ask: &Ask<'_>) -> Answer {
        let (profile, signals) = self.view(ask);
        self.answer(ask, &profile, &signals)
    }

    /// The slate that another generation than the one in service would give.
    #[must_use]
    pub fn recommend_from(&self, generation: &Arc<ServingGeneration>, ask: &Ask<'_>) -> Answer {
        let (profile, signals) = self.view(ask);
        self.answer_from(Some(Arc::clone(generation)), ask, &profile, &signals)
    }

    /// What would be ranked for a person, and what the ranker would know of it.
    pub fn examine<R>(&self, ask: &Ask<'_>, look: impl FnOnce(Regime, &[Candidate], &Features) -> R) -> R {
        let (profile, signals) = self.view(ask);
        let generation = self.generation();
        let query = self.query(ask, &profile, &signals, generation.as_deref(), InForce::default());
        WORK.with_borrow_mut(|(scratch, candidates)| {
            let (candidates, features) = self.pipeline.examine(&query, scratch, candidates);
            look(Regime::of(&query, features), candidates, features)
        })
    }

    /// A slate of what another ranker scored, through the same filters and selector, without rules: to measure it beside the sources.
    #[must_use]
    pub fn slate_of(&self, ask: &Ask<'_>, scored: &[(ItemId, f32)]) -> Slate {
        let (profile, signals) = self.view(ask);
        let generation = self.generation();
        let query = self.query(ask, &profile, &signals, generation.as_deref(), InForce::default());
        self.pipeline.slate_of(&query, scored)
    }

    /// A slate for each, all from one generation and with shared passes over its index: the same slates as one by one, cheaper.
    #[must_use]
    pub fn recommend_each(&self, asks: &[Ask<'_>]) -> Vec<Answer> {
        let (generation, rules) = (self.generation(), self.rules.load_full());
        let views: Vec<_> = asks.iter().map(|ask| self.view(ask)).collect();
        let each = asks.iter().zip(&views);
        let queries: Vec<_> = each
            .map(|(ask, (profile, signals))| self.query(ask, profile, signals, generation.as_deref(), self.in_force(ask, &rules)))
            .collect();
        let slates = WORK.with_borrow_mut(|(scratch, candidates)| self.pipeline.recommend_each(&queries, scratch, candidates));
        let each = slates.into_iter().zip(&queries).zip(asks);
        each.map(|((slate, query), ask)| finish(ask, query, slate, generation.clone())).collect()
    }

    /// What is known of the person, and what that means for retrieval.
    fn view(&self, ask: &Ask<'_>) -> (Profile, Vec<Signal>) {
        let mut profile = self.state.profile(ask.keys, ask.siloed.then_some(ask.bu));
        if ask.as_newcomer {
            forget(&mut profile, |item| self.state.catalogue().bu_of(item) == Some(ask.bu));
        }
        add_context(&mut profile, ask);
        let signals = signals(&self.state, &profile.taste, ask.bu, ask.now, self.options.ranking.signals);
        (profile, signals)
    }

    /// Items like `item`, without the person's taste but without what the person has.
    #[must_use]
    pub fn similar(&self, item: ItemId, ask: &Ask<'_>) -> Answer {
        let mut profile = self.state.profile(ask.keys, ask.siloed.then_some(ask.bu));
        // The item itself counts as had for this slate.
        if let Err(position) = profile.owned.binary_search(&item) {
            profile.owned.insert(position, item);
        }
        let alike = Ask { placement: None, suppress_owned: Some(true), ..ask.clone() };
        self.answer(&alike, &profile, &[Signal { item, weight: 1.0, place: 0, is_elsewhere: false }])
    }

    fn answer(&self, ask: &Ask<'_>, profile: &Profile, signals: &[Signal]) -> Answer {
        self.answer_from(self.generation(), ask, profile, signals)
    }

    fn answer_from(
        &self,
        generation: Option<Arc<ServingGeneration>>,
        ask: &Ask<'_>,
        profile: &Profile,
        signals: &[Signal],
    ) -> Answer {
        let rules = self.rules.load_full();
        let query = self.query(ask, profile, signals, generation.as_deref(), self.in_force(ask, &rules));
        let slate = WORK.with_borrow_mut(|(scratch, candidates)| self.pipeline.recommend(&query, scratch, candidates));
        finish(ask, &query, slate, generation.clone())
    }

    /// Shows `choose` which items may stand on the answer, for slates that are not made by ranking; what it chose, and the event time of the
    /// newest behaviour that had a say. Cost: folding the profile, and the filters for each item asked about.
    #[must_use]
    pub fn allowed<R>(&self, ask: &Ask<'_>, choose: impl FnOnce(&dyn Fn(ItemId) -> bool) -> R) -> (R, Option<EventTime>) {
        let profile = self.state.profile(ask.keys, ask.siloed.then_some(ask.bu));
        let (generation, rules) = (self.generation(), self.rules.load_full());
        let query = self.query(ask, &profile, &[], generation.as_deref(), self.in_force(ask, &rules));
        (choose(&self.pipeline.allows(&query)), profile.newest())
    }

    /// Orders `given` for the person; every one is returned, and rules have no say.
    #[must_use]
    pub fn rerank(&self, given: &[ItemId], ask: &Ask<'_>) -> Answer {
        let (profile, signals) = self.view(ask);
        let generation = self.generation();
        let query = self.query(ask, &profile, &signals, generation.as_deref(), InForce::default());
        let slate = WORK.with_borrow_mut(|(scratch, candidates)| self.pipeline.rerank(&query, given, scratch, candidates));
        finish(ask, &query, slate, generation.clone())
    }

    fn query<'a>(
        &'a self,
        ask: &'a Ask<'a>,
        profile: &'a Profile,
        signals: &'a [Signal],
        generation: Option<&'a ServingGeneration>,
        rules: InForce<'a>,
    ) -> Query<'a> {
        Query {
            state: &self.state,
            model: generation.map(|generation| generation as &dyn Model),
            profile,
            signals,
            bu: ask.bu,
            placement: ask.placement,
            rules,
            now: ask.now,
            wanted: ask.wanted,
            condition: ask.condition,
            region: ask.region,
            excluded: ask.excluded,
            served: ask.served,
            suppress_owned: ask.suppress_owned.unwrap_or_else(|| !self.is_repeat_unit(ask.bu, generation)),
            is_alike: ask.is_alike,
            sources: ask.sources,
            deadline: ask.deadline,
        }
    }

    fn in_force<'a>(&self, ask: &Ask<'a>, in_force: &'a Rules) -> InForce<'a> {
        let (rules, now) = ask.trial.map_or((in_force, ask.now), |trial| (trial.rules, trial.at));
        rules.in_force(&Moment { bu: self.state.catalogue().bu_name(ask.bu), placement: ask.placement, now }, ask.keys)
    }

    /// As configured, or as learnt.
    fn is_repeat_unit(&self, bu: BuId, generation: Option<&ServingGeneration>) -> bool {
        let name = self.state.catalogue().bu_name(bu);
        let learnt = generation.and_then(|generation| generation.ranker()).map(|ranker| ranker.repeat_units.as_slice());
        self.options.repeat_units.iter().chain(learnt.unwrap_or_default()).any(|unit| unit == name)
    }
}

/// A slate with what is said about it.
fn finish(ask: &Ask<'_>, query: &Query<'_>, slate: Slate, generation: Option<Arc<ServingGeneration>>) -> Answer {
    let reasons = if ask.explain { slate.items.iter().map(|item| explain(query, item)).collect() } else { Vec::new() };
    Answer { slate, reasons, generation, newest: query.profile.newest() }
}

/// Takes out what was done with some items.
fn forget(profile: &mut Profile, is_forgotten: impl Fn(ItemId) -> bool) {
    let Profile { taste, past, rejected, shown, owned, lines: _ } = profile;
    [taste, past, rejected, shown].into_iter().for_each(|list| list.retain(|behaviour| !is_forgotten(behaviour.item)));
    owned.retain(|item| !is_forgotten(*item));
}

/// What the caller says the person just did comes first, as done now.
fn add_context(profile: &mut Profile, ask: &Ask<'_>) {
    for (place, (item, kind)) in ask.context.iter().enumerate() {
        let behaviour =
            Behaviour { time: ask.now, event: EventId::from_raw(place as u64), item: *item, kind: *kind, rating_tenths: None };
        profile.taste.insert(place.min(profile.taste.len()), behaviour);
        profile.past.insert(place.min(profile.past.len()), behaviour);
    }
    profile.taste.truncate(BEHAVIOURS_MAX);
}
