//! What the catalogue says of items leads from one to another, though nobody ever took the other.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use faces_proto::v1::{self, CandidateSource, EventType, ServiceLevel};
use house::{
    House,
    calls::{ask, event, item_ref, key, now_ms},
    clients::Clients,
    faces_says,
    shops::MARKET,
    write_lines,
};

/// More than a slate holds, so that it is not by filling up that the last item gets onto one.
const ITEMS: usize = 80;
/// The first so many were taken.
const TAKEN: usize = 20;
const LIKE: usize = 5;
const NOBODY_TOOK: usize = ITEMS - 1;
const LONG_AGO_MS: i64 = 1_600_000_000_000;

fn title(n: usize) -> String {
    match n {
        LIKE => "Walnut comb for hair".into(),
        NOBODY_TOOK => "Beard comb, walnut".into(),
        _ => format!("article{n}"),
    }
}

fn item(n: usize) -> v1::Item {
    v1::Item { r#ref: Some(item_ref(MARKET, &format!("i{n}"))), title: title(n), ..v1::Item::default() }
}

/// A server with a generation in which two people took twenty items between them, and somebody who looked at one of those.
async fn shop(settings: &[&str]) -> Option<(House, Clients, v1::SourceKey)> {
    let house = House::open(&[MARKET], &[]).await?;
    let mut clients = house.clients().await;
    clients.list((0..ITEMS).map(item).collect(), LONG_AGO_MS).await;
    let [events, items] = ["events.csv", "items.csv"].map(|name| house.path(name));
    let act = |n: usize| format!("{},{MARKET},p{},i{n},view", now_ms() - 86_400_000, n % 2);
    write_lines(&events, std::iter::once("ts_ms,bu,local_user_id,item_id,event_type".to_owned()).chain((0..TAKEN).map(act)));
    let row = |n: usize| format!("i{n},{MARKET},\"{}\"", title(n));
    write_lines(&items, std::iter::once("item_id,bu,title".to_owned()).chain((0..ITEMS).map(row)));
    let [events, items, generations] = [events, items, house.generations()].map(|path| path.to_str().unwrap().to_owned());
    let arguments = ["rebuild", "--events", &events, "--items", &items, "--out", &generations];
    let said = faces_says(&[&arguments[..], settings].concat());
    let pairs = if settings.is_empty() { "2 pairs alike by content" } else { "0 pairs alike by content" };
    assert!(said.contains(pairs), "{said}");
    clients.next_generation("").await;
    let who = key(MARKET, "visitor");
    clients.act(vec![event(EventType::View, &who, &format!("i{LIKE}"))]).await;
    Some((house, clients, who))
}

/// Where the item that nobody took stands on the visitor's slate, and what it says why.
async fn of_nobody(clients: &mut Clients, who: &v1::SourceKey) -> Option<v1::Recommendation> {
    let request = v1::RecommendRequest { page_size: 40, ..ask(std::slice::from_ref(who), MARKET) };
    let slate = clients.slate(request).await;
    assert_eq!((slate.level(), slate.items.len()), (ServiceLevel::Full, 40));
    slate.items.into_iter().find(|item| item.item_id == format!("i{NOBODY_TOOK}"))
}

#[tokio::test]
async fn an_item_that_nobody_took_is_found_by_its_title() {
    let Some((_house, mut clients, who)) = shop(&[]).await else { return };
    let found = of_nobody(&mut clients, &who).await.expect("it is on the slate");
    let reason = found.reason.unwrap();
    assert_eq!(reason.source(), CandidateSource::Content);
    assert_eq!((reason.because.len(), reason.because_title.as_str()), (1, "Walnut comb for hair"));
    let stranger = key(MARKET, "stranger");
    assert_eq!(of_nobody(&mut clients, &stranger).await, None, "to others it says nothing");
}

#[tokio::test]
async fn a_generation_without_lists_leads_nowhere() {
    let Some((_house, mut clients, who)) = shop(&["--set", "training.content.neighbours_max=0"]).await else { return };
    assert_eq!(of_nobody(&mut clients, &who).await, None);
}
