//! A bad record goes to the dead letters with its address and reason, and holds nobody up.

use std::{collections::BTreeMap, sync::Arc};

use faces_core::state::State;
use faces_ingest::{Ingest, IngestConfig, LogRecord, LogWriter, Positions, Topics, WriterConfig, decode::Format};
use faces_proto::v1;
use faces_testbroker::wait_until;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Headers as _, OwnedMessage},
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use crate::support::{PATIENCE, Setup, view, wait_for_consumed};

/// Reads dead letters until there are so many.
pub(crate) struct Reader(BaseConsumer);

impl Reader {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self::at(setup.broker.address(), &setup.topics.dead_letters(), &setup.prefix)
    }

    fn at(address: &str, topic: &str, group_id: &str) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("group.id", group_id)
            .set("fetch.wait.max.ms", "10")
            .create()
            .unwrap();
        let partitions = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap().topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, i32::try_from(partition).unwrap(), Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        Self(consumer)
    }

    pub(crate) fn read(&self, letters: usize) -> Vec<OwnedMessage> {
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

pub(crate) fn header(letter: &OwnedMessage, name: &str) -> String {
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
    let written =
        setup.write(vec![good(1), bad(b"\xFF\xFF", Format::Protobuf), good(2), bad(b"{", Format::Json), negative, good(3)]);
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
fn a_record_that_is_too_large_by_its_key_is_cut_and_holds_nothing_up() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let topic = setup.topics.events("video");
    let swapped = LogRecord { topic, key: vec![b'k'; 300_000], payload: b"{".to_vec(), format: Format::Json };
    setup.write(vec![swapped]);
    setup.write(setup.events(&[view("video", 1)], Format::Protobuf));
    let mut config = setup.config();
    config.extra.insert("message.max.bytes".to_owned(), "200000".to_owned()); // what a topic takes, asked of the client itself
    let ingest = Ingest::start(config, Arc::new(State::default()), Positions::default()).unwrap();
    wait_for_consumed(&ingest.progress(), 2);
    let letter = Reader::new(&setup).read(1).remove(0);
    assert_eq!((letter.key().map(<[u8]>::len), letter.payload()), (Some(65_536), Some(b"{".as_slice())));
    assert_eq!((header(&letter, "faces-truncated"), header(&letter, "faces-reason")), ("1".to_owned(), "undecodable".to_owned()));
}

#[test]
fn while_letters_can_not_be_written_reading_waits_and_nothing_is_lost() {
    // The mock can refuse writes to one topic; the real broker here makes any topic that is written to.
    let cluster = MockCluster::new(1).unwrap();
    let topics = Topics::default();
    let (events, letters) = (topics.events("video"), topics.dead_letters());
    cluster.create_topic(&events, 1, 1).unwrap();
    cluster.create_topic(&letters, 1, 1).unwrap();
    cluster.topic_error(&letters, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let address = cluster.bootstrap_servers();
    let (bad, good) = (v1::Event { value: Some(-1.0), ..view("video", 1) }, view("video", 2));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let writer = LogWriter::new(&WriterConfig { brokers: address.clone(), ..WriterConfig::default() }).unwrap();
    let records = [bad, good].map(|event| faces_ingest::encode::event(&topics, &event, Format::Protobuf));
    assert!(runtime.block_on(writer.write(records.to_vec())).iter().all(Result::is_ok));

    let config = IngestConfig {
        brokers: address.clone(),
        discovery_ms: 100,
        watermark_ms: 50,
        commit_ms: 50,
        dead_letter_backoff_ms_max: 100,
        ..IngestConfig::default()
    };
    let ingest = Ingest::start(config, Arc::new(State::default()), Positions::default()).unwrap();
    let progress = ingest.progress();
    assert!(wait_until(PATIENCE, || progress.dead_letter_retries() > 1), "{progress:?}");
    let position = || progress.partitions().iter().find(|partition| partition.topic() == events).map(|found| found.position());
    assert_eq!((progress.counts().consumed(), position()), (0, Some(0)), "positions stay behind the letter");
    cluster.topic_error(&letters, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    wait_for_consumed(&progress, 2);
    assert_eq!(position(), Some(2));
    assert_eq!(Reader::at(&address, &letters, "reader").read(1).len(), 1);
    ingest.stop().unwrap();
}

#[test]
fn a_letter_that_is_refused_as_too_large_and_has_nothing_to_cut_stays_whole() {
    let cluster = MockCluster::new(1).unwrap();
    let topics = Topics::default();
    cluster.create_topic(&topics.events("video"), 1, 1).unwrap();
    cluster.create_topic(&topics.dead_letters(), 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let writer = LogWriter::new(&WriterConfig { brokers: brokers.clone(), ..WriterConfig::default() }).unwrap();
    let bad = v1::Event { value: Some(-1.0), ..view("video", 1) };
    let record = faces_ingest::encode::event(&topics, &bad, Format::Protobuf);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(writer.write(vec![record.clone()])).iter().all(Result::is_ok));
    // As a broker does whose topic takes less than the batch that the letter came in.
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let config = IngestConfig { brokers: brokers.clone(), discovery_ms: 100, watermark_ms: 50, ..IngestConfig::default() };
    let ingest = Ingest::start(config, Arc::new(State::default()), Positions::default()).unwrap();
    wait_for_consumed(&ingest.progress(), 1);
    assert_eq!(ingest.progress().dead_letter_retries(), 1);
    let letter = Reader::at(&brokers, &topics.dead_letters(), "reader").read(1).remove(0);
    assert_eq!((letter.payload(), header(&letter, "faces-truncated")), (Some(record.payload.as_slice()), String::new()));
}

#[test]
fn stopping_does_not_wait_for_letters_that_can_not_be_written() {
    let cluster = MockCluster::new(1).unwrap();
    let topics = Topics::default();
    cluster.create_topic(&topics.events("video"), 1, 1).unwrap();
    cluster.create_topic(&topics.dead_letters(), 1, 1).unwrap();
    cluster.topic_error(&topics.dead_letters(), RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let brokers = cluster.bootstrap_servers();
    let writer = LogWriter::new(&WriterConfig { brokers: brokers.clone(), ..WriterConfig::default() }).unwrap();
    let bad = v1::Event { value: Some(-1.0), ..view("video", 1) };
    let record = faces_ingest::encode::event(&topics, &bad, Format::Protobuf);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(writer.write(vec![record])).iter().all(Result::is_ok));
    let config = IngestConfig { brokers, discovery_ms: 100, watermark_ms: 50, ..IngestConfig::default() };
    let ingest = Ingest::start(config, Arc::new(State::default()), Positions::default()).unwrap();
    let progress = ingest.progress();
    assert!(wait_until(PATIENCE, || progress.dead_letter_retries() > 0), "{progress:?}");
    ingest.stop().unwrap();
    assert_eq!(progress.counts().consumed(), 0, "what was not delivered does not count as done");
}
