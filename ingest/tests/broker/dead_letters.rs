//! A bad record goes to the dead letters with its address and reason, and holds nobody up.

use std::{collections::BTreeMap, sync::Arc};

use faces_core::state::State;
use faces_ingest::{LogRecord, decode::Format};
use faces_proto::v1;
use faces_testbroker::wait_until;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Headers as _, OwnedMessage},
};

use crate::support::{PATIENCE, Setup, view, wait_for_consumed};

/// Reads dead letters until there are so many.
struct Reader(BaseConsumer);

impl Reader {
    fn new(setup: &Setup) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", setup.broker.address())
            .set("group.id", format!("{}-reader", setup.prefix))
            .set("fetch.wait.max.ms", "10")
            .create()
            .unwrap();
        let topic = setup.topics.dead_letters();
        let partitions = consumer.fetch_metadata(Some(&topic), PATIENCE).unwrap().topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(&topic, i32::try_from(partition).unwrap(), Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        Self(consumer)
    }

    fn read(&self, letters: usize) -> Vec<OwnedMessage> {
        let mut found = Vec::new();
        let is_there = || {
            while let Some(message) = self.0.poll(std::time::Duration::from_millis(20)) {
                found.push(message.unwrap().detach());
            }
            found.len() >= letters
        };
        assert!(wait_until(PATIENCE, is_there), "waited for {letters} dead letters");
        found.sort_by_key(|letter| header(letter, "faces-offset").parse::<i64>().unwrap());
        found
    }
}

fn headers(letter: &OwnedMessage) -> BTreeMap<String, String> {
    let headers = letter.headers().unwrap();
    headers.iter().map(|header| (header.key.to_owned(), String::from_utf8(header.value.unwrap().to_vec()).unwrap())).collect()
}

fn header(letter: &OwnedMessage, name: &str) -> String {
    headers(letter).remove(name).unwrap_or_default()
}

#[test]
fn a_bad_record_becomes_a_dead_letter_and_the_batch_goes_on() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let key = b"video/account/u1".to_vec();
    let topic = setup.topics.events("video");
    let bad = |payload: &[u8], format| LogRecord { topic: topic.clone(), key: key.clone(), payload: payload.to_vec(), format };
    let good = |n| LogRecord { key: key.clone(), ..setup.events(&[view("video", n)], Format::Protobuf).remove(0) };
    let negative = v1::Event { value: Some(-1.0), ..view("video", 8) };
    let mut negative = setup.events(&[negative], Format::Json).remove(0);
    negative.key = key.clone();
    let written = setup.write(vec![good(1), bad(b"\xFF\xFF", Format::Protobuf), good(2), bad(b"{", Format::Json), negative, good(3)]);
    let state = Arc::new(State::default());
    let ingest = setup.start(&state);
    let progress = ingest.progress();
    wait_for_consumed(&progress, 6);
    assert_eq!((progress.counts().applied, progress.counts().dead), (3, 3));

    let letters = Reader::new(&setup).read(3);
    let expected = [(1, "undecodable", ""), (3, "undecodable", "application/json"), (4, "bad_value", "application/json")];
    for (letter, (place, reason, content_type)) in letters.iter().zip(expected) {
        let (partition, offset) = written[place];
        assert_eq!(letter.key(), Some(key.as_slice()));
        assert_eq!(header(letter, "faces-topic"), topic);
        assert_eq!(header(letter, "faces-partition"), partition.to_string());
        assert_eq!(header(letter, "faces-offset"), offset.to_string());
        assert_eq!(header(letter, "faces-reason"), reason);
        assert_eq!(header(letter, "content-type"), content_type);
        assert!(!header(letter, "faces-detail").is_empty());
    }
    assert_eq!(letters[0].payload(), Some(b"\xFF\xFF".as_slice()));
    assert_eq!(header(&letters[2], "faces-detail"), "value: is negative");
}

#[test]
fn a_restart_writes_no_dead_letter_twice() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let bad = |n: u32| v1::Event { value: Some(-1.0), ..view("video", n) };
    let run = |bad_so_far: u64| {
        let ingest = setup.start(&Arc::new(State::default()));
        let progress = ingest.progress();
        wait_for_consumed(&progress, bad_so_far);
        assert_eq!(progress.counts().dead, bad_so_far, "it counts as dead in every run");
        ingest.stop().unwrap();
    };
    setup.write(setup.events(&[bad(1)], Format::Protobuf));
    run(1);
    setup.write(setup.events(&[bad(2)], Format::Protobuf));
    run(2);
    let reader = Reader::new(&setup);
    assert_eq!(reader.read(2).len(), 2);
}

#[test]
fn a_record_without_payload_and_one_in_another_format_are_dead() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let producer: rdkafka::producer::FutureProducer =
        ClientConfig::new().set("bootstrap.servers", setup.broker.address()).create().unwrap();
    let topic = setup.topics.events("video");
    let csv = rdkafka::message::Header { key: "Content-Type", value: Some("text/csv") };
    let headers = rdkafka::message::OwnedHeaders::new().insert(csv);
    let tombstone = rdkafka::producer::FutureRecord::<str, [u8]>::to(&topic).key("k").partition(0);
    let table = rdkafka::producer::FutureRecord::<str, str>::to(&topic).payload("a,b").headers(headers).partition(0);
    setup.runtime.block_on(producer.send(tombstone, PATIENCE)).unwrap();
    setup.runtime.block_on(producer.send(table, PATIENCE)).unwrap();
    let ingest = setup.start(&Arc::new(State::default()));
    wait_for_consumed(&ingest.progress(), 2);
    let letters = Reader::new(&setup).read(2);
    let reasons: Vec<_> = letters.iter().map(|letter| header(letter, "faces-reason")).collect();
    assert_eq!(reasons, ["empty_payload", "unsupported_format"]);
    assert_eq!(header(&letters[1], "content-type"), "text/csv");
}

#[test]
fn without_its_topic_reading_waits_and_nothing_is_lost() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    if !setup.broker.is_own() {
        return; // another broker may make topics by itself
    }
    let topic = setup.topics.dead_letters();
    let admin: rdkafka::admin::AdminClient<rdkafka::client::DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", setup.broker.address()).create().unwrap();
    setup.runtime.block_on(admin.delete_topics(&[&topic], &rdkafka::admin::AdminOptions::new())).unwrap();
    let bad = v1::Event { value: Some(-1.0), ..view("video", 1) };
    let written = setup.write(setup.events(&[bad], Format::Protobuf));
    let state = Arc::new(State::default());
    let config = faces_ingest::IngestConfig {
        extra: BTreeMap::from([("topic.metadata.propagation.max.ms".to_owned(), "200".to_owned())]),
        ..setup.config()
    };
    let ingest = faces_ingest::Ingest::start(config, state).unwrap();
    let progress = ingest.progress();
    let position = || {
        let (partition, topic) = (written[0].0, setup.topics.events("video"));
        progress.partitions().iter().find(|p| p.topic() == topic && p.partition() == partition).map(|p| p.position())
    };
    assert!(wait_until(PATIENCE, || progress.dead_letter_retries() > 0));
    assert_eq!((progress.counts().consumed(), position()), (0, Some(0)), "positions stay behind the letter");
    setup.ensure(&[]);
    wait_for_consumed(&progress, 1);
    assert_eq!(Reader::new(&setup).read(1).len(), 1);
    assert_eq!(position(), Some(1));
}
