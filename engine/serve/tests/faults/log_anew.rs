//! The log is another one than the server read before.

use std::time::Duration;

use faces_ingest::{
    Cluster,
    topics::{Layout, ensure},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

use crate::{
    form::form,
    house::{House, PARTITIONS, faces_says},
    oracle,
    traffic::{BUS, Traffic},
    verdict::{counts, settled},
};

/// Deletes a topic, and makes it anew, empty.
async fn make_anew(house: &House, bu: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", house.brokers()).create().unwrap();
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(10)));
    let deleted = admin.delete_topics(&[&house.topics.events(bu)], &options).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    let layout = Layout { partitions: PARTITIONS, replication: 1 };
    let made = ensure(&Cluster::at(house.brokers()), &house.topics, &[bu], layout).await.unwrap();
    assert_eq!(made, [house.topics.events(bu)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_anew_is_refused_until_somebody_says_forget_it() {
    let test = "anew";
    // The records of the new topic: fewer than were read from the old one, and more.
    for (round, again) in [50, 900].into_iter().enumerate() {
        let Some(mut house) = House::open(&BUS, &["state.image_seconds=1", "kafka.resume_ms_max=1000"]).await else { return };
        let seed = form().seed_of(test) + round as u64;
        let mut written = Traffic::burst(&house, seed, 500).await;
        settled(&house, &written).await;
        house.stop().await;
        let topic = house.topics.events(BUS[0]);
        make_anew(&house, BUS[0]).await;
        written.ends.retain(|(of, _), _| *of != topic);
        written = written.and(Traffic::burst(&house, seed + 100, again).await);

        let (code, log) = house.refusal().await;
        assert_eq!(code, Some(1), "{log}");
        let way_out = format!("faces state forget-topic {topic}");
        assert!(log.contains(&way_out), "{way_out:?} is not in: {log}");
        form().say(test, &format!("refused: {}", log.lines().find(|line| line.contains(&way_out)).unwrap_or_default()));
        let (code, _) = house.refusal().await;
        assert_eq!(code, Some(1), "the last image of a server that was refused does not forget");

        faces_says(&["state", "forget-topic", &topic, "--folder", house.state().to_str().unwrap()]);
        house.start().await;
        let expected = oracle::digest(&house.topics, &written.records, seed);
        settled(&house, &written).await.must_be(&expected, "what was known, joined with what the log has now");
        counts(&house).await;
        house.kill();
        house.start().await;
        settled(&house, &written).await.must_be(&expected, "and after a restart");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_images_of_another_log_are_refused() {
    let Some(mut house) = House::open(&BUS[..1], &[]).await else { return };
    house.stop().await;
    let folder = house.state().display().to_string();
    let Some(mut other) = House::closed(&BUS[..1], &[&format!("state.folder={folder}")]).await else { return };
    let (code, log) = other.refusal().await;
    assert_eq!(code, Some(1), "{log}");
    for part in [folder.as_str(), house.prefix(), other.prefix(), "name another folder, or delete it"] {
        assert!(log.contains(part), "{part:?} is not in: {log}");
    }
    house.start().await; // nothing happened to it
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_use_is_refused() {
    let Some(house) = House::open(&BUS[..1], &[]).await else { return };
    let folder = house.state().display().to_string();
    let mut other = house.beside(&[&format!("state.folder={folder}")]).await;
    let (code, log) = other.refusal().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&folder) && log.contains("is in use by process"), "{log}");
}
