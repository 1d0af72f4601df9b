//! Counted once: the digest of a state is a function of the *set* of records, whatever the order, the threads and the repeats; a cut
//! is exact whatever is applied meanwhile; what is let go of leaves no trace in what is derived.
#![allow(clippy::expect_used, reason = "a test that can't build its world has failed")]

#[allow(dead_code, reason = "each test uses its part of the world")]
mod world;

use std::sync::Arc;

use faces_core::{
    digest::Digest,
    event::EventKind,
    ids::{EventId, EventTime},
    key::{KeyKind, SourceKey},
    record::{Apply, Event, Outcome, Record},
    state::{State, StateOptions},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use world::{BUS, DAY_MS, LIMITS, change, config, event, restored, statement};

fn records(count_max: usize) -> impl Strategy<Value = Vec<Record>> {
    let record = prop_oneof![
        12 => event(80..100).prop_map(Record::Event),
        1 => statement().prop_map(Record::Link),
        3 => change().prop_map(Record::Item),
    ];
    vec(record, 0..count_max)
}

fn empty(options: StateOptions) -> Arc<State> {
    Arc::new(State::new(StateOptions { identity: LIMITS, ..options }))
}

/// Applies in one batch.
fn apply<'a>(state: &State, records: impl IntoIterator<Item = &'a Record>) {
    let mut writer = state.writer();
    for record in records {
        writer.record(record);
    }
    writer.flush();
}

fn state_of(records: &[Record], options: StateOptions) -> Arc<State> {
    let state = empty(options);
    apply(&state, records);
    state
}

fn digest(state: &Arc<State>) -> Digest {
    Digest::of(&state.cut().expect("no other cut"))
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn order_repeats_and_threads_leave_no_trace(
        (log, shuffled) in records(400).prop_flat_map(|log| (Just(log.clone()), Just(log).prop_shuffle())),
        again in any::<Index>(),
        threads in 2..5_usize,
        retention_days in prop_oneof![Just(0_u32), 1..15_u32],
    ) {
        let options = StateOptions { retention_days, ..StateOptions::default() };
        let clean = state_of(&log, options);
        let busy = empty(options);
        let replayed = if shuffled.is_empty() { &shuffled[..] } else { &shuffled[again.index(shuffled.len())..] };
        std::thread::scope(|scope| {
            for part in shuffled.chunks(shuffled.len().div_ceil(threads).max(1)) {
                let busy = &busy;
                scope.spawn(move || apply(busy, part));
            }
            scope.spawn(|| apply(&busy, replayed));
        });
        prop_assert_eq!(digest(&busy), digest(&clean));
        for state in [&clean, &busy] {
            state.sweep();
            prop_assert_eq!(Digest::of_served_demand(state), digest(state).demand, "what is served is what is held");
            prop_assert_eq!(state.cut().map(|cut| Digest::of(&cut)), Some(digest(&clean)), "sweeping is not seen");
        }
        prop_assert_eq!(busy.behaviour_count(), clean.behaviour_count());
    }

    #[test]
    fn a_cut_is_what_was_applied_before_it(log in records(300), at in any::<Index>(), since in any::<Index>()) {
        let (first, second) = log.split_at(at.index(log.len() + 1));
        let state = empty(StateOptions::default());
        state.remember_changes();
        let (earlier, later) = first.split_at(since.index(first.len() + 1));
        apply(&state, earlier);
        let cut = state.cut().expect("no other cut");
        prop_assert!(state.cut().is_none(), "one at a time");
        prop_assert_eq!(Digest::of(&cut), digest(&state_of(earlier, StateOptions::default())));
        cut.keep();
        apply(&state, later);
        let cut = state.cut().expect("the other was kept");
        std::thread::scope(|scope| {
            scope.spawn(|| apply(&state, second));
            let expected = digest(&state_of(first, StateOptions::default()));
            assert_eq!(Digest::of(&cut), expected, "whatever is applied meanwhile");
        });
        drop(cut);
        prop_assert_eq!(digest(&state), digest(&state_of(&log, StateOptions::default())));
    }
}

fn view(kind: KeyKind, who: u32, at_ms: i64) -> Event {
    Event {
        source: SourceKey::new(BUS[0], kind, &format!("k{who}")).expect("a sound key"),
        bu: BUS[0].to_owned(),
        item_id: Some("i1".to_owned()),
        kind: EventKind::View,
        time: EventTime::from_millis(at_ms),
        id: EventId::from_raw(at_ms as u64),
        value: None,
        region: None,
    }
}

