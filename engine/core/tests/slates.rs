//! Never a bad slate: whatever the catalogue, the person and the request, a slate is whole, allowed, ordered and explained.
#![allow(clippy::expect_used, reason = "a test that can't build its world has failed")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use faces_core::{
    catalogue::{Catalogue, ItemAttributes, ItemChange},
    event::{Behaviour, BehaviourClass, EventKind},
    ids::{EventId, EventTime, ItemId},
    ranking::{
        Candidate, CandidateSet, Condition, Model as _, Query, RankingOptions, Relation, Scratch, Slate, Source as _, SourceKind,
        SourceSet,
        blend::FixedBlend,
        explain::{BECAUSE_MAX, explain},
        sources::{Interest, Related},
    },
    record::{Event, Record},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use world::{
    Ask, BUS, DAY_MS, ITEMS, KEYS, NOW, Shop, attributes, change, config, event, item_name, key, statement, with_queries,
    with_query,
};

/// What happened, in a form that an oracle can read without asking the code under test.
#[derive(Clone, Debug)]
struct Past {
    changes: Vec<ItemChange>,
    events: Vec<Event>,
    log: Vec<Record>,
}

fn past() -> impl Strategy<Value = Past> {
    let events = vec(event(98..100), 0..150); // impressions tire for a day
    (vec(change(), 0..80), events, vec(statement(), 0..6)).prop_map(|(mut changes, events, links)| {
        // Times of their own, so that the last change of an item is plain to see.
        for (n, change) in changes.iter_mut().enumerate() {
            change.time = change.time.plus_millis(n as i64);
        }
        let log = changes.iter().cloned().map(Record::Item).chain(events.iter().cloned().map(Record::Event));
        let log = log.chain(links.into_iter().map(Record::Link)).collect();
        Past { changes, events, log }
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        select(vec!["all", "c0", "c1", "c2", "c9"]).prop_map(|name| Condition::Category(name.into())),
        select(vec!["b0", "b1"]).prop_map(|name| Condition::Brand(name.into())),
        (1..9_u8, 0..4_u8).prop_map(|(min, span)| Condition::Price { min: f64::from(min), max: f64::from(min + span) }),
        Just(Condition::Region("r0".into())),
        Just(Condition::Tag("gift".into())),
        prop::collection::btree_set(0..60_u32, 0..30)
            .prop_map(|ids| Condition::Items(ids.into_iter().map(ItemId::new).collect())),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Condition::AllOf),
            vec(inner.clone(), 0..3).prop_map(Condition::AnyOf),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    let region = prop::option::weighted(0.4, (0..3_u8).prop_map(|n| format!("r{n}"))); // of the last, nothing is known
    let items = |max| prop::collection::btree_set(0..60_u32, 0..max).prop_map(|ids| ids.into_iter().map(ItemId::new).collect());
    let flags = (any::<bool>(), prop::bool::weighted(0.15), prop::bool::weighted(0.8));
    let place = (0..KEYS, 0..BUS.len(), 0..30_usize);
    (place, items(20), items(10), (prop::option::weighted(0.4, condition()), region), flags).prop_map(
        |((who, bu, wanted), excluded, served, (condition, region), (suppress_owned, is_late, with_model))| Ask {
            excluded,
            served,
            suppress_owned,
            condition,
            region,
            is_late,
            with_model,
            ..Ask::of(who, bu, wanted)
        },
    )
}

/// The default, and blends that make ties and zeros.
fn options() -> impl Strategy<Value = RankingOptions> {
    let zero =
        FixedBlend { co_visitation: 1.0, content: 0.0, base: 0.0, lift_full: 100.0, floor: 0.0, novelty: 0.0, turned_down: 1.0 };
    let blend = select(vec![FixedBlend::default(), zero, FixedBlend { novelty: 1.0, ..zero }]);
    (blend, select(vec![0.1, 0.25, 0.5, 1.0]), 1..5_usize).prop_map(|(blend, category_share_max, tired_impressions)| {
        RankingOptions { blend, category_share_max, tired_impressions, ..RankingOptions::default() }
    })
}

/// Names of what may stand on the slate, straight from the past.
fn allowed(past: &Past, query: &Query<'_>, ask: &Ask) -> BTreeSet<String> {
    let bu = BUS[ask.bu];
    let mut standing: BTreeMap<&str, (EventTime, Option<ItemAttributes>)> = BTreeMap::new();
    for event in past.events.iter().filter(|event| event.bu == bu) {
        if let Some(name) = &event.item_id {
            standing.entry(name).or_insert((EventTime::MIN, Some(ItemAttributes::default())));
        }
    }
    for change in past.changes.iter().filter(|change| change.bu == bu) {
        let held = standing.entry(&change.item_id).or_insert((EventTime::MIN, None));
        if held.0 < change.time {
            *held = (change.time, change.attributes.clone());
        }
    }
    let person = query.state.person_keys(&[key(ask.who)]);
    let had = |event: &&Event| matches!(event.kind.class(), BehaviourClass::Ownership | BehaviourClass::Rejection);
    let of_person = past.events.iter().filter(|event| event.bu == bu && person.contains(&event.source.hash()));
    let owned: BTreeSet<&str> = of_person.filter(had).filter_map(|event| event.item_id.as_deref()).collect();
    let id = |name: &str| query.state.catalogue().item(query.bu, name).expect("a known item");
    let stands = |name: &str, of: &ItemAttributes| {
        let item = id(name);
        let is_ruled_out = of.sold_out || ask.excluded.contains(&item) || ask.served.contains(&item);
        let is_had = ask.suppress_owned && owned.contains(name);
        let is_asked_for = ask.condition.as_ref().is_none_or(|condition| condition.holds(item, of));
        is_asked_for && !is_ruled_out && !is_had
    };
    let served = standing.iter().filter(|(name, (_, of))| of.as_ref().is_some_and(|of| stands(name, of)));
    served.map(|(name, _)| (*name).to_owned()).collect()
}

fn is_tired(query: &Query<'_>, item: ItemId, options: &RankingOptions) -> bool {
    let times = |list: &[Behaviour]| list.iter().filter(|b| b.item == item).map(|b| b.time).collect::<Vec<_>>();
    let window = EventTime::from_millis(NOW.millis() - options.tired_window_hours * DAY_MS / 24);
    let since = times(&query.profile.taste).into_iter().fold(window, Ord::max);
    times(&query.profile.shown).iter().filter(|time| **time > since).count() >= options.tired_impressions
}

fn names(query: &Query<'_>, items: &[Candidate]) -> Vec<String> {
    items.iter().map(|c| query.state.catalogue().item_name(c.item).unwrap_or_default().to_owned()).collect()
}

/// Scores are finite and don't rise; among what was ranked, ties go to the smaller id.
fn is_ordered(catalogue: &Catalogue, items: &[Candidate]) -> Result<(), TestCaseError> {
    let shown: Vec<_> = items.iter().map(|c| (c.score.value(), c.item)).collect();
    prop_assert!(shown.iter().all(|(score, _)| score.is_finite()), "{:?}", shown);
    prop_assert!(shown.is_sorted_by(|a, b| a.0 >= b.0), "{:?}", shown);
    let ranked = items.iter().filter(|c| c.part(SourceKind::Popular) == 0.0);
    let in_order =
        |a: &&Candidate, b: &&Candidate| a.score.value() > b.score.value() || catalogue.by_name(a.item, b.item).is_lt();
    prop_assert!(ranked.is_sorted_by(in_order), "{:?}", shown);
    Ok(())
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn never_a_bad_slate(past in past(), asks in vec(ask(), 1..5), options in options()) {
        let mut shop = Shop::of(&past.log, &options);
        for ask in &asks {
            // One shop answers all: what one request leaves in the shared memory must not show in the next.
            let checked = shop.answer(ask, |query, slate| {
                let (names, allowed) = (names(query, &slate.items), allowed(&past, query, ask));
                let distinct: BTreeSet<_> = names.iter().cloned().collect();
                prop_assert_eq!(distinct.len(), names.len(), "an item stands twice: {:?}", names);
                let bad: Vec<_> = distinct.difference(&allowed).collect();
                prop_assert!(bad.is_empty(), "not allowed: {:?}", bad);
                prop_assert_eq!(names.len(), ask.wanted.min(allowed.len()), "of {:?}", allowed);
                // What was shown too often of late comes last, and only for want of anything else.
                let tired = |name: &String| query.state.catalogue().item(query.bu, name).is_some_and(|i| is_tired(query, i, &options));
                let lively = allowed.iter().filter(|name| !tired(name)).count();
                prop_assert!(names.iter().take(lively).all(|name| !tired(name)), "tired before others: {:?}", names);
                prop_assert!(slate.items.iter().all(|c| query.state.catalogue().bu_of(c.item) == Some(query.bu)));
                is_ordered(query.state.catalogue(), &slate.items)?;
                prop_assert_eq!(slate.cut_short, ask.is_late);
                Ok(())
            });
            checked.unwrap_or(Ok(()))?;
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_slate(past in past(), asks in vec(ask(), 2..5)) {
        let options = RankingOptions::default();
        let mut shop = Shop::of(&past.log, &options);
        let answers: Vec<_> = asks.iter().map(|ask| format!("{:?}", shop.slate(ask))).collect();
        for (ask, answer) in asks.iter().zip(&answers).rev() {
            let mut fresh = Shop::of(&past.log, &options);
            prop_assert_eq!(&format!("{:?}", fresh.slate(ask)), answer);
            prop_assert_eq!(&format!("{:?}", shop.slate(ask)), answer);
        }
    }

    #[test]
    fn what_was_ranked_gives_slates_of_any_length(past in past(), ask in ask(), wanted in 1..30_usize) {
        let mut shop = Shop::of(&past.log, &RankingOptions::default());
        if shop.slate(&ask).is_none() {
            return Ok(());
        }
        let ranked: Vec<_> = shop.scratch.sorted().iter().map(|candidate| (candidate.item, candidate.score.value())).collect();
        let other = Ask { wanted, ..ask };
        let shown = |slate: &Slate| slate.items.iter().map(|item| (item.item, item.score, item.placed)).collect::<Vec<_>>();
        let again = with_query(&shop.state, &shop.model, &other, |query| shown(&shop.pipeline.slate_of(query, &ranked)));
        let again = again.expect("a known unit");
        let anew = shown(&shop.slate(&other).expect("a known unit"));
        prop_assert!(again.len() <= anew.len());
        if !other.is_late && again.len() == wanted {
            prop_assert_eq!(again, anew);
        }
    }

    #[test]
    fn a_batch_gives_each_its_own_slate(past in past(), asks in vec(ask(), 1..6)) {
        let Shop { state, model, pipeline, mut scratch, mut candidates } = Shop::of(&past.log, &RankingOptions::default());
        let (together, apart) = with_queries(&state, &model, &asks, |queries| {
            let mut together = Vec::new();
            pipeline.recommend_each(queries, &mut scratch, &mut candidates, &mut |slate, _| together.push(slate));
            let apart: Vec<_> = queries.iter().map(|query| pipeline.recommend(query, &mut scratch, &mut candidates)).collect();
            (format!("{together:?}"), format!("{apart:?}"))
        });
        prop_assert_eq!(together, apart);
    }

    #[test]
    fn pages_never_repeat_and_reach_everything(past in past(), ask in ask(), page in 1..9_usize, by_token in any::<bool>()) {
        let options = RankingOptions::default();
        let mut shop = Shop::of(&past.log, &options);
        let everything = with_query(&shop.state, &shop.model, &ask, |query| allowed(&past, query, &ask));
        let mut ask = Ask { wanted: page, ..ask };
        let mut walked: Vec<String> = Vec::new();
        while let Some((items, names)) = shop.answer(&ask, |query, slate| (slate.items.clone(), names(query, &slate.items))) {
            if names.is_empty() {
                break;
            }
            walked.extend(names);
            let rule_out = if by_token { &mut ask.served } else { &mut ask.excluded };
            rule_out.extend(items.iter().map(|c| c.item));
            rule_out.sort_unstable();
            prop_assert!(walked.len() <= BUS.len() * usize::from(ITEMS), "pages never end");
        }
        let distinct: BTreeSet<_> = walked.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), walked.len(), "an item came twice: {:?}", walked);
        prop_assert_eq!(distinct, everything.unwrap_or_default());
    }

    #[test]
    fn a_category_keeps_to_its_share_while_there_are_others(
        items in vec(attributes(), 1..17),
        events in vec(event(90..100), 0..40),
        wanted in 1..25_usize,
        share_max in select(vec![0.1_f32, 0.2, 0.34, 0.5]),
    ) {
        // Few, and all listed of late, so that every item is retrieved and the selector sees all there are.
        let listed = |(n, of): (usize, ItemAttributes)| {
            let time = EventTime::from_millis(99 * DAY_MS);
            Record::Item(ItemChange { bu: BUS[0].into(), item_id: item_name(n as u8), time, attributes: Some(of) })
        };
        let names: BTreeSet<_> = (0..items.len()).map(|n| item_name(n as u8)).collect();
        let mut log: Vec<_> = items.into_iter().enumerate().map(listed).collect();
        let is_listed = |event: &Event| event.item_id.as_ref().is_some_and(|name| names.contains(name));
        log.extend(events.into_iter().filter(is_listed).map(Record::Event));
        let options = RankingOptions { category_share_max: share_max, tired_impressions: usize::MAX, ..RankingOptions::default() };
        let mut shop = Shop::of(&log, &options);
        let checked = shop.answer(&Ask::of(0, 0, wanted), |query, slate| {
            let catalogue = query.state.catalogue();
            let by_category = |items: &[ItemId]| items.iter().fold(BTreeMap::new(), |mut counts, item| {
                *counts.entry(catalogue.category(*item)).or_insert(0_usize) += 1;
                counts
            });
            let stands = |item: &ItemId| catalogue.is_servable(*item);
            let there: Vec<_> = catalogue.items_of(query.bu).filter(stands).collect();
            let cap = (wanted as f32 * share_max).ceil() as usize;
            let within = |category: &Option<_>, count: usize| if category.is_some() { count.min(cap) } else { count };
            let at_most: usize = by_category(&there).iter().map(|(category, count)| within(category, *count)).sum();
            let taken = by_category(&slate.items.iter().map(|c| c.item).collect::<Vec<_>>());
            let over: usize = taken.iter().map(|(category, count)| count - within(category, *count)).sum();
            is_ordered(query.state.catalogue(), &slate.items)?;
            prop_assert_eq!(over, slate.items.len().saturating_sub(at_most), "{:?} of {:?}", taken, by_category(&there));
            Ok(())
        });
        checked.unwrap_or(Ok(()))?;
    }

    #[test]
    fn reranking_returns_what_it_was_given(past in past(), ask in ask(), picks in vec(any::<Index>(), 0..40)) {
        let Shop { state, model, pipeline, mut scratch, mut candidates } = Shop::of(&past.log, &RankingOptions::default());
        let count = state.catalogue().item_count();
        let given: Vec<_> = picks.iter().filter(|_| count > 0).map(|pick| ItemId::new(pick.index(count) as u32)).collect();
        let ranked = with_query(&state, &model, &ask, |query| pipeline.rerank(query, &given, &mut scratch, &mut candidates).items);
        let Some(ranked) = ranked else { return Ok(()) };
        let returned: BTreeSet<_> = ranked.iter().map(|c| c.item).collect();
        prop_assert_eq!(returned.len(), ranked.len(), "an item came twice");
        prop_assert_eq!(returned, given.into_iter().collect::<BTreeSet<_>>());
        prop_assert!(ranked.iter().all(|c| c.score.value().is_finite()) && ranked.is_sorted_by(|a, b| a.score.value() >= b.score.value()));
    }

    #[test]
    fn what_the_latest_items_lead_to_is_summed_and_the_best_of_it_offered(past in past(), ask in ask(), most in 0..6_usize) {
        let shop = Shop::of(&past.log, &RankingOptions::default());
        let checked = with_query(&shop.state, &shop.model, &ask, |query| {
            for (relation, kind) in [(Relation::CoVisited, SourceKind::CoVisitation), (Relation::Content, SourceKind::Content)] {
                let mut sums: BTreeMap<ItemId, f32> = BTreeMap::new();
                for signal in query.signals.iter().take(10).filter(|_| query.model.is_some()) {
                    let mut add = |item, strength: f32| *sums.entry(item).or_default() += signal.weight * strength;
                    shop.model.related(relation, signal.item, query.bu, &mut add);
                }
                let offered = |query: &Query<'_>, candidates_max| {
                    let (source, mut candidates) = (Related { relation, candidates_max }, CandidateSet::default());
                    source.retrieve(query, &mut Scratch::default(), &mut candidates);
                    let parts = candidates.as_slice().iter().map(|candidate| (candidate.item, candidate.part(source.kind())));
                    let mut parts: Vec<_> = parts.collect();
                    parts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| query.state.catalogue().by_name(a.0, b.0)));
                    parts
                };
                let all = offered(query, usize::MAX);
                for (item, part) in &all {
                    let sum = sums.get(item).copied().unwrap_or(0.0);
                    prop_assert!(*part > 0.0 && (part - sum).abs() <= 1e-5 * sum, "{} is not {}", part, sum);
                }
                prop_assert_eq!(&offered(query, most)[..], &all[..most.min(all.len())]);
                let plain = Query { suppress_owned: false, ..Query::new(query.state, query.model, query.profile, query.signals, query.bu, NOW) };
                let alone = Query { sources: SourceSet::of(kind), ..plain };
                prop_assert!(offered(&alone, usize::MAX).len() >= all.len(), "nothing is ruled out");
                let silent = Query { sources: SourceSet::ALL.without(SourceSet::of(kind)), ..alone };
                prop_assert_eq!(offered(&silent, usize::MAX), []);
            }
            Ok(())
        });
        checked.unwrap_or(Ok(()))?;
    }

    #[test]
    fn reasons_name_the_persons_own_items(past in past(), ask in ask()) {
        let mut shop = Shop::of(&past.log, &RankingOptions::default());
        let checked = shop.answer(&ask, |query, slate| {
            let person = query.state.person_keys(&[key(ask.who)]);
            let of_person = past.events.iter().filter(|event| person.contains(&event.source.hash()) && event.kind.strength() > 0.0);
            let own: BTreeSet<_> = of_person.filter_map(|event| Some((event.bu.as_str(), event.item_id.as_deref()?))).collect();
            let catalogue = query.state.catalogue();
            let name = |item| Some((catalogue.bu_name(catalogue.bu_of(item)?), catalogue.item_name(item)?));
            for candidate in &slate.items {
                let reason = explain(query, candidate);
                use SourceKind::{CoVisitation, Content, Interest, Neighbours, Together};
                let personal = [CoVisitation, Content, Interest, Together, Neighbours];
                let is_personal = personal.contains(&reason.source);
                prop_assert_eq!(is_personal, !reason.because.is_empty(), "{:?}", reason);
                prop_assert!(reason.because.len() <= BECAUSE_MAX, "{:?}", reason);
                prop_assert!(reason.because.iter().all(|item| name(*item).is_some_and(|name| own.contains(&name))), "{:?}", reason);
            }
            Ok(())
        });
        checked.unwrap_or(Ok(()))?;
    }
}

