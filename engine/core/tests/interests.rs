//! Interests: one taste is one vector, tastes that lie apart are several, and what each is near to is retrieved.
#![allow(clippy::expect_used, reason = "a test that can't build its world has failed")]

use std::collections::BTreeSet;

use faces_core::{
    ids::{BuId, EventTime, ItemId},
    profile::Profile,
    ranking::{
        CandidateSet, Condition, Features, Model, Near, Pipeline, Query, RankingOptions, Relation, Scratch, Signal, SourceKind,
    },
    state::State,
};

const DIMENSION: usize = 8;
/// Items of each topic; a topic's items lie around one axis.
const OF_TOPIC: usize = 60;

/// Knows vectors and nothing else.
struct Topics {
    state: State,
    bu: BuId,
    vectors: Vec<[f32; DIMENSION]>,
}

impl Topics {
    fn new(topics: usize) -> Self {
        let state = State::default();
        let bu = state.catalogue().bu_or_new("shop").expect("room");
        let mut vectors = Vec::new();
        for n in 0..topics * OF_TOPIC {
            state.catalogue().item_or_new(bu, &format!("i{n}")).expect("room");
            let mut vector = [0.0; DIMENSION];
            vector[n / OF_TOPIC] = 1.0;
            vector[(n / OF_TOPIC + 1 + n % (DIMENSION - 1)) % DIMENSION] += 0.01 * (n % OF_TOPIC) as f32;
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            vectors.push(vector.map(|value| value / length));
        }
        Self { state, bu, vectors }
    }

    fn cosine(&self, item: ItemId, to: &[f32]) -> f32 {
        self.vectors.get(item.position()).map_or(0.0, |vector| vector.iter().zip(to).map(|(a, b)| a * b).sum())
    }

    fn query<'a>(&'a self, profile: &'a Profile, signals: &'a [Signal]) -> Query<'a> {
        let now = EventTime::from_millis(1_000);
        Query { suppress_owned: false, ..Query::new(&self.state, Some(self), profile, signals, self.bu, now) }
    }

    /// Candidates of the interest, with the cosine, for somebody with these signals (topic, weight).
    fn near(&self, signals: &[Signal], vectors_max: usize) -> Vec<(ItemId, f32)> {
        let profile = Profile::default();
        let query = self.query(&profile, signals);
        let options = RankingOptions { interest_vectors_max: vectors_max, ..RankingOptions::default() };
        let (mut scratch, mut candidates) = (Scratch::default(), CandidateSet::default());
        let (found, _): (_, &Features) = Pipeline::new(&options).examine(&query, &mut scratch, &mut candidates);
        let mut found: Vec<_> = found.iter().map(|c| (c.item, c.part(SourceKind::Interest))).collect();
        found.sort_by_key(|(item, _)| *item);
        found
    }
}

