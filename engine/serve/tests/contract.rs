//! The API's contract: what is refused, with which status and which field paths; deadlines, sizes, reflection and health.
//!
//! The server has a catalogue and no generation: before the first rebuild everything answers, too.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use faces_proto::v1::{self, EventType, filter::Condition};
use house::{
    House,
    calls::{ask, event, fields, filter, item_ref, key, now_ms, reason},
    clients::Clients,
    eventually, raw,
    shops::{CINEMA, MARKET, item},
};
use tokio::sync::OnceCell;
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

const BYTES_MAX: usize = 100_000;

async fn house() -> Option<(&'static House, Clients)> {
    static HOUSE: OnceCell<Option<House>> = OnceCell::const_new();
    let opened = HOUSE.get_or_init(async || {
        let house = House::open(&[MARKET], &[&format!("server.request_bytes_max={BYTES_MAX}")]).await?;
        let mut clients = house.clients().await;
        clients.list((0..3).map(|n| item(MARKET, n)).collect(), 0).await;
        Some(house)
    });
    let house = opened.await.as_ref()?;
    Some((house, house.clients().await))
}

fn refused_with(status: &Status, code: Code, why: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, why), "{status:?}");
    let details = tonic_types::StatusExt::get_error_details(status);
    assert_eq!(details.error_info().unwrap().domain, "faces.v1");
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let Some((_, mut clients)) = house().await else { return };
    let context = |bu: &str| v1::ContextItem { r#ref: Some(item_ref(bu, "m1")), r#type: 0 };
    let nested = |depth: usize| {
        let leaf = v1::Filter { condition: Some(Condition::Brand("b".into())) };
        (0..depth).fold(leaf, |inner, _| v1::Filter { condition: Some(Condition::Not(Box::new(inner))) })
    };
    let list = |count: usize| Condition::AllOf(v1::FilterList { filters: vec![nested(0); count] });
    let price = |min, max| Condition::Price(v1::PriceRange { min: Some(min), max: Some(max) });
    type Edit<'a> = Box<dyn Fn(&mut v1::RecommendRequest) + 'a>;
    let cases: Vec<(Edit<'_>, &str)> = vec![
        (Box::new(|r| r.page_size = 201), "page_size"),
        (Box::new(|r| r.page_size = -1), "page_size"),
        (Box::new(|r| r.keys = vec![key(MARKET, "x"); 9]), "keys"),
        (Box::new(|r| r.keys = vec![key(MARKET, "x"), key(MARKET, "")]), "keys[1].id"),
        (Box::new(|r| r.keys = vec![key("Capital", "x")]), "keys[0].bu"),
        (Box::new(|r| r.bu = String::new()), "bu"),
        (Box::new(|r| r.bu = "Capital".into()), "bu"),
        (Box::new(|r| r.placement = "x".repeat(65)), "placement"),
        (Box::new(|r| r.region = "x".repeat(65)), "region"),
        (Box::new(|r| r.page_token = "not a token".into()), "page_token"),
        (Box::new(|r| r.page_token = "A".repeat(200_000 / 4)), "page_token"),
        (Box::new(|r| r.context = vec![context(MARKET); 33]), "context"),
        (Box::new(|r| r.context = vec![context(MARKET), context("")]), "context[1].ref.bu"),
        (Box::new(|r| r.context = vec![v1::ContextItem::default()]), "context[0].ref"),
        (Box::new(|r| r.context = vec![v1::ContextItem { r#type: 12, ..context(MARKET) }]), "context[0].type"),
        (Box::new(|r| r.filter = Some(v1::Filter::default())), "filter"),
        (Box::new(|r| r.filter = filter(list(0))), "filter.all_of.filters"),
        (Box::new(|r| r.filter = filter(list(17))), "filter.all_of.filters"),
        (Box::new(|r| r.filter = filter(price(2.0, 1.0))), "filter.price"),
        (Box::new(|r| r.filter = filter(price(f64::NAN, 1.0))), "filter.price"),
        (Box::new(|r| r.filter = filter(Condition::ItemIds(v1::ItemIds::default()))), "filter.item_ids.item_ids"),
        (Box::new(|r| r.filter = Some(nested(8))), "filter.not.not.not.not.not.not.not.not"),
    ];
    for (edit, field) in cases {
        let mut request = ask(&[], MARKET);
        edit(&mut request);
        let refused = clients.refusal(request).await;
        refused_with(&refused, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields(&refused), [field], "{refused:?}");
        assert!(refused.message().starts_with(field), "{refused:?}");
    }
    let deepest_allowed = v1::RecommendRequest { filter: Some(nested(7)), ..ask(&[], MARKET) };
    assert!(clients.slate(deepest_allowed).await.items.len() <= 3);
}

#[tokio::test]
async fn other_calls_name_their_fields_too() {
    let Some((_, mut clients)) = house().await else { return };
    let rerank = |item_ids: &[&str]| v1::RerankItemsRequest {
        bu: MARKET.into(),
        item_ids: item_ids.iter().map(|id| (*id).to_owned()).collect(),
        ..v1::RerankItemsRequest::default()
    };
    let upsert = |title: &str| {
        let bad = v1::Item { title: title.into(), ..item(MARKET, 1) };
        v1::UpsertItemsRequest { items: vec![item(MARKET, 0), bad], updated_time_ms: 0 }
    };
    let link = |b: &str, evidence: v1::LinkEvidence| v1::LinkRequest {
        a: Some(key(MARKET, "a")),
        b: Some(key(MARKET, b)),
        evidence: evidence as i32,
        ..v1::LinkRequest::default()
    };
    let login = v1::LinkEvidence::Login;
    let similar = v1::SimilarItemsRequest::default();
    let found = [
        (clients.recommendations.rerank_items(rerank(&[])).await.err(), "item_ids"),
        (clients.recommendations.rerank_items(rerank(&["m1", "m2", "m1"])).await.err(), "item_ids[2]"),
        (clients.recommendations.similar_items(similar).await.err(), "ref"),
        (clients.recommendations.batch_recommend(v1::BatchRecommendRequest::default()).await.err(), "requests"),
        (clients.events.write_events(v1::WriteEventsRequest::default()).await.err(), "events"),
        (clients.profiles.get_profile(v1::GetProfileRequest::default()).await.err(), "keys"),
        (clients.catalog.get_item(v1::GetItemRequest::default()).await.err(), "ref"),
        (clients.catalog.upsert_items(v1::UpsertItemsRequest::default()).await.err(), "items"),
        (clients.catalog.upsert_items(upsert(&"x".repeat(1_025))).await.err(), "items[1].title"),
        (clients.identity.resolve(v1::ResolveRequest::default()).await.err(), "key"),
        (clients.identity.link(link("a", login)).await.err(), "b"),
        (clients.identity.link(link("b", v1::LinkEvidence::Unspecified)).await.err(), "evidence"),
        (clients.identity.link(v1::LinkRequest { confidence: 2.0, ..link("b", login) }).await.err(), "confidence"),
        (clients.identity.unlink(v1::UnlinkRequest::default()).await.err(), "a"),
    ];
    for (refused, field) in found {
        let refused = refused.unwrap_or_else(|| panic!("{field} passed"));
        refused_with(&refused, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields(&refused), [field], "{refused:?}");
    }
}

#[tokio::test]
async fn what_claims_to_be_of_the_future_is_refused_whoever_says_it() {
    let Some((_, mut clients)) = house().await else { return };
    let (a, b, evidence) = (Some(key(MARKET, "a")), Some(key(MARKET, "b")), v1::LinkEvidence::Login as i32);
    let tomorrow = now_ms() + 86_400_000;
    let link = v1::LinkRequest { a: a.clone(), b: b.clone(), evidence, event_time_ms: tomorrow, ..v1::LinkRequest::default() };
    let upsert = v1::UpsertItemsRequest { items: vec![item(MARKET, 0)], updated_time_ms: tomorrow };
    let delete = v1::DeleteItemsRequest { items: vec![item_ref(MARKET, "m0")], updated_time_ms: tomorrow };
    let found = [
        (clients.identity.link(link).await.err(), "event_time_ms"),
        (clients.identity.unlink(v1::UnlinkRequest { a, b, evidence, event_time_ms: tomorrow }).await.err(), "event_time_ms"),
        (clients.catalog.upsert_items(upsert).await.err(), "updated_time_ms"),
        (clients.catalog.delete_items(delete).await.err(), "updated_time_ms"),
    ];
    for (refused, field) in found {
        let refused = refused.unwrap_or_else(|| panic!("{field} passed"));
        refused_with(&refused, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields(&refused), [field], "{refused:?}");
    }
}

#[tokio::test]
async fn what_nobody_has_heard_of_is_not_found() {
    let Some((_, mut clients)) = house().await else { return };
    let unit = clients.refusal(ask(&[], CINEMA)).await;
    refused_with(&unit, Code::NotFound, "UNKNOWN_BU");
    assert!(unit.message().contains(CINEMA), "{unit:?}");
    let item = clients.catalog.get_item(v1::GetItemRequest { r#ref: Some(item_ref(MARKET, "m99")) }).await.unwrap_err();
    refused_with(&item, Code::NotFound, "UNKNOWN_ITEM");
    let generation = v1::ActivateGenerationRequest { generation_id: "gen-0123456789abcdef".into() };
    let generation = clients.admin.activate_generation(generation).await.unwrap_err();
    refused_with(&generation, Code::FailedPrecondition, "GENERATION_REFUSED");
    let stranger = v1::GetProfileRequest { keys: vec![key(MARKET, "nobody")] };
    let profile = clients.profiles.get_profile(stranger).await.unwrap().into_inner();
    assert_eq!((profile.keys, profile.behaviours.len()), (vec![key(MARKET, "nobody")], 0), "an unknown person is no error");
}

#[tokio::test]
async fn without_a_generation_slates_are_full_all_the_same() {
    let Some((_, mut clients)) = house().await else { return };
    let slate = clients.slate(ask(&[key(MARKET, "early")], MARKET)).await;
    assert_eq!((slate.items.len(), slate.generation_id.as_str()), (3, ""));
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_exceeded() {
    let Some((house, mut clients)) = house().await else { return };
    let address = house.grpc_address();
    // When the message comes after its head, tonic's own timer can be first, and says CANCELLED.
    let is_over = |status: i32| matches!(Code::from(status), Code::DeadlineExceeded | Code::Cancelled);
    let of = |method: &str| format!("faces.v1.{method}");
    let request = ask(&[], MARKET);
    let rerank = v1::RerankItemsRequest { bu: MARKET.into(), item_ids: vec!["m1".into()], ..Default::default() };
    let write = v1::WriteEventsRequest { events: vec![event(EventType::View, &key(MARKET, "late"), "m1")] };
    for timeout in ["1n", "0m", "0S"] {
        let found = [
            raw::status_of(address, &of("RecommendationService/Recommend"), &request, timeout).await,
            raw::status_of(address, &of("RecommendationService/RerankItems"), &rerank, timeout).await,
            raw::status_of(address, &of("EventService/WriteEvents"), &write, timeout).await,
        ];
        assert!(found.into_iter().all(is_over), "within {timeout}: {found:?}");
    }
    let in_time = raw::status_of(address, &of("RecommendationService/Recommend"), &request, "9S").await;
    assert_eq!(in_time, Code::Ok as i32);
    let mut by_client = Request::new(request);
    by_client.set_timeout(std::time::Duration::from_nanos(1));
    assert!(clients.recommendations.recommend(by_client).await.is_err());
}

#[tokio::test]
async fn a_message_over_the_bound_is_refused_and_the_connection_goes_on() {
    let Some((_, mut clients)) = house().await else { return };
    let item_ids: Vec<String> = (0..900).map(|n| format!("{n:0>130}")).collect();
    let request = v1::RerankItemsRequest { bu: MARKET.into(), item_ids, ..v1::RerankItemsRequest::default() };
    assert!(prost::Message::encoded_len(&request) > BYTES_MAX);
    let refused = clients.recommendations.rerank_items(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    assert!(refused.message().contains(&BYTES_MAX.to_string()), "{refused:?}");
    assert_eq!(clients.items(ask(&[], MARKET)).await.len(), 3);
}

#[tokio::test]
async fn reflection_lists_every_service() {
    let Some((_, clients)) = house().await else { return };
    let request =
        ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
    let requests = tonic::codegen::tokio_stream::iter([request]);
    let mut answers = ServerReflectionClient::new(clients.channel).server_reflection_info(requests).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort_unstable();
    let ours =
        ["Admin", "Catalog", "Event", "Identity", "Profile", "Recommendation"].map(|name| format!("faces.v1.{name}Service"));
    assert!(ours.iter().all(|name| names.contains(name)), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
}

#[tokio::test]
async fn health_says_what_the_admin_pages_say() {
    let Some((house, clients)) = house().await else { return };
    let mut health = HealthClient::new(clients.channel);
    eventually("health to say SERVING", async || {
        let answer = health.check(HealthCheckRequest::default()).await.ok()?.into_inner();
        (answer.status() == ServingStatus::Serving).then_some(())
    })
    .await;
    let page = |name: &str| house.admin_get(name).unwrap();
    assert_eq!((page("/livez").0, page("/readyz").0, page("/nowhere").0), (200, 200, 404));
    let (status, metrics) = page("/metrics");
    assert_eq!(status, 200);
    for name in [
        "faces_rpc_total",
        "faces_rpc_seconds_bucket",
        "faces_ingest_records_total",
        "faces_ingest_append_lag_seconds_bucket{le=\"0.001\"}",
        "faces_items",
        "faces_view_age_seconds",
    ] {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
    assert!(!metrics.contains("m1\""), "no item is a label");
}
