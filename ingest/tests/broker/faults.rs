//! Brokers that are away, come back, or write transaction markers.

use std::{fs, path::Path, sync::Arc, time::Duration};

use faces_core::state::State;
use faces_ingest::{Ingest, IngestConfig, LogWriter, Positions, Topics, WriterConfig, decode::Format, encode};
use faces_testbroker::{Broker, wait_until};
use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::support::{PATIENCE, Setup, view, wait_for_consumed};

#[test]
fn a_broker_that_is_away_makes_the_view_age_and_does_not_hinder_the_end() {
    let Some(mut setup) = Setup::new(&["video"]) else { return };
    if !setup.broker.is_own() {
        return;
    }
    // A few requests that nobody answers are far from what an end may take.
    let config = IngestConfig { request_ms_max: 500, ..setup.config() };
    let ingest = Ingest::start(config, Arc::new(State::default()), Positions::default()).unwrap();
    let progress = ingest.progress();
    setup.write(setup.events(&[view("video", 1)], Format::Protobuf));
    wait_for_consumed(&progress, 1);
    assert!(wait_until(PATIENCE, || progress.view_age_ms() == 0));
    setup.broker.kill();
    assert!(wait_until(PATIENCE, || progress.view_age_ms() > 0), "nobody knows what else there is");
    ingest.stop().unwrap();
}

#[test]
fn after_an_outage_reading_goes_on_where_it_was() {
    // The mock keeps its data while it is away; the real broker here would lose it.
    let cluster = MockCluster::new(1).unwrap();
    let topics = Topics::default();
    cluster.create_topic(&topics.events("video"), 4, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let writer =
        LogWriter::new(&WriterConfig { brokers: brokers.clone(), delivery_ms_max: 30_000, ..WriterConfig::default() }).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let write = |users: std::ops::Range<u32>| {
        let records = users.map(|n| encode::event(&topics, &view("video", n), Format::Protobuf)).collect();
        assert!(runtime.block_on(writer.write(records)).iter().all(Result::is_ok));
    };
    let config = IngestConfig { brokers, discovery_ms: 100, watermark_ms: 50, request_ms_max: 500, ..IngestConfig::default() };
    let ingest = Ingest::start(config, Arc::new(State::default()), Positions::default()).unwrap();
    let progress = ingest.progress();
    write(0..50);
    wait_for_consumed(&progress, 50);
    assert!(wait_until(PATIENCE, || progress.view_age_ms() == 0));
    cluster.broker_down(1).unwrap();
    assert!(wait_until(PATIENCE, || progress.view_age_ms() > 0 && !progress.brokers_answer()));
    cluster.broker_up(1).unwrap();
    write(50..100);
    wait_for_consumed(&progress, 100);
    assert!(wait_until(PATIENCE, || progress.view_age_ms() == 0 && progress.brokers_answer()));
    assert_eq!((progress.counts().applied, progress.counts().duplicates), (100, 0), "nothing twice, nothing left out");
    ingest.stop().unwrap();
}

/// A partition whose leader is away, of a topic that is there otherwise.
#[test]
fn what_has_no_leader_yet_is_waited_for() {
    let cluster = MockCluster::new(1).unwrap();
    let topics = Topics::default();
    let topic = topics.events("video");
    cluster.create_topic(&topic, 2, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let writer = LogWriter::new(&WriterConfig { brokers: brokers.clone(), ..WriterConfig::default() }).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let records = (0..50).map(|n| encode::event(&topics, &view("video", n), Format::Protobuf)).collect();
    let written = runtime.block_on(writer.write(records));
    let in_the_first = written.iter().filter(|record| record.as_ref().unwrap().0 == 0).count() as u64;
    assert!((1..50).contains(&in_the_first));
    let config = IngestConfig { brokers, discovery_ms: 100, watermark_ms: 50, resume_ms_max: 100, ..IngestConfig::default() };
    let mut positions = Positions::default();
    for resumed in [false, true] {
        cluster.partition_leader(&topic, 1, None).unwrap();
        let ingest = Ingest::start(config.clone(), Arc::new(State::default()), std::mem::take(&mut positions)).unwrap();
        let progress = ingest.progress();
        wait_for_consumed(&progress, if resumed { 0 } else { in_the_first });
        // Long after a topic that is gone would be missed.
        assert!(wait_until(PATIENCE, || progress.partitions().len() == 1 && progress.view_age_ms() > 1_000), "{progress:?}");
        assert_eq!((progress.caught_up(), progress.failure()), (false, None));
        cluster.partition_leader(&topic, 1, Some(1)).unwrap();
        assert!(wait_until(PATIENCE, || progress.caught_up() && progress.view_age_ms() == 0), "{progress:?}");
        assert_eq!(progress.counts().consumed(), if resumed { 0 } else { 50 });
        positions = ingest.at_boundary(PATIENCE, Positions::clone).unwrap();
        ingest.stop().unwrap();
    }
}

#[test]
fn the_end_of_a_partition_is_reached_although_a_transaction_marker_lies_there() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", setup.broker.address())
        .set("transactional.id", &setup.prefix)
        .create()
        .unwrap();
    if let Err(error) = producer.init_transactions(Duration::from_secs(5)) {
        eprintln!("skipped: this broker knows no transactions ({error})");
        return;
    }
    producer.begin_transaction().unwrap();
    for record in setup.events(&[view("video", 1), view("video", 2)], Format::Protobuf) {
        producer.send(BaseRecord::to(&record.topic).key(&record.key).payload(&record.payload)).map_err(|(e, _)| e).unwrap();
    }
    producer.commit_transaction(PATIENCE).unwrap();
    let ingest = setup.start(&Arc::new(State::default()));
    let progress = ingest.progress();
    wait_for_consumed(&progress, 2);
    let ends = || progress.partitions().iter().map(|partition| partition.end()).sum::<i64>();
    assert!(wait_until(PATIENCE, || progress.caught_up() && progress.view_age_ms() == 0), "{:?}", progress.partitions());
    eprintln!("two records end at {} offsets", ends());
}

/// Some brokers give nothing for a position beyond the end, rather than say so, until new records have grown over it.
#[test]
fn a_log_that_loses_its_end_while_it_is_read_stops_everything() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::durable(folder.path()).unwrap() else { return };
    let mut setup = Setup::on(broker, &["video"]);
    let write = |setup: &Setup, events: std::ops::Range<u32>| {
        let events: Vec<_> = events.map(|n| view("video", n)).collect();
        setup.write(setup.events(&events, Format::Protobuf));
    };
    let copy = |from: &Path, to: &Path| {
        for file in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|file| file.path().is_file()) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    };
    write(&setup, 0..50);
    let older = folder.path().join("older");
    fs::create_dir(&older).unwrap();
    setup.broker.kill();
    copy(folder.path(), &older);
    setup.broker.restart().unwrap();
    write(&setup, 50..100);
    let ingest = setup.start(&Arc::new(State::default()));
    let progress = ingest.progress();
    wait_for_consumed(&progress, 100);
    assert!(wait_until(PATIENCE, || progress.caught_up() && progress.view_age_ms() == 0));

    setup.broker.kill();
    copy(&older, folder.path());
    setup.broker.restart().unwrap();
    assert!(wait_until(PATIENCE, || progress.failure().is_some()), "{progress:?}");
    let failure = progress.failure().unwrap();
    assert!(failure.contains("the log ends at offset") && failure.contains("faces state forget-topic"), "{failure}");
    assert!(wait_until(PATIENCE, || progress.view_age_ms() > 0), "the view ages");
}
