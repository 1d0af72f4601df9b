//! A start without an image of the state: what the log does not tell (any more) stands in the generation.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::{collections::BTreeSet, fs};

use faces_proto::v1::{self, EventType};
use house::{
    House,
    calls::{ask, event, item_ref, key},
    clients::Clients,
    eventually, faces_says,
    shops::{self, BUS, MARKET, id, item},
};

async fn title_of(clients: &mut Clients, n: usize) -> Option<String> {
    let request = v1::GetItemRequest { r#ref: Some(item_ref(MARKET, &id(MARKET, n))) };
    clients.catalog.get_item(request).await.ok()?.into_inner().item.map(|item| item.title)
}

/// A house with a generation and a log with nothing in it.
async fn closed() -> Option<House> {
    let house = House::closed(&BUS, &[]).await?;
    shops::rebuild(&house.path(""), &house.generations(), 0, &["--set", "training.ranker.examples_max=0"]);
    Some(house)
}

#[tokio::test]
async fn a_log_that_has_nothing_is_no_reason_to_serve_nothing() {
    let Some(mut house) = closed().await else { return };
    house.start().await;
    let mut clients = house.clients().await;
    let slate = clients.items(ask(&[], MARKET)).await;
    assert_eq!(slate.len(), 10, "{slate:?}");
    assert_eq!(title_of(&mut clients, 3).await.as_deref(), Some("market thing 3"));
    let facts = clients.catalog.get_item(v1::GetItemRequest { r#ref: Some(item_ref(MARKET, "m3")) }).await.unwrap().into_inner();
    let facts = facts.item.unwrap();
    assert_eq!((facts.categories, facts.brand.as_str(), facts.price), (item(MARKET, 3).categories, "b0", Some(13.0)));

    // Nobody did anything that the log tells of: whom somebody is like, the generation says.
    let planted = async || house.server_log().lines().find(|line| line.contains("people=60")).map(str::to_owned);
    let line = eventually("people to be planted", planted).await;
    assert!(line.contains("stand in"), "{line}");
    let who = key(MARKET, "new");
    clients.act(vec![event(EventType::View, &who, "m2"), event(EventType::View, &who, "m4")]).await;
    let slate = clients.items(ask(&[who], MARKET)).await;
    assert!(shops::evens(&slate[..5]) >= 4, "{slate:?}");

    clients.list(vec![v1::Item { title: "told".into(), ..item(MARKET, 3) }], 0).await;
    assert_eq!(title_of(&mut clients, 3).await.as_deref(), Some("told"), "a record takes a seed's place");
    assert_eq!(title_of(&mut clients, 4).await.as_deref(), Some("market thing 4"));

    // An image is all that was known: nothing is planted beside it.
    house.stop().await;
    house.start().await;
    assert!(!["stands in", "stand in"].iter().any(|words| house.server_log().contains(words)), "{}", house.server_log());
    let mut clients = house.clients().await;
    assert_eq!(title_of(&mut clients, 3).await.as_deref(), Some("told"));
    assert_eq!(title_of(&mut clients, 4).await.as_deref(), Some("market thing 4"), "it is in the image");

    // Nor when the whole log is to be read again.
    house.stop().await;
    let topics = [house.topics.events(MARKET), house.topics.identity(), house.topics.catalog()];
    for topic in topics.iter().chain(&BUS.map(|bu| house.topics.events(bu))).collect::<BTreeSet<_>>() {
        faces_says(&["state", "forget-topic", topic, "--folder", house.state().to_str().unwrap()]);
    }
    house.start().await;
    assert!(!["stands in", "stand in"].iter().any(|words| house.server_log().contains(words)), "{}", house.server_log());

    // Without an image: from the log and the generation.
    house.kill();
    fs::remove_dir_all(house.state()).unwrap();
    house.start().await;
    let mut clients = house.clients().await;
    assert_eq!(title_of(&mut clients, 3).await.as_deref(), Some("told"));
    assert_eq!(title_of(&mut clients, 4).await.as_deref(), Some("market thing 4"));
}
