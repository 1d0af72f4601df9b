//! One answer by the served code, whole and in parts, over a group of 50,000 items and 20,000 persons with 50 behaviours each.
#![allow(missing_docs, reason = "criterion's macros write items without docs")]
#![allow(clippy::expect_used, reason = "a bench whose world can't be built has failed")]

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faces_benches::{
    Scale,
    cpu::CpuTime,
    generation::generation,
    group::{BUS, Group, GroupSize, NOW},
};
use faces_core::{
    catalogue::ItemChange,
    ids::{BuId, ItemId},
    key::{KeyKind, SourceKey},
    profile::Profile,
    ranking::{
        CandidateSet, Condition, Features, Model, Near, Pipeline, Query, RankingOptions, Scratch, Signal,
        query::{SignalOptions, signals},
    },
};
use faces_serve::{
    engine::{Ask, Engine, EngineOptions, Made, Ranking},
    follow,
};

/// Made once, as that takes longer than all that is measured.
static SHOP: LazyLock<Shop> = LazyLock::new(Shop::new);

struct Shop {
    group: Group,
    engine: Arc<Engine>,
    bu: BuId,
    /// Those with an account in the unit.
    persons: Vec<SourceKey>,
}

impl Shop {
    fn new() -> Self {
        let scale = Scale::of_this_run();
        let group = Group::new(GroupSize { items: scale.size(50_000), persons: scale.size(20_000), behaviours: 50 });
        let bu = group.state.catalogue().bu(BUS[0]).expect("a known unit");
        let engine = Arc::new(Engine::new(Arc::clone(&group.state), EngineOptions::default()));
        engine.swap(generation(&group));
        let persons = group.persons.iter().step_by(BUS.len()).cloned().collect();
        Self { group, engine, bu, persons }
    }

    fn ask<'a>(&self, who: &'a SourceKey) -> Ask<'a> {
        Ask::new(std::slice::from_ref(who), self.bu, NOW)
    }
}

fn recommend(criterion: &mut Criterion<CpuTime>) {
    let shop = &*SHOP;
    let Shop { group: Group { state, .. }, engine, bu, persons } = shop;
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
    let ranked = |who| match engine.recommend_again(&shop.ask(who), None) {
        (_, Made::Anew(ranking)) => Some((who, ranking?)),
        (_, Made::Again) => None,
    };
    let rankings: HashMap<&SourceKey, Ranking> = persons.iter().filter_map(ranked).collect();
    bench("known person, ranked a moment ago", &|who| drop(engine.recommend_again(&shop.ask(who), rankings.get(who))));
    for size in [1, 4, 16] {
        let mut first = 0;
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("known persons together", size), |bencher| {
            bencher.iter(|| {
                first = (first + size) % (persons.len() - size);
                let asks: Vec<_> = persons[first..first + size].iter().map(|who| (shop.ask(who), None)).collect();
                engine.recommend_each(black_box(&asks))
            });
        });
    }
    group.finish();
    steps(criterion, shop);
    stages(criterion, shop);
}

/// The steps before the pipeline.
fn steps(criterion: &mut Criterion<CpuTime>, shop: &Shop) {
    let (state, persons) = (&shop.group.state, &shop.persons);
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

/// The stages of the pipeline, each by itself: a source finds what those before it found, as it speaks of that too.
fn stages(criterion: &mut Criterion<CpuTime>, shop: &Shop) {
    let (state, persons) = (&shop.group.state, &shop.persons);
    let generation = shop.engine.generation().expect("a generation");
    let views: Vec<(Profile, Vec<Signal>)> = persons
        .iter()
        .take(2_000)
        .map(|key| {
            let profile = state.profile(std::slice::from_ref(key), None);
            let signals = signals(state, &profile.taste, shop.bu, NOW, SignalOptions::default());
            (profile, signals)
        })
        .collect();
    let queries: Vec<Query<'_>> =
        views.iter().map(|(profile, signals)| Query::new(state, Some(&*generation), profile, signals, shop.bu, NOW)).collect();
    let sources = Pipeline::sources(&RankingOptions::default());
    let ranker = generation.ranker().expect("a ranker");
    let (mut scratch, mut candidates) = (Scratch::default(), CandidateSet::default());
    let mut group = criterion.benchmark_group("recommend stages");
    for (place, source) in sources.iter().enumerate() {
        let mut queries = queries.iter().cycle();
        group.bench_function(format!("source {:?}", source.kind()), |bencher| {
            bencher.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for query in queries.by_ref().take(times as usize) {
                    candidates.clear();
                    sources[..place].iter().for_each(|source| source.retrieve(query, &mut scratch, &mut candidates));
                    let started = CpuTime::now();
                    source.retrieve(black_box(query), &mut scratch, &mut candidates);
                    spent += CpuTime::now() - started;
                }
                spent
            });
        });
    }
    let mut queries = queries.iter().cycle();
    let (mut features, mut scores) = (Features::default(), Vec::new());
    let mut found = 0.0_f64;
    for name in ["features", "ranker"] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for query in queries.by_ref().take(times as usize) {
                    candidates.clear();
                    sources.iter().for_each(|source| source.retrieve(query, &mut scratch, &mut candidates));
                    found += (candidates.as_slice().len() as f64 - found) / 1_000.0;
                    let started = CpuTime::now();
                    features.fill(black_box(query), &candidates);
                    spent += if name == "features" { CpuTime::now() - started } else { Duration::ZERO };
                    let started = CpuTime::now();
                    ranker.score(query.segment(), &features, candidates.as_mut_slice(), &mut scores);
                    spent += if name == "ranker" { CpuTime::now() - started } else { Duration::ZERO };
                }
                spent
            });
        });
    }
    group.finish();
    println!("candidates of a request: {found:.0} on average");
}

/// From a change of the catalogue to an index that knows of it: what another thread does, so by the clock on the wall.
fn changes(criterion: &mut Criterion) {
    let shop = &*SHOP;
    let (catalogue, engine) = (shop.group.state.catalogue(), &shop.engine);
    let model = engine.generation().expect("a generation");
    let is_among_its_nearest = |item: ItemId, vector: &[f32]| {
        let mut is_found = false;
        let near = Near { bu: shop.bu, vector, count: 10, condition: None };
        model.nearest(&near, &mut |found| is_found |= found == item);
        is_found
    };
    // Codes tell items that are much alike apart only roughly, so not every item is among its own nearest ten.
    let found = catalogue.items_of(shop.bu).filter(|item| catalogue.is_servable(*item)).find_map(|item| {
        let mut vector = vec![0.0; model.dimension()];
        (model.add_vector(item, 1.0, &mut vector) && is_among_its_nearest(item, &vector)).then_some((item, vector))
    });
    let (item, vector) = found.expect("an item among its own nearest");
    let is_found = || is_among_its_nearest(item, &vector);
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

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = recommend
}
criterion_group!(on_the_wall, changes);
criterion_main!(benches, on_the_wall);
