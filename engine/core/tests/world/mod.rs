//! A small world for contract tests: keys, items, random records, a model made of hashes, and one way to ask.

use std::{sync::Arc, time::Instant};

use faces_core::{
    catalogue::{ItemAttributes, ItemChange},
    event::EventKind,
    identity::{Confidence, Evidence, Limits, Operation, Statement},
    ids::{BuId, EventId, EventTime, ItemId, RegionId},
    key::{KeyKind, SourceKey},
    ranking::{
        CandidateSet, Condition, Model, Near, Pipeline, Query, RankingOptions, Relation, Scratch, Signal, Slate,
        query::{SignalOptions, signals},
        rules::{Moment, Rules},
    },
    record::{Apply, Event, Record},
    state::{State, StateOptions},
    table::SHARDS,
};
use proptest::{prelude::*, sample::select, test_runner::FileFailurePersistence};

pub(crate) const BUS: [&str; 3] = ["market", "grocer", "cinema"];
pub(crate) const PLACEMENT: &str = "home";
pub(crate) const KEYS: u8 = 10;
pub(crate) const ITEMS: u8 = 20; // per business unit
pub(crate) const DAY_MS: i64 = 86_400_000;
pub(crate) const NOW: EventTime = EventTime::from_millis(100 * DAY_MS);
/// Small, so that random links hit both.
pub(crate) const LIMITS: Limits = Limits { degree_max: 3, person_keys_max: 4 };

/// Prints the seed of a failure and keeps it beside the test.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let beside = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(beside)), ..ProptestConfig::default() }
}

pub(crate) fn key(n: u8) -> SourceKey {
    let kind = if n.is_multiple_of(2) { KeyKind::Account } else { KeyKind::Device };
    SourceKey::new(BUS[usize::from(n) % BUS.len()], kind, &format!("u{n}")).expect("a sound key")
}

pub(crate) fn item_name(n: u8) -> String {
    format!("i{n}")
}

/// Events of few keys, items and ids, so that they collide in every way; key 0 does half of it, so that its lists overflow.
pub(crate) fn event(days: std::ops::Range<i64>) -> impl Strategy<Value = Event> {
    use EventKind::{Cart, Click, Dislike, Favourite, Impression, Purchase, Rating, Return, Review, Search, View};
    let often = [View, View, View, Impression, Impression, Impression];
    let kind = select([&often[..], &[Click, Search, Favourite, Cart, Purchase, Rating, Review, Dislike, Return]].concat());
    let who = prop_oneof![Just(0), 0..KEYS];
    let item = prop_oneof![9 => (0..ITEMS).prop_map(Some), 1 => Just(None)];
    let time = days.prop_flat_map(|day| (0..24_i64).prop_map(move |hour| day * DAY_MS + hour * DAY_MS / 24));
    let region = prop::option::of((0..2_u8).prop_map(|n| RegionId::of(&format!("r{n}"))));
    (who, 0..BUS.len(), item, kind, time, 0..2_u8, prop::option::of(0.0..5.0_f64), region).prop_map(
        |(who, bu, item, kind, time, id, value, region)| {
            let (bu, time) = (BUS[bu].to_owned(), EventTime::from_millis(time));
            // A search in words has no item.
            let item_id = if kind == Search { item.map(item_name) } else { Some(item_name(item.unwrap_or(0))) };
            let id = EventId::from_text(&format!("e{id}"), &bu, item_id.as_deref().unwrap_or_default());
            Event { source: key(who), bu, item_id, kind, time, id, value, region }
        },
    )
}

pub(crate) fn attributes() -> impl Strategy<Value = ItemAttributes> {
    let price = prop::option::of((1..9_u8).prop_map(f64::from));
    let regions = prop::option::of(0..2_u8).prop_map(|n| n.map(|n| format!("r{n}")).into_iter().collect());
    (prop::option::weighted(0.8, 0..3_u8), 0..3_u8, price, any::<bool>(), regions, prop::bool::weighted(0.2)).prop_map(
        |(category, brand, price, gift, regions, sold_out)| ItemAttributes {
            title: format!("a thing of brand {brand}"),
            categories: category.map(|n| vec!["all".to_owned(), format!("c{n}")]).unwrap_or_default(),
            brand: format!("b{brand}"),
            price,
            tags: if gift { vec!["gift".to_owned()] } else { Vec::new() },
            regions,
            sold_out,
            ..ItemAttributes::default()
        },
    )
}

