//! Rules inside the whole pipeline: whatever they say, a slate stays whole, allowed and repeat-free, and pins give way to filters.
#![allow(clippy::expect_used, reason = "a test that can't build its world has failed")]

#[allow(dead_code, reason = "each test uses its part of the world")]
mod world;

use std::{collections::BTreeSet, num::NonZeroU16};

use faces_core::{
    catalogue::{ItemAttributes, ItemChange},
    event::EventKind,
    ids::{EventId, EventTime},
    ranking::{
        Candidate, Condition, Placed, Query, RankingOptions, Slate, SourceKind,
        explain::explain,
        rules::{Boost, Cap, CapBy, Change, Diversity, Explore, Matcher, Pin, Rule, Rules, Scope, Share},
    },
    record::{Event, Record},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use world::{Ask, BUS, DAY_MS, ITEMS, KEYS, NOW, PLACEMENT, Shop, change, config, event, item_name, key, statement};

/// More than there is.
const EVERYTHING: usize = 500;

fn log() -> impl Strategy<Value = Vec<Record>> {
    (vec(change(), 0..60), vec(event(90..100), 0..100), vec(statement(), 0..6)).prop_map(|(changes, events, links)| {
        let events = events.into_iter().map(Record::Event);
        changes.into_iter().map(Record::Item).chain(events).chain(links.into_iter().map(Record::Link)).collect()
    })
}

fn scope() -> impl Strategy<Value = Scope> {
    let bu = option::weighted(0.3, select(BUS.to_vec()).prop_map(Box::from));
    let placement = option::weighted(0.3, select(vec![PLACEMENT, PLACEMENT, "elsewhere"]).prop_map(Box::from));
    let day = || option::weighted(0.2, (98..103_i64).prop_map(|day| EventTime::from_millis(day * DAY_MS)));
    (bu, placement, day(), day()).prop_map(|(bu, placement, from, until)| Scope { bu, placement, from, until })
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let ids = vec(0..ITEMS + 3, 0..6).prop_map(|ids| ids.into_iter().map(item_name).collect::<Vec<_>>());
    let condition = prop_oneof![
        select(vec!["all", "c0", "c1"]).prop_map(|name| Condition::Category(name.into())),
        Just(Condition::Brand("b0".into())),
        Just(Condition::Tag("gift".into())),
    ];
    prop_oneof![
        ids.prop_map(|ids| Matcher::new(None, Some(&ids))),
        condition.prop_map(|condition| Matcher::new(Some(condition), None))
    ]
}

fn ruled<T: std::fmt::Debug>(what: impl Strategy<Value = T>) -> impl Strategy<Value = Rule<T>> {
    (scope(), what).prop_map(|(scope, what)| Rule { name: format!("of {what:?}").into(), scope, what })
}

fn rules() -> impl Strategy<Value = Rules> {
    let pin = (0..ITEMS + 3, 1..12_u16).prop_filter_map("places count from 1", |(n, at)| {
        Some(Pin { item: item_name(n).into(), position: NonZeroU16::new(at)? })
    });
    let change = select(vec![(0.2, 0.0), (3.0, 0.0), (1.0, 0.5)]).prop_filter_map("one direction", |(f, a)| Change::new(f, a));
    let boost = (matcher(), change).prop_map(|(items, change)| Boost { items, change });
    let share = || (0.05..1.0_f32).prop_filter_map("a share", Share::new);
    let diversity = option::of(ruled(share().prop_map(|lambda| Diversity { lambda })));
    let explore = option::of(ruled((share(), 1..30_u8).prop_map(|(share, days)| Explore { share, days: f64::from(days) })));
    let listed = (vec(ruled(pin), 0..4), vec(ruled(boost), 0..3), vec(ruled(matcher()), 0..2), vec(ruled(matcher()), 0..3));
    (listed, diversity, explore).prop_map(|((pins, boosts, burials, hidden), diversity, explore)| Rules {
        pins,
        boosts,
        burials,
        hidden,
        caps: Vec::new(),
        diversity,
        explore,
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    (0..KEYS, 0..BUS.len(), 0..25_usize, any::<bool>(), prop::bool::weighted(0.8))
        .prop_map(|(who, bu, wanted, suppress_owned, with_model)| Ask { suppress_owned, with_model, ..Ask::of(who, bu, wanted) })
}

fn names(query: &Query<'_>, items: &[Candidate]) -> Vec<String> {
    items.iter().map(|c| query.state.catalogue().item_name(c.item).unwrap_or_default().to_owned()).collect()
}

/// The same question under no rules but those that hide, and for everything: what may be shown.
fn allowed(shop: &mut Shop, ask: &Ask) -> BTreeSet<String> {
    let rules = Rules { hidden: ask.rules.hidden.clone(), ..Rules::default() };
    let all = Ask { wanted: EVERYTHING, rules, ..ask.clone() };
    shop.answer(&all, |query, slate| names(query, &slate.items)).unwrap_or_default().into_iter().collect()
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn slates_under_rules_are_whole_and_pins_stand_where_they_may(log in log(), ask in ask(), rules in rules()) {
        let mut shop = Shop::of(&log, &RankingOptions::default());
        let (ask, free) = (Ask { rules, ..ask.clone() }, ask);
        let (may, without) = (allowed(&mut shop, &ask), allowed(&mut shop, &free));
        let covers = |scope: &Scope| {
            scope.bu.as_deref().is_none_or(|bu| bu == BUS[ask.bu])
                && scope.placement.as_deref().is_none_or(|placement| placement == PLACEMENT)
                && scope.from.is_none_or(|from| from <= NOW) && scope.until.is_none_or(|until| NOW < until)
        };
        let again = shop.slate(&ask).map(|slate| format!("{slate:?}"));
        let checked = shop.answer(&ask, |query, slate| {
            prop_assert_eq!(&Some(format!("{slate:?}")), &again, "replay");
            let names = names(query, &slate.items);
            let distinct: BTreeSet<_> = names.iter().cloned().collect();
            prop_assert_eq!(distinct.len(), names.len(), "an item twice: {:?}", names);
            prop_assert!(distinct.is_subset(&may), "{:?} of {:?}", names, may);
            prop_assert!(may.is_subset(&without));
            prop_assert_eq!(names.len(), ask.wanted.min(may.len()));
            let hidden = |name: &str| ask.rules.hidden.iter().any(|rule| covers(&rule.scope) && rule.what.names(name));
            prop_assert!(!names.iter().any(|name| hidden(name)), "{:?}", names);
            let (mut placed, mut skipped) = (Vec::new(), 0);
            for pin in ask.rules.pins.iter().filter(|pin| covers(&pin.scope)) {
                let (name, place) = (pin.what.item.to_string(), usize::from(pin.what.position.get()));
                let is_free = placed.iter().all(|(other, at)| *other != name && *at != place);
                let is_known = query.state.catalogue().item(query.bu, &name).is_some();
                if !is_free || !is_known || place > ask.wanted {
                    skipped += 1;
                    continue;
                }
                placed.push((name.clone(), place));
                if may.contains(&name) {
                    prop_assert!(names.get(place - 1) == Some(&name) || place > names.len() && names.contains(&name), "{:?}", names);
                } else {
                    skipped += 1;
                }
            }
            prop_assert_eq!(slate.pins_skipped, skipped);
            for candidate in &slate.items {
                let reason = explain(query, candidate);
                let of_place = match candidate.placed {
                    None => true,
                    Some(Placed::Pinned { .. }) => ask.rules.pins.iter().any(|pin| reason.rules.contains(&pin.name)),
                    Some(Placed::Explored { .. }) => ask.rules.explore.iter().any(|rule| reason.rules.contains(&rule.name)),
                };
                prop_assert!(of_place, "{:?} {:?}", candidate, reason);
            }
            Ok(())
        });
        checked.unwrap_or(Ok(()))?;
    }

    #[test]
    fn pages_under_rules_never_repeat_and_reach_everything(log in log(), ask in ask(), rules in rules(), page in 1..9_usize) {
        let mut shop = Shop::of(&log, &RankingOptions::default());
        let mut ask = Ask { wanted: page, rules, ..ask };
        let may = allowed(&mut shop, &ask);
        let mut walked: Vec<String> = Vec::new();
        while let Some((items, names)) = shop.answer(&ask, |query, slate| (slate.items.clone(), names(query, &slate.items))) {
            if names.is_empty() {
                break;
            }
            let is_first = ask.served.is_empty();
            prop_assert!(is_first || !items.iter().any(|c| matches!(c.placed, Some(Placed::Pinned { .. }))), "a pin on a later page");
            walked.extend(names);
            ask.served.extend(items.iter().map(|c| c.item));
            prop_assert!(walked.len() <= EVERYTHING, "pages never end");
        }
        let distinct: BTreeSet<_> = walked.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), walked.len(), "an item came twice: {:?}", walked);
        prop_assert_eq!(distinct, may);
    }
}

#[test]
fn what_fills_a_slate_up_is_under_rules_as_well() {
    let listed = |n: u8| {
        let tags = if n.is_multiple_of(2) { vec!["gift".to_owned()] } else { Vec::new() };
        let attributes = Some(ItemAttributes { tags, ..ItemAttributes::default() });
        Record::Item(ItemChange { bu: BUS[0].into(), item_id: item_name(n), time: EventTime::from_millis(DAY_MS), attributes })
    };
    // Long ago, and nobody wants any of it now: no source speaks. A third of it was popular, half of that gifts.
    let log: Vec<_> = (0..60).map(listed).collect();
    let mut shop = Shop::of(&log, &RankingOptions::default());
    let gifts = || Matcher::new(Some(Condition::Tag("gift".into())), None);
    let mut is_gift = |rules: Rules| -> Vec<bool> {
        let look = |query: &Query<'_>, slate: &Slate| {
            assert!(slate.items.iter().all(|candidate| candidate.part(SourceKind::Popular) > 0.0));
            let attributes = slate.items.iter().map(|candidate| query.state.catalogue().attributes(candidate.item));
            attributes.map(|of| !of.tags.is_empty()).collect()
        };
        shop.answer(&Ask { rules, ..Ask::of(0, 0, 10) }, look).expect("a known unit")
    };
    let gifts_of = |is_gift: Vec<bool>| (is_gift.len(), is_gift.iter().filter(|is_gift| **is_gift).count());
    let (len, without) = gifts_of(is_gift(Rules::default()));
    assert!(len == 10 && (2..10).contains(&without), "{without}");
    let cap = Cap { by: CapBy::Items(gifts()), share_max: Share::new(0.1).expect("a share") };
    let capped = Rules { caps: vec![rule(cap)], ..Rules::default() };
    assert_eq!(gifts_of(is_gift(capped.clone())), (10, 1));
    assert_eq!(gifts_of(is_gift(Rules { burials: vec![rule(gifts())], ..Rules::default() })), (10, 0));
    let boost = Boost { items: gifts(), change: Change::new(1.0, 1.0).expect("upwards") };
    assert_eq!(gifts_of(is_gift(Rules { boosts: vec![rule(boost)], ..Rules::default() })), (10, 10));
    // Where twelve gifts are all that anybody wants, there are enough candidates, but not for the cap.
    let wanted = (0..60).step_by(6).chain([2, 4]).map(|n| {
        let id = EventId::from_text("e", BUS[0], &item_name(n));
        let (source, time) = (key(1), EventTime::from_millis(99 * DAY_MS));
        let (bu, item_id) = (BUS[0].to_owned(), Some(item_name(n)));
        Record::Event(Event { source, bu, item_id, kind: EventKind::View, time, id, value: None, region: None })
    });
    let mut shop = Shop::of(&log.iter().cloned().chain(wanted).collect::<Vec<_>>(), &RankingOptions::default());
    for (rules, expected) in [(Rules::default(), 10), (capped, 1)] {
        let is_gift = |query: &Query<'_>, slate: &Slate| {
            let attributes = slate.items.iter().map(|candidate| query.state.catalogue().attributes(candidate.item));
            attributes.map(|of| !of.tags.is_empty()).collect()
        };
        let found = shop.answer(&Ask { rules, ..Ask::of(0, 0, 10) }, is_gift).expect("a known unit");
        assert_eq!(gifts_of(found), (10, expected));
    }
}

fn rule<T>(what: T) -> Rule<T> {
    Rule { name: "one".into(), scope: Scope::default(), what }
}
