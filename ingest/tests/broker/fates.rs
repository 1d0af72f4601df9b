//! What becomes of every sort of input, from the wire: one table, one broker. The documentation shows the same table.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use faces_core::state::State;
use faces_ingest::{decode::Format, encode};
use faces_proto::v1;
use prost::Message as _;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use crate::{
    dead_letters::{Reader, header},
    support::{PATIENCE, Setup, key, view, wait_for_consumed},
};

/// One input, and what is to become of it.
struct Input {
    what: &'static str,
    topic: String,
    payload: Option<Vec<u8>>,
    content_type: Option<&'static str>,
    fate: &'static str,
}

fn event(edit: impl FnOnce(&mut v1::Event)) -> v1::Event {
    let mut event = view("video", 1_000);
    edit(&mut event);
    event
}

fn link(edit: impl FnOnce(&mut v1::IdentityLink)) -> Vec<u8> {
    let mut link = v1::IdentityLink {
        a: Some(key("video", "u1")),
        b: Some(key("video", "u2")),
        operation: v1::LinkOperation::Link.into(),
        evidence: v1::LinkEvidence::Login.into(),
        confidence: 1.0,
        event_time_ms: 1_700_000_000_000,
    };
    edit(&mut link);
    link.encode_to_vec()
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn inputs(setup: &Setup) -> Vec<Input> {
    let (events, identity, catalog) = (setup.topics.events("video"), setup.topics.identity(), setup.topics.catalog());
    let good = event(|_| {}).encode_to_vec();
    let framed = |frame: &[u8]| {
        [&[0, 0, 0, 0, 9], frame, &event(|e| e.event_id = format!("framed{}", frame.len())).encode_to_vec()].concat()
    };
    let mut wrong_text = good.clone();
    let at = wrong_text.windows(5).position(|bytes| bytes == b"e1000").unwrap();
    wrong_text[at] = 0xFF;
    let json = serde_json::to_vec(&event(|e| e.event_id = "json".into())).unwrap();
    let item = |change| v1::CatalogRecord { updated_time_ms: 1_700_000_000_000, change: Some(change) }.encode_to_vec();
    let named = v1::ItemRef { bu: "video".into(), item_id: "i1".into() };
    let upsert = |price| v1::Item { r#ref: Some(named.clone()), title: "t".into(), price, ..v1::Item::default() };
    let mut table = Vec::new();
    let mut add = |what, topic: &str, payload: Option<Vec<u8>>, content_type, fate| {
        table.push(Input { what, topic: topic.to_owned(), payload, content_type, fate });
    };
    add("an event", &events, Some(good.clone()), None, "applied");
    add("the same event again", &events, Some(good.clone()), None, "duplicate");
    add("an event as JSON", &events, Some(json), Some("application/json"), "applied");
    add("an event in a schema registry's frame, `[0]` in short", &events, Some(framed(&[0])), None, "applied");
    add("an event in a schema registry's frame, `[0]` in full", &events, Some(framed(&[2, 0])), None, "applied");
    add("a frame that breaks off", &events, Some(vec![0, 0, 0]), None, "undecodable");
    add("protobuf that breaks off", &events, Some(good[..good.len() - 3].to_vec()), None, "undecodable");
    add("a text that is not UTF-8", &events, Some(wrong_text), None, "undecodable");
    add("JSON that breaks off", &events, Some(b"{\"bu\":".to_vec()), Some("application/json"), "undecodable");
    add("a tombstone (no payload)", &events, None, None, "empty_payload");
    add("an empty payload", &events, Some(Vec::new()), None, "empty_payload");
    add("`content-type: text/csv`", &events, Some(b"a,b".to_vec()), Some("text/csv"), "unsupported_format");
    add("a time in 1970", &events, Some(event(|e| e.event_time_ms = 1_000).encode_to_vec()), None, "bad_time");
    add("a time in seconds", &events, Some(event(|e| e.event_time_ms = 1_700_000_000).encode_to_vec()), None, "bad_time");
    add("a time in 2100", &events, Some(event(|e| e.event_time_ms = 4_102_444_800_000).encode_to_vec()), None, "future_time");
    add("no time", &events, Some(event(|e| e.event_time_ms = 0).encode_to_vec()), None, "bad_time");
    add(
        "10 minutes ahead of the log",
        &events,
        Some(event(|e| e.event_time_ms = now_ms() + 600_000).encode_to_vec()),
        None,
        "future_time",
    );
    let ahead = event(|e| (e.event_id, e.event_time_ms) = ("ahead".into(), now_ms() + 60_000));
    add("1 minute ahead of the log", &events, Some(ahead.encode_to_vec()), None, "applied");
    add("a negative value", &events, Some(event(|e| e.value = Some(-1.0)).encode_to_vec()), None, "bad_value");
    add("a value that is not a number", &events, Some(event(|e| e.value = Some(f64::NAN)).encode_to_vec()), None, "bad_value");
    add("an infinite value", &events, Some(event(|e| e.value = Some(f64::INFINITY)).encode_to_vec()), None, "bad_value");
    add(
        "a unit whose name can't be one",
        &events,
        Some(event(|e| e.bu = "No Such".into()).encode_to_vec()),
        None,
        "invalid_field",
    );
    add("another unit's event", &events, Some(event(|e| e.bu = "travel".into()).encode_to_vec()), None, "bu_mismatch");
    let visitor = event(|e| (e.event_id, e.source) = ("visitor".into(), Some(key("travel", "u1"))));
    add("an event of another unit's customer", &events, Some(visitor.encode_to_vec()), None, "applied");
    add(
        "a person's id of 10 KB",
        &events,
        Some(event(|e| e.source = Some(key("video", &"x".repeat(10_240)))).encode_to_vec()),
        None,
        "too_long",
    );
    add("an item's id of 10 KB", &events, Some(event(|e| e.item_id = "x".repeat(10_240)).encode_to_vec()), None, "too_long");
    add("no source", &events, Some(event(|e| e.source = None).encode_to_vec()), None, "missing_field");
    add("no item", &events, Some(event(|e| e.item_id.clear()).encode_to_vec()), None, "missing_field");
    let words = event(|e| (e.r#type, e.item_id, e.query) = (v1::EventType::Search.into(), String::new(), "shoes".into()));
    add("a search in words", &events, Some(words.encode_to_vec()), None, "ignored");
    add("a type of event from the future", &events, Some(event(|e| e.r#type = 77).encode_to_vec()), None, "invalid_field");
    add(
        "an unknown field",
        &events,
        Some([event(|e| e.event_id = "newer".into()).encode_to_vec(), vec![0xBA, 0x3E, 1, b'x']].concat()),
        None,
        "applied",
    );
    let unseen = event(|e| (e.event_id, e.item_id) = ("unseen".into(), "never-seen".into()));
    add("an item that no catalogue has", &events, Some(unseen.encode_to_vec()), None, "applied");
    add("a payload of 5 MB", &events, Some(vec![b'x'; 5_000_000]), None, "too_large");
    add("a link", &identity, Some(link(|_| {})), None, "applied");
    add("a link from a key to itself", &identity, Some(link(|l| l.b = l.a.clone())), None, "self_link");
    add("a link with one end", &identity, Some(link(|l| l.b = None)), None, "missing_field");
    add("a link with a confidence of 2", &identity, Some(link(|l| l.confidence = 2.0)), None, "bad_value");
    add("a link ahead of the log", &identity, Some(link(|l| l.event_time_ms = now_ms() + 600_000)), None, "future_time");
    add("a tombstone among links", &identity, None, None, "empty_payload");
    add("an item", &catalog, Some(item(v1::catalog_record::Change::Upsert(upsert(None)))), None, "applied");
    add("a negative price", &catalog, Some(item(v1::catalog_record::Change::Upsert(upsert(Some(-1.0))))), None, "bad_value");
    add(
        "the deletion of an item that never was",
        &catalog,
        Some(item(v1::catalog_record::Change::Delete(v1::ItemRef { bu: "video".into(), item_id: "ghost".into() }))),
        None,
        "applied",
    );
    add("an event among items", &catalog, Some(good), None, "undecodable");
    table
}

#[test]
fn every_input_has_its_fate() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", setup.broker.address())
        .set("message.max.bytes", "10000000")
        .create()
        .unwrap();
    let inputs = inputs(&setup);
    let mut expected = BTreeMap::new();
    let mut dead = BTreeMap::new();
    for input in &inputs {
        let mut record = FutureRecord::<str, [u8]>::to(&input.topic).key("k").partition(0);
        if let Some(payload) = &input.payload {
            record = record.payload(payload);
        }
        if let Some(value) = input.content_type {
            record = record.headers(OwnedHeaders::new().insert(Header { key: "content-type", value: Some(value) }));
        }
        let delivery = setup.runtime.block_on(producer.send(record, PATIENCE));
        let delivery = delivery.unwrap_or_else(|(error, _)| panic!("{}: {error}", input.what));
        let is_outcome = ["applied", "duplicate", "expired", "ignored"].contains(&input.fate);
        *expected.entry(if is_outcome { input.fate } else { "dead" }).or_default() += 1_u64;
        if !is_outcome {
            dead.insert((input.topic.clone(), delivery.offset), input);
        }
    }
    // 10,000 people joined to one key: all applied, because bounds on hubs are a matter of identity, not of a single link.
    let links: Vec<_> = (0..10_000)
        .map(|n| {
            let payload = link(|l| (l.a, l.b) = (Some(key("video", "hub")), Some(key("video", &format!("spoke{n}")))));
            encode::link(&setup.topics, &v1::IdentityLink::decode(payload.as_slice()).unwrap(), Format::Protobuf)
        })
        .collect();
    setup.write(links);
    *expected.get_mut("applied").unwrap() += 10_000;

    let ingest = setup.start(&Arc::new(State::default()));
    let progress = ingest.progress();
    wait_for_consumed(&progress, expected.values().sum());
    let counts = progress.counts();
    let found =
        [("applied", counts.applied), ("dead", counts.dead), ("duplicate", counts.duplicates), ("ignored", counts.ignored)];
    assert_eq!(BTreeMap::from(found), expected, "{counts:?}");
    let letters = Reader::new(&setup).read(dead.len());
    assert_eq!(letters.len(), dead.len());
    for letter in letters {
        let address = (header(&letter, "faces-topic"), header(&letter, "faces-offset").parse().unwrap());
        let input = dead.remove(&address).unwrap();
        let reason = header(&letter, "faces-reason");
        assert_eq!(reason, input.fate, "{} ({})", input.what, header(&letter, "faces-detail"));
    }
    for input in &inputs {
        println!("| {} | {} |", input.what, input.fate);
    }
    println!("| 10,000 links that join as many people to one key | applied |");
}

#[test]
fn outcomes_of_all_readers_add_up_to_what_was_consumed() {
    let Some(setup) = Setup::new(&["video", "travel"]) else { return };
    let mut records = Vec::new();
    for n in 0..300 {
        let bu = if n % 2 == 0 { "video" } else { "travel" };
        let new = view(bu, n);
        let bad = v1::Event { value: Some(-1.0), ..new.clone() };
        let words = v1::Event { r#type: v1::EventType::Search.into(), item_id: String::new(), ..new.clone() };
        records.extend(setup.events(&[new.clone(), new, bad, words], Format::Protobuf));
    }
    // One person's shelf of views holds the newest: what is older than all of a full shelf is expired.
    let shelf = |n: u32| v1::Event { source: Some(key("video", "collector")), ..view("video", 10_000 + n) };
    records.extend(setup.events(&(0..200).map(shelf).collect::<Vec<_>>(), Format::Protobuf));
    let old = |n: u32| v1::Event { source: Some(key("video", "collector")), ..view("video", 1_000 + n) };
    records.extend(setup.events(&(0..50).map(old).collect::<Vec<_>>(), Format::Protobuf));
    let written = records.len() as u64;
    setup.write(records);
    let ingest = setup.start(&Arc::new(State::default()));
    let progress = ingest.progress();
    wait_for_consumed(&progress, written);
    let counts = progress.counts();
    assert_eq!((counts.applied, counts.duplicates, counts.expired), (500, 300, 50), "{counts:?}");
    assert_eq!((counts.ignored, counts.dead), (300, 300), "{counts:?}");
    assert_eq!(progress.freshness().since_append.count(), written - counts.dead);
    let watermarks = progress.watermarks();
    assert_eq!(watermarks["video"].newest_event_ms, Some(1_700_000_000_000 + 10_199_000));
    assert_eq!(watermarks["travel"].newest_event_ms, Some(1_700_000_000_000 + 299_000));
}
