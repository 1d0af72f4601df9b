//! The log as the only way in: what is bad in it, what it says of the catalogue, and what happens while it is away.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::collections::BTreeMap;

use faces_ingest::{
    Cluster, LogRecord,
    decode::Format,
    encode,
    topics::{Layout, ensure},
};
use faces_proto::v1::{self, EventType};
use faces_testbroker::Broker;
use house::{
    House, PARTITIONS, PATIENCE,
    calls::{ask, event, item_ref, key, now_ms, reason},
    clients::Clients,
    eventually,
    shops::{CINEMA, MARKET, id, item},
};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Headers as _, OwnedMessage},
};
use tonic::Code;

/// Waits until so many records are done with, and until the ends of the log are known to be just as many: nothing is lost or counted twice.
async fn reconciled(clients: &mut Clients, records: u64) -> v1::IngestCounts {
    let counts = eventually("the counts to reconcile with the ends of the log", async || {
        let status = clients.status().await;
        let ends: i64 = status.partitions.iter().map(|partition| partition.end).sum();
        let positions: i64 = status.partitions.iter().map(|partition| partition.position).sum();
        let counts = status.ingest?;
        (counts.consumed == records && ends == records as i64 && positions == ends).then_some(counts)
    })
    .await;
    assert_eq!(counts.consumed, counts.applied + counts.duplicates + counts.expired + counts.ignored + counts.dead);
    counts
}

/// All dead letters, by where the record lay; waits until there are so many.
async fn dead_letters(house: &House, letters: usize) -> BTreeMap<(String, i32, i64), (OwnedMessage, BTreeMap<String, String>)> {
    let topic = house.topics.dead_letters();
    let mut config = ClientConfig::new();
    let config = config.set("bootstrap.servers", house.brokers()).set("group.id", "reader").set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found = BTreeMap::new();
    eventually("dead letters", async || {
        while let Some(message) = consumer.poll(std::time::Duration::from_millis(20)) {
            let message = message.unwrap().detach();
            let headers: BTreeMap<String, String> = message
                .headers()
                .unwrap()
                .iter()
                .map(|header| (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap()).into_owned()))
                .collect();
            let number = |name: &str| headers[name].parse::<i64>().unwrap();
            let place = (headers["faces-topic"].clone(), number("faces-partition") as i32, number("faces-offset"));
            assert!(found.insert(place, (message, headers)).is_none(), "a letter twice");
        }
        (found.len() >= letters).then_some(())
    })
    .await;
    found
}

