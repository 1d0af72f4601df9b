use faces_core::key::{KeyKind, SourceKey};
use proptest::prelude::*;

use super::*;
use crate::{Topics, encode, validate, wire::EventFields};

const NOW: EventTime = EventTime::from_millis(1_700_000_100_000);
const AT: i64 = 1_700_000_000_000;

fn topic(name: &str) -> TopicKind {
    match name {
        "identity" => TopicKind::Identity,
        "catalog" => TopicKind::Catalog,
        bu => TopicKind::Events { bu: bu.to_owned() },
    }
}

fn verdict(topic_name: &str, format: Format, payload: &[u8]) -> &'static str {
    match Decoder::default().decode(&topic(topic_name), format, payload, NOW) {
        Ok(_) => "ok",
        Err(rejection) => rejection.reason.code(),
    }
}

fn key(id: &str) -> v1::SourceKey {
    v1::SourceKey { bu: "shop".into(), kind: v1::KeyKind::Account.into(), id: id.into() }
}

fn event() -> v1::Event {
    v1::Event {
        event_id: "e1".into(),
        event_time_ms: AT,
        bu: "shop".into(),
        source: Some(key("u1")),
        r#type: v1::EventType::Purchase.into(),
        item_id: "i1".into(),
        value: Some(938_005.319_273_026_7), // a number that a careless JSON parser misses by one bit
        currency: "JPY".into(),
        ..v1::Event::default()
    }
}

fn link() -> v1::IdentityLink {
    v1::IdentityLink {
        a: Some(key("u1")),
        b: Some(key("u2")),
        operation: v1::LinkOperation::Link.into(),
        evidence: v1::LinkEvidence::Login.into(),
        confidence: 0.5,
        event_time_ms: AT,
    }
}

