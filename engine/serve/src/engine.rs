//! The served code: from "who, where" to a slate. gRPC answers with it and `faces eval` measures it; there is no other.
//!
//! Knows nothing of wire types, sockets or clocks: time comes in with the request.

use std::{
    cell::RefCell,
    hash::{BuildHasher as _, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use faces_core::{
    event::{Behaviour, BehaviourClass, EventKind},
    ids::{BuId, EventId, EventTime, ItemId},
    key::SourceKey,
    profile::{BEHAVIOURS_MAX, Profile},
    ranking::{
        Candidate, CandidateSet, Condition, Features, Model, OwnModel, Pipeline, Query, RankingOptions, Regime, ScoredBy,
        Scratch, Signal, Slate, SourceSet,
        explain::{Reason, explain},
        query::signals,
        rules::{InForce, Moment, Rules},
    },
    state::State,
};

use foldhash::fast::FixedState;

use crate::serving::ServingGeneration;

/// State, generation and pipeline: all that answering needs.
pub struct Engine {
    state: Arc<State>,
    generation: ArcSwapOption<ServingGeneration>,
    rules: ArcSwap<Rules>,
    /// How often generation or rules were swapped.
    swaps: AtomicU64,
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

/// All candidates of a slate with their scores, best first, before rules gave places: further slates can be made of it while what it
/// goes by stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    /// `None` where slates could differ by more than what filters and rules say of these candidates.
    view: Option<View>,
    items: Box<[(ItemId, f32)]>,
    scored_by: ScoredBy,
}

/// What a ranking goes by, as a hash: all that is known of the person, the generation, and the rules that decide what is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View(u64);

/// How a slate came to be.
#[derive(Debug)]
pub enum Made {
    /// Of the ranking given.
    Again,
    /// By ranking anew, and what was ranked; `None` if it was cut short.
    Anew(Option<Ranking>),
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
        Self { state, generation, rules, swaps: AtomicU64::default(), pipeline, options }
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
        self.swaps.fetch_add(1, Ordering::Release);
        self.follow_catalogue(); // what changed while it was loaded
        before
    }

    /// Puts rules in force; requests under way finish with those they began with.
    pub fn swap_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        self.swaps.fetch_add(1, Ordering::Release);
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
            look(Regime::of(query.segment(), features), candidates, features)
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

    /// As [`Self::recommend`], but of `before`, which was ranked for the same question (person, unit, condition, region, context, owned or
    /// not) from the same sources, if what it goes by is as it was and enough of it still stands. Cost of a slate made again: the profile,
    /// the filters and the selector.
    #[must_use]
    pub fn recommend_again(&self, ask: &Ask<'_>, before: Option<&Ranking>) -> (Answer, Made) {
        let swaps = self.swaps.load(Ordering::Acquire); // before what is swapped is looked at
        let (generation, rules) = (self.generation(), self.rules.load_full());
        let in_force = self.in_force(ask, &rules);
        let (profile, view) = self.profile_and_view(ask, &in_force, swaps);
        let query = self.query(ask, &profile, &[], generation.as_deref(), in_force);
        if let Some(slate) = before.and_then(|before| self.again(&query, view, before)) {
            return (finish(ask, &query, slate, generation.clone()), Made::Again);
        }
        let signals = self.signals(ask, &profile);
        let query = Query { signals: &signals, ..query };
        let (slate, ranking) = WORK.with_borrow_mut(|(scratch, candidates)| {
            let slate = self.pipeline.recommend(&query, scratch, candidates);
            let ranking = Ranking::of(view, &slate, scratch);
            (slate, ranking)
        });
        (finish(ask, &query, slate, generation.clone()), Made::Anew(ranking))
    }

    /// As [`Self::recommend_again`] for each, all from one generation; what is ranked shares passes over its index: the same slates as one
    /// by one, cheaper.
    #[must_use]
    pub fn recommend_each(&self, asks: &[(Ask<'_>, Option<&Ranking>)]) -> Vec<(Answer, Made)> {
        let swaps = self.swaps.load(Ordering::Acquire);
        let (generation, rules) = (self.generation(), self.rules.load_full());
        let person = |(ask, _): &(Ask<'_>, _)| self.profile_and_view(ask, &self.in_force(ask, &rules), swaps);
        let profiles: Vec<_> = asks.iter().map(person).collect();
        let look = |(ask, before): &(Ask<'_>, Option<&Ranking>), profile: &Profile, view: Option<View>| {
            let query = self.query(ask, profile, &[], generation.as_deref(), self.in_force(ask, &rules));
            match before.and_then(|before| self.again(&query, view, before)) {
                Some(slate) => (Vec::new(), Some(finish(ask, &query, slate, generation.clone()))),
                None => (self.signals(ask, profile), None),
            }
        };
        let looks = asks.iter().zip(&profiles).map(|(asked, (profile, view))| look(asked, profile, *view));
        let (signals, again): (Vec<_>, Vec<_>) = looks.unzip();
        let to_rank = asks.iter().zip(&profiles).zip(&signals).zip(&again).filter(|(_, again)| again.is_none());
        let (queries, views): (Vec<_>, Vec<_>) = to_rank
            .map(|((((ask, _), (profile, view)), signals), _)| {
                (self.query(ask, profile, signals, generation.as_deref(), self.in_force(ask, &rules)), *view)
            })
            .unzip();
        let (mut views, mut slates) = (views.into_iter(), Vec::with_capacity(queries.len()));
        WORK.with_borrow_mut(|(scratch, candidates)| {
            self.pipeline.recommend_each(&queries, scratch, candidates, &mut |slate, scratch| {
                let ranking = Ranking::of(views.next().flatten(), &slate, scratch);
                slates.push((slate, Made::Anew(ranking)));
            });
        });
        let mut anew = slates.into_iter().zip(&queries);
        let answer = |((ask, _), again): (&(Ask<'_>, _), Option<Answer>)| match again {
            Some(answer) => Some((answer, Made::Again)),
            None => anew.next().map(|((slate, made), query)| (finish(ask, query, slate, generation.clone()), made)),
        };
        asks.iter().zip(again).filter_map(answer).collect()
    }

    /// A slate of what was ranked before; `None` if that goes by something else, or too little of it still stands.
    fn again(&self, query: &Query<'_>, view: Option<View>, before: &Ranking) -> Option<Slate> {
        let slate = (view.is_some() && before.view == view).then(|| self.pipeline.slate_of(query, &before.items))?;
        slate.is_whole.then_some(Slate { scored_by: before.scored_by, ..slate })
    }

    /// The slate that can still be made of a ranking, whatever became of what it goes by; `None` if too little of it stands.
    #[must_use]
    pub fn recommend_of(&self, ask: &Ask<'_>, before: &Ranking) -> Option<Answer> {
        let (generation, rules) = (self.generation(), self.rules.load_full());
        let profile = self.profile(ask);
        let query = self.query(ask, &profile, &[], generation.as_deref(), self.in_force(ask, &rules));
        let slate = Slate { scored_by: before.scored_by, ..self.pipeline.slate_of(&query, &before.items) };
        (slate.items.len() >= ask.wanted).then(|| finish(ask, &query, slate, generation.clone()))
    }

    /// What is known of the person, and what that means for retrieval.
    fn view(&self, ask: &Ask<'_>) -> (Profile, Vec<Signal>) {
        let profile = self.profile(ask);
        let signals = self.signals(ask, &profile);
        (profile, signals)
    }

    fn profile(&self, ask: &Ask<'_>) -> Profile {
        let mut profile = self.known(ask);
        add_context(&mut profile, ask);
        profile
    }

    fn profile_and_view(&self, ask: &Ask<'_>, rules: &InForce<'_>, swaps: u64) -> (Profile, Option<View>) {
        let mut profile = self.known(ask);
        let view = View::of(&profile, rules, swaps);
        add_context(&mut profile, ask);
        (profile, view)
    }

    /// What the log says of the person.
    fn known(&self, ask: &Ask<'_>) -> Profile {
        let mut profile = self.state.profile(ask.keys, ask.siloed.then_some(ask.bu));
        if ask.as_newcomer {
            forget(&mut profile, |item| self.state.catalogue().bu_of(item) == Some(ask.bu));
        }
        profile
    }

    fn signals(&self, ask: &Ask<'_>, profile: &Profile) -> Vec<Signal> {
        signals(&self.state, &profile.taste, ask.bu, ask.now, self.options.ranking.signals)
    }

    /// Items like `item`, without the person's taste but without what the person has.
    #[must_use]
    pub fn similar(&self, item: ItemId, ask: &Ask<'_>) -> Answer {
        let mut profile = self.state.profile(ask.keys, ask.siloed.then_some(ask.bu));
        // The item itself counts as had for this slate.
        if let Err(position) = profile.owned.binary_search(&item) {
            profile.owned.insert(position, item);
        }
        let alike = Ask { placement: None, suppress_owned: Some(true), is_alike: true, ..ask.clone() };
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
        let profile = self.profile(ask);
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

impl View {
    /// `None` where slates of the same ranking could differ by more than what filters and rules say. What the caller says the person
    /// just did is part of the question, so of the person it is what the log says.
    fn of(known: &Profile, rules: &InForce<'_>, swaps: u64) -> Option<Self> {
        let mut hasher = FixedState::default().build_hasher();
        swaps.hash(&mut hasher);
        rules.of_ranking()?.for_each(|name| name.hash(&mut hasher));
        let Profile { taste: _, past, rejected, shown, owned, lines: _ } = known; // taste is of the past, lines are of keys
        (past, rejected, shown, owned).hash(&mut hasher);
        Some(Self(hasher.finish()))
    }
}

impl Ranking {
    /// What a slate was chosen from, unless it was cut short.
    fn of(view: Option<View>, slate: &Slate, scratch: &Scratch) -> Option<Self> {
        let items = || scratch.sorted().iter().map(|candidate| (candidate.item, candidate.score.value())).collect();
        (!slate.cut_short).then(|| Self { view, items: items(), scored_by: slate.scored_by })
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

/// What the caller says the person just did comes first, as done now, and counts as it would if the log said so.
fn add_context(profile: &mut Profile, ask: &Ask<'_>) {
    let Profile { taste, past, rejected, shown, owned, lines: _ } = profile;
    for (place, (item, kind)) in ask.context.iter().enumerate().rev() {
        let behaviour =
            Behaviour { time: ask.now, event: EventId::from_raw(place as u64), item: *item, kind: *kind, rating_tenths: None };
        match kind.class() {
            BehaviourClass::Exposure => shown.insert(0, behaviour),
            BehaviourClass::Rejection => rejected.insert(0, behaviour),
            BehaviourClass::Interest | BehaviourClass::Intent | BehaviourClass::Ownership => {
                taste.insert(0, behaviour);
                past.insert(0, behaviour);
            }
        }
        if let (BehaviourClass::Ownership | BehaviourClass::Rejection, Err(position)) = (kind.class(), owned.binary_search(item))
        {
            owned.insert(position, *item);
        }
    }
    taste.truncate(BEHAVIOURS_MAX);
}