/// A change of an item; about one in six says that it is gone.
pub(crate) fn change() -> impl Strategy<Value = ItemChange> {
    (0..BUS.len(), 0..ITEMS, 60..100_i64, prop::option::weighted(0.85, attributes())).prop_map(|(bu, item, day, attributes)| {
        ItemChange { bu: BUS[bu].into(), item_id: item_name(item), time: EventTime::from_millis(day * DAY_MS), attributes }
    })
}

pub(crate) fn statement() -> impl Strategy<Value = Statement> {
    let evidence = select(vec![Evidence::Login, Evidence::Payment]);
    (0..KEYS, 1..KEYS, evidence, prop::bool::weighted(0.8), 0..40_i64, 1..4_u8).prop_map(
        |(a, step, evidence, link, day, trust)| {
            let operation = if link { Operation::Link } else { Operation::Unlink };
            state_that((a, (a + step) % KEYS), evidence, operation, day, f64::from(trust) / 4.0)
        },
    )
}

pub(crate) fn state_that((a, b): (u8, u8), evidence: Evidence, operation: Operation, day: i64, trust: f64) -> Statement {
    let confidence = Confidence::new(trust).expect("a share");
    Statement::new(key(a), key(b), evidence, operation, confidence, EventTime::from_millis(day * DAY_MS)).expect("two keys")
}

pub(crate) fn state_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> State {
    let state = State::new(StateOptions { identity: LIMITS, ..StateOptions::default() });
    for record in records {
        state.apply(record);
    }
    state
}

/// The state put back from a cut, as from an image.
#[allow(dead_code, reason = "not every test restarts")]
pub(crate) fn restored(state: &Arc<State>, options: StateOptions) -> State {
    let cut = state.cut().expect("no other cut");
    let back = State::new(options);
    cut.visit_items(None, |item, bu, id, record| assert!(back.restore_item(item, bu, id, record.cloned())));
    let mut restorer = back.restorer();
    for shard in 0..SHARDS {
        let (mut fragments, mut nodes) = (Vec::new(), Vec::new());
        cut.visit_keys(
            shard,
            None,
            |key, fragment| fragments.push((key, fragment.clone())),
            |key, node| nodes.push((key, node.clone())),
        );
        restorer.keys(shard, fragments, nodes);
    }
    drop(restorer);
    back.restored(cut.newest(), cut.horizon());
    back
}

const DIMENSION: usize = 6;

/// Knows most items that the state has named; says the same for the same items, whatever the state says of them now.
pub(crate) struct HashModel {
    bus: Vec<BuId>,
    vectors: Vec<Option<[f32; DIMENSION]>>,
    /// What the catalogue said of each item, if it can be served.
    attributes: Vec<Option<Arc<ItemAttributes>>>,
    followed: u64,
}

impl HashModel {
    pub(crate) fn of(state: &State) -> Self {
        let bus: Vec<_> = (0..).map_while(|n| state.catalogue().bu_of(ItemId::new(n))).collect();
        let vectors = (0..bus.len() as u64).map(|n| (!mix(n).is_multiple_of(7)).then(|| unit_vector(n))).collect();
        let items = (0..bus.len() as u32).map(ItemId::new);
        let attributes = items.map(|item| state.catalogue().is_servable(item).then(|| state.catalogue().attributes(item)));
        Self { vectors, attributes: attributes.collect(), followed: state.catalogue().journal().end(), bus }
    }

    fn vector(&self, item: ItemId) -> Option<&[f32]> {
        self.vectors.get(item.position())?.as_ref().map(|vector| &vector[..])
    }

