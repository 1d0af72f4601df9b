//! What trends in categories and regions: a function of the set of records, taken back when it is let go, and on slates with its reason.
#![allow(clippy::expect_used, reason = "a test that can't build its world has failed")]

#[allow(dead_code, reason = "each test uses its part of the world")]
mod world;

use std::sync::Arc;

use faces_core::{
    catalogue::{ItemAttributes, ItemChange},
    event::EventKind,
    ids::{BuId, EventId, EventTime, ItemId, RegionId},
    ranking::{RankingOptions, SourceKind, explain::explain},
    record::{Apply as _, Event, Record},
    state::{State, StateOptions},
};
use proptest::{collection::vec, prelude::*};
use world::{Ask, BUS, DAY_MS, NOW, Shop, change, config, event, item_name, key, restored, state_of};

/// Every list: unit, category or region, items by name with their share.
type Lists = Vec<(String, Vec<(String, u32)>)>;

/// Calls back with the items of a list and their shares.
type Walk<'a> = dyn Fn(&mut dyn FnMut(ItemId, f32)) + 'a;

fn lists(state: &State) -> Lists {
    let catalogue = state.catalogue();
    let items = || (0..catalogue.item_count() as u32).map(ItemId::new);
    let mut lists = Vec::new();
    for (bu, unit) in catalogue.bus() {
        let mut list = |name: String, walk: &Walk<'_>| {
            let mut found = Vec::new();
            walk(&mut |item, share| found.push((catalogue.item_name(item).unwrap_or_default().to_owned(), share.to_bits())));
            lists.push((name, found));
        };
        for n in 0..3 {
            let region = RegionId::of(&format!("r{n}"));
            let walk = |take: &mut dyn FnMut(ItemId, f32)| {
                state.trending_in_region(bu, region, |item, share| {
                    take(item, share);
                    true
                });
            };
            list(format!("{unit} r{n}"), &walk);
        }
        let leaf = |item: &ItemId| catalogue.attributes(*item).categories.last().cloned();
        for name in ["c0", "c1", "c2"] {
            let Some(category) =
                items().find(|item| leaf(item).as_deref() == Some(name)).and_then(|item| catalogue.category(item))
            else {
                continue;
            };
            let walk = |take: &mut dyn FnMut(ItemId, f32)| {
                state.trending_in_category(bu, category, |item, share| {
                    assert_eq!(catalogue.category(item), Some(category), "an item stands where it does not belong");
                    take(item, share);
                    true
                });
            };
            list(format!("{unit} {name}"), &walk);
        }
    }
    lists.sort();
    lists.retain(|(_, found)| !found.is_empty());
    lists
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let record = prop_oneof![6 => event(80..100).prop_map(Record::Event), 1 => change().prop_map(Record::Item)];
    vec(record, 0..400)
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn lists_are_a_function_of_the_set_and_survive_a_restart(
        (log, shuffled) in records().prop_flat_map(|log| (Just(log.clone()), Just(log).prop_shuffle())),
    ) {
        let state = Arc::new(state_of(&log));
        let expected = lists(&state);
        prop_assert_eq!(&lists(&state_of(shuffled.iter().chain(&log))), &expected);
        prop_assert_eq!(&lists(&restored(&state, StateOptions::default())), &expected);
    }
}

fn listed(n: u8, category: &str) -> Record {
    let attributes = ItemAttributes { categories: vec!["all".into(), category.into()], ..ItemAttributes::default() };
    let time = EventTime::from_millis(DAY_MS); // long ago: not new
    Record::Item(ItemChange { bu: BUS[0].into(), item_id: item_name(n), time, attributes: Some(attributes) })
}

fn buys(who: u8, n: u8, day: i64, region: Option<&str>) -> Record {
    let time = EventTime::from_millis(day * DAY_MS);
    let id = EventId::from_content(time, BUS[0], &item_name(n), EventKind::Purchase as u8, None);
    Record::Event(Event {
        source: key(who),
        bu: BUS[0].into(),
        item_id: Some(item_name(n)),
        kind: EventKind::Purchase,
        time,
        id,
        value: None,
        region: region.map(RegionId::of),
    })
}

fn in_region(state: &State, region: &str) -> Vec<String> {
    let (mut found, bu): (Vec<String>, BuId) = (Vec::new(), state.catalogue().bu(BUS[0]).expect("a known unit"));
    state.trending_in_region(bu, RegionId::of(region), |item, _| {
        found.extend(state.catalogue().item_name(item).map(str::to_owned));
        true
    });
    found
}

#[test]
fn what_a_key_holds_counts_where_it_was_seen_last() {
    let state = state_of(&[buys(2, 1, 90, None), buys(2, 2, 91, Some("north")), buys(4, 1, 92, Some("north"))]);
    assert_eq!(in_region(&state, "north"), ["i1"], "one purchase alone is not named");
    state.apply(&buys(2, 3, 93, Some("south")));
    state.apply(&buys(4, 2, 94, Some("south")));
    assert_eq!(in_region(&state, "south"), ["i2", "i1"], "they moved, and what they hold with them");
    assert!(in_region(&state, "north").is_empty());
    state.apply(&buys(4, 3, 91, Some("north")));
    assert!(in_region(&state, "south").contains(&"i3".to_owned()), "an event that comes late moves nobody back");
    assert!(in_region(&state, "nowhere").is_empty());
}

