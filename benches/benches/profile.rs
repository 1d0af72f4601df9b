//! The write path's inner step and the first steps of every answer: inserting into a fragment, linking keys and finding a person's, folding
//! fragments into a profile.
#![allow(missing_docs, reason = "criterion's macros write items without docs")]
#![allow(clippy::expect_used, reason = "a bench that can't build its world has failed")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use faces_core::{
    event::{Behaviour, EventKind},
    fragment::Fragment,
    identity::{Confidence, Evidence, IdentityGraph, Limits, Operation, Statement},
    ids::{EventId, EventTime, ItemId},
    key::{KeyHash, KeyKind, SourceKey},
    profile::Profile,
};

const KINDS: [EventKind; 5] = [EventKind::Impression, EventKind::View, EventKind::Cart, EventKind::Purchase, EventKind::Dislike];

/// The `n`-th behaviour of a source key, one a minute, kinds in turn.
fn behaviour(n: u32) -> Behaviour {
    Behaviour {
        time: EventTime::from_millis(i64::from(n) * 60_000),
        event: EventId::from_raw(u64::from(n)),
        item: ItemId::new(n % 1_000),
        kind: KINDS[n as usize % KINDS.len()],
        rating_tenths: None,
    }
}

fn fragment(behaviours: u32) -> Fragment {
    let mut fragment = Fragment::default();
    for n in 0..behaviours {
        fragment.insert(behaviour(n));
    }
    fragment
}

fn insert(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fragment");
    let full = fragment(2_000); // every class at its capacity
    group.bench_function("insert newest into full", |bencher| {
        let (mut held, mut n) = (full.clone(), 2_000);
        bencher.iter(|| {
            n += 1;
            held.insert(black_box(behaviour(n)))
        });
    });
    group.bench_function("insert duplicate into full", |bencher| {
        let (mut held, mut n) = (full.clone(), 0);
        bencher.iter(|| {
            n = (n + 1) % 100;
            held.insert(black_box(behaviour(1_999 - n)))
        });
    });
    group.bench_function("fill from empty with 30", |bencher| {
        bencher.iter(|| fragment(black_box(30)));
    });
    let half = (fragment(1_000), full.clone());
    group.bench_function("join two full", |bencher| {
        bencher.iter_batched_ref(|| half.0.clone(), |held| held.join(black_box(&half.1)), BatchSize::SmallInput);
    });
    group.finish();
}

fn fold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("profile fold");
    for (name, fragments, behaviours) in
        [("1 fragment of 30", 1, 30), ("2 fragments of 30", 2, 30), ("8 full fragments", 8, 2_000)]
    {
        let parts: Vec<_> = (0..fragments).map(|n| (KeyHash::from_raw(n), fragment(behaviours))).collect();
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| parts.clone(), |parts| Profile::fold(black_box(parts)), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn key(n: u32) -> SourceKey {
    SourceKey::new("market", KeyKind::Account, &n.to_string()).expect("a key")
}

/// What is said of two neighbours in a chain, at a time.
fn statement(n: u32, operation: Operation, time_ms: i64) -> Statement {
    let time = EventTime::from_millis(time_ms);
    Statement::new(key(n), key(n + 1), Evidence::Login, operation, Confidence::FULL, time).expect("two keys")
}

/// Linking and finding a person in the middle of chains, most of them far longer than a person may be; linking a key that has many links.
fn link(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("identity");
    for links in [10, 1_000, 20_000] {
        let graph = IdentityGraph::new(Limits::default());
        (0..links).for_each(|n| _ = graph.apply(&statement(n, Operation::Link, 0)));
        let (middle, mut time_ms) = (links / 2, 0);
        group.bench_function(format!("unlink and link in a chain of {links}"), |bencher| {
            bencher.iter(|| {
                time_ms += 2;
                graph.apply(&statement(middle, Operation::Unlink, time_ms));
                graph.apply(&statement(middle, Operation::Link, time_ms + 1))
            });
        });
        let who = key(middle).hash();
        group.bench_function(format!("person in a chain of {links}"), |bencher| bencher.iter(|| graph.person(black_box(who))));
    }
    let (hub, mut other) = (IdentityGraph::new(Limits::default()), 1);
    let to_hub = |n| {
        Statement::new(key(0), key(n), Evidence::Login, Operation::Link, Confidence::FULL, EventTime::from_millis(0))
            .expect("two keys")
    };
    (1..20_000).for_each(|n| _ = hub.apply(&to_hub(n)));
    group.bench_function("link of a key with 20000", |bencher| {
        bencher.iter(|| {
            other += 1;
            hub.apply(&to_hub(20_000 + other))
        });
    });
    group.finish();
}

criterion_group!(benches, insert, fold, link);
criterion_main!(benches);