    fn meets(&self, item: ItemId, condition: &Condition) -> bool {
        self.attributes.get(item.position()).is_some_and(|of| of.as_ref().is_some_and(|of| condition.holds(item, of)))
    }

    fn items_of(&self, bu: BuId) -> impl Iterator<Item = ItemId> {
        (0..).zip(&self.bus).filter(move |(_, of)| **of == bu).map(|(n, _)| ItemId::new(n))
    }
}

impl Model for HashModel {
    fn id(&self) -> &str {
        "hashes"
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn add_vector(&self, item: ItemId, weight: f32, sum: &mut [f32]) -> bool {
        let vector = self.vector(item);
        vector.into_iter().flatten().zip(sum).for_each(|(value, sum)| *sum += weight * value);
        vector.is_some()
    }

    fn cosines(&self, _bu: BuId, vector: &[f32], items: &[ItemId], cosines: &mut Vec<f32>) {
        let cosine = |of: &[f32]| of.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
        cosines.clear();
        cosines.extend(items.iter().map(|item| self.vector(*item).map_or(0.0, cosine)));
    }

    fn nearest(&self, near: &Near<'_>, take: &mut dyn FnMut(ItemId)) {
        let cosine = |item| Some((self.vector(item)?.iter().zip(near.vector).map(|(a, b)| a * b).sum::<f32>(), item));
        let meets = |item: &ItemId| near.condition.is_none_or(|condition| self.meets(*item, condition));
        // Wrong on purpose: it offers the items of every unit.
        let mut nearest: Vec<_> = (0..self.bus.len() as u32).map(ItemId::new).filter(meets).filter_map(cosine).collect();
        nearest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        nearest.into_iter().take(near.count).for_each(|(_, item)| take(item));
    }

    fn matching(&self, bu: BuId, condition: &Condition, items: &mut Vec<ItemId>) -> Option<u64> {
        let meeting = self.items_of(bu).filter(|item| self.meets(*item, condition));
        match bu.position() {
            0 => items.extend(meeting),
            1 => items.extend(meeting.skip(1)), // it is behind the catalogue
            _ => return None,
        }
        Some(self.followed - bu.position() as u64)
    }

    fn related(&self, relation: Relation, item: ItemId, bu: BuId, take: &mut dyn FnMut(ItemId, f32)) {
        let seed = match relation {
            Relation::CoVisited => 0,
            Relation::Content if self.bus.get(item.position()) == Some(&bu) => 1_000_000,
            Relation::Content => return, // it is of one unit
        };
        for other in self.items_of(bu) {
            let tie = mix((seed + item.position() * 1_000 + other.position()) as u64);
            if other != item && tie.is_multiple_of(5) {
                take(other, (1 + tie % 97) as f32 / 97.0);
            }
        }
    }

    fn popular(&self, bu: BuId, take: &mut dyn FnMut(ItemId) -> bool) {
        let mut items: Vec<_> = self.items_of(bu).filter(|item| item.position().is_multiple_of(3)).collect();
        items.sort_by_key(|item| mix(item.position() as u64 + 99));
        let _ = items.into_iter().all(take);
    }
}

fn unit_vector(seed: u64) -> [f32; DIMENSION] {
    let vector: [f32; DIMENSION] = std::array::from_fn(|n| (mix(seed * 31 + n as u64) % 2_001) as f32 / 1_000.0 - 1.0);
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-3);
    vector.map(|value| value / length)
}

