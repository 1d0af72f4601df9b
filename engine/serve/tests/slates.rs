//! Slates, from the outside: two shops with two planted tastes that cross them, a generation trained by `faces rebuild`.
//!
//! One server for all tests. They may act in the market only: what is wanted in the cinema stays as planted, so that answers there can
//! be compared exactly.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::collections::BTreeSet;

use faces_proto::v1::{self, CandidateSource, EventType, filter::Condition};
use house::{
    House,
    calls::{ask, content, event, filter, item_ref, key},
    clients::Clients,
    shops::{self, BUS, CINEMA, ITEMS, MARKET, evens, id, number},
};
use tokio::sync::OnceCell;
use tonic::Code;

async fn shops() -> Option<Clients> {
    static HOUSE: OnceCell<Option<House>> = OnceCell::const_new();
    let opened = HOUSE.get_or_init(async || {
        let house = House::open(&BUS, &[]).await?;
        let mut clients = house.clients().await;
        shops::fill(&mut clients).await;
        let published = shops::rebuild(&house.path(""), &house.generations(), 0, &[]);
        assert_eq!(clients.next_generation("").await, published);
        Some(house)
    });
    Some(opened.await.as_ref()?.clients().await)
}

fn names(items: &[v1::Recommendation]) -> Vec<String> {
    items.iter().map(|item| item.item_id.clone()).collect()
}

/// Somebody with an account in the market who looked at these items there.
async fn visitor(clients: &mut Clients, name: &str, looked_at: &[usize]) -> v1::SourceKey {
    let who = key(MARKET, name);
    clients.act(looked_at.iter().map(|n| event(EventType::View, &who, &id(MARKET, *n))).collect()).await;
    who
}

#[tokio::test]
async fn a_link_brings_a_taste_across_and_an_unlink_takes_it_away() {
    let Some(mut clients) = shops().await else { return };
    let there = visitor(&mut clients, "linked", &[0, 2, 4]).await;
    let here = key(CINEMA, "linked");
    let before = clients.slate(ask(std::slice::from_ref(&here), CINEMA)).await;
    let by_popularity: Vec<String> = (10..ITEMS).rev().map(|n| id(CINEMA, n)).collect();
    assert_eq!(names(&before.items), by_popularity, "nobody in the cinema knows this person");
    assert_eq!(before.freshness.clone().unwrap().newest_event_time_ms, None);

    clients.link(&there, &here).await;
    let linked = clients.slate(ask(std::slice::from_ref(&here), CINEMA)).await;
    assert_eq!(evens(&names(&linked.items)[..4]), 4, "even numbers lead: {:?}", names(&linked.items));
    assert!(linked.freshness.unwrap().newest_event_time_ms.is_some());
    for item in &linked.items[..4] {
        let reason = item.reason.as_ref().unwrap();
        assert!(matches!(reason.source(), CandidateSource::CoVisitation | CandidateSource::Interest), "{item:?}");
        assert!(!reason.because.is_empty(), "{item:?}");
        assert!(reason.because.iter().all(|of| of.bu == MARKET && [0, 2, 4].contains(&number(&of.item_id))), "{item:?}");
        assert_eq!(reason.because_title, format!("market thing {}", number(&reason.because[0].item_id)));
    }

    clients.unlink(&there, &here).await;
    let unlinked = clients.slate(ask(&[here], CINEMA)).await;
    assert_eq!(content(unlinked), content(before), "link then unlink equals never linked, to the last bit of every score");
}

#[tokio::test]
async fn a_login_in_mid_session_carries_the_session_over() {
    let Some(mut clients) = shops().await else { return };
    let session = v1::SourceKey { kind: v1::KeyKind::Session as i32, ..key(MARKET, "tab-1") };
    let member = key(CINEMA, "member");
    let as_member = ask(std::slice::from_ref(&member), CINEMA);
    let before = clients.slate(as_member.clone()).await;
    clients.act([0, 2, 4].iter().map(|n| event(EventType::View, &session, &id(MARKET, *n))).collect()).await;
    let anonymous = clients.items(ask(std::slice::from_ref(&session), CINEMA)).await;
    assert_eq!(evens(&anonymous[..4]), 4, "nobody has logged in, and the session is known: {anonymous:?}");
    assert_eq!(content(clients.slate(as_member.clone()).await), content(before.clone()), "the member is not");

    clients.link(&session, &member).await;
    let logged_in = clients.items(as_member.clone()).await;
    assert_eq!(logged_in, anonymous, "what the session knew, the member's slate knows");
    clients.act(vec![event(EventType::View, &session, &id(MARKET, 6))]).await;
    let went_on = clients.slate(as_member.clone()).await;
    let because = went_on.items.iter().filter_map(|item| item.reason.as_ref()).flat_map(|reason| &reason.because);
    assert!(because.map(|of| number(&of.item_id)).any(|n| n == 6), "and goes on with the session: {went_on:?}");

    clients.unlink(&session, &member).await;
    assert_eq!(content(clients.slate(as_member).await), content(before), "a logout leaves no trace");
}

