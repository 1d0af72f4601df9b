//! Dead letters from the shell: a real broker, a real server that refuses records, and `faces dlq` beside it.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::{process::Output, time::Duration};

use faces_ingest::{LogRecord, decode::Format, encode};
use faces_proto::v1::{self, EventType};
use house::{
    House, PARTITIONS, broker,
    calls::{event, key, now_ms},
    clients::Clients,
    eventually, faces,
    shops::{CINEMA, MARKET, id},
};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;

/// Runs `faces dlq` on the house's log.
fn dlq(house: &House, arguments: &[&str]) -> Output {
    let topic = house.topics.dead_letters();
    let prefix = topic.strip_suffix(".dlq").unwrap();
    let settings = [
        format!("kafka.brokers={}", house.brokers()),
        format!("kafka.topic_prefix={prefix}"),
        "kafka.future_tolerance_ms=0".to_owned(),
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    faces(&[&["dlq"], arguments, &settings].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What `faces dlq` prints; it must succeed.
fn says(house: &House, arguments: &[&str]) -> String {
    let output = dlq(house, arguments);
    assert!(output.status.success(), "faces dlq {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(house: &House, arguments: &[&str]) -> Value {
    let said = says(house, &[arguments, &["--json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// `faces dlq` must fail with the code and say all of `expected` on standard error.
fn fails(house: &House, arguments: &[&str], code: i32, expected: &[&str]) -> String {
    let output = dlq(house, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "faces dlq {arguments:?}: {said}");
    for part in expected {
        assert!(said.contains(part), "faces dlq {arguments:?} does not say {part:?} but {said}");
    }
    text(&output.stdout)
}

/// A house that takes nothing from the future.
async fn strict_house() -> Option<House> {
    House::open(&[MARKET, CINEMA], &["kafka.future_tolerance_ms=0"]).await
}

async fn refused(clients: &mut Clients, letters: u64) {
    eventually("the letters", async || (clients.status().await.ingest?.dead == letters).then_some(())).await;
}

/// Checks that the figures of a run add up; the letters that matched.
fn reconciled(counts: &Value) -> u64 {
    let figure = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(figure("records"), figure("read") + figure("copies") + figure("foreign"), "{counts}");
    assert_eq!(figure("read"), figure("matched") + figure("filtered"), "{counts}");
    figure("matched")
}

fn redriven(run: &Value) -> (u64, u64, u64, u64) {
    let figure = |name: &str| run["redrive"][name].as_u64().unwrap();
    let books = (figure("redriven"), figure("refused"), figure("failed"), figure("left"));
    assert_eq!(reconciled(&run["counts"]), books.0 + books.1 + books.2 + books.3, "{run}");
    books
}

/// Values of the header `faces-redriven-from` in a topic, once there are `wanted`.
async fn redriven_from(house: &House, topic: &str, wanted: usize) -> Vec<String> {
    let mut config = ClientConfig::new();
    let config = config.set("bootstrap.servers", house.brokers()).set("group.id", "reader").set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    eventually("redriven records", async || {
        while let Some(message) = consumer.poll(Duration::from_millis(20)) {
            let message = message.unwrap();
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let origin = headers.filter(|header| header.key == "faces-redriven-from");
            found.extend(origin.map(|header| text(header.value.unwrap())));
        }
        (found.len() >= wanted).then_some(())
    })
    .await;
    found
}

#[tokio::test]
async fn refused_records_are_listed_shown_and_written_back_once_they_can_be_taken() {
    let Some(house) = strict_house().await else { return };
    let (mut clients, who) = (house.clients().await, key(MARKET, "u1"));
    let record = |event: &v1::Event, format| encode::event(&house.topics, event, format);
    let mut cut = record(&event(EventType::View, &who, &id(MARKET, 0)), Format::Protobuf);
    cut.payload.truncate(cut.payload.len() - 1);
    let elsewhere =
        LogRecord { topic: house.topics.events(CINEMA), ..record(&event(EventType::Cart, &who, &id(MARKET, 1)), Format::Json) };
    let places = house.write(vec![cut.clone(), elsewhere.clone()]).await;
    refused(&mut clients, 2).await;
    let address = |record: &LogRecord, (partition, offset): (i32, i64)| format!("{}/{partition}@{offset}", record.topic);
    let (cut_at, elsewhere_at) = (address(&cut, places[0]), address(&elsewhere, places[1]));

    let all = json(&house, &["list"]);
    assert_eq!(reconciled(&all["counts"]), 2);
    assert_eq!((&all["by_reason"]["undecodable"], &all["by_reason"]["bu_mismatch"]), (&1.into(), &1.into()), "{all}");
    let filtered = json(&house, &["list", "--reason", "bu_mismatch"]);
    assert_eq!((reconciled(&filtered["counts"]), &filtered["counts"]["filtered"]), (1, &1.into()));
    assert_eq!(filtered["letters"][0]["address"], elsewhere_at.as_str());
    assert_eq!(filtered["letters"][0]["key"], "market/account/u1");
    let table = says(&house, &["list"]);
    for part in ["undecodable", "bu_mismatch", &cut_at, "market/account/u1", "2 letters read = 2 matched + 0 filtered"] {
        assert!(table.contains(part), "no {part} in\n{table}");
    }
    let hour_ago = (now_ms() - 3_600_000).to_string();
    for (arguments, expected) in [
        (vec!["--until", hour_ago.as_str()], 0),
        (vec!["--since", hour_ago.as_str()], 2),
        (vec!["--topic", &cut.topic], 1),
        (vec!["--key", "market/account/u2"], 0),
    ] {
        let found = json(&house, &[&["list"], arguments.as_slice()].concat());
        assert_eq!(reconciled(&found["counts"]), expected, "{arguments:?}");
    }
    let limited = json(&house, &["list", "--limit", "1"]);
    assert_eq!((limited["letters"].as_array().unwrap().len(), reconciled(&limited["counts"])), (1, 2));

    let shown = json(&house, &["show", &elsewhere_at]);
    assert_eq!((&shown["decoded"]["itemId"], &shown["content_type"]), (&"m1".into(), &"application/json".into()), "{shown}");
    let shown = json(&house, &["show", &cut_at]);
    assert!(shown["decoded"]["bu"] == "market" && !shown["decoding_fault"].is_null(), "{shown}");
    assert!(shown["verdict_now"].as_str().unwrap().starts_with("undecodable"), "{shown}");
    let page = says(&house, &["show", &cut_at]);
    assert!(page.contains(&cut_at) && page.contains("verdict now") && page.contains("\"bu\": \"market\""), "{page}");
    fails(&house, &["show", &format!("{}/0@4711", cut.topic)], 1, &["no letter", "faces dlq list"]);

    let dry = json(&house, &["redrive", "--dry-run"]);
    assert_eq!((redriven(&dry), &dry["redrive"]["still_bad"]), ((2, 0, 0, 0), &2.into()), "{dry}");
    assert_eq!(clients.status().await.ingest.unwrap().consumed, 2, "a dry run writes nothing");
    fails(&house, &["redrive"], 1, &["2 letters", "--yes"]);

    let there = house.topics.events(MARKET);
    let fix = ["redrive", "--reason", "bu_mismatch", "--to-topic", &there];
    let dry = json(&house, &[&fix[..], &["--dry-run"]].concat());
    assert_eq!((redriven(&dry), &dry["redrive"]["named"][0]["why"]), ((1, 0, 0, 0), &"valid".into()));
    let run = json(&house, &[&fix[..], &["--yes"]].concat());
    assert_eq!((redriven(&run), &run["redrive"]["still_bad"]), ((1, 0, 0, 0), &0.into()));
    eventually("the redriven record to be applied", async || (clients.status().await.ingest?.applied == 1).then_some(())).await;
    assert_eq!(redriven_from(&house, &there, 1).await, [elsewhere_at]);
    let profile = clients.profiles.get_profile(v1::GetProfileRequest { keys: vec![who] }).await.unwrap().into_inner();
    assert_eq!(profile.behaviours[0].r#ref.as_ref().unwrap().item_id, "m1");
    redriven(&json(&house, &[&fix[..], &["--yes"]].concat()));
    eventually("the same record to count as a duplicate", async || {
        (clients.status().await.ingest?.duplicates == 1).then_some(())
    })
    .await;

    // What is still bad comes back as a new letter.
    let run = json(&house, &["redrive", "--reason", "undecodable", "--yes", "--rate", "1000"]);
    assert_eq!((redriven(&run), &run["redrive"]["still_bad"]), ((1, 0, 0, 0), &1.into()));
    refused(&mut clients, 3).await;
    assert_eq!(json(&house, &["list"])["by_reason"]["undecodable"], 2);
    assert_eq!(redriven(&json(&house, &["redrive", "--max", "1", "--dry-run"])), (1, 0, 0, 2));
}

#[tokio::test]
async fn a_record_from_the_future_is_taken_when_its_time_has_come() {
    let Some(house) = strict_house().await else { return };
    let (mut clients, who) = (house.clients().await, key(MARKET, "u1"));
    let soon = v1::Event { event_time_ms: now_ms() + 3_000, ..event(EventType::View, &who, &id(MARKET, 0)) };
    house.write(vec![encode::event(&house.topics, &soon, Format::Protobuf)]).await;
    refused(&mut clients, 1).await;
    eventually("its time", async || {
        let dry = json(&house, &["redrive", "--reason", "future_time", "--dry-run"]);
        (dry["redrive"]["still_bad"] == 0).then_some(())
    })
    .await;
    let said = says(&house, &["redrive", "--yes"]);
    assert!(said.contains("1 matched = 1 redriven + 0 refused + 0 failed"), "{said}");
    eventually("the record to be applied", async || (clients.status().await.ingest?.applied == 1).then_some(())).await;
}

#[tokio::test]
async fn copies_count_once_and_what_is_cut_is_not_written_back() {
    let Some(house) = House::closed(&[MARKET], &[]).await else { return };
    let (topic, events) = (house.topics.dead_letters(), house.topics.events(MARKET));
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", house.brokers()).create().unwrap();
    let letter = async |offset: &str, group: &str, truncated: bool| {
        let mut headers = OwnedHeaders::new();
        let lines = [("faces-topic", events.as_str()), ("faces-partition", "0"), ("faces-offset", offset)];
        for (key, value) in lines.into_iter().chain([("faces-reason", "too_large"), ("faces-group", group)]) {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        if truncated {
            headers = headers.insert(Header { key: "faces-truncated", value: Some("9000000") });
        }
        let record = FutureRecord::<str, str>::to(&topic).payload("abc").partition(0).headers(headers);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    };
    letter("7", "replica-1", false).await;
    letter("7", "replica-2", false).await;
    letter("8", "replica-1", true).await;
    producer.send(FutureRecord::<str, str>::to(&topic).payload("?").partition(0), Duration::from_secs(10)).await.unwrap();

    let all = json(&house, &["list"]);
    assert_eq!(reconciled(&all["counts"]), 2);
    assert_eq!((&all["counts"]["copies"], &all["counts"]["foreign"]), (&1.into(), &1.into()));
    let copies = all["letters"].as_array().unwrap().iter().find(|letter| letter["offset"] == 7).unwrap();
    assert_eq!((&copies["copies"], copies["groups"].as_array().unwrap().len()), (&2.into(), 2));

    let output = fails(&house, &["redrive", "--yes", "--json"], 1, &["1 of 2 letters"]);
    let run: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(redriven(&run), (1, 1, 0, 0));
    let why = run["redrive"]["named"][0]["why"].as_str().unwrap();
    assert!(why.contains("3 of 9000000 bytes"), "{why}");
    let origin = format!("{events}/0@7");
    assert_eq!(redriven_from(&house, &events, 1).await, [origin]);
}

#[tokio::test]
async fn mistakes_are_named_with_the_way_out() {
    let Some(house) = House::closed(&[MARKET], &[]).await else { return };
    assert_eq!(reconciled(&json(&house, &["list"])["counts"]), 0, "no letters is no error");
    fails(&house, &["redrive", "--to-topic", "elsewhere"], 1, &["elsewhere", "kafka.topic_prefix"]);
    fails(&house, &["redrive", "--to-topic", &house.topics.dead_letters()], 1, &["dead letters itself"]);
    fails(&house, &["redrive", "--to-topic", &house.topics.events("attic")], 1, &["no topic", "attic"]);
    for (arguments, expected) in [
        (vec!["list", "--reason", "boredom"], "undecodable"),
        (vec!["list", "--since", "yesterday"], "2026-11-01T00:00:00Z"),
        (vec!["show", "faces.events.video"], "topic/partition@offset"),
        (vec!["redrive", "--max", "0"], "--max"),
        (vec!["redrive", "--rate", "0"], "--rate"),
    ] {
        fails(&house, &arguments, 2, &[expected]);
    }
    let brokers = format!("kafka.brokers={}", broker().unwrap().address());
    let nowhere = faces(&["dlq", "list", "--set", &brokers, "--set", "kafka.topic_prefix=never-made"]);
    let said = text(&nowhere.stderr);
    assert!(nowhere.status.code() == Some(1) && said.contains("never-made.dlq") && said.contains("kafka.topic_prefix"), "{said}");
    let nobody = faces(&["dlq", "list", "--set", "kafka.brokers=127.0.0.1:1"]);
    let said = text(&nobody.stderr);
    assert!(nobody.status.code() == Some(1) && said.contains("127.0.0.1:1") && said.contains("kafka.brokers"), "{said}");
}

#[test]
fn help_has_examples() {
    for command in ["list", "show", "redrive"] {
        let help = text(&faces(&["dlq", command, "--help"]).stdout);
        assert!(help.contains(&format!("faces dlq {command} ")) && help.contains("Examples:"), "{help}");
    }
}