/// The finalizer of SplitMix64.
fn mix(n: u64) -> u64 {
    let n = (n.wrapping_add(0x9E37_79B9_7F4A_7C15) ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

/// What one request asks.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) who: u8,
    pub(crate) bu: usize,
    pub(crate) wanted: usize,
    pub(crate) excluded: Vec<ItemId>, // sorted
    pub(crate) served: Vec<ItemId>,   // on earlier pages
    pub(crate) suppress_owned: bool,
    pub(crate) condition: Option<Condition>,
    pub(crate) region: Option<String>,
    pub(crate) rules: Rules,
    pub(crate) is_late: bool,
    pub(crate) with_model: bool,
    pub(crate) is_alike: bool,
}

impl Ask {
    pub(crate) fn of(who: u8, bu: usize, wanted: usize) -> Self {
        let (excluded, served) = (Vec::new(), Vec::new());
        Self {
            who,
            bu,
            wanted,
            excluded,
            served,
            suppress_owned: false,
            condition: None,
            region: None,
            rules: Rules::default(),
            is_late: false,
            with_model: true,
            is_alike: false,
        }
    }
}

/// A server in small: a state, a generation, a pipeline, and the memory that requests share.
pub(crate) struct Shop {
    pub(crate) state: State,
    pub(crate) model: HashModel,
    pub(crate) pipeline: Pipeline,
    pub(crate) scratch: Scratch,
    pub(crate) candidates: CandidateSet,
}

impl Shop {
    pub(crate) fn of<'a>(records: impl IntoIterator<Item = &'a Record>, options: &RankingOptions) -> Self {
        let state = state_of(records);
        let (model, pipeline) = (HashModel::of(&state), Pipeline::new(options));
        Self { state, model, pipeline, scratch: Scratch::default(), candidates: CandidateSet::default() }
    }

    /// Recommends, and hands the query to `look` to ask more about the answer. `None`: nobody has named the business unit.
    pub(crate) fn answer<T>(&mut self, ask: &Ask, look: impl FnOnce(&Query<'_>, &Slate) -> T) -> Option<T> {
        let Self { state, model, pipeline, scratch, candidates } = self;
        with_query(state, model, ask, |query| {
            let slate = pipeline.recommend(query, scratch, candidates);
            look(query, &slate)
        })
    }

    pub(crate) fn slate(&mut self, ask: &Ask) -> Option<Slate> {
        self.answer(ask, |_, slate| slate.clone())
    }
}

pub(crate) fn with_query<T>(state: &State, model: &HashModel, ask: &Ask, then: impl FnOnce(&Query<'_>) -> T) -> Option<T> {
    with_queries(state, model, std::slice::from_ref(ask), |queries| queries.first().map(then))
}

/// The queries of those asks whose business unit somebody has named.
pub(crate) fn with_queries<T>(state: &State, model: &HashModel, asks: &[Ask], then: impl FnOnce(&[Query<'_>]) -> T) -> T {
    let of_ask = |ask| {
        let Ask { who, bu, served, .. }: &Ask = ask;
        let bu = state.catalogue().bu(BUS[*bu])?;
        let profile = state.profile(&[key(*who)], None);
        let signals: Vec<Signal> = signals(state, &profile.taste, bu, NOW, SignalOptions::default());
        let earlier = served.iter().filter(|item| state.catalogue().bu_of(**item) == Some(bu)); // pages are of one unit
        let mut served: Vec<_> = earlier.map(|item| state.catalogue().name_hash(*item)).collect();
        served.sort_unstable();
        Some((ask, bu, profile, signals, served))
    };
    let known: Vec<_> = asks.iter().filter_map(of_ask).collect();
    let query = |(ask, bu, profile, signals, served)| {
        let ask: &Ask = ask;
        let model = ask.with_model.then_some(model as &dyn Model);
        Query {
            placement: Some(PLACEMENT),
            rules: ask.rules.in_force(&Moment { bu: BUS[ask.bu], placement: Some(PLACEMENT), now: NOW }, &[key(ask.who)]),
            wanted: ask.wanted,
            condition: ask.condition.as_ref(),
            region: ask.region.as_deref(),
            excluded: &ask.excluded,
            served,
            suppress_owned: ask.suppress_owned,
            is_alike: ask.is_alike,
            deadline: ask.is_late.then(Instant::now),
            ..Query::new(state, model, profile, signals, bu, NOW)
        }
    };
    let queries: Vec<Query<'_>> =
        known.iter().map(|(ask, bu, profile, signals, served)| query((ask, *bu, profile, signals, served))).collect();
    then(&queries)
}
