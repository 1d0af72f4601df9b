//! A run goes on where an earlier one was, after it has seen that the log is still the same; where it is not, it stops and says so.

use std::{sync::Arc, time::Duration};

use faces_core::state::State;
use faces_ingest::{
    Ingest, IngestConfig, LastRecord, LogWriter, Position, Positions, Topics, WriterConfig, decode::Format, encode,
};
use faces_testbroker::wait_until;
use rdkafka::{
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use crate::support::{PATIENCE, Setup, memory, view, wait_for_consumed};

fn positions_of(ingest: &Ingest) -> Positions {
    ingest.at_boundary(PATIENCE, Positions::clone).unwrap()
}

#[test]
fn going_on_in_the_middle_comes_to_the_same_as_reading_all() {
    let Some(setup) = Setup::new(&["video", "travel"]) else { return };
    let events: Vec<_> = (0..600).map(|n| view(if n % 3 == 0 { "travel" } else { "video" }, n)).collect();
    let state = Arc::new(State::default());
    let mut positions = Positions::default();
    for (round, part) in events.chunks(200).enumerate() {
        setup.write(setup.events(part, Format::Protobuf));
        let ingest = setup.resume(&state, positions);
        let progress = ingest.progress();
        wait_for_consumed(&progress, 200);
        assert!(wait_until(PATIENCE, || progress.caught_up() && progress.view_age_ms() == 0), "round {round}: {progress:?}");
        assert_eq!((progress.counts().applied, progress.failure()), (200, None), "what was read before is not applied again");
        positions = positions_of(&ingest);
        ingest.stop().unwrap();
        let stored = serde_json::to_vec(&positions).unwrap();
        positions = serde_json::from_slice(&stored).unwrap();
    }
    assert_eq!(positions.iter().map(|(_, _, position)| position.next).sum::<i64>(), 600);
    let clean = Arc::new(State::default());
    let ingest = setup.start(&clean);
    wait_for_consumed(&ingest.progress(), 600);
    for bu in ["video", "travel"] {
        assert_eq!(memory(&state, bu), memory(&clean, bu));
    }
}

#[test]
fn a_log_that_is_not_the_one_that_was_read_stops_everything() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let events: Vec<_> = (0..100).map(|n| view("video", n)).collect();
    setup.write(setup.events(&events, Format::Protobuf));
    let ingest = setup.start(&Arc::new(State::default()));
    wait_for_consumed(&ingest.progress(), 100);
    let right = positions_of(&ingest);
    ingest.stop().unwrap();
    let topic = setup.topics.events("video");
    let (partition, position) =
        right.iter().find_map(|(of, n, position)| (of == topic && position.next > 1).then_some((n, position))).unwrap();
    let last = position.last.unwrap();
    assert_eq!(last.offset, position.next - 1);
    let gone = setup.topics.events("gone");
    let cases = [
        ("is another than", &topic, Position { last: Some(LastRecord { fingerprint: !last.fingerprint, ..last }), ..position }),
        ("is another than", &topic, Position { last: Some(LastRecord { offset: last.offset - 1, ..last }), ..position }),
        (
            "the log ends at",
            &topic,
            Position { next: last.offset + 2, last: Some(LastRecord { offset: last.offset + 1, ..last }) },
        ),
        ("no broker names it", &gone, position),
    ];
    for (expected, topic, wrong) in cases {
        let mut positions = right.clone();
        positions.set(topic, partition, wrong);
        let state = Arc::new(State::default());
        let ingest = setup.resume(&state, positions.clone());
        let progress = ingest.progress();
        assert!(wait_until(PATIENCE, || progress.failure().is_some()), "{expected}");
        let failure = progress.failure().unwrap();
        let named = format!("topic {topic}, partition {partition}:");
        for part in [expected, &named, &format!("faces state forget-topic {topic}")] {
            assert!(failure.contains(part), "{part:?} is not in: {failure}");
        }
        assert!(!progress.caught_up());
        assert_eq!(progress.counts().consumed(), 0, "nothing is applied again, and nothing of that partition");
        assert_eq!(positions_of(&ingest), positions, "what was read before is not forgotten");
        ingest.stop().unwrap();
    }
    // The way out: forget the topic.
    let mut positions = right;
    positions.forget_topic(&topic);
    let ingest = setup.resume(&Arc::new(State::default()), positions);
    wait_for_consumed(&ingest.progress(), 100);
    assert!(wait_until(PATIENCE, || ingest.progress().caught_up()));
}

