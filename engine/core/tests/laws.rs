//! The laws of the whole state: a profile, a person and a catalogue are functions of the *set* of records, and links can be undone.
#![allow(clippy::expect_used, reason = "a test that can't build its world has failed")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use faces_core::{
    catalogue::ItemAttributes,
    event::Behaviour,
    identity::{Evidence, Operation},
    ids::{EventTime, ItemId},
    key::KeyHash,
    profile::Profile,
    ranking::RankingOptions,
    record::{Apply, Outcome, Record},
    state::State,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use world::{Ask, BUS, KEYS, LIMITS, Shop, change, config, event, key, state_of, state_that, statement};

/// Everything a reader can learn, by names: dense ids depend on arrival and are not part of the law.
#[derive(Debug, PartialEq)]
struct View {
    profiles: Vec<ProfileView>,
    persons: Vec<Option<Vec<KeyHash>>>,
    items: BTreeMap<(String, String), ItemView>,
    counts: (usize, u64, usize, usize),
}

type Remembered = Vec<(EventTime, (String, String), String)>;
type ProfileView = (Remembered, Remembered, Remembered, BTreeSet<(String, String)>);

#[derive(Debug, PartialEq)]
struct ItemView {
    is_servable: bool,
    listed_at: Option<EventTime>,
    attributes: ItemAttributes,
    category: Option<String>,
}

fn name_of(state: &State, item: ItemId) -> (String, String) {
    let catalogue = state.catalogue();
    let bu = catalogue.bu_of(item).map(|bu| catalogue.bu_name(bu)).unwrap_or_default();
    (bu.to_owned(), catalogue.item_name(item).unwrap_or_default().to_owned())
}

fn profile_view(state: &State, profile: &Profile) -> ProfileView {
    let by_name = |b: &Behaviour| (b.time, name_of(state, b.item), format!("{:?} {:?} {:?}", b.event, b.kind, b.rating_tenths));
    let list = |of: &[Behaviour]| of.iter().map(by_name).collect::<Remembered>();
    let owned = profile.owned.iter().map(|item| name_of(state, *item)).collect();
    (list(&profile.taste), list(&profile.rejected), list(&profile.shown), owned)
}

fn item_view(state: &State, item: ItemId) -> ItemView {
    let (catalogue, attributes) = (state.catalogue(), state.catalogue().attributes(item));
    // A category's number is process-local; every item that shares it must share its name.
    let category = catalogue.category(item).map(|_| attributes.categories.last().cloned().unwrap_or_default());
    ItemView {
        is_servable: catalogue.is_servable(item),
        listed_at: catalogue.listed_at(item),
        attributes: (*attributes).clone(),
        category,
    }
}

fn view(state: &State) -> View {
    let everybody: Vec<_> = (0..KEYS).map(key).collect();
    let bus = BUS.iter().filter_map(|name| state.catalogue().bu(name));
    let mut profiles = vec![profile_view(state, &state.profile(&everybody, None))]; // more fragments than one profile folds
    for one in &everybody {
        for only in bus.clone().map(Some).chain([None]) {
            profiles.push(profile_view(state, &state.profile(std::slice::from_ref(one), only)));
        }
    }
    let items = bus.clone().flat_map(|bu| state.catalogue().items_of(bu));
    View {
        profiles,
        persons: everybody.iter().map(|one| state.identity().person(one.hash()).map(|keys| keys.to_vec())).collect(),
        items: items.map(|item| (name_of(state, item), item_view(state, item))).collect(),
        counts: (
            state.fragment_count(),
            state.behaviour_count(),
            state.identity().live_pair_count(),
            state.catalogue().listed_count(),
        ),
    }
}

fn records(count_max: usize) -> impl Strategy<Value = Vec<Record>> {
    let record = prop_oneof![
        12 => event(90..100).prop_map(Record::Event),
        1 => statement().prop_map(Record::Link),
        3 => change().prop_map(Record::Item),
    ];
    vec(record, 0..count_max)
}

/// How a log goes wrong on its way.
#[derive(Clone, Debug)]
struct Disorder {
    delays: Vec<usize>,
    repeats: Vec<(Index, Index)>,
    crash: Index,
    resume: Index,
}

fn disorder() -> impl Strategy<Value = Disorder> {
    let delay = prop_oneof![3 => Just(0), 2 => 0..10_usize, 1 => 0..1_000_usize];
    (vec(delay, 1..200), vec(any::<(Index, Index)>(), 0..60), any::<Index>(), any::<Index>())
        .prop_map(|(delays, repeats, crash, resume)| Disorder { delays, repeats, crash, resume })
}

