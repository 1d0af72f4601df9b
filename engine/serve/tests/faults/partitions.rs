//! Topics and partitions that come while the server runs.

use faces_ingest::{
    Cluster, Topics,
    topics::{Layout, ensure},
};
use faces_proto::v1;
use faces_testbroker::Broker;
use rdkafka::mocking::MockCluster;

use crate::{
    form::form,
    house::{House, PARTITIONS, eventually},
    traffic::{BUS, Traffic},
    verdict::must_hold,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_comes_while_the_server_runs_is_read_from_its_beginning() {
    let test = "topics";
    let Some(mut house) = House::open(&BUS[..1], &["state.image_seconds=1"]).await else { return };
    let layout = Layout { partitions: 5, replication: 1 };
    ensure(&Cluster::at(house.brokers()), &house.topics, &BUS, layout).await.unwrap();
    let mut written = Traffic::burst(&house, form().seed_of(test), 600).await;
    must_hold(test, &house, &written).await;
    house.kill();
    house.start().await; // the images know of them too
    written = written.and(Traffic::burst(&house, form().seed_of(test) + 1, 100).await);
    must_hold(test, &house, &written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_comes_while_the_server_runs_is_read_from_its_beginning() {
    let test = "partitions";
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Broker::durable(folder.path()).unwrap() else { return };
    let mut house = House::closed_on(&broker, &BUS, &["state.image_seconds=1"]).await;
    house.start().await;
    let traffic = Traffic::with_patience(&house, form().seed_of(test), 30_000);
    let mut added = Vec::new();
    for (round, bu) in BUS.iter().enumerate() {
        traffic.more(100).await;
        let (topic, partitions) = (house.topics.events(bu), PARTITIONS as usize + 1 + round);
        broker.add_partitions(&topic, partitions).unwrap();
        added.push((topic, i32::try_from(partitions).unwrap() - 1));
    }
    let is_read = |status: &v1::GetStatusResponse, (topic, partition): &(String, i32)| {
        status.partitions.iter().any(|of| of.topic == *topic && of.partition == *partition && of.position > 0)
    };
    let mut clients = house.clients().await;
    eventually("the new partitions to be written to and read", async || {
        let status = clients.status().await;
        added.iter().all(|one| is_read(&status, one)).then_some(())
    })
    .await;
    let written = traffic.end().await;
    must_hold(test, &house, &written).await;
    house.kill();
    house.start().await;
    must_hold(test, &house, &written).await;
}

/// A server is not ready before it has read all that brokers name, and reads meanwhile what it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_gets_its_leader_late_is_read_from_its_beginning() {
    let test = "leaders";
    let (cluster, topics, late) = (MockCluster::new(1).unwrap(), Topics::default(), [2, 3]);
    for topic in [topics.identity(), topics.catalog(), topics.dead_letters()] {
        cluster.create_topic(&topic, 2, 1).unwrap();
    }
    for topic in BUS.map(|bu| topics.events(bu)) {
        cluster.create_topic(&topic, 4, 1).unwrap();
        late.iter().for_each(|partition| cluster.partition_leader(&topic, *partition, None).unwrap());
    }
    let settings = ["state.image_seconds=1"];
    let mut house = House::closed_at(&cluster.bootstrap_servers(), "faces", &BUS, &settings).await;
    house.launch().await;
    let traffic = Traffic::start(&house, form().seed_of(test));
    for topic in BUS.map(|bu| topics.events(bu)) {
        traffic.more(60).await;
        eventually("the partition without a leader to be named", async || {
            let (code, why) = house.admin_get("/readyz")?;
            assert_eq!(code, 503, "{why}");
            why.contains("has no leader").then_some(())
        })
        .await;
        let known = house.clients().await.status().await.partitions;
        assert!(known.iter().all(|of| of.topic != topic || !late.contains(&of.partition)), "{known:?}");
        late.iter().for_each(|partition| cluster.partition_leader(&topic, *partition, Some(1)).unwrap());
        traffic.more(200).await;
    }
    house.until_ready().await;
    let written = traffic.end().await;
    assert!(late.iter().all(|partition| written.ends.contains_key(&(topics.events(BUS[0]), *partition))));
    must_hold(test, &house, &written).await;
    house.kill();
    house.start().await;
    must_hold(test, &house, &written).await;
}