#[tokio::test]
async fn what_is_bought_or_turned_down_is_not_offered_again() {
    let Some(mut clients) = shops().await else { return };
    let who = visitor(&mut clients, "buyer", &[1, 3]).await;
    let request = ask(std::slice::from_ref(&who), MARKET);
    let slate = clients.items(request.clone()).await;
    let kinds = [EventType::Purchase, EventType::Dislike];
    clients.act(kinds.iter().zip(&slate).map(|(kind, item)| event(*kind, &who, item)).collect()).await;
    let after = clients.slate(request.clone()).await;
    assert_eq!(after.items.len(), 10);
    assert!(!names(&after.items).contains(&slate[0]) && !names(&after.items).contains(&slate[1]), "{slate:?} {after:?}");
    let owned: Vec<_> = after.filtered.iter().filter(|count| count.filter == "owned").map(|count| count.removed).collect();
    assert!(matches!(owned[..], [1 | 2]), "the answer says what sources found and was left out: {owned:?}");
    let all = v1::RecommendRequest { suppress_owned: Some(false), page_size: 20, ..request };
    let all = clients.items(all).await;
    assert!(all.contains(&slate[0]) && all.contains(&slate[1]), "unless the request says otherwise");
}

#[tokio::test]
async fn what_the_caller_saw_shifts_the_slate_without_waiting_for_the_log() {
    let Some(mut clients) = shops().await else { return };
    let seen =
        |n: usize| v1::ContextItem { r#ref: Some(item_ref(MARKET, &id(MARKET, n))), r#type: EventType::Unspecified as i32 };
    let unknown = v1::ContextItem { r#ref: Some(item_ref(MARKET, "never-heard-of")), ..seen(0) };
    for (context, is_even) in [(vec![seen(0), seen(2), seen(4)], true), (vec![seen(1), unknown.clone(), seen(3), seen(5)], false)]
    {
        let shifted = clients.items(v1::RecommendRequest { context, ..ask(&[], CINEMA) }).await;
        let of_taste = if is_even { evens(&shifted[..5]) } else { 5 - evens(&shifted[..5]) };
        assert!(of_taste >= 4, "{shifted:?}"); // what so small a history teaches a ranker may let one of the others in
    }
    let plain = clients.slate(ask(&[], CINEMA)).await;
    let nothing_known = clients.slate(v1::RecommendRequest { context: vec![unknown], ..ask(&[], CINEMA) }).await;
    assert_eq!(content(nothing_known), content(plain), "an unknown item is no error and says nothing");
}

#[tokio::test]
async fn what_the_caller_says_was_bought_or_turned_down_is_not_offered_either() {
    let Some(mut clients) = shops().await else { return };
    let who = visitor(&mut clients, "at the till", &[1, 3]).await;
    let asked = ask(std::slice::from_ref(&who), MARKET);
    let slate = clients.items(asked.clone()).await;
    let did = |kind: EventType| v1::ContextItem { r#ref: Some(item_ref(MARKET, &slate[0])), r#type: kind as i32 };
    for (kind, is_gone) in [
        (EventType::Purchase, true),
        (EventType::Rating, true),
        (EventType::Dislike, true),
        (EventType::Return, true),
        (EventType::Cart, false),
        (EventType::Impression, false),
    ] {
        let context = vec![did(kind); 2];
        let everything = v1::RecommendRequest { context, page_size: 20, ..asked.clone() };
        assert_eq!(!clients.items(everything.clone()).await.contains(&slate[0]), is_gone, "{kind:?}");
        let all = v1::RecommendRequest { suppress_owned: Some(false), ..everything };
        assert!(clients.items(all).await.contains(&slate[0]), "unless the request says otherwise: {kind:?}");
    }
}

#[tokio::test]
async fn filters_hold_exactly() {
    let Some(mut clients) = shops().await else { return };
    let category = |name: &str| Condition::Category(name.into());
    let list = |parts: Vec<Condition>| v1::FilterList { filters: parts.into_iter().filter_map(filter).collect() };
    let not = |inner: Condition| Condition::Not(Box::new(v1::Filter { condition: Some(inner) }));
    let price = |min, max| Condition::Price(v1::PriceRange { min, max });
    let ids = v1::ItemIds { item_ids: vec!["c3".into(), "c8".into(), "m1".into(), "nobody".into()] };
    type Holds = fn(usize) -> bool;
    let cases: [(Condition, Holds); 9] = [
        (category("k3"), |n| n % 5 == 3),
        (category("all"), |_| true),
        (Condition::Brand("b1".into()), |n| n % 3 == 1),
        (price(Some(15.0), Some(18.0)), |n| (5..=8).contains(&n)),
        (price(None, Some(11.5)), |n| n <= 1),
        (not(category("k3")), |n| n % 5 != 3),
        (Condition::AllOf(list(vec![category("k2"), not(Condition::Brand("b0".into()))])), |n| n % 5 == 2 && n % 3 != 0),
        (Condition::AnyOf(list(vec![category("k0"), price(Some(28.0), None)])), |n| n % 5 == 0 || n >= 18),
        (Condition::ItemIds(ids), |n| n == 3 || n == 8),
    ];
    let who = visitor(&mut clients, "filterer", &[0, 2]).await;
    for (condition, holds) in cases {
        for keys in [vec![], vec![who.clone()]] {
            let request = v1::RecommendRequest { page_size: 20, filter: filter(condition.clone()), ..ask(&keys, CINEMA) };
            let found = clients.items(request).await;
            let numbers: BTreeSet<usize> = found.iter().map(|item| number(item)).collect();
            assert_eq!(numbers, (0..ITEMS).filter(|n| holds(*n)).collect(), "{condition:?}");
            assert_eq!(found.len(), numbers.len(), "no item twice");
        }
    }
    let nothing = v1::RecommendRequest { filter: filter(category("k9")), ..ask(&[], CINEMA) };
    assert_eq!(clients.items(nothing).await, [""; 0], "empty only when nothing is allowed");
}

#[tokio::test]
async fn pages_walk_to_the_end_without_repeats() {
    let Some(mut clients) = shops().await else { return };
    let who = visitor(&mut clients, "pager", &[1, 3]).await;
    let first = v1::RecommendRequest { page_size: 7, ..ask(&[who], CINEMA) };
    let (mut request, mut walked, mut sizes) = (first.clone(), Vec::new(), Vec::new());
    loop {
        let page = clients.slate(request.clone()).await;
        sizes.push(page.items.len());
        walked.extend(names(&page.items));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(sizes, [7, 7, 6]);
    assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), ITEMS);
    let whole = clients.items(v1::RecommendRequest { page_size: 20, ..first }).await;
    assert_eq!(walked[..7], whole[..7], "the first page is the best of all");
    let others = v1::RecommendRequest { keys: vec![key(CINEMA, "somebody-else")], ..request };
    assert_eq!(house::calls::fields(&clients.refusal(others).await), ["page_token"]);
}

#[tokio::test]
async fn an_entry_of_a_batch_fails_by_itself() {
    let Some(mut clients) = shops().await else { return };
    let mut bad_key = ask(&[key(CINEMA, "x")], CINEMA);
    bad_key.keys[0].kind = 0;
    let requests = vec![ask(&[], CINEMA), ask(&[], "bakery"), bad_key, v1::RecommendRequest { page_size: 3, ..ask(&[], MARKET) }];
    let single = clients.slate(requests[0].clone()).await;
    let answer = clients.recommendations.batch_recommend(v1::BatchRecommendRequest { requests }).await.unwrap().into_inner();
    let outcomes: Vec<_> = answer.entries.into_iter().map(|entry| entry.outcome.unwrap()).collect();
    use v1::batch_recommend_entry::Outcome;
    let [Outcome::Response(a), Outcome::Error(b), Outcome::Error(c), Outcome::Response(d)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(content(a.clone()), content(single), "a batch answers what single calls answer");
    assert_eq!((Code::from(b.code), b.message.contains("bakery")), (Code::NotFound, true), "{b:?}");
    assert_eq!((Code::from(c.code), c.violations[0].field.as_str()), (Code::InvalidArgument, "requests[2].keys[0].kind"));
    assert_eq!(d.items.len(), 3);
}

#[tokio::test]
async fn similar_items_are_of_one_taste_and_leave_out_what_the_person_has() {
    let Some(mut clients) = shops().await else { return };
    let who = visitor(&mut clients, "comparer", &[1]).await;
    let request = |bu: &str, keys: &[v1::SourceKey]| v1::SimilarItemsRequest {
        r#ref: Some(item_ref(MARKET, "m4")),
        bu: bu.into(),
        keys: keys.to_vec(),
        page_size: 5,
        explain: true,
        ..v1::SimilarItemsRequest::default()
    };
    for (bu, initial) in [("", 'm'), (MARKET, 'm'), (CINEMA, 'c')] {
        let found = names(&clients.recommendations.similar_items(request(bu, &[])).await.unwrap().into_inner().items);
        assert!(found.len() == 5 && evens(&found) == 5 && found.iter().all(|item| item.starts_with(initial)), "{found:?}");
        assert!(!found.contains(&"m4".to_owned()), "an item is not like itself");
    }
    clients.act((0..12).map(|n| event(EventType::Purchase, &key(MARKET, &format!("fan{n}")), "m5")).collect()).await;
    let found = names(&clients.recommendations.similar_items(request("", &[])).await.unwrap().into_inner().items);
    assert_eq!(evens(&found), 5, "however hot something else is: {found:?}");
    clients.act(vec![event(EventType::Purchase, &who, &found[0])]).await;
    let without = names(&clients.recommendations.similar_items(request("", &[who])).await.unwrap().into_inner().items);
    assert!(without.len() == 5 && !without.contains(&found[0]), "{without:?}");
    let unknown = v1::SimilarItemsRequest { r#ref: Some(item_ref(MARKET, "m400")), ..request("", &[]) };
    let refused = clients.recommendations.similar_items(unknown).await.unwrap_err();
    assert_eq!((refused.code(), house::calls::reason(&refused).as_str()), (Code::NotFound, "UNKNOWN_ITEM"));
}

#[tokio::test]
async fn reranking_orders_what_was_given_and_nothing_else() {
    let Some(mut clients) = shops().await else { return };
    let who = visitor(&mut clients, "searcher", &[0, 2, 4]).await;
    let given: Vec<String> = ["c9", "unheard", "c8", "c7", "c6", "also-unheard", "c5"].map(str::to_owned).to_vec();
    let request = |keys: &[v1::SourceKey]| v1::RerankItemsRequest {
        keys: keys.to_vec(),
        bu: CINEMA.into(),
        item_ids: given.clone(),
        ..v1::RerankItemsRequest::default()
    };
    let ranked = clients.recommendations.rerank_items(request(&[who])).await.unwrap().into_inner().items;
    assert_eq!(names(&ranked)[5..], ["unheard", "also-unheard"], "unknown ones last, in their order");
    assert!(ranked[5..].iter().all(|item| item.score == 0.0));
    assert_eq!(evens(&names(&ranked)[..2]), 2, "the person's taste leads: {ranked:?}");
    let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(&names(&ranked)), set(&given));
    let stranger = clients.recommendations.rerank_items(request(&[])).await.unwrap().into_inner().items;
    assert_eq!(names(&stranger)[..5], ["c9", "c8", "c7", "c6", "c5"], "by popularity");
}

#[tokio::test]
async fn a_stranger_gets_a_full_slate() {
    let Some(mut clients) = shops().await else { return };
    let nobody = clients.slate(ask(&[], CINEMA)).await;
    assert_eq!(nobody.items.len(), 10);
    assert!(nobody.items.is_sorted_by(|a, b| a.score >= b.score));
    assert!(!nobody.generation_id.is_empty() && !nobody.answer_token.is_empty());
    let unknown = clients.slate(ask(&[key(CINEMA, "new-here"), key(MARKET, "new-there")], CINEMA)).await;
    assert_ne!(unknown.answer_token, nobody.answer_token);
    assert_eq!(unknown.items, nobody.items, "an unknown person is no error");
    let default_size = clients.items(v1::RecommendRequest { page_size: 0, ..ask(&[], CINEMA) }).await;
    assert_eq!(default_size.len(), 20);
    let more_than_there_is = clients.items(v1::RecommendRequest { page_size: 200, ..ask(&[], CINEMA) }).await;
    assert_eq!(more_than_there_is.len(), ITEMS);
}

#[tokio::test]
async fn what_trends_in_the_named_region_is_retrieved_and_says_so() {
    let Some(mut clients) = shops().await else { return };
    let (least_wanted, region) = (id(MARKET, 0), "north".to_owned());
    let northerners = (0..6).map(|n| key(MARKET, &format!("northerner-{n}")));
    let views = northerners.map(|who| v1::Event { region: region.clone(), ..event(EventType::View, &who, &least_wanted) });
    clients.act(views.collect()).await;
    let asked = |region: &str| v1::RecommendRequest { region: region.into(), page_size: 20, ..ask(&[], MARKET) };
    let mut reason = async |region: &str| {
        let slate = clients.slate(asked(region)).await;
        let item = slate.items.into_iter().find(|item| item.item_id == least_wanted).expect("all items fit");
        item.reason.map(|reason| (reason.source(), reason.trends_in)).expect("reasons were asked for")
    };
    assert_eq!(reason("north").await, (CandidateSource::TrendingInRegion, region.clone()));
    for elsewhere in ["", "unheard of"] {
        assert_eq!(reason(elsewhere).await, (CandidateSource::Trending, String::new()));
    }
}
