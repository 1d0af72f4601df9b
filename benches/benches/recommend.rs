//! One answer, whole and in parts, over a group of 50,000 items and 2,000 persons with 30 behaviours each.
#![allow(missing_docs, reason = "criterion's macros write items without docs")]
#![allow(clippy::expect_used, reason = "a bench whose world can't be built has failed")]

use std::{hint::black_box, time::Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faces_benches::{
    Scale,
    generation::generation,
    group::{BUS, Group, GroupSize, NOW},
};
use faces_core::{
    ids::{BuId, ItemId},
    key::{KeyKind, SourceKey},
    profile::Profile,
    ranking::{
        CandidateSet, Condition, Model, Pipeline, Query, RankingOptions, Scratch, Signal, Slate,
        explain::explain,
        query::{SignalOptions, signals},
    },
};
use faces_serve::serving::ServingGeneration;

const WANTED: usize = 20;

/// One kind of question.
#[derive(Clone, Default)]
struct Ask {
    no_model: bool,
    is_late: bool,
    condition: Option<Condition>,
    rerank: Option<Vec<ItemId>>,
    explained: bool,
}

struct Shop {
    group: Group,
    generation: ServingGeneration,
    pipeline: Pipeline,
    bu: BuId,
    scratch: Scratch,
    candidates: CandidateSet,
}

impl Shop {
    fn new() -> Self {
        let scale = Scale::of_this_run();
        let group = Group::new(GroupSize { items: scale.size(50_000), persons: scale.size(2_000), behaviours: 30 });
        let bu = group.state.catalogue().bu(BUS[0]).expect("a known unit");
        let generation = generation(&group);
        let pipeline = Pipeline::new(&RankingOptions::default());
        Self { group, generation, pipeline, bu, scratch: Scratch::default(), candidates: CandidateSet::default() }
    }

    /// What the server does for one request, from a key to a slate.
    fn answer(&mut self, who: &SourceKey, ask: &Ask) -> Slate {
        let (profile, signals) = self.view(who);
        let query = query(&self.group, &self.generation, self.bu, &profile, &signals, ask);
        if let Some(given) = &ask.rerank {
            let items = self.pipeline.rerank(&query, given, &mut self.scratch, &mut self.candidates);
            return Slate { items, ..Slate::default() };
        }
        let slate = self.pipeline.recommend(&query, &mut self.scratch, &mut self.candidates);
        if ask.explained {
            slate.items.iter().for_each(|candidate| drop(black_box(explain(&query, candidate))));
        }
        slate
    }

    /// The same for requests that came together.
    fn answer_each(&mut self, persons: &[SourceKey], ask: &Ask) -> Vec<Slate> {
        let views: Vec<_> = persons.iter().map(|who| self.view(who)).collect();
        let each = views.iter();
        let queries: Vec<_> =
            each.map(|(profile, signals)| query(&self.group, &self.generation, self.bu, profile, signals, ask)).collect();
        self.pipeline.recommend_each(&queries, &mut self.scratch, &mut self.candidates)
    }

    fn view(&self, who: &SourceKey) -> (Profile, Vec<Signal>) {
        let state = &self.group.state;
        let profile = state.profile(std::slice::from_ref(who), None);
        let signals = signals(state, &profile.taste, self.bu, NOW, SignalOptions::default());
        (profile, signals)
    }
}

fn query<'a>(
    group: &'a Group,
    generation: &'a ServingGeneration,
    bu: BuId,
    profile: &'a Profile,
    signals: &'a [Signal],
    ask: &'a Ask,
) -> Query<'a> {
    Query {
        state: &group.state,
        model: (!ask.no_model).then_some(generation as &dyn Model),
        profile,
        signals,
        bu,
        now: NOW,
        wanted: WANTED,
        condition: ask.condition.as_ref(),
        excluded: &[],
        served: &[],
        suppress_owned: true,
        deadline: ask.is_late.then(Instant::now),
    }
}

fn recommend(criterion: &mut Criterion) {
    let mut shop = Shop::new();
    let persons = shop.group.persons.clone();
    let stranger = SourceKey::new(BUS[0], KeyKind::Session, "nobody").expect("a sound key");
    let given: Vec<_> = shop.group.state.catalogue().items_of(shop.bu).step_by(7).take(100).collect();
    let narrow = Condition::Brand("brand 7".into()); // one item in 500
    let broad = Condition::Price { min: 0.0, max: 500.0 }; // every second item
    let ask = Ask::default();

    let mut group = criterion.benchmark_group("recommend");
    let mut bench = |name: &str, persons: &[SourceKey], ask: &Ask| {
        let mut at = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                at = (at + 1) % persons.len();
                shop.answer(black_box(&persons[at]), ask)
            });
        });
    };
    bench("known person", &persons, &ask);
    bench("known person, explained", &persons, &Ask { explained: true, ..ask.clone() });
    bench("stranger", &[stranger], &ask);
    bench("no model", &persons, &Ask { no_model: true, ..ask.clone() });
    bench("deadline past", &persons, &Ask { is_late: true, ..ask.clone() });
    bench("condition on half the items", &persons, &Ask { condition: Some(broad), ..ask.clone() });
    bench("condition on 1 item in 500", &persons, &Ask { condition: Some(narrow), ..ask.clone() });
    bench("rerank 100", &persons, &Ask { rerank: Some(given), ..ask.clone() });
    for size in [4, 16] {
        let mut at = 0;
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("known persons together", size), |bencher| {
            bencher.iter(|| {
                at = (at + size) % (persons.len() - size);
                shop.answer_each(black_box(&persons[at..at + size]), &ask)
            });
        });
    }
    group.finish();
    steps(criterion, &shop);
}

/// The steps before the pipeline.
fn steps(criterion: &mut Criterion, shop: &Shop) {
    let (state, persons) = (&shop.group.state, &shop.group.persons);
    let mut group = criterion.benchmark_group("recommend steps");
    let mut at = 0;
    group.bench_function("profile of two linked keys", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % persons.len();
            state.profile(black_box(std::slice::from_ref(&persons[at])), None)
        });
    });
    let profiles: Vec<_> = persons.iter().map(|key| state.profile(std::slice::from_ref(key), None)).collect();
    group.bench_function("signals of 30 behaviours", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % profiles.len();
            signals(state, black_box(&profiles[at].taste), shop.bu, NOW, SignalOptions::default())
        });
    });
    group.finish();
}

criterion_group!(benches, recommend);
criterion_main!(benches);
