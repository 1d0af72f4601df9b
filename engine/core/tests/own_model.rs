//! A model of the user's own orders slates; when it has no answer, they are what they would be without it.
#![allow(clippy::expect_used, reason = "a test that can't build its world has failed")]

#[allow(dead_code, reason = "each test uses its part of the world")]
mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use faces_core::{
    ranking::{Features, NoScores, OwnModel, Pipeline, RankingOptions, ScoredBy, features::place},
    record::Record,
};
use proptest::{collection::vec, prelude::*};
use world::{Ask, BUS, KEYS, Shop, change, config, event};

const HOT: usize = place("demand_7");

/// What a fake does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaves {
    /// Scores by one feature, the smallest first.
    ColdestFirst,
    Refuses(NoScores),
    /// Scores all, one of them with this.
    With(f32),
    TooFew,
    /// Scores half of the candidates, then says that it is late.
    GivesUp,
}

#[derive(Debug)]
struct Fake {
    behaves: Behaves,
    asked: AtomicUsize,
}

impl OwnModel for Fake {
    fn score(&self, features: &Features, _deadline: Option<Instant>, scores: &mut Vec<f32>) -> Result<(), NoScores> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let coldest = features.row(HOT).iter().map(|value| -value);
        match self.behaves {
            Behaves::ColdestFirst => scores.extend(coldest),
            Behaves::Refuses(why) => return Err(why),
            Behaves::With(odd) => {
                scores.extend(coldest);
                scores.iter_mut().take(1).for_each(|score| *score = odd);
            }
            Behaves::TooFew => scores.extend(coldest.skip(1)),
            Behaves::GivesUp => {
                scores.extend(coldest.take(features.candidates() / 2));
                return Err(NoScores::Late);
            }
        }
        Ok(())
    }
}

const IN_VAIN: [Behaves; 8] = [
    Behaves::Refuses(NoScores::Late),
    Behaves::Refuses(NoScores::NotFinite),
    Behaves::Refuses(NoScores::Failed),
    Behaves::Refuses(NoScores::Resting),
    Behaves::With(f32::NAN),
    Behaves::With(f32::NEG_INFINITY),
    Behaves::TooFew,
    Behaves::GivesUp,
];

/// Gives the shop such a model; it says how often it was asked.
fn give(shop: &mut Shop, behaves: Behaves) -> Arc<Fake> {
    let fake = Arc::new(Fake { behaves, asked: AtomicUsize::new(0) });
    shop.pipeline = Pipeline::new(&RankingOptions::default()).with_own_model(Some(Arc::clone(&fake) as Arc<dyn OwnModel>));
    fake
}

fn past() -> impl Strategy<Value = Vec<Record>> {
    (vec(change(), 0..60), vec(event(90..100), 1..120)).prop_map(|(changes, events)| {
        changes.into_iter().map(Record::Item).chain(events.into_iter().map(Record::Event)).collect()
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    (0..KEYS, 0..BUS.len(), 1..20_usize, any::<bool>())
        .prop_map(|(who, bu, wanted, with_model)| Ask { with_model, ..Ask::of(who, bu, wanted) })
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn without_an_answer_the_slate_is_what_it_would_be_without_the_model(past in past(), ask in ask()) {
        let mut shop = Shop::of(&past, &RankingOptions::default());
        let Some(without) = shop.slate(&ask) else { return Ok(()) };
        prop_assert_eq!(without.scored_by, ScoredBy::Blend);
        for behaves in IN_VAIN {
            let fake = give(&mut shop, behaves);
            let slate = shop.slate(&ask).expect("a known unit");
            prop_assert_eq!(&slate.items, &without.items, "{:?}", behaves);
            prop_assert_eq!(fake.asked.load(Ordering::Relaxed), 1);
        }
    }

    #[test]
    fn a_model_orders_what_was_retrieved(past in past(), ask in ask()) {
        let mut shop = Shop::of(&past, &RankingOptions { category_share_max: 1.0, ..RankingOptions::default() });
        let Some(without) = shop.slate(&ask) else { return Ok(()) };
        give(&mut shop, Behaves::ColdestFirst);
        let slate = shop.slate(&ask).expect("a known unit");
        prop_assert_eq!(slate.scored_by, ScoredBy::OwnModel);
        prop_assert_eq!(&slate.removed, &without.removed);
        prop_assert_eq!(slate.items.len(), without.items.len());
        let scores: Vec<f32> = slate.items.iter().map(|candidate| candidate.score.value()).collect();
        prop_assert!(scores.is_sorted_by(|a, b| a >= b), "{:?}", scores);
        // What fills a slate up gets next to nothing; all else is as cold as the model says.
        prop_assert!(scores.iter().all(|score| *score <= 1e-6), "{:?}", scores);
    }

    #[test]
    fn similar_items_are_none_of_its_business(past in past(), ask in ask()) {
        let mut shop = Shop::of(&past, &RankingOptions::default());
        let ask = Ask { is_alike: true, ..ask };
        let without = shop.slate(&ask).map(|slate| slate.items);
        let fake = give(&mut shop, Behaves::ColdestFirst);
        prop_assert_eq!(shop.slate(&ask).map(|slate| slate.items), without);
        prop_assert_eq!(fake.asked.load(Ordering::Relaxed), 0);
    }
}