#[test]
fn what_expires_counts_no_more() {
    let state = State::new(StateOptions { retention_days: 5, ..StateOptions::default() });
    for record in [buys(2, 1, 90, Some("north")), buys(4, 1, 90, Some("north")), buys(2, 2, 94, None), buys(4, 2, 94, None)] {
        state.apply(&record);
    }
    assert_eq!(in_region(&state, "north"), ["i2", "i1"]);
    state.apply(&buys(6, 9, 96, None));
    state.sweep();
    state.settle();
    assert!(in_region(&state, "north").is_empty(), "nothing says any more that they are there");
}

#[test]
fn trends_of_the_persons_categories_and_of_the_region_are_retrieved_with_their_reason() {
    let mut log: Vec<_> = (0..15)
        .map(|n| {
            listed(
                n,
                if n < 5 {
                    "tea"
                } else if n < 10 {
                    "pens"
                } else {
                    "lamps"
                },
            )
        })
        .collect();
    // Lamps are what everybody wants, and who is in the north wants pen 9.
    for n in 10..15 {
        log.extend((1..9).map(|who| buys(who, n, 95, None)));
    }
    log.extend([buys(2, 3, 96, None), buys(4, 3, 96, None), buys(6, 9, 97, Some("north")), buys(8, 9, 97, Some("north"))]);
    log.push(buys(0, 1, 98, None));
    let mut shop = Shop::of(&log, &RankingOptions::default());
    let ask = Ask { with_model: false, region: Some("north".into()), suppress_owned: true, ..Ask::of(0, 0, 20) };
    let reasons = |shop: &mut Shop, ask: &Ask| {
        let named = shop.answer(ask, |query, slate| {
            let reason = |candidate| {
                let reason = explain(query, candidate);
                let name = query.state.catalogue().item_name(candidate.item).unwrap_or_default().to_owned();
                (name, (reason.source, reason.trends_in.map(String::from)))
            };
            slate.items.iter().map(reason).collect::<std::collections::BTreeMap<_, _>>()
        });
        named.expect("a known unit")
    };
    let found = reasons(&mut shop, &ask);
    assert_eq!(found.get("i9"), Some(&(SourceKind::TrendingInRegion, Some("north".into()))), "{found:?}");
    assert_eq!(found.get("i3"), Some(&(SourceKind::TrendingInCategory, Some("tea".into()))), "{found:?}");
    assert_eq!(found.get("i12"), Some(&(SourceKind::Trending, None)), "{found:?}");
    let elsewhere = reasons(&mut shop, &Ask { region: Some("unheard of".into()), ..ask.clone() });
    assert_eq!(elsewhere.get("i9"), Some(&(SourceKind::Trending, None)), "{elsewhere:?}");
    // Whatever moves to another category takes its demand along.
    shop.state.apply(&Record::Item(ItemChange {
        bu: BUS[0].into(),
        item_id: item_name(12),
        time: NOW,
        attributes: Some(ItemAttributes { categories: vec!["tea".into()], ..ItemAttributes::default() }),
    }));
    shop.state.settle();
    let moved = shop.answer(&ask, |query, _| {
        let mut top = Vec::new();
        let tea = query.state.catalogue().category(ItemId::new(0)).expect("a category");
        query.state.trending_in_category(query.bu, tea, |item, share| {
            top.push((item.position(), share));
            true
        });
        top
    });
    assert_eq!(moved.and_then(|top| top.first().copied()), Some((12, 1.0)));
}

#[test]
fn what_trends_in_a_category_makes_room_for_more_where_the_person_has_it() {
    // Teas are wanted, the earlier ones most; the person has the six that are wanted most.
    let mut log: Vec<_> = (0..9).map(|n| listed(n, "tea")).collect();
    log.extend((0..9).flat_map(|n| (1..10 - n).map(move |who| buys(who, n, 95, None))));
    log.extend((0..6).map(|n| buys(0, n, 98, None)));
    let mut shop = Shop::of(&log, &RankingOptions::default());
    let ask = Ask { with_model: false, suppress_owned: true, ..Ask::of(0, 0, 20) };
    let trending = shop.answer(&ask, |_, slate| {
        let spoken = slate.items.iter().filter(|candidate| candidate.part(SourceKind::TrendingInCategory) > 0.0);
        spoken.map(|candidate| candidate.item.position()).collect::<Vec<_>>()
    });
    assert_eq!(trending, Some(vec![6, 7, 8]));
}

#[test]
fn a_catalogue_of_one_item_and_people_of_whom_nothing_is_known() {
    let mut shop = Shop::of(&[listed(0, "tea")], &RankingOptions { interest_vectors_max: 3, ..RankingOptions::default() });
    for with_model in [false, true] {
        for region in [None, Some("unheard of".to_owned()), Some(String::new())] {
            let slate = shop.slate(&Ask { with_model, region, ..Ask::of(3, 0, 20) }).expect("a known unit");
            assert_eq!(slate.items.iter().map(|c| c.item).collect::<Vec<_>>(), [ItemId::new(0)]);
        }
    }
    shop.state.apply(&buys(0, 0, 99, Some("north")));
    let slate =
        shop.slate(&Ask { region: Some("north".into()), suppress_owned: true, ..Ask::of(0, 0, 20) }).expect("a known unit");
    assert!(slate.items.is_empty(), "all there is is had");
}
