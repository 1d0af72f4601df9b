//! The write path's inner step and the first step of every answer: inserting into a fragment, folding fragments into a profile.
#![allow(missing_docs, reason = "criterion's macros write items without docs")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use faces_core::{
    event::{Behaviour, EventKind},
    fragment::Fragment,
    ids::{EventId, EventTime, ItemId},
    key::KeyHash,
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

criterion_group!(benches, insert, fold);
criterion_main!(benches);