#[test]
fn behaviours_expire_by_the_clock_of_the_log() {
    let state = empty(StateOptions { retention_days: 2, ..StateOptions::default() });
    let at = |who, day| Record::Event(view(KeyKind::Account, who, day * DAY_MS));
    apply(&state, &[at(1, 1), at(2, 2), at(1, 3)]);
    let key = |who| [SourceKey::new(BUS[0], KeyKind::Account, &format!("k{who}")).expect("a sound key")];
    assert_eq!(state.profile(&key(1), None).taste.len(), 1, "two days before the newest event is too old");
    assert_eq!(state.apply(&at(3, 1)), Outcome::Expired);
    assert_eq!((state.fragment_count(), state.behaviour_count()), (2, 3), "memory is freed by the sweep");
    let swept = state.sweep();
    assert_eq!((swept.behaviours, swept.keys), (1, 0));
    apply(&state, &[at(1, 5)]);
    let swept = state.sweep();
    assert_eq!((swept.behaviours, swept.keys), (2, 1), "key 2 holds nothing any more");
    assert_eq!((state.fragment_count(), state.behaviour_count()), (1, 1));
    assert_eq!(Digest::of_served_demand(&state), digest(&state).demand);
}

#[test]
fn what_expired_comes_back_if_it_is_read_again_after_a_restart_that_keeps_more() {
    let options = StateOptions { retention_days: 10, ..StateOptions::default() };
    let state = empty(options);
    let at = |who, day| Record::Event(view(KeyKind::Account, who, day * DAY_MS));
    apply(&state, &[at(1, 1), at(2, 100)]);
    for days in [0, 10, 1_000] {
        let later = Arc::new(restored(&state, StateOptions { retention_days: days, ..options }));
        assert_eq!(digest(&later), digest(&state), "a restart brings nothing back by itself");
        let expected = if days == 10 { Outcome::Expired } else { Outcome::Applied };
        assert_eq!(later.apply(&at(1, 1)), expected, "{days} days are kept");
        assert_eq!(later.apply(&at(3, 95)), Outcome::Applied);
        later.sweep();
        assert_eq!(Digest::of_served_demand(&later), digest(&later).demand);
    }
}

#[test]
fn beyond_the_bound_the_oldest_behaviours_go_first() {
    let state = empty(StateOptions { behaviours_max: 1_000, ..StateOptions::default() });
    let log: Vec<_> = (0..3_000).map(|n| Record::Event(view(KeyKind::Account, n, i64::from(n) * 1_000))).collect();
    apply(&state, &log);
    state.sweep();
    let held = state.behaviour_count();
    assert!((700..=1_000).contains(&held), "{held} held of at most 1000");
    let last = [SourceKey::new(BUS[0], KeyKind::Account, "k2999").expect("a sound key")];
    assert_eq!(state.profile(&last, None).taste.len(), 1);
    assert_eq!(Digest::of_served_demand(&state), digest(&state).demand);
}

#[test]
fn a_flood_of_device_keys_stays_bounded_and_spares_who_comes_back() {
    const PROBATION: usize = 4_096;
    let state = empty(StateOptions { probation_keys_max: PROBATION, ..StateOptions::default() });
    let regulars: Vec<_> = (0..100).flat_map(|n| [1, 2].map(|at| Record::Event(view(KeyKind::Device, n, at)))).collect();
    apply(&state, &regulars);
    let accounts: Vec<_> = (0..100).map(|n| Record::Event(view(KeyKind::Account, n, 1))).collect();
    apply(&state, &accounts);
    let flood: Vec<_> = (1_000..41_000).map(|n| Record::Event(view(KeyKind::Device, n, 3))).collect();
    apply(&state, &flood);
    state.sweep();
    let held = state.fragment_count();
    assert!(held <= PROBATION + 200, "{held} keys");
    assert_eq!(held as u64 + state.probation_drops(), 40_200, "every key is held or counted as let go");
    for n in 0..100 {
        for kind in [KeyKind::Device, KeyKind::Account] {
            let key = [SourceKey::new(BUS[0], kind, &format!("k{n}")).expect("a sound key")];
            assert!(!state.profile(&key, None).taste.is_empty(), "{kind:?} {n}");
        }
    }
    assert_eq!(Digest::of_served_demand(&state), digest(&state).demand);
}
