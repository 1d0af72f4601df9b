//! Records of every kind and format reach the state; topics and partitions made later are found; a restart replays.

use std::sync::Arc;

use faces_core::{
    key::{KeyKind, SourceKey},
    state::State,
};
use faces_ingest::{decode::Format, encode};
use faces_proto::v1;
use faces_testbroker::wait_until;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
};

use crate::support::{PATIENCE, Setup, key, memory, view, wait_for_consumed};

fn knife() -> v1::CatalogRecord {
    let named = v1::ItemRef { bu: "groceries".into(), item_id: "i1".into() };
    let item = v1::Item { r#ref: Some(named), title: "Knife".into(), ..v1::Item::default() };
    v1::CatalogRecord { updated_time_ms: 1_700_000_000_000, change: Some(v1::catalog_record::Change::Upsert(item)) }
}

fn same_person() -> v1::IdentityLink {
    v1::IdentityLink {
        a: Some(key("groceries", "u1")),
        b: Some(key("video", "u1")),
        operation: v1::LinkOperation::Link.into(),
        evidence: v1::LinkEvidence::Login.into(),
        confidence: 1.0,
        event_time_ms: 1_700_000_000_000,
    }
}

#[test]
fn records_of_two_units_in_both_formats_reach_the_state() {
    let Some(setup) = Setup::new(&["groceries", "video"]) else { return };
    let state = Arc::new(State::default());
    let mut records = setup.events(&[view("groceries", 1), view("groceries", 11)], Format::Protobuf);
    records.extend(setup.events(&[view("video", 21), view("video", 31)], Format::Json));
    records.push(encode::link(&setup.topics, &same_person(), Format::Json));
    records.push(encode::catalog(&setup.topics, &knife(), Format::Protobuf));
    setup.write(records);

    let ingest = setup.start(&state);
    let progress = ingest.progress();
    wait_for_consumed(&progress, 6);
    assert!(wait_until(PATIENCE, || progress.caught_up() && progress.view_age_ms() == 0));
    let counts = progress.counts_by_kind();
    assert_eq!((counts.events.applied, counts.links.applied, counts.items.applied), (4, 1, 1));
    let person = SourceKey::new("video", KeyKind::Account, "u1").unwrap();
    assert_eq!(state.profile(&[person], None).taste.len(), 4, "the link unites both units' views");
    let bu = state.catalogue().bu("groceries").unwrap();
    let item = state.catalogue().item(bu, "i1").unwrap();
    assert_eq!(state.catalogue().attributes(item).title, "Knife");

    setup.write(setup.events(&[view("video", 41)], Format::Protobuf));
    wait_for_consumed(&progress, 7);
    assert_eq!(progress.freshness().since_append.count(), 7);
    ingest.stop().unwrap();
    assert_eq!(progress.failure(), None);
}

#[test]
fn counts_reconcile() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let old = v1::Event { source: Some(key("video", "busy")), ..view("video", 0) };
    let busy = |n: u32| v1::Event { source: Some(key("video", "busy")), ..view("video", n) };
    let mut events: Vec<_> = (1..=64).map(busy).collect(); // a fragment's fill of views
    events.extend((1..=5).map(busy)); // written twice by a retrying producer
    events.push(old); // older than what the full fragment keeps
    events.push(v1::Event { r#type: v1::EventType::Search.into(), item_id: String::new(), ..busy(70) }); // words leave nothing
    events.push(v1::Event { value: Some(-1.0), ..busy(71) }); // dead
    let state = Arc::new(State::default());
    setup.write(setup.events(&events, Format::Protobuf));
    let ingest = setup.start(&state);
    let progress = ingest.progress();
    wait_for_consumed(&progress, events.len() as u64);
    let counts = progress.counts();
    let found = (counts.applied, counts.duplicates, counts.expired, counts.ignored, counts.dead);
    assert_eq!(found, (64, 5, 1, 1, 1));
}

#[test]
fn topics_and_partitions_made_later_are_found() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let state = Arc::new(State::default());
    let ingest = setup.start(&state);
    let progress = ingest.progress();
    assert!(wait_until(PATIENCE, || progress.caught_up()));

    assert_eq!(setup.ensure(&["video", "travel"]), [setup.topics.events("travel")]);
    assert!(setup.ensure(&["video", "travel"]).is_empty(), "making topics is idempotent");
    setup.write(setup.events(&[view("travel", 1), view("travel", 2)], Format::Protobuf));
    wait_for_consumed(&progress, 2);

    let before = progress.partitions().len();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", setup.broker.address()).create().unwrap();
    let topic = setup.topics.events("video");
    let more = [NewPartitions::new(&topic, 6)];
    if let Err(error) = setup.runtime.block_on(admin.create_partitions(&more, &AdminOptions::new())) {
        eprintln!("skipped: this broker adds no partitions to a topic ({error})");
        return;
    }
    assert!(wait_until(PATIENCE, || progress.partitions().len() == before + 2), "{:?}", progress.partitions());
    let fresh = view("video", 3);
    let record = setup.events(&[fresh], Format::Protobuf).remove(0);
    let producer: rdkafka::producer::FutureProducer =
        ClientConfig::new().set("bootstrap.servers", setup.broker.address()).create().unwrap();
    let to_new = rdkafka::producer::FutureRecord::<[u8], [u8]>::to(&topic).partition(5).payload(&record.payload);
    setup.runtime.block_on(producer.send(to_new, PATIENCE)).unwrap();
    wait_for_consumed(&progress, 3);
}

#[test]
fn a_restart_replays_to_the_same_state() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let events: Vec<_> = (0..500).map(|n| view("video", n)).collect();
    setup.write(setup.events(&events, Format::Protobuf));
    let run = || {
        let state = Arc::new(State::default());
        let ingest = setup.start(&state);
        let progress = ingest.progress();
        wait_for_consumed(&progress, 500);
        ingest.stop().unwrap();
        memory(&state, "video")
    };
    let first = run();
    assert!(!first.is_empty());
    assert_eq!(first, run());
}

#[test]
fn every_codec_is_read() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let topic = setup.topics.events("video");
    let mut written = 0;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer: rdkafka::producer::FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", setup.broker.address())
            .set("compression.type", codec)
            .set("linger.ms", "50") // batches large enough that compressing them pays
            .create()
            .unwrap();
        let events: Vec<_> = (written..written + 200).map(|n| view("video", n)).collect();
        let records = setup.events(&events, Format::Protobuf);
        let sent: Vec<_> = records
            .iter()
            .map(|record| {
                let message = rdkafka::producer::FutureRecord::to(&topic).key(&record.key).payload(&record.payload);
                producer.send_result(message).map_err(|(error, _)| error).unwrap()
            })
            .collect();
        for delivery in sent {
            setup.runtime.block_on(delivery).unwrap().map_err(|(error, _)| error).unwrap();
        }
        written += 200;
    }
    let ingest = setup.start(&Arc::new(State::default()));
    let progress = ingest.progress();
    wait_for_consumed(&progress, u64::from(written));
    assert_eq!(progress.counts().dead, 0);
}
