//! What a person turned down speaks against what is like it.
#![allow(clippy::expect_used, reason = "a test that can't build its world has failed")]

#[allow(dead_code, reason = "each test uses its part of the world")]
mod world;

use faces_core::{
    catalogue::{ItemAttributes, ItemChange},
    event::EventKind,
    ids::{EventId, EventTime},
    ranking::{RankingOptions, SourceKind, blend::FixedBlend},
    record::{Event, Record},
};
use world::{Ask, BUS, DAY_MS, Shop, item_name, key};

/// Twenty items in turn of two categories, "even" and "odd", each a little less wanted than the one before.
fn shop_log() -> Vec<Record> {
    let listed = |n: u8| {
        let category = if n.is_multiple_of(2) { "even" } else { "odd" };
        let attributes = ItemAttributes { categories: vec![category.into()], ..ItemAttributes::default() };
        let time = EventTime::from_millis(DAY_MS);
        Record::Item(ItemChange { bu: BUS[0].into(), item_id: item_name(n), time, attributes: Some(attributes) })
    };
    let wanted = (0..20_u8).flat_map(|n| (0..25 - n).map(move |k| does(8, EventKind::View, n, 1_000 + i64::from(k))));
    (0..20).map(listed).chain(wanted).collect()
}

/// Key `who` does something with an item, some minutes before the end of the day before the asking.
fn does(who: u8, kind: EventKind, n: u8, minutes: i64) -> Record {
    let time = EventTime::from_millis(99 * DAY_MS - minutes * 60_000 - i64::from(n));
    let id = EventId::from_content(time, BUS[0], &item_name(n), kind as u8, None);
    let (bu, item_id) = (BUS[0].into(), Some(item_name(n)));
    Record::Event(Event { source: key(who), bu, item_id, kind, time, id, value: None, region: None })
}

/// Names on the slate of the person 0, who did these things; and what speaks against each.
fn slate(done: &[Record], blend: FixedBlend) -> Vec<(String, f32)> {
    let log: Vec<_> = shop_log().into_iter().chain(done.iter().cloned()).collect();
    let options = RankingOptions { blend, category_share_max: 1.0, ..RankingOptions::default() };
    let mut shop = Shop::of(&log, &options);
    let ask = Ask { with_model: false, suppress_owned: true, ..Ask::of(0, 0, 12) };
    let names = shop.answer(&ask, |query, slate| {
        let name = |item| query.state.catalogue().item_name(item).unwrap_or_default().to_owned();
        slate.items.iter().map(|c| (name(c.item), c.part(SourceKind::TurnedDown))).collect()
    });
    names.expect("a known unit")
}

fn even(slate: &[(String, f32)]) -> usize {
    let number = |name: &String| name.trim_start_matches('i').parse::<usize>().unwrap_or(1);
    slate.iter().take(8).filter(|(name, _)| number(name).is_multiple_of(2)).count()
}

#[test]
fn a_category_falls_after_its_items_are_turned_down() {
    let blend = FixedBlend::default();
    let before = slate(&[], blend);
    assert!(before.iter().all(|(_, against)| *against == 0.0), "nothing was turned down: {before:?}");
    let dislikes = [0, 2, 4].map(|n| does(0, EventKind::Dislike, n, 5));
    let after = slate(&dislikes, blend);
    assert!(even(&after) < even(&before), "{before:?} and then {after:?}");
    let off = slate(&dislikes, FixedBlend { turned_down: 0.0, ..blend });
    assert!(even(&after) < even(&off), "{off:?} without the penalty");
    let returns = [0, 2, 4].map(|n| does(0, EventKind::Return, n, 5));
    assert_eq!(slate(&returns, blend), after, "what is sent back counts the same");
}

#[test]
fn one_dislike_among_many_purchases_says_little() {
    let dislike = does(0, EventKind::Dislike, 0, 5);
    let bought = (1..=8).map(|n| does(0, EventKind::Purchase, 2 * n, 100));
    let alone = slate(std::slice::from_ref(&dislike), FixedBlend::default());
    let among: Vec<_> = bought.chain([dislike]).collect();
    let among = slate(&among, FixedBlend::default());
    let against_even = |slate: &[(String, f32)]| slate.iter().map(|(_, against)| *against).fold(0.0, f32::max);
    assert!(against_even(&alone) > 0.4 && against_even(&among) < 0.1, "{alone:?} and {among:?}");
}

#[test]
fn an_item_shown_often_without_a_click_sinks() {
    let place = |done: &[Record], n: u8| slate(done, FixedBlend::default()).iter().position(|(name, _)| *name == item_name(n));
    // Over days, so that it does not rest altogether.
    let shown = |n: u8, times: i64| (0..times).map(move |time| does(0, EventKind::Impression, n, 1_440 + 1_000 * time));
    let before = place(&[], 1).expect("it is wanted");
    let often: Vec<_> = shown(1, 4).collect();
    assert!(place(&often, 1).is_none_or(|after| after > before + 1), "{before} and then {:?}", place(&often, 1));
    let seldom: Vec<_> = shown(1, 2).collect();
    assert_eq!(place(&seldom, 1), Some(before), "twice is nothing");
    let clicked: Vec<_> = shown(1, 4).chain([does(0, EventKind::Click, 1, 5)]).collect();
    let against = slate(&clicked, FixedBlend::default()).into_iter().find(|(name, _)| *name == item_name(1));
    assert_eq!(against.map(|(_, against)| against), Some(0.0), "it was touched since");
}
