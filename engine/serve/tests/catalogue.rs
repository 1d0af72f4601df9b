//! The index follows the catalogue while it serves: a shop whose items bring their own embeddings.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use faces_proto::v1::{self, CandidateSource, EventType, filter::Condition};
use house::{
    House,
    calls::{ask, event, filter, item_ref, key, now_ms},
    clients::Clients,
    eventually, faces_says,
    shops::MARKET,
    write_lines,
};

/// Enough that the items which a query finds are few of them.
const ITEMS: usize = 1_200;
const HALF: usize = ITEMS / 2;
const LONG_AGO_MS: i64 = 1_600_000_000_000;

/// Items lie on a circle, in the order of their numbers.
fn embedding(turns: f64) -> Vec<f32> {
    let angle = turns * std::f64::consts::TAU;
    vec![angle.cos() as f32, angle.sin() as f32]
}

fn item(n: usize, turns: f64) -> v1::Item {
    v1::Item {
        r#ref: Some(item_ref(MARKET, &format!("i{n}"))),
        title: format!("thing {n}"),
        categories: vec![format!("c{n}")],
        brand: format!("b{}", n % 60),
        embedding: embedding(turns),
        ..v1::Item::default()
    }
}

/// A server with a generation over the circle, and somebody who looked at the item half a turn round: nobody else ever did, so it is
/// by embedding alone that anything is near it.
async fn circle() -> Option<(House, Clients, v1::SourceKey)> {
    let house = House::open(&[MARKET], &[]).await?;
    let mut clients = house.clients().await;
    let turns = |n: usize| n as f64 / ITEMS as f64;
    clients.list((0..ITEMS).map(|n| item(n, turns(n))).collect(), LONG_AGO_MS).await;

    let [events, items] = ["events.csv", "items.csv"].map(|name| house.path(name));
    let act = |n: usize| format!("{},{MARKET},p{},i{n},view", now_ms() - 86_400_000, n % 2);
    write_lines(&events, std::iter::once("ts_ms,bu,local_user_id,item_id,event_type".to_owned()).chain((0..20).map(act)));
    let row = |n: usize| {
        let [x, y] = embedding(turns(n))[..] else { panic!("two numbers") };
        format!("i{n},{MARKET},{x} {y}")
    };
    write_lines(&items, std::iter::once("item_id,bu,embedding".to_owned()).chain((0..ITEMS).map(row)));
    let [events, items, generations] = [events, items, house.generations()].map(|path| path.to_str().unwrap().to_owned());
    let arguments = ["rebuild", "--events", &events, "--items", &items, "--out", &generations, "--json"];
    faces_says(&[&arguments[..], &["--set", "training.embedding.source=catalogue"]].concat());
    clients.next_generation("").await;

    let who = key(MARKET, "visitor");
    clients.act(vec![event(EventType::View, &who, &format!("i{HALF}"))]).await;
    Some((house, clients, who))
}

/// What is nearest to the visitor's interest, nearest first, but for what led there.
async fn nearest(clients: &mut Clients, who: &v1::SourceKey, condition: Option<Condition>) -> Vec<String> {
    let request = v1::RecommendRequest { filter: condition.and_then(filter), ..ask(std::slice::from_ref(who), MARKET) };
    let slate = clients.slate(request).await;
    let of_interest = |item: &v1::Recommendation| item.reason.as_ref().unwrap().source() == CandidateSource::Interest;
    slate.items.into_iter().filter(of_interest).map(|item| item.item_id).collect()
}

async fn eventually_nearest(what: &str, clients: &mut Clients, who: &v1::SourceKey, is: impl Fn(&[String]) -> bool) {
    eventually(what, async || is(&nearest(clients, who, None).await).then_some(())).await;
}

#[tokio::test]
async fn the_index_takes_changes_while_it_serves() {
    let Some((_house, mut clients, who)) = circle().await else { return };
    let first = nearest(&mut clients, &who, None).await;
    let mut around: Vec<usize> = first.iter().map(|id| id[1..].parse::<usize>().unwrap().abs_diff(HALF)).collect();
    around.sort_unstable();
    assert_eq!(around, [1, 1, 2, 2, 3, 3, 4, 4, 5], "neighbours on the circle: {first:?}");

    let leads = |slate: &[String]| slate.iter().take(3).any(|id| id == "i9000");
    let holds = |slate: &[String]| slate.iter().any(|id| id == "i9000");
    let newcomer = |turns| item(9_000, turns);
    clients.list(vec![newcomer(0.500_1)], LONG_AGO_MS + 1).await;
    eventually_nearest("a new item to be found", &mut clients, &who, leads).await;
    clients.list(vec![newcomer(0.0)], LONG_AGO_MS + 2).await;
    eventually_nearest("an item to move away", &mut clients, &who, |slate| !holds(slate) && slate.len() == 9).await;
    clients.list(vec![newcomer(0.500_1)], LONG_AGO_MS + 3).await;
    eventually_nearest("it to come back", &mut clients, &who, leads).await;
    let sold_out = v1::Item { stock: v1::Stock::SoldOut as i32, ..newcomer(0.500_1) };
    clients.list(vec![sold_out], LONG_AGO_MS + 4).await;
    assert!(!holds(&nearest(&mut clients, &who, None).await), "sold out is gone at once");
    clients.list(vec![newcomer(0.500_1)], LONG_AGO_MS + 5).await;
    eventually_nearest("it to be had again", &mut clients, &who, leads).await;
    let gone = v1::DeleteItemsRequest { items: vec![item_ref(MARKET, "i9000")], updated_time_ms: LONG_AGO_MS + 6 };
    clients.catalog.delete_items(gone).await.unwrap();
    eventually_nearest("a deleted item to go", &mut clients, &who, |slate| !holds(slate) && slate.len() == 9).await;
    clients.list(vec![newcomer(0.500_1)], LONG_AGO_MS + 7).await;
    eventually_nearest("a deleted item to come back", &mut clients, &who, leads).await;
}

#[tokio::test]
async fn a_filter_finds_the_nearest_of_what_it_allows() {
    let Some((_house, mut clients, who)) = circle().await else { return };
    // Twenty of 1,200.
    let brand = |name: &str| Condition::Brand(name.into());
    let found = nearest(&mut clients, &who, Some(brand("b7"))).await;
    let mut expected: Vec<usize> = (0..ITEMS).filter(|n| n % 60 == 7).collect();
    expected.sort_by_key(|n| n.abs_diff(HALF));
    assert_eq!(found[..8], expected[..8].iter().map(|n| format!("i{n}")).collect::<Vec<_>>());

    // An item changes hands: the filter follows.
    let moved = v1::Item { brand: "b7".into(), ..item(1, 0.500_1) };
    clients.list(vec![moved], LONG_AGO_MS + 1).await;
    eventually("the filter to follow", async || {
        (nearest(&mut clients, &who, Some(brand("b7"))).await.first()? == "i1").then_some(())
    })
    .await;
    assert!(!nearest(&mut clients, &who, Some(brand("b0"))).await.contains(&"i1".to_owned()));
}
