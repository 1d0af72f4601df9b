//! A server that is asked to stop, and what `faces state digest` says of what it leaves behind.

use crate::{
    form::form,
    house::House,
    traffic::{BUS, Traffic},
    verdict::{Standing, counts, must_hold, settled},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_asked_to_stop_leaves_an_image_of_its_last_state() {
    let test = "stop";
    let Some(mut house) = House::open(&BUS, &[]).await else { return }; // no image before the last one
    let written = Traffic::burst(&house, form().seed_of(test), 1_000).await;
    let online = must_hold(test, &house, &written).await;
    house.stop().await;
    let offline = Standing::of_folder(&house.state());
    assert_eq!(offline, online, "the folder holds what the server held");
    assert_eq!(Standing::of_folder(&house.state()), offline, "and looking changes nothing");

    house.start().await;
    assert!(house.server_log().contains("state loaded"), "{}", house.server_log());
    assert_eq!(settled(&house, &written).await, online);
    assert_eq!(counts(&house).await.consumed, 0, "nothing is read again");

    // In the middle of reading.
    let traffic = Traffic::start(&house, form().seed_of(test) + 1);
    for round in 0..form().of(1, 5) {
        traffic.more(200).await;
        house.stop().await;
        let left = Standing::of_folder(&house.state());
        traffic.more(100).await;
        form().say(test, &format!("round {round}: stopped at {}", left.digest));
        house.start().await;
    }
    let written = written.and(traffic.end().await);
    let standing = must_hold(test, &house, &written).await;
    let last: i64 = standing.positions.values().sum();
    let first: i64 = online.positions.values().sum();
    let read = i64::try_from(counts(&house).await.consumed).unwrap();
    assert!(read <= last - first, "only the tail is read: {read} of {last}");
}