#[tokio::test]
async fn a_bad_record_goes_to_the_dead_letters_with_its_reason_and_the_line_goes_on() {
    let Some(house) = House::open(&[MARKET, CINEMA], &[]).await else { return };
    let (mut clients, who) = (house.clients().await, key(MARKET, "u1"));
    let record = |event: &v1::Event, format| encode::event(&house.topics, event, format);
    let good = |n: usize| event(EventType::View, &who, &id(MARKET, n));
    let mut truncated = record(&good(0), Format::Protobuf);
    truncated.payload.truncate(truncated.payload.len() - 3);
    let json = |text: &str| LogRecord { payload: text.into(), ..record(&good(0), Format::Json) };
    let future = v1::Event { event_time_ms: now_ms() + 3_600_000, ..good(0) };
    let elsewhere = LogRecord { topic: house.topics.events(CINEMA), ..record(&good(0), Format::Protobuf) };
    let bad = [
        (truncated, "undecodable"),
        (json("{\"eventTimeMs\": "), "undecodable"),
        (json("[1, 2]"), "undecodable"),
        (json("{\"type\": \"EVENT_TYPE_TELEPORT\"}"), "undecodable"),
        (record(&v1::Event { value: Some(f64::NAN), ..good(0) }, Format::Protobuf), "bad_value"),
        (record(&v1::Event { item_id: "x".repeat(300), ..good(0) }, Format::Protobuf), "too_long"),
        (record(&v1::Event { source: None, ..good(0) }, Format::Protobuf), "missing_field"),
        (record(&future, Format::Protobuf), "future_time"),
        (elsewhere, "bu_mismatch"),
    ];
    let in_words = v1::Event { r#type: EventType::Search as i32, item_id: String::new(), query: "knife".into(), ..good(0) };
    let mut records: Vec<LogRecord> = bad.iter().map(|(record, _)| record.clone()).collect();
    let again = record(&good(1), Format::Protobuf);
    records.extend([again.clone(), record(&in_words, Format::Protobuf), again, record(&good(2), Format::Json)]);
    let total = records.len() as u64;
    let written = house.write(records.clone()).await;

    let counts = reconciled(&mut clients, total).await;
    assert_eq!((counts.applied, counts.duplicates, counts.ignored, counts.dead), (2, 1, 1, bad.len() as u64));
    let letters = dead_letters(&house, bad.len()).await;
    assert_eq!(letters.len(), bad.len());
    for ((record, expected), (partition, offset)) in bad.iter().zip(written) {
        let place = (record.topic.clone(), partition, offset);
        let (letter, headers) = &letters[&place];
        assert_eq!((headers["faces-reason"].as_str(), headers["faces-detail"].is_empty()), (*expected, false), "{headers:?}");
        assert_eq!(letter.payload(), Some(record.payload.as_slice()));
        assert_eq!(letter.key().unwrap_or_default(), record.key);
    }
    let profile = clients.profiles.get_profile(v1::GetProfileRequest { keys: vec![who] }).await.unwrap().into_inner();
    assert_eq!(profile.behaviours.len(), 2, "what came after the bad records is there");
}

#[tokio::test]
async fn json_by_any_hand_is_accepted() {
    let Some(house) = House::open(&[MARKET], &[]).await else { return };
    let mut clients = house.clients().await;
    let time = now_ms() - 5_000;
    let texts = [
        // proto3 JSON: numbers of 64 bits as text, names in either form, fields unknown here.
        format!(
            r#"{{"eventTimeMs":"{time}","bu":"market","source":{{"bu":"market","kind":"KEY_KIND_ACCOUNT","id":"js"}},"type":"EVENT_TYPE_CART","itemId":"m1"}}"#
        ),
        format!(
            r#"{{"event_time_ms":{time},"bu":"market","source":{{"bu":"market","kind":1,"id":"js"}},"type":7,"item_id":"m2","later":[1]}}"#
        ),
    ];
    let template = encode::event(&house.topics, &event(EventType::View, &key(MARKET, "js"), "m1"), Format::Json);
    house.write(texts.map(|text| LogRecord { payload: text.into_bytes(), ..template.clone() }).to_vec()).await;
    let counts = reconciled(&mut clients, 2).await;
    assert_eq!((counts.applied, counts.dead), (2, 0));
    let request = v1::GetProfileRequest { keys: vec![key(MARKET, "js")] };
    let profile = clients.profiles.get_profile(request).await.unwrap().into_inner();
    let mut found: Vec<_> = profile.behaviours.iter().map(|b| (b.r#type(), b.r#ref.clone().unwrap(), b.event_time_ms)).collect();
    found.sort_by_key(|(kind, ..)| *kind as i32);
    let expected = [(EventType::Cart, item_ref(MARKET, "m1"), time), (EventType::Purchase, item_ref(MARKET, "m2"), time)];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn each_event_of_a_call_has_its_own_fate() {
    let Some(house) = House::open(&[MARKET], &[]).await else { return };
    let (mut clients, who) = (house.clients().await, key(MARKET, "u1"));
    let good = |n: usize| event(EventType::View, &who, &id(MARKET, n));
    let future = v1::Event { event_time_ms: now_ms() + 3_600_000, ..good(2) };
    let nameless = v1::Event { source: Some(key(MARKET, "")), ..good(3) };
    let first = good(0);
    let request = v1::WriteEventsRequest { events: vec![first.clone(), future, good(1), nameless] };
    let results = clients.events.write_events(request).await.unwrap().into_inner().results;
    let fates: Vec<_> = results
        .iter()
        .map(|result| result.error.as_ref().map(|error| (Code::from(error.code), error.violations[0].field.as_str())))
        .collect();
    let refused = |field| Some((Code::InvalidArgument, field));
    assert_eq!(fates, [None, refused("events[1].event_time_ms"), None, refused("events[3].source.id")]);
    let written: BTreeMap<_, _> = [0, 2].map(|n| ((results[n].partition, results[n].offset), n)).into();
    assert_eq!(written.len(), 2, "each has its own place in the log: {results:?}");
    let alone = v1::WriteEventsRequest { events: vec![first] };
    clients.events.write_events(alone).await.unwrap();
    let counts = reconciled(&mut clients, 3).await;
    assert_eq!((counts.applied, counts.dead), (2, 0), "what was refused never reached the log");
    assert_eq!(counts.duplicates, 1, "writing again is harmless");
}

#[tokio::test]
async fn items_leave_slates_when_deleted_or_sold_out_and_come_back_when_listed_again() {
    let Some(house) = House::open(&[MARKET], &[]).await else { return };
    let mut clients = house.clients().await;
    let start_ms = now_ms() - 60_000;
    clients.list((0..4).map(|n| item(MARKET, n)).collect(), start_ms).await;
    // m1 is what everybody wants, so that nothing but the catalogue keeps it off a slate.
    clients.act((0..5).map(|n| event(EventType::Purchase, &key(MARKET, &format!("u{n}")), "m1")).collect()).await;
    let request = ask(&[], MARKET);
    assert_eq!(clients.items(request.clone()).await.first().map(String::as_str), Some("m1"));

    let gone = async |clients: &mut Clients, why: &str| {
        let slate =
            eventually(why, async || Some(clients.items(request.clone()).await).filter(|s| !s.contains(&"m1".into()))).await;
        assert_eq!(slate.len(), 3, "{why}: the others stay");
        let similar =
            v1::RerankItemsRequest { bu: MARKET.into(), item_ids: vec!["m0".into(), "m1".into()], ..Default::default() };
        let given = clients.recommendations.rerank_items(similar).await.unwrap().into_inner().items;
        assert_eq!(given.len(), 2, "{why}: what the caller gives is never dropped");
    };
    let is_back = async |clients: &mut Clients, why: &str| {
        eventually(why, async || clients.items(request.clone()).await.contains(&"m1".into()).then_some(())).await;
    };
    let delete = |ms| v1::DeleteItemsRequest { items: vec![item_ref(MARKET, "m1")], updated_time_ms: ms };
    let sold_out = v1::Item { stock: v1::Stock::SoldOut as i32, ..item(MARKET, 1) };

    clients.catalog.delete_items(delete(start_ms + 1)).await.unwrap();
    gone(&mut clients, "m1 to be deleted").await;
    let lookup = v1::GetItemRequest { r#ref: Some(item_ref(MARKET, "m1")) };
    let unknown = clients.catalog.get_item(lookup.clone()).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "UNKNOWN_ITEM"));
    assert_eq!(clients.status().await.items, 3);
    clients.list(vec![item(MARKET, 1)], start_ms + 2).await;
    is_back(&mut clients, "m1 to be listed again").await;

    clients.list(vec![sold_out], start_ms + 3).await;
    gone(&mut clients, "m1 to be sold out").await;
    let shown = clients.catalog.get_item(lookup).await.unwrap().into_inner().item.unwrap();
    assert_eq!((shown.stock(), shown.title.as_str()), (v1::Stock::SoldOut, "market thing 1"), "it is still known");
    // A change that is older than what stands changes nothing, however late it comes.
    let late = v1::UpsertItemsRequest { items: vec![item(MARKET, 1)], updated_time_ms: start_ms };
    clients.catalog.upsert_items(late).await.unwrap();
    eventually("the late record", async || (clients.status().await.ingest?.expired == 1).then_some(())).await;
    gone(&mut clients, "m1 to stay sold out").await;
    clients.list(vec![item(MARKET, 1)], start_ms + 4).await;
    is_back(&mut clients, "m1 to be in stock again").await;
}

#[tokio::test]
async fn a_new_unit_is_picked_up_by_a_running_server() {
    let Some(house) = House::open(&[MARKET], &[]).await else { return };
    let mut clients = house.clients().await;
    assert_eq!(clients.refusal(ask(&[], CINEMA)).await.code(), Code::NotFound);
    let layout = Layout { partitions: PARTITIONS, replication: 1 };
    ensure(&Cluster::at(house.brokers()), &house.topics, &[CINEMA], layout).await.unwrap();
    clients.act(vec![event(EventType::View, &key(CINEMA, "first"), "c1")]).await;
    assert_eq!(clients.items(ask(&[], CINEMA)).await, ["c1"]);
}

#[tokio::test]
async fn while_the_log_is_away_writes_say_so_and_slates_go_on() {
    let Some(mut broker) = Broker::start().filter(Broker::is_own) else { return };
    let mut house = House::closed_on(&broker, &[MARKET], &["server.deadline_ms_max=2500"]).await;
    house.start().await;
    let (mut clients, who) = (house.clients().await, key(MARKET, "u1"));
    clients.list((0..4).map(|n| item(MARKET, n)).collect(), 0).await;
    clients.act(vec![event(EventType::Purchase, &who, "m3")]).await;
    let request = ask(std::slice::from_ref(&who), MARKET);
    let before = clients.items(request.clone()).await;
    assert_eq!(before.len(), 3, "without what is bought");
    broker.kill();

    let unavailable = |status: tonic::Status| {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "LOG_UNAVAILABLE"), "{status:?}");
        let details = tonic_types::StatusExt::get_error_details(&status);
        assert!(details.retry_info().and_then(|info| info.retry_delay).is_some_and(|delay| !delay.is_zero()), "{status:?}");
    };
    let write = v1::WriteEventsRequest { events: vec![event(EventType::View, &who, "m1")] };
    let upsert = v1::UpsertItemsRequest { items: vec![item(MARKET, 1)], updated_time_ms: 0 };
    let (a, b) = (Some(who.clone()), Some(key(MARKET, "u2")));
    let link = v1::LinkRequest { a, b, evidence: v1::LinkEvidence::Login as i32, ..v1::LinkRequest::default() };
    let (wrote, listed, linked) =
        tokio::join!(clients.events.write_events(write), clients.catalog.upsert_items(upsert), clients.identity.link(link));
    unavailable(wrote.unwrap_err());
    unavailable(listed.unwrap_err());
    unavailable(linked.unwrap_err());

    assert_eq!(clients.items(request.clone()).await, before, "slates need no log");
    assert_eq!(house.admin_get("/readyz").unwrap().0, 200, "a server that can answer stays in service");
    // The answer owns up to the age of its view.
    eventually("the view to age", async || {
        (clients.slate(request.clone()).await.freshness?.view_age_ms > PATIENCE.as_millis() as i64 / 60).then_some(())
    })
    .await;
    // Where so many wait, the next ones are refused at once.
    let many = v1::WriteEventsRequest { events: vec![event(EventType::View, &who, "m1"); 1_000] };
    eventually("writes to be shed", async || {
        let mut four = [0; 4].map(|_| clients.events.clone());
        let [a, b, c, d] = &mut four;
        let write = || many.clone();
        let answers =
            tokio::join!(a.write_events(write()), b.write_events(write()), c.write_events(write()), d.write_events(write()));
        let refused = [answers.0, answers.1, answers.2, answers.3].map(|answer| answer.unwrap_err());
        let is_shed = refused.iter().any(|status| status.message().contains("the brokers don't answer"));
        refused.into_iter().for_each(unavailable);
        is_shed.then_some(())
    })
    .await;
    house.ask_to_stop();
    assert_eq!(house.ended().await, Some(0), "it drains all the same");
}
