//! Live neighbours: what people took together shows at once, across units as long as their accounts are linked, and never of too few.
#![allow(clippy::expect_used, reason = "a test that can't build its world has failed")]

#[allow(dead_code, reason = "each test uses its part of the world")]
mod world;

use std::{collections::BTreeSet, sync::Arc};

use faces_core::{
    event::{BehaviourClass, EventKind},
    identity::{Confidence, Evidence, Operation, Statement},
    ids::{BuId, EventId, EventTime},
    key::{KeyKind, SourceKey},
    neighbours::{LineId, TAKERS_MIN},
    ranking::{
        Candidate, CandidateSet, Pipeline, Query, RankingOptions, Scratch, SourceKind, SourceSet, explain::explain,
        query::signals,
    },
    record::{Apply as _, Event, Record},
    state::{State, StateOptions},
};
use world::restored;

const NOW: EventTime = EventTime::from_millis(1_000 * 3_600_000);

fn account(bu: &str, id: &str) -> SourceKey {
    SourceKey::new(bu, KeyKind::Account, id).expect("a sound key")
}

fn takes(state: &State, who: &SourceKey, item: &str, hour: i64) {
    let (bu, time) = (who.bu().to_owned(), EventTime::from_millis(hour * 3_600_000));
    let id = EventId::from_content(time, &bu, item, EventKind::View as u8, None);
    state.apply(&Record::Event(Event {
        source: who.clone(),
        bu,
        item_id: Some(item.into()),
        kind: EventKind::View,
        time,
        id,
        value: None,
        region: None,
    }));
}

fn links(state: &State, a: &SourceKey, b: &SourceKey, operation: Operation, hour: i64) {
    let time = EventTime::from_millis(hour * 3_600_000);
    let statement = Statement::new(a.clone(), b.clone(), Evidence::Login, operation, Confidence::FULL, time).expect("two keys");
    state.apply(&Record::Link(statement));
}

fn bu(state: &State, name: &str) -> BuId {
    state.catalogue().bu_or_new(name).expect("room for units")
}

/// What may stand on a slate for somebody, with what every source says of it.
fn candidates(state: &State, who: &SourceKey, unit: &str, sources: SourceSet) -> Vec<Candidate> {
    with_query(state, who, unit, sources, |query, pipeline| {
        let (mut scratch, mut candidates) = (Scratch::default(), CandidateSet::default());
        pipeline.examine(query, &mut scratch, &mut candidates).0.to_vec()
    })
}