fn upsert() -> v1::CatalogRecord {
    let named = v1::ItemRef { bu: "shop".into(), item_id: "i1".into() };
    let item = v1::Item { r#ref: Some(named), title: "Knife".into(), embedding: vec![0.5, 1.0], ..v1::Item::default() };
    v1::CatalogRecord { updated_time_ms: AT, change: Some(v1::catalog_record::Change::Upsert(item)) }
}

fn edited(edit: impl FnOnce(&mut v1::Event)) -> Vec<u8> {
    let mut changed = event();
    edit(&mut changed);
    changed.encode_to_vec()
}

#[test]
fn protobuf_inputs_and_their_fates() {
    let good = event().encode_to_vec();
    let utf8_broken = {
        let mut bytes = good.clone();
        let at = bytes.windows(2).position(|pair| pair == b"e1").unwrap();
        bytes[at] = 0xFF;
        bytes
    };
    // Field 999, a string "x": from a newer producer.
    let with_unknown_field = [good.as_slice(), &[0xBA, 0x3E, 0x01, b'x']].concat();
    let self_link = v1::IdentityLink { b: link().a, ..link() };
    for (what, topic, payload, expected) in [
        ("an event", "shop", good.clone(), "ok"),
        ("a link", "identity", link().encode_to_vec(), "ok"),
        ("an item", "catalog", upsert().encode_to_vec(), "ok"),
        ("an unknown field", "shop", with_unknown_field, "ok"),
        ("truncated", "shop", good[..good.len() - 3].to_vec(), "undecodable"),
        ("wrong utf-8", "shop", utf8_broken, "undecodable"),
        ("noise", "shop", vec![0xFF; 64], "undecodable"),
        ("nothing", "shop", Vec::new(), "empty_payload"),
        ("nothing", "identity", Vec::new(), "empty_payload"),
        ("nothing", "catalog", Vec::new(), "empty_payload"),
        ("1970", "shop", edited(|e| e.event_time_ms = 86_400_000), "bad_time"),
        ("2100", "shop", edited(|e| e.event_time_ms = 4_102_444_800_000), "future_time"),
        ("year 55,000 (microseconds)", "shop", edited(|e| e.event_time_ms = AT * 1_000), "bad_time"),
        ("five minutes ahead", "shop", edited(|e| e.event_time_ms = NOW.millis() + 300_000), "ok"),
        ("a little more ahead", "shop", edited(|e| e.event_time_ms = NOW.millis() + 300_001), "future_time"),
        ("a link ahead", "identity", v1::IdentityLink { event_time_ms: AT * 2, ..link() }.encode_to_vec(), "future_time"),
        ("an item ahead", "catalog", v1::CatalogRecord { updated_time_ms: AT * 2, ..upsert() }.encode_to_vec(), "future_time"),
        ("negative value", "shop", edited(|e| e.value = Some(-1.0)), "bad_value"),
        ("NaN value", "shop", edited(|e| e.value = Some(f64::NAN)), "bad_value"),
        ("infinite value", "shop", edited(|e| e.value = Some(f64::INFINITY)), "bad_value"),
        ("an id of 10 KB", "shop", edited(|e| e.source = Some(key(&"x".repeat(10_240)))), "too_long"),
        ("no source", "shop", edited(|e| e.source = None), "missing_field"),
        ("no item", "shop", edited(|e| e.item_id.clear()), "missing_field"),
        ("no type", "shop", edited(|e| e.r#type = 0), "missing_field"),
        ("a type of the future", "shop", edited(|e| e.r#type = 77), "invalid_field"),
        ("another unit's event", "shop", edited(|e| e.bu = "video".into()), "bu_mismatch"),
        ("another unit's key", "shop", edited(|e| e.source = Some(v1::SourceKey { bu: "video".into(), ..key("u1") })), "ok"),
        ("a link from a key to itself", "identity", self_link.encode_to_vec(), "self_link"),
        ("5 MB", "shop", vec![0; 5 << 20], "too_large"),
    ] {
        assert_eq!(verdict(topic, Format::Protobuf, &payload), expected, "{what} in {topic}");
    }
}

#[test]
fn json_inputs_and_their_fates() {
    let json = |more: &str| {
        let start = r#"{"eventId":"e1","eventTimeMs":"1700000000000","bu":"shop","type":"EVENT_TYPE_VIEW","itemId":"i1""#;
        format!(r#"{start},"source":{{"bu":"shop","kind":"KEY_KIND_ACCOUNT","id":"u1"}}{more}}}"#)
    };
    for (payload, expected) in [
        (json(""), "ok"),
        (json(r#","value":3.5"#), "ok"),
        (json(r#","value":"NaN""#), "bad_value"),
        (json(r#","value":-1"#), "bad_value"),
        (json(r#","colour":"red","more":{"deep":[1,2]}"#), "ok"),
        (json(r#","currency":null,"value":null,"more":{"deep":[null]}"#), "ok"),
        (json(r#","currency":null,"value":-1"#), "bad_value"),
        (json("").replace("\"u1\"", "null"), "missing_field"),
        (json("").replace("\"1700000000000\"", "null"), "bad_time"),
        (json("").replace("\"EVENT_TYPE_VIEW\"", "null"), "missing_field"),
        (json(r#","currency":[null]"#), "undecodable"),
        ("null".to_owned(), "undecodable"),
        (json(r#","event_id":"twice""#), "undecodable"),
        (json("").replace("1700000000000\"", "yesterday\""), "undecodable"),
        (json("").replace("\"1700000000000\"", "1700000000000"), "ok"),
        (json("").replace("eventTimeMs", "event_time_ms"), "ok"),
        (json("").replace("EVENT_TYPE_VIEW", "EVENT_TYPE_STARE"), "undecodable"),
        (json("").replace("\"EVENT_TYPE_VIEW\"", "2"), "ok"),
        (json("").replace("1700000000000", "86400000"), "bad_time"),
        (json("") + "{}", "undecodable"),
        (json("")[..40].to_owned(), "undecodable"),
        ("[]".to_owned(), "undecodable"),
        ("{}".to_owned(), "bad_time"),
        ("[".repeat(100_000), "undecodable"),
        (format!("{{\"x\":{}", "[".repeat(100_000)), "undecodable"),
        (String::new(), "empty_payload"),
    ] {
        let shown: String = payload.chars().take(300).collect();
        assert_eq!(verdict("shop", Format::Json, payload.as_bytes()), expected, "{shown}");
    }
    assert_eq!(verdict("shop", Format::Json, b"{\"bu\":\"\xFF\"}"), "undecodable");
}

#[test]
fn framed_by_a_schema_registry() {
    let frame = |rest: &[u8], message: Vec<u8>| [&[0, 0, 0, 1, 2], rest, &message].concat();
    let json = br#"{"eventTimeMs":"1"}"#.to_vec();
    for (topic, format, payload, expected) in [
        ("shop", Format::Protobuf, frame(&[0], event().encode_to_vec()), "ok"),
        ("shop", Format::Protobuf, frame(&[2, 0], event().encode_to_vec()), "ok"),
        ("identity", Format::Protobuf, frame(&[0], link().encode_to_vec()), "ok"),
        ("catalog", Format::Protobuf, frame(&[0], upsert().encode_to_vec()), "ok"),
        ("shop", Format::Protobuf, frame(&[], Vec::new()), "undecodable"),
        ("shop", Format::Protobuf, frame(&[0], b"\xFF".to_vec()), "undecodable"),
        ("shop", Format::Json, frame(&[], json), "bad_time"),
    ] {
        assert_eq!(verdict(topic, format, &payload), expected, "{payload:?}");
    }
}

#[test]
fn formats_by_content_type() {
    for (value, expected) in [
        ("application/x-protobuf", Some(Format::Protobuf)),
        ("application/json", Some(Format::Json)),
        ("Application/JSON; charset=utf-8", Some(Format::Json)),
        ("text/plain", None),
        ("", None),
    ] {
        assert_eq!(Format::from_content_type(value.as_bytes()), expected, "{value}");
    }
    assert_eq!(Format::from_content_type(&[0xFF]), None);
}

#[test]
fn written_records_are_read_back() {
    let topics = Topics::default();
    let source = SourceKey::new("shop", KeyKind::Account, "u1").unwrap();
    for format in [Format::Protobuf, Format::Json] {
        let written = encode::event(&topics, &event(), format);
        assert_eq!(String::from_utf8_lossy(&written.key), "shop/account/u1");
        let kind = topics.kind(&written.topic).unwrap();
        let mut decoder = Decoder::default();
        let Ok(Decoded::Event(read)) = decoder.decode(&kind, written.format, &written.payload, NOW) else {
            panic!("{written:?}");
        };
        assert_eq!((read.source, read.value), (source.hash(), event().value));
    }
    let turned = v1::IdentityLink { a: link().b, b: link().a, ..link() };
    let [one, other] = [link(), turned].map(|link| encode::link(&topics, &link, Format::Protobuf).key);
    assert_eq!(one, other, "a pair has one key, whichever end comes first");
    let gone = v1::catalog_record::Change::Delete(v1::ItemRef { bu: "shop".into(), item_id: "i1".into() });
    let gone = v1::CatalogRecord { change: Some(gone), ..upsert() };
    let [made, gone] = [upsert(), gone].map(|record| encode::catalog(&topics, &record, Format::Protobuf).key);
    assert_eq!((made.as_slice(), gone), (b"shop/i1".as_slice(), made.clone()));
}

fn any_event() -> impl Strategy<Value = v1::Event> {
    let time = prop_oneof![Just(AT), any::<i64>(), 946_684_800_000..4_102_444_800_000_i64];
    let value = proptest::option::of(prop_oneof![any::<f64>(), 0.0..1e6_f64]);
    let key = ("[a-z]{0,3}", 0..7_i32, ".{0,4}").prop_map(|(bu, kind, id)| v1::SourceKey { bu, kind, id });
    (".{0,8}", time, "[a-z]{0,3}", proptest::option::of(key), 0..13_i32, ".{0,4}", value, "[A-Z]{0,3}").prop_map(
        |(event_id, event_time_ms, bu, source, r#type, item_id, value, currency)| v1::Event {
            event_id,
            event_time_ms,
            bu,
            source,
            r#type,
            item_id,
            value,
            currency,
            ..v1::Event::default()
        },
    )
}

/// What is read in place must be what a message is decoded to.
fn same_as_decoded(payload: &[u8]) -> Result<(), TestCaseError> {
    let decoded = v1::Event::decode(payload);
    // Compared as text, in which NaN is itself.
    match (EventFields::read(payload), &decoded) {
        (Ok(read), Ok(decoded)) => prop_assert_eq!(format!("{read:?}"), format!("{:?}", EventFields::from(decoded))),
        (Err(_), Err(_)) => {}
        (read, decoded) => prop_assert!(false, "{read:?} where decoding gives {decoded:?}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn events_are_read_in_place_as_they_are_decoded(
        event in any_event(),
        other in any_event(),
        cut in any::<proptest::sample::Index>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        noise in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let (mut bytes, other) = (event.encode_to_vec(), other.encode_to_vec());
        same_as_decoded(&noise)?;
        same_as_decoded(&bytes)?;
        same_as_decoded(&[bytes.as_slice(), &noise].concat())?;
        same_as_decoded(&[bytes.as_slice(), &other].concat())?; // fields twice: the last one counts, sources merge
        if !bytes.is_empty() {
            same_as_decoded(&bytes[..cut.index(bytes.len())])?;
            for (at, with) in changes {
                let at = at.index(bytes.len());
                bytes[at] = with;
                same_as_decoded(&bytes)?;
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Format::from_content_type(&bytes);
        for name in ["shop", "identity", "catalog"] {
            verdict(name, Format::Protobuf, &bytes);
            verdict(name, Format::Json, &bytes);
        }
    }

    #[test]
    fn no_damage_to_good_bytes_makes_a_decoder_panic(at in any::<proptest::sample::Index>(), with in any::<u8>(), cut in any::<proptest::sample::Index>()) {
        for (name, good) in [("shop", event().encode_to_vec()), ("identity", link().encode_to_vec()), ("catalog", upsert().encode_to_vec())] {
            let mut bytes = good;
            let at = at.index(bytes.len());
            bytes[at] = with;
            verdict(name, Format::Protobuf, &bytes);
            verdict(name, Format::Protobuf, &bytes[..cut.index(bytes.len())]);
        }
    }

    #[test]
    fn both_formats_give_what_validation_gives(event in any_event()) {
        let expected = validate::event(&event).map_err(Rejection::from);
        let topics = Topics::default();
        let kind = TopicKind::Events { bu: event.bu.clone() };
        let limits = Limits { future_tolerance_ms: u64::MAX, ..Limits::default() };
        let formats = [Some(Format::Protobuf), v1::EventType::try_from(event.r#type).ok().map(|_| Format::Json)];
        for format in formats.into_iter().flatten() {
            if format == Format::Json && event.source.as_ref().is_some_and(|key| v1::KeyKind::try_from(key.kind).is_err()) {
                continue; // proto3 JSON written by name can't carry a number without one
            }
            let written = encode::event(&topics, &event, format);
            let mut decoder = Decoder::new(limits);
            let read = decoder.decode(&kind, format, &written.payload, NOW);
            prop_assert_eq!(read, expected.clone().map(Decoded::Event));
        }
    }
}