impl Disorder {
    /// The log as it arrives: delayed and repeated, then a crash and a replay from an earlier point.
    fn of(&self, clean: &[Record]) -> Vec<Record> {
        let delays = self.delays.iter().cycle();
        let mut arriving: Vec<_> = clean.iter().zip(delays).enumerate().map(|(n, (record, delay))| (n + delay, record)).collect();
        arriving.sort_by_key(|(at, _)| *at);
        let mut log: Vec<Record> = arriving.into_iter().map(|(_, record)| record.clone()).collect();
        if log.is_empty() {
            return log;
        }
        for (which, to) in &self.repeats {
            log.insert(to.index(log.len()), log[which.index(log.len())].clone());
        }
        let crash = self.crash.index(log.len());
        let resume = self.resume.index(crash + 1);
        log[..crash].iter().chain(&log[resume..]).cloned().collect()
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn the_set_of_records_decides(clean in records(700), disorder in disorder()) {
        let (one, other) = (state_of(&clean), state_of(&disorder.of(&clean)));
        prop_assert_eq!(view(&one), view(&other));
    }

    #[test]
    fn a_replay_applies_nothing(clean in records(700), from in any::<Index>()) {
        let state = state_of(&clean);
        let before = view(&state);
        for record in &clean[from.index(clean.len() + 1)..] {
            prop_assert_ne!(state.apply(record), Outcome::Applied, "{:?}", record);
        }
        prop_assert_eq!(view(&state), before);
    }

    #[test]
    fn a_siloed_profile_is_what_the_unit_alone_would_know(all in records(700), bu in 0..BUS.len()) {
        // Who acts in a unit with another unit's key shares that key's bounded lists with it: not part of this law.
        let own = |record: &&Record| if let Record::Event(event) = record { event.bu == event.source.bu() } else { true };
        let of_unit = |record: &&Record| if let Record::Event(event) = record { event.bu == BUS[bu] } else { true };
        let whole = state_of(all.iter().filter(own));
        let silo = state_of(all.iter().filter(own).filter(of_unit));
        let Some(only) = silo.catalogue().bu(BUS[bu]) else { return Ok(()) };
        let everybody: Vec<_> = (0..KEYS).map(key).collect();
        for keys in everybody.iter().map(std::slice::from_ref).chain([&everybody[..]]) {
            let seen = whole.profile(keys, whole.catalogue().bu(BUS[bu]));
            prop_assert_eq!(profile_view(&whole, &seen), profile_view(&silo, &silo.profile(keys, Some(only))));
        }
    }

    #[test]
    fn link_then_unlink_is_never_linked(
        others in records(150),
        linked_from_the_start in vec(statement(), 0..12),
        undone in vec((0..KEYS, 1..KEYS, any::<Index>(), any::<Index>()), 1..8),
        (bu, wanted) in (0..BUS.len(), 1..20_usize),
    ) {
        let never: Vec<Record> = linked_from_the_start.into_iter().map(Record::Link).chain(others).collect();
        let mut log = never.clone();
        for (a, step, link_at, unlink_at) in undone {
            // Evidence of its own, so that what else is said of the pair stands. An unlink may arrive before its link.
            let stated = |operation, day| Record::Link(state_that((a, (a + step) % KEYS), Evidence::Declared, operation, day, 1.0));
            log.insert(link_at.index(log.len() + 1), stated(Operation::Link, 1));
            log.insert(unlink_at.index(log.len() + 1), stated(Operation::Unlink, 2));
        }
        let options = RankingOptions::default();
        let (mut one, mut other) = (Shop::of(&never, &options), Shop::of(&log, &options));
        prop_assert_eq!(view(&one.state), view(&other.state));
        for who in 0..KEYS {
            let ask = Ask::of(who, bu, wanted);
            let [one, other] = [one.slate(&ask), other.slate(&ask)].map(|slate| slate.map(|slate| format!("{slate:?}")));
            prop_assert_eq!(one, other);
        }
    }
}

/// Who is one person with key `of`, by number.
fn person(state: &State, of: u8) -> Vec<u8> {
    let keys = state.identity().person(key(of).hash()).unwrap_or_else(|| [key(of).hash()].into());
    (0..KEYS).filter(|n| keys.contains(&key(*n).hash())).collect()
}

#[track_caller]
fn check_undone(links: &[(u8, u8, f64)], extra: (u8, u8), of: u8, never: &[u8], meanwhile: &[u8]) {
    let stated = |(a, b), operation, day, trust| Record::Link(state_that((a, b), Evidence::Login, operation, day, trust));
    let links: Vec<_> = links.iter().map(|(a, b, trust)| stated((*a, *b), Operation::Link, 1, *trust)).collect();
    let state = state_of(&links);
    let before = view(&state);
    assert_eq!(person(&state, of), never);
    assert_eq!(state.apply(&stated(extra, Operation::Link, 2, 1.0)), Outcome::Applied);
    assert_eq!(person(&state, of), meanwhile);
    assert_eq!(state.apply(&stated(extra, Operation::Unlink, 3, 1.0)), Outcome::Applied);
    assert_eq!(view(&state), before);
}

#[test]
fn a_link_over_a_cap_can_be_undone() {
    assert_eq!((LIMITS.degree_max, LIMITS.person_keys_max), (3, 4));
    let star = [(0, 1, 1.0), (0, 2, 1.0), (0, 3, 1.0)];
    check_undone(&star, (0, 4), 0, &[0, 1, 2, 3], &[0]); // a fourth pair makes a hub of key 0
    check_undone(&star, (0, 4), 2, &[0, 1, 2, 3], &[2]);
    let chain = [(1, 2, 0.9), (2, 3, 0.8), (3, 4, 0.7)];
    check_undone(&chain, (4, 5), 1, &[1, 2, 3, 4], &[1, 2, 3]); // five keys don't fit: the least trusted pair falls out
    check_undone(&chain, (4, 5), 5, &[5], &[4, 5]);
    check_undone(&chain, (0, 6), 1, &[1, 2, 3, 4], &[1, 2, 3, 4]);
}
