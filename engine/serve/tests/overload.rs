//! More is asked than can be answered: answers get cheaper by named levels before anybody is refused, the least critical are refused
//! first, and all of it comes back. Over real connections; what decides is told apart in the units of `faces_serve::overload`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use faces_proto::v1::{self, EventType, ServiceLevel};
use faces_testbroker::Broker;
use house::{
    House,
    calls::{ask, event, item_ref, key, reason},
    clients::Clients,
    eventually, faces_says,
    shops::{self, BUS, MARKET},
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

const CRITICALITY: &str = "x-faces-criticality";
const CALLER: &str = "x-faces-caller";

/// One thread, one request at work, a short queue, and no pause in reading: the smallest server there can be.
const TINY: [&str; 5] = [
    "server.threads=1",
    "overload.concurrency_min=1",
    "overload.concurrency_max=1",
    "overload.queue_max=40",
    "overload.refusal_cpu_share=1",
];

async fn set_level(clients: &mut Clients, level: ServiceLevel) {
    let request = v1::SetServiceLevelRequest { level: level as i32 };
    assert_eq!(clients.admin.set_service_level(request).await.unwrap().into_inner().level(), level);
}

fn ids(response: &v1::RecommendResponse) -> Vec<String> {
    response.items.iter().map(|item| item.item_id.clone()).collect()
}

fn with<T>(message: T, metadata: &[(&'static str, &'static str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// Whether a refusal says what a caller needs to know.
#[track_caller]
fn is_told(status: &Status, code: Code, why: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, why), "{status:?}");
    let details = status.get_error_details();
    assert!(details.retry_info().is_some_and(|retry| retry.retry_delay.is_some_and(|delay| !delay.is_zero())), "{status:?}");
}

/// Sends so many requests of each criticality at once, on one connection; how many of each were refused.
async fn burst(clients: &Clients, each: &[(&'static str, usize)]) -> Vec<usize> {
    let mut calls = tokio::task::JoinSet::new();
    for (place, (criticality, count)) in each.iter().enumerate() {
        for n in 0..*count {
            let mut recommendations = clients.recommendations.clone();
            let request = with(ask(&[key(MARKET, &format!("p{n}"))], MARKET), &[(CRITICALITY, *criticality)]);
            calls.spawn(async move { (place, recommendations.recommend(request).await) });
        }
    }
    let mut refused = vec![0; each.len()];
    while let Some(called) = calls.join_next().await {
        let (place, outcome) = called.unwrap();
        match outcome {
            Ok(response) => assert_eq!(response.into_inner().items.len(), 10),
            Err(status) => {
                is_told(&status, Code::Unavailable, "OVERLOADED");
                refused[place] += 1;
            }
        }
    }
    refused
}

/// The answer once the ten most viewed lead it: the list is made anew each second.
async fn most_popular(clients: &mut Clients, asked: &v1::RecommendRequest) -> v1::RecommendResponse {
    eventually("the most viewed to lead", async || {
        let answer = clients.slate(asked.clone()).await;
        ids(&answer).iter().map(|item_id| shops::number(item_id)).eq((10..20).rev()).then_some(answer)
    })
    .await
}

#[tokio::test]
async fn every_level_is_named_in_the_answer_and_none_shows_what_may_not_be_shown() {
    let Some(house) = House::open(&BUS, &[]).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    shops::rebuild(&house.path(""), &house.generations(), 0, &[]);
    clients.next_generation("").await;
    let who = key(MARKET, "p1");
    clients.act((0..4).map(|n| event(EventType::View, &who, &shops::id(MARKET, n * 2))).collect()).await;
    let asked = || v1::RecommendRequest { explain: false, ..ask(std::slice::from_ref(&who), MARKET) };

    let full = clients.slate(asked()).await;
    assert_eq!((full.level(), clients.status().await.level_is_set), (ServiceLevel::Full, false));
    for level in [ServiceLevel::Lean, ServiceLevel::CoVisitation, ServiceLevel::Cached, ServiceLevel::Popular] {
        set_level(&mut clients, level).await;
        let answer = clients.slate(asked()).await;
        assert_eq!((answer.level(), answer.items.len()), (level, 10));
        assert!(!answer.generation_id.is_empty() && !answer.next_page_token.is_empty(), "{answer:?}");
    }
    // The last slate made for this question, and what everybody likes: the higher the number.
    set_level(&mut clients, ServiceLevel::Popular).await;
    let popular = most_popular(&mut clients, &asked()).await;
    let next = v1::RecommendRequest { page_token: popular.next_page_token, ..asked() };
    assert_eq!(clients.items(next).await.iter().map(|id| shops::number(id)).max(), Some(9), "the next page goes on");

    // What is bought, deleted or ruled out by the request is gone from both at once.
    set_level(&mut clients, ServiceLevel::Cached).await;
    let cached = ids(&clients.slate(asked()).await);
    let (bought, deleted) = (cached[0].clone(), cached[1].clone());
    clients.act(vec![event(EventType::Purchase, &who, &bought), event(EventType::Purchase, &who, "m19")]).await;
    let gone = v1::DeleteItemsRequest { items: vec![item_ref(MARKET, &deleted), item_ref(MARKET, "m18")], updated_time_ms: 0 };
    clients.catalog.delete_items(gone).await.unwrap();
    for level in [ServiceLevel::Cached, ServiceLevel::Popular] {
        set_level(&mut clients, level).await;
        let forbidden = [&bought, &deleted, "m19", "m18"];
        eventually("what may not be shown to be gone", async || {
            let shown = clients.items(asked()).await;
            assert!(!shown.is_empty());
            (!shown.iter().any(|item| forbidden.contains(&item.as_str()))).then_some(())
        })
        .await;
        let dear = v1::PriceRange { min: Some(27.0), max: None };
        let filter = house::calls::filter(v1::filter::Condition::Price(dear));
        let narrow = clients.slate(v1::RecommendRequest { filter, ..asked() }).await;
        assert!(narrow.items.iter().all(|item| item.item_id == "m17"), "{narrow:?}");
        for page_size in [10, 20] {
            let explained = clients.slate(v1::RecommendRequest { explain: true, page_size, ..asked() }).await;
            assert!(explained.items.iter().all(|item| item.reason.is_none()), "{explained:?}");
        }
    }

    // Other calls have cheaper forms too, and say which they had.
    let similar = v1::SimilarItemsRequest { r#ref: Some(item_ref(MARKET, "m4")), ..v1::SimilarItemsRequest::default() };
    assert_eq!(clients.recommendations.similar_items(similar).await.unwrap().into_inner().level(), ServiceLevel::CoVisitation);
    let requests = vec![asked(), v1::RecommendRequest { bu: "nowhere".into(), ..asked() }];
    let batch = clients.recommendations.batch_recommend(v1::BatchRecommendRequest { requests }).await.unwrap().into_inner();
    let outcomes: Vec<_> = batch.entries.into_iter().map(|entry| entry.outcome.unwrap()).collect();
    assert!(
        matches!(&outcomes[..], [v1::batch_recommend_entry::Outcome::Response(first), v1::batch_recommend_entry::Outcome::Error(_)]
            if first.level() == ServiceLevel::Popular && !first.items.is_empty()),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn the_level_is_set_and_given_back_by_a_command() {
    let Some(house) = House::open(&[MARKET], &[]).await else { return };
    let said = |arguments: &[&str]| {
        let url = house.grpc_url();
        faces_says(&[&["level", "--server", &url], arguments].concat())
    };
    assert_eq!(said(&[]), "full (by the load)\n");
    assert_eq!(said(&["co_visitation"]), "co_visitation (set by hand)\n");
    assert_eq!((house.metric("faces_service_level"), house.metric("faces_service_level_set")), (2, 1));
    assert_eq!(said(&["auto"]), "full (by the load)\n");
    assert_eq!(house.metric("faces_service_level_set"), 0);
    assert_eq!(said(&["--json"]), "{\"is_set\":false,\"level\":\"full\"}\n");
    let log = house.server_log();
    assert!(log.contains("set by hand") && log.contains("left to the load"), "{log}");
}

#[tokio::test]
async fn the_last_rung_needs_no_broker_and_no_generation() {
    let Some(mut broker) = Broker::start().filter(Broker::is_own) else { return };
    let mut house = House::closed_on(&broker, &BUS, &["state.folder="]).await;
    house.start().await;
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    broker.kill();
    set_level(&mut clients, ServiceLevel::Popular).await;
    for keys in [vec![], vec![key(MARKET, "crowd-19")]] {
        let answer = most_popular(&mut clients, &ask(&keys, MARKET)).await;
        assert_eq!((answer.level(), answer.generation_id.as_str()), (ServiceLevel::Popular, ""));
    }
    house.kill(); // it would wait for its broker to take leave of it
}

#[tokio::test]
async fn the_least_critical_are_refused_first() {
    let Some(house) = House::open(&BUS, &TINY).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    set_level(&mut clients, ServiceLevel::Full).await;
    // Thirty that matter more find room in a queue of forty, whatever else is asked.
    let mut refused = vec![0; 3];
    eventually("requests to be refused", async || {
        let round = burst(&clients, &[("sheddable", 300), ("default", 15), ("critical", 15)]).await;
        refused.iter_mut().zip(round).for_each(|(sum, more)| *sum += more);
        (refused[0] > 50).then_some(())
    })
    .await;
    assert_eq!(refused[1..], [0, 0], "{refused:?}");
    for (criticality, count) in ["sheddable", "default", "critical"].into_iter().zip(refused) {
        let name = format!("faces_refused_requests_total{{reason=\"overloaded\",criticality=\"{criticality}\"}}");
        assert_eq!(house.metric(&name), count as u64, "{name}");
    }
}

#[tokio::test]
async fn the_level_goes_down_under_load_and_comes_back_after_it() {
    let Some(house) = House::open(&BUS, &TINY).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let mut seen = Vec::new();
    eventually("the level to go down", async || {
        burst(&clients, &[("default", 300)]).await;
        let level = clients.status().await.level();
        seen.push(level);
        (level != ServiceLevel::Full).then_some(())
    })
    .await;
    eventually("full service to come back", async || (clients.status().await.level() == ServiceLevel::Full).then_some(())).await;
    assert_eq!(clients.slate(ask(&[key(MARKET, "p1")], MARKET)).await.level(), ServiceLevel::Full);
    assert_eq!(burst(&clients, &[("sheddable", 1)]).await, [0]);
}

#[tokio::test]
async fn a_bot_on_one_person_gets_what_is_cheap_and_others_theirs() {
    let Some(house) = House::open(&[MARKET], &["overload.person_slates_per_second=0.1"]).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let of = |id: &str| ask(&[key(MARKET, id)], MARKET);
    let first = clients.slate(of("p1")).await;
    assert_eq!((first.level(), first.items.len()), (ServiceLevel::Full, 10));
    let again = clients.slate(of("p1")).await;
    assert_eq!((again.level(), ids(&again)), (ServiceLevel::Cached, ids(&first)));
    let shorter = clients.slate(v1::RecommendRequest { page_size: 3, ..of("p1") }).await;
    assert_eq!((shorter.level(), &ids(&shorter)[..]), (ServiceLevel::Cached, &ids(&first)[..3]));
    let elsewhere = v1::RecommendRequest { region: "north".into(), ..of("p1") };
    assert_eq!(clients.slate(elsewhere).await.level(), ServiceLevel::Popular, "another question, but the same person");
    let requests = vec![of("p1"), of("p2"), ask(&[], MARKET)];
    let batch = clients.recommendations.batch_recommend(v1::BatchRecommendRequest { requests }).await.unwrap().into_inner();
    let levels = batch.entries.into_iter().map(|entry| match entry.outcome.unwrap() {
        v1::batch_recommend_entry::Outcome::Response(response) => response.level(),
        v1::batch_recommend_entry::Outcome::Error(error) => panic!("{error:?}"),
    });
    assert_eq!(levels.collect::<Vec<_>>(), [ServiceLevel::Cached, ServiceLevel::Full, ServiceLevel::Full]);
}

#[tokio::test]
async fn callers_keep_to_their_ceiling_and_their_rate() {
    let settings = [
        "overload.callers.crawler.criticality_max=sheddable",
        "overload.callers.crawler.requests_per_second=20",
        "overload.callers.shop.requests_per_second=100000",
    ];
    let Some(house) = House::open(&[MARKET], &settings).await else { return };
    let mut clients = house.clients().await;
    clients.list(vec![shops::item(MARKET, 1)], 0).await;
    let batch = |count| v1::BatchRecommendRequest { requests: vec![ask(&[], MARKET); count] };
    let crawler = [(CALLER, "crawler"), (CRITICALITY, "critical")];
    let status = clients.recommendations.batch_recommend(with(batch(200), &crawler)).await;
    assert!(status.is_ok(), "once it may send more than a second's worth: {status:?}");
    let status = clients.recommendations.recommend(with(ask(&[], MARKET), &crawler)).await.unwrap_err();
    is_told(&status, Code::ResourceExhausted, "RATE_LIMITED");
    let name = |criticality| format!("faces_refused_requests_total{{reason=\"rate_limited\",criticality=\"{criticality}\"}}");
    assert_eq!([house.metric(&name("sheddable")), house.metric(&name("critical"))], [1, 0], "its ceiling counts, not its claim");
    for caller in ["shop", "somebody"] {
        for _ in 0..30 {
            assert!(clients.recommendations.recommend(with(ask(&[], MARKET), &[(CALLER, caller)])).await.is_ok());
        }
    }
}