#[test]
fn what_only_the_caller_named_is_there_as_it_was_given() {
    let listed = |n| {
        let (time, attributes) = (EventTime::from_millis(DAY_MS), Some(ItemAttributes::default()));
        Record::Item(ItemChange { bu: BUS[0].into(), item_id: item_name(n), time, attributes })
    };
    let log: Vec<_> = (0..2).map(listed).collect();
    let Shop { state, model, pipeline, mut scratch, mut candidates } = Shop::of(&log, &RankingOptions::default());
    let sources = with_query(&state, &model, &Ask { with_model: false, ..Ask::of(0, 0, 2) }, |query| {
        let slate = pipeline.rerank(query, &[0, 1].map(ItemId::new), &mut scratch, &mut candidates);
        slate.items.iter().map(|candidate| explain(query, candidate).source).collect::<Vec<_>>()
    });
    assert_eq!(sources, Some(vec![SourceKind::Request; 2]));
}

#[test]
fn new_items_show_whatever_else_was_named_since() {
    let time = EventTime::from_millis(99 * DAY_MS);
    let listed = |n, sold_out| {
        let attributes = Some(ItemAttributes { sold_out, ..ItemAttributes::default() });
        Record::Item(ItemChange { bu: BUS[0].into(), item_id: item_name(n), time, attributes })
    };
    // Ids that no catalogue knows, as test orders have them.
    let viewed = |n| {
        let id = EventId::from_content(time, BUS[0], &item_name(n), EventKind::View as u8, None);
        let (source, bu, item_id, kind) = (key(1), BUS[0].into(), Some(item_name(n)), EventKind::View);
        Record::Event(Event { source, bu, item_id, kind, time, id, value: None, region: None })
    };
    let log: Vec<_> =
        (0..10).map(|n| listed(n, false)).chain((10..20).map(|n| listed(n, true))).chain((20..40).map(viewed)).collect();
    let mut shop = Shop::of(&log, &RankingOptions::default());
    let new = |ask: &Ask, shop: &mut Shop| {
        let slate = shop.slate(ask).expect("a known unit");
        slate.items.iter().filter(|c| c.part(SourceKind::New) > 0.0).map(|c| c.item).collect::<BTreeSet<_>>()
    };
    let all = Ask { with_model: false, ..Ask::of(0, 0, 30) };
    assert_eq!(new(&all, &mut shop), (0..10).map(ItemId::new).collect());
    let of_later_page = Ask { served: (5..10).map(ItemId::new).collect(), ..all };
    assert_eq!(new(&of_later_page, &mut shop), (0..5).map(ItemId::new).collect());
}

