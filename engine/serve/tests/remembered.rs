//! Shelves of one page share a ranking: what was ranked for a person a moment ago is not ranked again, unless something that it goes by has
//! changed since.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use faces_proto::v1::{self, EventType, ServiceLevel};
use house::{
    House,
    calls::{ask, event, item_ref, key},
    eventually,
    shops::{self, BUS, MARKET},
};

/// Longer than the test takes.
const FRESH: &str = "overload.remembered_fresh_ms=600000";

fn reused(house: &House) -> u64 {
    house.metric("faces_reused_rankings_total")
}

#[tokio::test]
async fn a_ranking_is_shared_until_what_it_goes_by_changes() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, "").unwrap();
    let Some(house) = House::open(&BUS, &[FRESH, &format!("ranking.rules={}", rules.display())]).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    shops::rebuild(&house.path(""), &house.generations(), 0, &[]);
    let generation = clients.next_generation("").await;
    let who = key(MARKET, "p1");
    clients.act((0..4).map(|n| event(EventType::View, &who, &shops::id(MARKET, n * 2))).collect()).await;
    let asked = |page_size| v1::RecommendRequest { page_size, explain: false, ..ask(std::slice::from_ref(&who), MARKET) };

    let first = clients.items(asked(8)).await;
    assert_eq!(reused(&house), 0);
    let again = clients.slate(v1::RecommendRequest { placement: "another shelf".into(), ..asked(8) }).await;
    let shown: Vec<String> = again.items.iter().map(|item| item.item_id.clone()).collect();
    assert_eq!((again.level(), shown), (ServiceLevel::Full, first.clone()));
    assert_eq!(clients.items(asked(3)).await.len(), 3);
    assert_eq!(reused(&house), 2);
    let requests = vec![asked(8), ask(&[key(MARKET, "p2")], MARKET), asked(5)];
    let batch = clients.recommendations.batch_recommend(v1::BatchRecommendRequest { requests }).await.unwrap().into_inner();
    let sizes = batch.entries.into_iter().map(|entry| match entry.outcome.unwrap() {
        v1::batch_recommend_entry::Outcome::Response(response) => response.items.len(),
        v1::batch_recommend_entry::Outcome::Error(error) => panic!("{error:?}"),
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [8, 10, 5], "each entry has its own answer");
    assert_eq!(reused(&house), 4, "the other person was ranked anew");

    // Other questions, and those that want to know why, have rankings of their own.
    let elsewhere = v1::RecommendRequest { region: "north".into(), ..asked(8) };
    let explained = v1::RecommendRequest { explain: true, ..asked(8) };
    for request in [elsewhere, explained] {
        assert_eq!(clients.items(request).await.len(), 8);
    }
    assert_eq!(reused(&house), 4);
    let just = |kind: EventType| v1::ContextItem { r#ref: Some(item_ref(MARKET, &shops::id(MARKET, 6))), r#type: kind as i32 };
    for (n, kind) in (5..).zip([EventType::View, EventType::Dislike]) {
        for _ in 0..2 {
            let on_its_page = v1::RecommendRequest { context: vec![just(kind)], ..asked(8) };
            assert_eq!(clients.items(on_its_page).await.len(), 8);
        }
        assert_eq!(reused(&house), n, "what was just done is part of the question");
    }

    // What may not be shown any more is filtered from a shared ranking as from a new one.
    clients
        .catalog
        .delete_items(v1::DeleteItemsRequest { items: vec![item_ref(MARKET, &first[0])], updated_time_ms: 0 })
        .await
        .unwrap();
    eventually("the item to be gone", async || (!clients.items(asked(8)).await.contains(&first[0])).then_some(())).await;
    let shared = reused(&house);
    assert!(shared > 6);

    // What the person did a moment ago, rules and generations make for new rankings, each once.
    clients.act(vec![event(EventType::View, &who, &shops::id(MARKET, 19))]).await;
    assert_eq!(clients.items(asked(8)).await.len(), 8);
    assert_eq!(reused(&house), shared);
    clients.items(asked(8)).await;
    assert_eq!(reused(&house), shared + 1);
    shops::rebuild(&house.path(""), &house.generations(), 1, &["--force", "a test"]);
    clients.next_generation(&generation).await;
    clients.items(asked(8)).await;
    assert_eq!(reused(&house), shared + 1);
    let newest = clients.items(asked(8)).await;
    assert_eq!(reused(&house), shared + 2);
    std::fs::write(&rules, format!("[[hide]]\nbu = \"{MARKET}\"\nitems = [\"{}\"]\n", newest[0])).unwrap();
    eventually("the rule to be in force", async || (!clients.items(asked(8)).await.contains(&newest[0])).then_some(())).await;
}
