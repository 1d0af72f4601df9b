//! The write path behind the log: what applying one event costs, alone and while a cut is held, and what digests and settling cost.
#![allow(missing_docs, reason = "criterion's macros write items without docs")]
#![allow(clippy::expect_used, reason = "a bench that can't build its world has failed")]

use std::{hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use faces_benches::cpu::CpuTime;
use faces_core::{
    digest::Digest,
    event::EventKind,
    ids::{EventId, EventTime},
    key::{KeyHash, KeyKind, SourceKey},
    record::{Apply as _, EventView, Writer},
    state::State,
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

const PEOPLE: usize = 100_000;
const ITEMS: usize = 50_000;
const BEHAVIOURS: usize = 16;
const BATCH: usize = 1_024;

struct Log {
    keys: Vec<KeyHash>,
    items: Vec<String>,
    random: SmallRng,
    now_ms: i64,
    kinds: &'static [EventKind],
}

/// What speaks for taste, and so is counted among neighbours and in demand too.
const OF_TASTE: &[EventKind] = &[EventKind::View, EventKind::View, EventKind::Click, EventKind::Cart, EventKind::Purchase];
/// What is only remembered.
const OF_NO_TASTE: &[EventKind] = &[EventKind::Impression];

impl Log {
    fn new() -> Self {
        let key = |n| SourceKey::new("shop", KeyKind::Account, &format!("u{n}")).expect("a sound key").hash();
        Self {
            keys: (0..PEOPLE).map(key).collect(),
            items: (0..ITEMS).map(|n| format!("item-{n}")).collect(),
            random: SmallRng::seed_from_u64(1),
            now_ms: 1_700_000_000_000,
            kinds: OF_TASTE,
        }
    }

    fn next(&mut self) -> EventView<'_> {
        self.now_ms += i64::from(self.random.random_bool(0.3));
        EventView {
            region: None,
            source: self.keys[self.random.random_range(0..self.keys.len())],
            source_kind: KeyKind::Account,
            bu: "shop",
            item_id: Some(&self.items[self.random.random_range(0..ITEMS)]),
            kind: self.kinds[self.random.random_range(0..self.kinds.len())],
            time: EventTime::from_millis(self.now_ms),
            id: EventId::from_raw(self.random.random()),
            value: None,
        }
    }

    fn batch(&mut self, writer: &mut dyn Writer) {
        for _ in 0..BATCH {
            let event = self.next();
            black_box(writer.event(&event));
        }
        writer.flush();
    }
}

fn filled() -> (Arc<State>, Log) {
    let (state, mut log) = (Arc::new(State::default()), Log::new());
    let mut writer = state.writer();
    for _ in 0..PEOPLE * BEHAVIOURS / BATCH {
        log.batch(&mut *writer);
    }
    drop(writer);
    state.settle();
    (state, log)
}

fn apply(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("apply");
    let (state, mut log) = filled();
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut writer = state.writer();
    group.bench_function("a batch of 1024 events", |bencher| bencher.iter(|| log.batch(&mut *writer)));
    log.kinds = OF_NO_TASTE;
    group.bench_function("a batch of 1024 impressions", |bencher| bencher.iter(|| log.batch(&mut *writer)));
    log.kinds = OF_TASTE;
    group.bench_function("a batch of 1024 events, right after a cut", |bencher| {
        bencher.iter_batched(
            || state.cut().expect("the one before was dropped"),
            |cut| {
                log.batch(&mut *writer);
                cut
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("settle after a batch of 1024", |bencher| {
        bencher.iter_batched(|| log.batch(&mut *writer), |()| state.settle(), BatchSize::PerIteration);
    });
    drop(writer);
    group.throughput(Throughput::Elements(state.behaviour_count()));
    group.sample_size(10);
    group.bench_function("digest, by behaviour", |bencher| {
        bencher.iter(|| Digest::of(&state.cut().expect("the one before was dropped")));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = apply
}
criterion_main!(benches);