/// A mock cluster with 50 events in one partition. It drops the oldest records beyond 5 MiB by itself.
pub(crate) struct Mock {
    cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    pub(crate) topics: Topics,
    pub(crate) config: IngestConfig,
    writer: LogWriter,
    runtime: tokio::runtime::Runtime,
}

impl Mock {
    pub(crate) fn new() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        let topics = Topics::default();
        cluster.create_topic(&topics.events("video"), 1, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let writer = LogWriter::new(&WriterConfig { brokers: brokers.clone(), ..WriterConfig::default() }).unwrap();
        let config = IngestConfig { brokers, discovery_ms: 100, watermark_ms: 50, readers: 2, ..IngestConfig::default() };
        let mock = Self { cluster, topics, config, writer, runtime: tokio::runtime::Runtime::new().unwrap() };
        mock.write(0..50);
        mock
    }

    fn write(&self, events: std::ops::Range<u32>) {
        let records = events.map(|n| encode::event(&self.topics, &view("video", n), Format::Protobuf)).collect();
        assert!(self.runtime.block_on(self.writer.write(records)).iter().all(Result::is_ok));
    }

    /// Writes until the mock has dropped what it began with.
    pub(crate) fn overflow(&self) {
        let padding = vec![0; 500_000];
        for _ in 0..14 {
            let mut record = encode::event(&self.topics, &view("video", 1), Format::Protobuf);
            record.payload.extend([0xBA, 0x3E, 0xA0, 0xC2, 0x1E]); // an unknown field of 500,000 bytes
            record.payload.extend(&padding);
            assert!(self.runtime.block_on(self.writer.write(vec![record])).iter().all(Result::is_ok));
        }
    }

    fn start(&self, resume: Positions) -> Ingest {
        Ingest::start(self.config.clone(), Arc::new(State::default()), resume).unwrap()
    }
}

#[test]
fn records_deleted_before_they_were_read_are_a_failure_not_a_jump() {
    let mock = Mock::new();
    let ingest = mock.start(Positions::default());
    wait_for_consumed(&ingest.progress(), 50);
    let positions = positions_of(&ingest);
    ingest.stop().unwrap();
    mock.overflow();
    let ingest = mock.start(positions);
    let progress = ingest.progress();
    assert!(wait_until(PATIENCE, || progress.failure().is_some()), "{progress:?}");
    let failure = progress.failure().unwrap();
    assert!(failure.contains("records were deleted unread") && failure.contains("forget-topic"), "{failure}");
    assert_eq!(progress.counts().consumed(), 0);
}

#[test]
fn a_position_far_beyond_the_end_is_told_from_a_slow_broker() {
    let mock = Mock::new();
    let mut positions = Positions::default();
    let last = LastRecord { offset: 1_000, fingerprint: 1 };
    positions.set(&mock.topics.events("video"), 0, Position { next: 1_001, last: Some(last) });
    let ingest = mock.start(positions);
    let progress = ingest.progress();
    assert!(wait_until(PATIENCE, || progress.failure().is_some()), "{progress:?}");
    let failure = progress.failure().unwrap();
    assert!(failure.contains("the log ends at offset 50, but everything before 1001 was read"), "{failure}");
}

#[test]
fn an_offset_that_goes_out_of_range_while_reading_is_a_failure_not_a_jump() {
    let mock = Mock::new();
    let ingest = mock.start(Positions::default());
    let progress = ingest.progress();
    wait_for_consumed(&progress, 50);
    assert!(wait_until(PATIENCE, || progress.caught_up()));
    mock.cluster.request_errors(RDKafkaApiKey::Fetch, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE; 20]);
    assert!(wait_until(PATIENCE, || progress.failure().is_some()), "{progress:?}");
    assert!(!progress.caught_up());
    assert!(wait_until(PATIENCE, || progress.view_age_ms() > 0), "the view ages");
    ingest.stop().unwrap();
}

#[test]
fn positions_outlive_a_run_that_reached_no_broker() {
    let mut positions = Positions::default();
    positions.set("faces.identity", 3, Position { next: 5, last: Some(LastRecord { offset: 4, fingerprint: 1 }) });
    let config = IngestConfig { brokers: "127.0.0.1:1".to_owned(), request_ms_max: 100, ..IngestConfig::default() };
    let ingest = Ingest::start(config, Arc::new(State::default()), positions.clone()).unwrap();
    assert_eq!(ingest.at_boundary(Duration::from_secs(1), Positions::clone), Some(positions));
    assert!(!ingest.progress().caught_up());
    ingest.stop().unwrap();
}
