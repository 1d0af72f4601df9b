//! Positions are committed to the group, so that the usual lag tools see them, and never ahead of what is applied.

use std::sync::Arc;

use faces_core::{record::Apply, state::State};
use faces_ingest::{Ingest, IngestConfig, Positions, decode::Format};
use faces_testbroker::wait_until;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    mocking::MockCluster,
    producer::{FutureProducer, FutureRecord},
};

use crate::support::{PATIENCE, Setup, view, wait_for_consumed};

/// Sum of the positions that the group has committed in a topic.
fn committed(address: &str, group_id: &str, topic: &str, partitions: i32) -> i64 {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", address).set("group.id", group_id).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let offsets = consumer.committed_offsets(list, PATIENCE).unwrap();
    let elements = offsets.elements();
    let known = elements.iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    });
    known.sum()
}

#[test]
fn positions_are_visible_to_the_group_while_running_and_after_the_end() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let topic = setup.topics.events("video");
    let group_id = setup.config().group_id;
    let ingest = setup.start(&Arc::new(State::default()));
    let progress = ingest.progress();
    let events: Vec<_> = (0..100).map(|n| view("video", n)).collect();
    setup.write(setup.events(&events[..60], Format::Protobuf));
    wait_for_consumed(&progress, 60);
    let committed = || committed(setup.broker.address(), &group_id, &topic, 4);
    assert!(wait_until(PATIENCE, || committed() == 60), "{} of 60 committed", committed());
    assert!(wait_until(PATIENCE, || progress.commits() > 0));

    setup.write(setup.events(&events[60..], Format::Protobuf));
    wait_for_consumed(&progress, 100);
    ingest.stop().unwrap();
    assert_eq!(committed(), 100, "stopping commits what was applied");
    assert_eq!(progress.commit_failures(), 0);
}

#[test]
fn librdkafkas_own_mock_takes_commits_too() {
    let cluster = MockCluster::new(1).unwrap();
    let address = cluster.bootstrap_servers();
    let topic = "faces.events.video";
    cluster.create_topic(topic, 2, 1).unwrap();
    cluster.create_topic("faces.dlq", 1, 1).unwrap();
    let config = IngestConfig {
        brokers: address.clone(),
        group_id: "mock".to_owned(),
        discovery_ms: 100,
        watermark_ms: 50,
        commit_ms: 50,
        ..IngestConfig::default()
    };
    let ingest = Ingest::start(config, Arc::new(State::default()) as Arc<dyn Apply>, Positions::default()).unwrap();
    let progress = ingest.progress();
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &address).create().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for n in 0..20 {
        let record = faces_ingest::encode::event(&faces_ingest::Topics::default(), &view("video", n), Format::Protobuf);
        let message = FutureRecord::<[u8], [u8]>::to(&record.topic).key(&record.key).payload(&record.payload);
        runtime.block_on(producer.send(message, PATIENCE)).unwrap();
    }
    wait_for_consumed(&progress, 20);
    assert!(wait_until(PATIENCE, || progress.caught_up() && progress.view_age_ms() == 0));
    ingest.stop().unwrap();
    assert_eq!(progress.commit_failures(), 0);
    assert_eq!(committed(&address, "mock", topic, 2), 20);
}