#[test]
fn what_is_near_the_person_ends_neither_with_the_first_pages_nor_with_what_they_have() {
    let time = EventTime::from_millis(DAY_MS);
    let took = |n, kind| {
        let id = EventId::from_content(time, BUS[0], &item_name(n), kind as u8, None);
        let (source, bu, item_id) = (key(n % 2), BUS[0].into(), Some(item_name(n)));
        Record::Event(Event { source, bu, item_id, kind, time, id, value: None, region: None })
    };
    let viewed = (0..100).map(|n| took(n, EventKind::View));
    let log: Vec<_> = viewed.chain((0..40).map(|n| took(n, EventKind::Purchase))).collect();
    let Shop { state, model, .. } = Shop::of(&log, &RankingOptions::default());
    let owned = state.profile(&[key(0)], None).owned;
    assert_eq!(owned.len(), 20);
    let mut ask = Ask { suppress_owned: true, ..Ask::of(0, 0, 20) };
    for page in 0..3 {
        let found = with_query(&state, &model, &ask, |query| {
            let mut candidates = CandidateSet::default();
            Interest { neighbours: 20, vectors_max: 1 }.retrieve(query, &mut Scratch::default(), &mut candidates);
            candidates.as_slice().iter().map(|candidate| candidate.item).collect::<Vec<_>>()
        });
        let found = found.expect("a known unit");
        assert_eq!(found.len(), 20, "page {page}");
        assert!(!found.iter().any(|item| ask.served.contains(item) || owned.contains(item)), "page {page}");
        ask.served.extend(found);
    }
}

#[test]
fn the_catalogue_alone_fills_a_slate() {
    let listed = |n| {
        let time = EventTime::from_millis(DAY_MS); // long ago: no source offers it
        let attributes = Some(ItemAttributes { sold_out: n == 3, ..ItemAttributes::default() });
        Record::Item(ItemChange { bu: BUS[0].into(), item_id: item_name(n), time, attributes })
    };
    let log: Vec<_> = (0..12).map(listed).collect();
    let mut shop = Shop::of(&log, &RankingOptions::default());
    for is_late in [false, true] {
        let ask = Ask { with_model: false, is_late, ..Ask::of(0, 0, 10) };
        let slate = shop.slate(&ask).expect("a known unit");
        let expected: Vec<_> = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10].map(ItemId::new).into();
        assert_eq!(slate.items.iter().map(|c| c.item).collect::<Vec<_>>(), expected);
        assert!(slate.items.iter().all(|c| c.part(SourceKind::Popular) > 0.0));
        assert_eq!(slate.cut_short, is_late);
    }
    assert!(shop.slate(&Ask::of(0, 1, 10)).is_none(), "nobody has named the unit");
}
