//! Two replicas of one log.

use crate::{
    form::form,
    house::House,
    traffic::{BUS, Traffic},
    verdict::{must_hold, settled_alike},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_at_equal_positions_are_equal_whatever_happened_to_them() {
    let test = "replicas";
    let Some(mut one) = House::open(&BUS, &["state.image_seconds=1", "kafka.readers=1"]).await else { return };
    let mut other = one.beside(&["state.image_seconds=1", "kafka.readers=3", "kafka.batch_records_max=7"]).await;
    other.start().await;
    let traffic = Traffic::start(&one, form().seed_of(test));
    for round in 0..form().of(1, 5) {
        traffic.more(400).await;
        one.kill();
        traffic.more(200).await;
        one.start().await;
        form().say(test, &format!("round {round}: one was killed, the other was not"));
    }
    let written = traffic.end().await;
    let (ours, theirs) = settled_alike(&one, &other, &written).await;
    assert_eq!(ours, theirs);
    must_hold(test, &other, &written).await;
}
