//! What is loaded is what was cut, whatever happened meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

mod world;

use std::thread;

use faces_core::{digest::Digest, state::State};
use faces_state::{ImageStore, Options, StateError, inspect, rewrite_positions};
use proptest::prelude::*;
use serde_json::json;
use world::{apply, cut, digest, digest_of, event, open, records, state};

fn options() -> Options {
    Options::new("log")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Records in parts; an image after each part while the next part is being applied; now and then a restart.
    #[test]
    fn an_image_is_what_was_applied_before_its_cut(
        parts in proptest::collection::vec((records(0..150), any::<bool>(), any::<bool>()), 1..9),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, mut state, _) = open(folder.path(), options()).unwrap();
        let mut applied = Vec::new();
        let mut parts = parts.into_iter().peekable();
        if let Some((first, ..)) = parts.peek() {
            apply(&state, first);
        }
        while let Some((part, is_restarted, is_swept)) = parts.next() {
            applied.extend(part);
            let next = parts.peek().map(|(next, ..)| next.as_slice()).unwrap_or_default();
            let cut = cut(&state);
            thread::scope(|scope| {
                let state: &State = &state;
                scope.spawn(move || {
                    apply(state, next);
                    if is_swept { state.sweep(); }
                });
                store.write(cut, json!(applied.len())).unwrap();
            });
            if is_restarted {
                drop(store);
                let (again, loaded_into, loaded) = open(folder.path(), options()).unwrap();
                prop_assert_eq!(digest(&loaded_into), digest_of(&applied));
                prop_assert_eq!(loaded.unwrap().positions, json!(applied.len()));
                apply(&loaded_into, &applied[applied.len() / 2..]); // again what it has, then what is next
                apply(&loaded_into, next);
                (store, state) = (again, loaded_into);
            }
        }
        drop(store);
        let (_, loaded_into, _) = open(folder.path(), options()).unwrap();
        prop_assert_eq!(digest(&loaded_into), digest_of(&applied));
        apply(&loaded_into, &applied);
        prop_assert_eq!(digest(&loaded_into), digest_of(&applied));
        loaded_into.sweep();
        let swept = digest(&loaded_into);
        prop_assert_eq!(swept, digest_of(&applied));
        prop_assert_eq!(Digest::of_served_demand(&loaded_into), swept.demand);
    }

    #[test]
    fn a_digest_knows_sets_not_orders(
        (records, shuffled) in records(0..400).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        split in any::<prop::sample::Index>(),
    ) {
        let one = state();
        apply(&one, &records);
        let other = state();
        let split = split.index(records.len() + 1);
        thread::scope(|scope| {
            let other: &State = &other;
            let (a, b) = shuffled.split_at(split);
            scope.spawn(move || apply(other, a));
            scope.spawn(move || apply(other, b));
            let again = &records[records.len() / 3..];
            scope.spawn(move || apply(other, again));
        });
        prop_assert_eq!(digest(&one), digest(&other));
        one.sweep();
        other.sweep();
        let swept = digest(&one);
        prop_assert_eq!(swept, digest(&other));
        prop_assert_eq!(Digest::of_served_demand(&one), swept.demand);
        prop_assert_eq!(Digest::of_served_demand(&other), swept.demand);
    }
}

#[test]
fn a_state_of_many_records_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, state, loaded) = open(folder.path(), options()).unwrap();
    assert!(loaded.is_none());
    let all: Vec<_> = (0..20_000_u32).map(|n| event(n % 5000, n % 700, (n % 11) as usize, i64::from(n))).collect();
    apply(&state, &all[..15_000]);
    let first = store.write(cut(&state), json!({"events-0": 15_000})).unwrap();
    assert!(first.bases > 1000 && first.deltas == 0, "{first:?}");
    apply(&state, &all[15_000..15_100]);
    let second = store.write(cut(&state), json!(null)).unwrap();
    assert!(second.deltas > 50 && second.bases < 200 && second.bytes < first.bytes, "{second:?}");
    store.write(cut(&state), json!(null)).unwrap(); // a few shards may be due for being written whole
    let idle = store.write(cut(&state), json!(1)).unwrap();
    assert_eq!((idle.bases, idle.deltas, idle.values), (0, 0, 0), "nothing changed, nothing is written");
    drop(store);
    let (_store, again, loaded) = open(folder.path(), options()).unwrap();
    assert_eq!(loaded.unwrap().positions, json!(1));
    assert_eq!(digest(&again), digest(&state));
    assert_eq!(again.behaviour_count(), state.behaviour_count());
}

#[test]
fn segments_die_and_space_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, state, _) = open(folder.path(), options()).unwrap();
    let events = |from: u32, count: u32| -> Vec<_> {
        (from..from + count).map(|n| event(n.wrapping_mul(2_654_435_761) % 4000, n % 50, 1, i64::from(n))).collect()
    };
    apply(&state, &events(0, 200_000));
    for cycle in 0..60 {
        let written = store.write(cut(&state), json!(cycle)).unwrap();
        assert!(written.segment_bytes < 3 * written.live_bytes, "cycle {cycle}: {written:?}");
        apply(&state, &events(200_000 + cycle * 400, 400));
    }
    let (images, wrong) = inspect(folder.path(), true).unwrap();
    assert_eq!((images.len(), wrong.len()), (2, 0));
    assert!(images[0].segments <= 34, "{}", images[0].segments);
    assert!(store.disk_bytes().unwrap() < 4 * images[0].live_bytes);
    drop(store);
    let (_store, again, _) = open(folder.path(), options()).unwrap();
    apply(&again, &events(200_000 + 59 * 400, 400));
    assert_eq!(digest(&again), digest(&state));
}

#[test]
fn one_process_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _held = ImageStore::open(folder.path(), options()).unwrap();
    let refused = ImageStore::open(folder.path(), options()).err().unwrap();
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    assert!(matches!(rewrite_positions(folder.path(), |positions| positions), Err(StateError::InUse { .. })));
}

#[test]
fn misuse_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = ImageStore::open(folder.path(), options()).unwrap();
    let mine = state();
    assert!(matches!(store.write(cut(&mine), json!(0)), Err(StateError::Misuse(_))), "before load");
    store.load(&mine, &|_| ()).unwrap();
    assert!(matches!(store.write(cut(&state()), json!(0)), Err(StateError::Misuse(_))), "of another state");
    store.write(cut(&mine), json!(0)).unwrap();
    drop(store);
    let mut store = ImageStore::open(folder.path(), Options::new("other")).unwrap();
    let refused = store.load(&state(), &|_| ()).unwrap_err();
    assert!(refused.to_string().contains("\"log\""), "{refused}");
}

#[test]
fn positions_can_be_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(rewrite_positions(folder.path(), |positions| positions).unwrap(), None);
    let (mut store, state, _) = open(folder.path(), options()).unwrap();
    apply(&state, &[event(1, 1, 1, 1)]);
    store.write(cut(&state), json!({"a": 1, "b": 2})).unwrap();
    drop(store);
    let without_b = |mut positions: serde_json::Value| {
        positions.as_object_mut().unwrap().remove("b");
        positions
    };
    assert_eq!(rewrite_positions(folder.path(), without_b).unwrap(), Some(2));
    let (_store, again, loaded) = open(folder.path(), options()).unwrap();
    assert_eq!(loaded.unwrap().positions, json!({"a": 1}));
    assert_eq!(digest(&again), digest(&state));
}
