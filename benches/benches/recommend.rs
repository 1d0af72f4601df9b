//! One answer by the served code, whole and in parts, over a group of 50,000 items and 20,000 persons with 50 behaviours each.
#![allow(missing_docs, reason = "criterion's macros write items without docs")]
#![allow(clippy::expect_used, reason = "a bench whose world can't be built has failed")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faces_benches::{
    Scale,
    generation::generation,
    group::{BUS, Group, GroupSize, NOW},
};
use faces_core::{
    catalogue::ItemChange,
    ids::{BuId, ItemId},
    key::{KeyKind, SourceKey},
    ranking::{
        Condition, Model, Near,
        query::{SignalOptions, signals},
    },
};
use faces_serve::{
    engine::{Ask, Engine, EngineOptions},
    follow,
};

struct Shop {
    group: Group,
    engine: Arc<Engine>,
    bu: BuId,
}

impl Shop {
    fn new() -> Self {
        let scale = Scale::of_this_run();
        let group = Group::new(GroupSize { items: scale.size(50_000), persons: scale.size(20_000), behaviours: 50 });
        let bu = group.state.catalogue().bu(BUS[0]).expect("a known unit");
        let engine = Arc::new(Engine::new(Arc::clone(&group.state), EngineOptions::default()));
        engine.swap(generation(&group));
        Self { group, engine, bu }
    }

    fn ask<'a>(&self, who: &'a SourceKey) -> Ask<'a> {
        Ask::new(std::slice::from_ref(who), self.bu, NOW)
    }
}

fn recommend(criterion: &mut Criterion) {
    let shop = Shop::new();
    let Shop { group: Group { state, persons, .. }, engine, bu } = &shop;
    let without_model = Engine::new(Arc::clone(state), EngineOptions::default());
    let stranger = SourceKey::new(BUS[0], KeyKind::Session, "nobody").expect("a sound key");
    let given: Vec<ItemId> = state.catalogue().items_of(*bu).step_by(7).take(100).collect();
    let narrow = Condition::Brand("brand 7".into()); // one item in 500
    let broad = Condition::Price { min: 0.0, max: 500.0 }; // every second item

    let mut group = criterion.benchmark_group("recommend");
    let mut bench = |name: &str, answer: &dyn Fn(&SourceKey)| {
        let mut persons = persons.iter().cycle();
        group.bench_function(name, |bencher| bencher.iter(|| answer(black_box(persons.next().expect("persons without end")))));
    };
    bench("known person", &|who| drop(engine.recommend(&shop.ask(who))));
    bench("known person, explained", &|who| drop(engine.recommend(&Ask { explain: true, ..shop.ask(who) })));
    bench("stranger", &|_| drop(engine.recommend(&shop.ask(&stranger))));
    bench("no model", &|who| drop(without_model.recommend(&shop.ask(who))));
    bench("deadline past", &|who| drop(engine.recommend(&Ask { deadline: Some(Instant::now()), ..shop.ask(who) })));
    bench("condition on half the items", &|who| drop(engine.recommend(&Ask { condition: Some(&broad), ..shop.ask(who) })));
    bench("condition on 1 item in 500", &|who| drop(engine.recommend(&Ask { condition: Some(&narrow), ..shop.ask(who) })));
    bench("stranger, condition on 1 item in 500", &|_| {
        drop(engine.recommend(&Ask { condition: Some(&narrow), ..shop.ask(&stranger) }));
    });
    bench("rerank 100", &|who| drop(engine.rerank(&given, &shop.ask(who))));
    for size in [1, 4, 16] {
        let mut first = 0;
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("known persons together", size), |bencher| {
            bencher.iter(|| {
                first = (first + size) % (persons.len() - size);
                let asks: Vec<Ask<'_>> = persons[first..first + size].iter().map(|who| shop.ask(who)).collect();
                engine.recommend_each(black_box(&asks))
            });
        });
    }
    group.finish();
    steps(criterion, &shop);
    changes(criterion, &shop);
}

/// The steps before the pipeline.
fn steps(criterion: &mut Criterion, shop: &Shop) {
    let Group { state, persons, .. } = &shop.group;
    let mut group = criterion.benchmark_group("recommend steps");
    let mut at = 0;
    group.bench_function("profile of two linked keys", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % persons.len();
            state.profile(black_box(std::slice::from_ref(&persons[at])), None)
        });
    });
    let profiles: Vec<_> = persons.iter().map(|key| state.profile(std::slice::from_ref(key), None)).collect();
    group.bench_function("signals of 50 behaviours", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % profiles.len();
            signals(state, black_box(&profiles[at].taste), shop.bu, NOW, SignalOptions::default())
        });
    });
    group.finish();
}

/// From a change of the catalogue to an index that knows of it.
fn changes(criterion: &mut Criterion, shop: &Shop) {
    let (catalogue, engine) = (shop.group.state.catalogue(), &shop.engine);
    let model = engine.generation().expect("a generation");
    let mut vector = vec![0.0; model.dimension()];
    let item = catalogue.items_of(shop.bu).find(|item| catalogue.is_servable(*item) && model.add_vector(*item, 1.0, &mut vector));
    let item = item.expect("an item with a vector");
    let is_found = || {
        let mut is_found = false;
        let near = Near { bu: shop.bu, vector: &vector, count: 10, condition: None };
        model.nearest(&near, &mut |found, _| is_found |= found == item);
        is_found
    };
    let mut attributes = (*catalogue.attributes(item)).clone();
    let (bu, item_id) = (BUS[0].to_owned(), catalogue.item_name(item).expect("a known item").to_owned());
    let mut time = NOW;
    let mut sell = |sold_out: bool| {
        time = time.plus_millis(1);
        attributes.sold_out = sold_out;
        catalogue.apply(&ItemChange { bu: bu.clone(), item_id: item_id.clone(), time, attributes: Some(attributes.clone()) });
        let started = Instant::now();
        while is_found() == sold_out {
            assert!(started.elapsed() < Duration::from_secs(10), "the index does not follow the catalogue");
        }
    };
    let follower = follow::start(Arc::clone(engine)).expect("a thread");
    let mut group = criterion.benchmark_group("catalogue");
    group.sample_size(10);
    group.bench_function("sold out and back until the index knows, twice", |bencher| {
        bencher.iter(|| [true, false].map(&mut sell));
    });
    group.finish();
    drop(follower);
}

criterion_group!(benches, recommend);
criterion_main!(benches);