impl Model for Topics {
    fn id(&self) -> &str {
        "topics"
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn add_vector(&self, item: ItemId, weight: f32, sum: &mut [f32]) -> bool {
        let vector = self.vectors.get(item.position());
        vector.into_iter().flatten().zip(sum).for_each(|(value, sum)| *sum += weight * value);
        vector.is_some()
    }

    fn cosines(&self, _: BuId, vector: &[f32], items: &[ItemId], cosines: &mut Vec<f32>) {
        cosines.clear();
        cosines.extend(items.iter().map(|item| self.cosine(*item, vector)));
    }

    fn nearest(&self, near: &Near<'_>, take: &mut dyn FnMut(ItemId)) {
        let all = (0..self.vectors.len() as u32).map(ItemId::new);
        let mut all: Vec<_> = all.map(|item| (self.cosine(item, near.vector), item)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.into_iter().take(near.count).for_each(|(_, item)| take(item));
    }

    fn matching(&self, _: BuId, _: &Condition, _: &mut Vec<ItemId>) -> Option<u64> {
        None
    }

    fn related(&self, _: Relation, _: ItemId, _: BuId, _: &mut dyn FnMut(ItemId, f32)) {}

    fn popular(&self, _: BuId, _: &mut dyn FnMut(ItemId) -> bool) {}
}

/// `count` signals of a topic.
fn likes(topic: usize, count: usize, weight: f32) -> Vec<Signal> {
    let item = |n: usize| ItemId::new((topic * OF_TOPIC + n) as u32);
    (0..count).map(|n| Signal { item: item(n), weight, place: n as u8, is_elsewhere: false }).collect()
}

fn topics_of(found: &[(ItemId, f32)]) -> BTreeSet<usize> {
    found.iter().map(|(item, _)| item.position() / OF_TOPIC).collect()
}

#[test]
fn two_tastes_apart_are_two_vectors_and_both_are_found() {
    let topics = Topics::new(4);
    let signals = [likes(0, 6, 2.0), likes(2, 5, 1.5)].concat();
    let two = topics.near(&signals, 2);
    assert_eq!(topics_of(&two), [0, 2].into());
    let best =
        |topic: usize| two.iter().filter(|(item, _)| item.position() / OF_TOPIC == topic).map(|(_, c)| *c).fold(0.0, f32::max);
    assert!(best(0) > 0.99 && best(2) > 0.99, "each taste is met: {} and {}", best(0), best(2));
    let one = topics.near(&signals, 1);
    let sum = |found: &[(ItemId, f32)]| found.iter().map(|(_, cosine)| cosine).sum::<f32>();
    assert!(sum(&one) < 0.95 * sum(&two), "the mean of both meets neither");
    assert_eq!(two.len(), one.len(), "two vectors bring no more candidates than one");
}

#[test]
fn three_tastes_are_as_many_vectors_as_allowed_the_heaviest_first() {
    let topics = Topics::new(4);
    let signals = [likes(0, 4, 1.0), likes(1, 4, 3.0), likes(2, 4, 2.0)].concat();
    let over = |vectors_max: usize| {
        let found = topics.near(&signals, vectors_max);
        let met = (0..4).filter(|topic| found.iter().any(|(item, c)| item.position() / OF_TOPIC == *topic && *c > 0.99));
        met.collect::<Vec<_>>()
    };
    assert_eq!((over(1), over(2)), (vec![], vec![1, 2]));
    // The third holds less than its share of the weight.
    assert_eq!(over(3), [1, 2]);
    assert_eq!(topics_of(&topics.near(&[likes(0, 4, 1.0), likes(1, 4, 1.0), likes(2, 4, 1.0)].concat(), 3)), [0, 1, 2].into());
}

#[test]
fn one_taste_is_one_vector_and_the_same_answer_whatever_is_allowed() {
    let topics = Topics::new(3);
    let stray = [likes(0, 9, 1.0), likes(1, 1, 1.0)].concat();
    for signals in [likes(0, 12, 1.0), stray, likes(1, 1, 1.0), Vec::new()] {
        let one = topics.near(&signals, 1);
        assert!((2..=3).all(|most| topics.near(&signals, most) == one), "{signals:?}");
    }
}

#[test]
fn somebody_without_vectors_has_no_interest() {
    let topics = Topics::new(1);
    let named = topics.state.catalogue().item_or_new(topics.bu, "without a vector").expect("room");
    let signals = [Signal { item: named, weight: 1.0, place: 0, is_elsewhere: false }];
    assert!((1..=3).all(|most| topics.near(&signals, most).is_empty()));
}

#[test]
fn the_order_of_equal_signals_does_not_matter() {
    let topics = Topics::new(4);
    let mut signals = [likes(0, 7, 1.0), likes(2, 7, 1.0), likes(3, 7, 1.0)].concat();
    for most in 2..=3 {
        let found = topics.near(&signals, most);
        assert!(topics_of(&found).len() == most, "{found:?}");
        for turn in 1..5 {
            signals.rotate_left(4 * turn);
            assert_eq!(topics.near(&signals, most), found);
        }
    }
}

#[test]
fn a_batch_gives_each_what_it_would_get_alone() {
    let topics = Topics::new(4);
    let persons = [
        [likes(0, 5, 1.0), likes(1, 5, 1.0)].concat(),
        likes(2, 5, 1.0),
        Vec::new(),
        [likes(3, 4, 1.0), likes(1, 4, 1.0)].concat(),
    ];
    let profile = Profile::default();
    let queries: Vec<_> = persons.iter().map(|signals| topics.query(&profile, signals)).collect();
    let pipeline = Pipeline::new(&RankingOptions { interest_vectors_max: 3, ..RankingOptions::default() });
    let (mut scratch, mut candidates) = (Scratch::default(), CandidateSet::default());
    let mut together = Vec::new();
    pipeline.recommend_each(&queries, &mut scratch, &mut candidates, &mut |slate, _| together.push(slate));
    let alone: Vec<_> = queries.iter().map(|query| pipeline.recommend(query, &mut scratch, &mut candidates)).collect();
    assert_eq!(format!("{together:?}"), format!("{alone:?}"));
}
