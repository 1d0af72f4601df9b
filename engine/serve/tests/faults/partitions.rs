//! Topics and partitions that come while the server runs.

use std::time::Duration;

use faces_ingest::{
    Cluster, Topics,
    topics::{Layout, ensure},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
    mocking::MockCluster,
};

use crate::{
    form::form,
    house::{House, PARTITIONS},
    traffic::{BUS, Traffic},
    verdict::must_hold,
};

/// Gives a topic more partitions.
async fn add_partitions(house: &House, topic: &str, partitions: usize) -> Result<(), String> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", house.brokers()).create().map_err(|error| error.to_string())?;
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
    let results = admin.create_partitions(&[NewPartitions::new(topic, partitions)], &options).await;
    let result = results.map_err(|error| error.to_string())?.pop().ok_or("no answer")?;
    result.map(|_| ()).map_err(|(_, code)| code.to_string())
}

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
    let Some(mut house) = House::open(&BUS, &["state.image_seconds=1"]).await else { return };
    let mut written = Traffic::burst(&house, form().seed_of(test), 300).await;
    for (round, bu) in BUS.iter().enumerate() {
        let (topic, partitions) = (house.topics.events(bu), PARTITIONS as usize + 1 + round);
        if let Err(why) = add_partitions(&house, &topic, partitions).await {
            eprintln!("skipped: this broker can't add partitions to a topic ({why})");
            return;
        }
        written = written.and(Traffic::burst(&house, form().seed_of(test) + 1, 300).await);
        let last = (topic, i32::try_from(partitions).unwrap() - 1);
        assert!(written.ends.contains_key(&last), "the new partition is written to");
    }
    must_hold(test, &house, &written).await;
    house.kill();
    house.start().await;
    must_hold(test, &house, &written).await;
}

/// Not every broker can add partitions. To the server, one that has no leader yet is not there either.
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
    house.start().await;
    let traffic = Traffic::start(&house, form().seed_of(test));
    for topic in BUS.map(|bu| topics.events(bu)) {
        traffic.more(60).await;
        let known = house.clients().await.status().await.partitions;
        assert!(known.iter().all(|of| of.topic != topic || !late.contains(&of.partition)), "{known:?}");
        late.iter().for_each(|partition| cluster.partition_leader(&topic, *partition, Some(1)).unwrap());
        traffic.more(200).await;
    }
    let written = traffic.end().await;
    assert!(late.iter().all(|partition| written.ends.contains_key(&(topics.events(BUS[0]), *partition))));
    must_hold(test, &house, &written).await;
    house.kill();
    house.start().await;
    must_hold(test, &house, &written).await;
}