fn with_query<T>(
    state: &State,
    who: &SourceKey,
    unit: &str,
    sources: SourceSet,
    then: impl FnOnce(&Query<'_>, &Pipeline) -> T,
) -> T {
    let unit = bu(state, unit);
    let profile = state.profile(std::slice::from_ref(who), None);
    let options = RankingOptions::default();
    let signals = signals(state, &profile.taste, unit, NOW, options.signals);
    let plain = Query::new(state, None, &profile, &signals, unit, NOW);
    let query = Query { suppress_owned: false, sources, ..plain };
    then(&query, &Pipeline::new(&options))
}

/// Names of what a source finds for somebody.
fn found(state: &State, who: &SourceKey, unit: &str, kinds: &[SourceKind]) -> BTreeSet<String> {
    let candidates = candidates(state, who, unit, SourceSet::ALL);
    let of_kinds = candidates.iter().filter(|candidate| kinds.iter().any(|kind| candidate.part(*kind) > 0.0));
    of_kinds.filter_map(|candidate| state.catalogue().item_name(candidate.item)).map(str::to_owned).collect()
}

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

const HERE: [SourceKind; 2] = [SourceKind::Neighbours, SourceKind::Together];

#[test]
fn what_others_took_with_it_shows_at_once_and_only_if_enough_did() {
    let state = State::default();
    let me = account("shop", "me");
    takes(&state, &me, "tea", 1);
    for n in 0..TAKERS_MIN {
        assert!(!found(&state, &me, "shop", &HERE).contains("cups"), "{n} takers of cups");
        let other = account("shop", &n.to_string());
        takes(&state, &other, "tea", 2);
        takes(&state, &other, "cups", 3);
    }
    takes(&state, &account("shop", "0"), "secret", 4);
    let shown = found(&state, &me, "shop", &HERE);
    assert!(shown.contains("cups") && !shown.contains("secret"), "{shown:?}");
}

#[test]
fn a_person_of_many_keys_is_one_who_took_it() {
    let state = State::default();
    let keys: Vec<_> = (0..TAKERS_MIN).map(|n| account("shop", &n.to_string())).collect();
    let me = account("shop", "me");
    takes(&state, &me, "tea", 1);
    let is_shown = |state: &State| HERE.map(|kind| found(state, &me, "shop", &[kind]).contains("secret"));
    for key in &keys {
        takes(&state, key, "tea", 2);
        takes(&state, key, "secret", 3);
    }
    assert_eq!(is_shown(&state), [true; 2], "each is somebody");
    for (pair, time) in keys.windows(2).zip(4..) {
        links(&state, &pair[0], &pair[1], Operation::Link, time);
    }
    assert_eq!(is_shown(&state), [false; 2], "all are one");
    for n in 1..TAKERS_MIN {
        let other = account("shop", &format!("other-{n}"));
        takes(&state, &other, "tea", 20);
        takes(&state, &other, "secret", 21);
        assert_eq!(is_shown(&state), [n + 1 == TAKERS_MIN; 2], "{n} others");
    }
    links(&state, &account("shop", "other-1"), &keys[0], Operation::Link, 30);
    assert_eq!(is_shown(&state), [false; 2]);
    links(&state, &account("shop", "other-1"), &keys[0], Operation::Unlink, 31);
    assert_eq!(is_shown(&state), [true; 2], "as if they had never been linked");
    // A key that comes to a person known before.
    let late = account("shop", "late");
    links(&state, &late, &keys[0], Operation::Link, 32);
    for key in [&late, &keys[0], &keys[1]] {
        takes(&state, key, "tea", 33);
        takes(&state, key, "secret too", 34);
    }
    assert!(!found(&state, &me, "shop", &HERE).contains("secret too"));
}

#[test]
fn linked_accounts_lead_from_unit_to_unit_and_an_unlink_ends_that() {
    let state = State::default();
    let lines = |key: &SourceKey| state.profile(std::slice::from_ref(key), None).lines;
    for n in 0..TAKERS_MIN {
        let (here, there) = (account("films", &n.to_string()), account("books", &n.to_string()));
        takes(&state, &there, "dune", 1);
        links(&state, &here, &there, Operation::Link, 2);
        takes(&state, &here, "dune, the film", 3);
    }
    let me = account("books", "me");
    takes(&state, &me, "dune", 4);
    assert_eq!(found(&state, &me, "films", &[SourceKind::NeighboursElsewhere]), names(&["dune, the film"]));

    let (here, there) = (account("films", "0"), account("books", "0"));
    let ring = |key: &SourceKey| -> Vec<LineId> {
        let of_key = lines(key).first().copied();
        of_key.map(|line| state.neighbours().others(line).collect()).unwrap_or_default()
    };
    assert_eq!(ring(&here).len(), 1);
    links(&state, &here, &there, Operation::Unlink, 5);
    assert_eq!((ring(&here), ring(&there)), (Vec::new(), Vec::new()), "as if they had never been linked");
}

#[test]
fn linked_accounts_are_together_after_a_restart_whichever_of_their_keys_hold_something() {
    let state = Arc::new(State::default());
    let accounts = |n: u32| ["films", "books"].map(|unit| account(unit, &n.to_string()));
    for n in 0..8 {
        let mail = SourceKey::new("films", KeyKind::HashedEmail, &n.to_string()).expect("a sound key");
        for key in accounts(n) {
            takes(&state, &key, "dune", 1);
            links(&state, &key, &mail, Operation::Link, 2);
        }
    }
    for state in [&restored(&state, StateOptions::default()), &*state] {
        for n in 0..8 {
            let lines = state.profile(&accounts(n), None).lines;
            let others: Vec<LineId> = lines.iter().flat_map(|line| state.neighbours().others(*line)).collect();
            assert_eq!((lines.len(), others.len()), (2, 2), "person {n}");
        }
    }
}

#[test]
fn who_is_new_to_a_unit_gets_what_neighbours_took_lately() {
    let state = State::default();
    for n in 0..2 * TAKERS_MIN {
        let (here, there) = (account("films", &n.to_string()), account("books", &n.to_string()));
        links(&state, &here, &there, Operation::Link, 1);
        takes(&state, &there, "dune", 2);
        takes(&state, &here, "dune, the film", 3);
        let (item, hour) = if n % 2 == 0 { ("last month's", 4) } else { ("today's", 996) };
        takes(&state, &here, item, hour);
    }
    let me = |unit: &str, item: &str| {
        let me = account(unit, "me");
        takes(&state, &me, item, 997);
        candidates(&state, &me, "films", SourceSet::ALL)
    };
    let lead_of_today = |of: &[Candidate], kind: SourceKind| {
        let part = |name: &str| {
            let found = of.iter().find(|candidate| state.catalogue().item_name(candidate.item) == Some(name));
            found.map(|candidate| candidate.part(kind)).expect("it was found")
        };
        part("today's") / part("last month's")
    };
    let of_newcomer = lead_of_today(&me("books", "dune"), SourceKind::NeighboursElsewhere);
    let of_known = lead_of_today(&me("films", "dune, the film"), SourceKind::Neighbours);
    assert!(of_newcomer > 4.0 && of_known < 2.0, "{of_newcomer} and {of_known}");
}

#[test]
fn five_fragments_of_which_none_may_be_used_are_a_strangers() {
    let state = State::default();
    let units = ["shop", "cinema", "grocer", "bank", "travel"];
    let accounts = units.map(|unit| account(unit, "me"));
    for (n, who) in (0..).zip(&accounts) {
        (0..3).for_each(|item| takes(&state, who, &item.to_string(), n * 3 + item));
    }
    accounts.windows(2).for_each(|pair| links(&state, &pair[0], &pair[1], Operation::Link, 20));
    let pharmacy = bu(&state, "pharmacy");
    takes(&state, &account("pharmacy", "somebody"), "plaster", 21);
    let all = state.profile(&accounts[..1], None);
    assert_eq!((all.taste.len(), all.lines.len()), (15, 5), "all five are the person's");
    let none = state.profile(&accounts[..1], Some(pharmacy));
    assert!(none.taste.is_empty() && none.past.is_empty() && none.owned.is_empty() && none.newest().is_none(), "{none:?}");
    let options = RankingOptions::default();
    let slate = |profile: &_| {
        let query = Query::new(&state, None, profile, &[], pharmacy, NOW);
        let (mut scratch, mut candidates) = (Scratch::default(), CandidateSet::default());
        Pipeline::new(&options).recommend(&query, &mut scratch, &mut candidates).items
    };
    assert_eq!(slate(&none), slate(&state.profile(&[], None)));
    assert_eq!(slate(&none).len(), 1, "a catalogue of one item gives it to everybody");
}

#[test]
fn nobody_is_their_own_neighbour() {
    let state = State::default();
    let me = account("shop", "me");
    ["tea", "cups", "pot"].into_iter().zip(1..).for_each(|(item, hour)| takes(&state, &me, item, hour));
    assert_eq!(found(&state, &me, "shop", &[SourceKind::Neighbours]), names(&[]));
}

#[test]
fn what_only_the_person_took_together_is_no_reason() {
    let state = State::default();
    (0..TAKERS_MIN).for_each(|n| takes(&state, &account("films", &n.to_string()), "dune, the film", 1));
    let (here, there) = (account("films", "me"), account("books", "me"));
    takes(&state, &here, "dune, the film", 2);
    takes(&state, &there, "dune", 3);
    links(&state, &here, &there, Operation::Link, 4);
    let reason = |state: &State| {
        with_query(state, &here, "films", SourceSet::ALL, |query, pipeline| {
            let slate = pipeline.recommend(query, &mut Scratch::default(), &mut CandidateSet::default());
            explain(query, slate.items.first().expect("an item"))
        })
    };
    let reason_before = reason(&state);
    assert_eq!((reason_before.source, reason_before.because), (SourceKind::History, Vec::new()));
    // Somebody else did.
    takes(&state, &account("books", "0"), "dune", 5);
    links(&state, &account("books", "0"), &account("films", "0"), Operation::Link, 6);
    let reason_after = reason(&state);
    let dune = state.catalogue().item(bu(&state, "books"), "dune").expect("named");
    assert_eq!((reason_after.source, reason_after.because), (SourceKind::Neighbours, vec![dune]));
}

#[test]
fn a_source_alone_orders_by_what_it_holds_and_one_that_is_silent_says_nothing() {
    let state = State::default();
    for n in 0..TAKERS_MIN + 4 {
        let other = account("shop", &n.to_string());
        for (item, hour) in [("tea", 1), ("cups", 2), ("pot", 3)].into_iter().take(3 - n % 2) {
            takes(&state, &other, item, hour);
        }
        let elsewhere = account("books", &n.to_string());
        takes(&state, &elsewhere, "of tea", 4);
        links(&state, &other, &elsewhere, Operation::Link, 5);
    }
    let me = account("shop", "me");
    takes(&state, &me, "tea", 6);
    let mine = account("books", "me");
    takes(&state, &mine, "of tea", 7);
    links(&state, &me, &mine, Operation::Link, 8);

    let all = candidates(&state, &me, "shop", SourceSet::ALL);
    let spoken = [SourceKind::Trending, SourceKind::Neighbours, SourceKind::NeighboursElsewhere, SourceKind::Together]
        .into_iter()
        .chain([SourceKind::Latest, SourceKind::History]);
    for kind in spoken {
        let of_kind = |candidate: &&Candidate| candidate.part(kind) > 0.0;
        let known: BTreeSet<_> = all.iter().filter(of_kind).map(|candidate| candidate.item).collect();
        assert!(!known.is_empty(), "{kind:?}");
        let slate = with_query(&state, &me, "shop", SourceSet::of(kind), |query, pipeline| {
            pipeline.recommend(query, &mut Scratch::default(), &mut CandidateSet::default()).items
        });
        assert_eq!(slate.iter().map(|candidate| candidate.item).collect::<BTreeSet<_>>(), known, "{kind:?}, and no last resort");
        assert!(slate.iter().all(|candidate| candidate.score.value() == candidate.part(kind)), "{kind:?}");
        assert!(slate.is_sorted_by(|a, b| a.part(kind) >= b.part(kind)), "{kind:?}");
        let rest = SourceSet::ALL.without(SourceSet::of(kind));
        assert!(!candidates(&state, &me, "shop", rest).iter().any(|candidate| candidate.part(kind) != 0.0), "{kind:?}");
    }
}

#[test]
fn keys_that_come_and_go_leave_their_lines_to_others_and_are_takers_no_more() {
    let state = State::new(StateOptions { retention_days: 1, ..StateOptions::default() });
    let device = |id: String| SourceKey::new("shop", KeyKind::Device, &id).expect("a sound key");
    let secret = |state: &State| state.catalogue().item_or_new(bu(state, "shop"), "secret").expect("room for items");
    let again = account("shop", "again");
    for day in 0..20_i64 {
        takes(&state, &again, "secret", day * 48);
        for n in 0..50 {
            let visitor = device(format!("{day}-{n}"));
            takes(&state, &visitor, &format!("a{}", n % 7), day * 48 + 1);
            takes(&state, &visitor, &format!("b{}", n % 5), day * 48 + 2);
        }
        state.sweep();
    }
    assert_eq!(state.neighbours().taker_count(secret(&state)), 1, "one key is one taker, however often it comes back");
    assert!(!state.neighbours().may_name(secret(&state)));
    assert!(state.neighbours().line_count() <= 2 * 51, "{} lines for a thousand visitors", state.neighbours().line_count());
    let last = device("19-3".into());
    assert_eq!(
        state.neighbours().taker_count(state.catalogue().item(bu(&state, "shop"), "a3").expect("named")),
        7,
        "those of the day"
    );
    let seen = state.profile(std::slice::from_ref(&last), None);
    let line = seen.lines.first().copied().expect("two items make a line");
    assert_eq!(state.neighbours().items(line).count(), 2, "nothing of who had the line before");
}

#[test]
fn what_keys_let_go_of_long_before_they_were_linked_is_looked_at_with_the_next_sweep() {
    let state = State::default();
    let keys = ["a", "b", "c"].map(|id| account("shop", id));
    let secret = |state: &State| state.catalogue().item(bu(state, "shop"), "secret").expect("named");
    let many = BehaviourClass::Interest.capacity() as i64 + 10;
    keys.iter().for_each(|key| takes(&state, key, "secret", 1));
    keys.iter().for_each(|key| (0..many).for_each(|n| takes(&state, key, &format!("i{n}"), 2 + n)));
    assert!(state.neighbours().may_name(secret(&state)), "of three persons, as far as is known");
    let [a, b, c] = &keys;
    links(&state, a, b, Operation::Link, 900);
    links(&state, b, c, Operation::Link, 900);
    state.sweep();
    assert!(!state.neighbours().may_name(secret(&state)), "it was one person all the time");
    links(&state, b, c, Operation::Unlink, 901);
    links(&state, a, b, Operation::Unlink, 901);
    state.sweep();
    assert!(state.neighbours().may_name(secret(&state)), "an unlink leaves no trace");
}

#[test]
fn who_gets_a_line_never_stands_for_what_was_done_by_who_had_it_before() {
    let state = State::new(StateOptions { retention_days: 1, ..StateOptions::default() });
    let many = BehaviourClass::Interest.capacity() as i64 + 10;
    (0..many).for_each(|n| takes(&state, &account("shop", "gone"), &format!("i{n}"), n / 20));
    takes(&state, &account("shop", "other"), "tea", 1_000);
    assert_eq!(state.sweep().keys, 1, "who is gone");
    takes(&state, &account("shop", "new"), "secret", 1_000);
    for n in 0..many {
        let item = state.catalogue().item(bu(&state, "shop"), &format!("i{n}")).expect("named");
        let mut takers = 0;
        state.neighbours().takers(std::iter::once(item), |_, _| takers += 1);
        assert_eq!((takers, state.neighbours().taker_count(item)), (0, 0), "of item {n}");
    }
}
