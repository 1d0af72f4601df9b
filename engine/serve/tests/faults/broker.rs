//! The broker is killed and started again, with its data.

use faces_testbroker::Broker;
use rand::RngExt as _;

use crate::{
    form::form,
    house::House,
    traffic::{BUS, Traffic},
    verdict::must_hold,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_and_started_again_costs_nothing_that_it_had_acknowledged() {
    let test = "broker";
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Broker::durable(folder.path()).unwrap() else { return };
    let mut house = House::closed_on(&broker, &BUS, &["state.image_seconds=1"]).await;
    house.start().await;
    let mut dice = form().dice(test);
    // A producer that gave up a record asks for its next epoch, at which Tansu's SQLite storage fails for good, so none may be given up.
    let traffic = Traffic::with_patience(&house, form().seed_of(test), 30_000);
    let kills = form().of(2, 6);
    for kill in 1..=kills {
        traffic.more(dice.random_range(100..400)).await;
        broker.kill();
        form().say(test, &format!("broker killed, {kill} of {kills}"));
        if kill % 2 == 0 {
            house.kill(); // both at once
        }
        broker.restart().unwrap();
        if kill % 2 == 0 {
            house.start().await;
        }
        traffic.more(100).await;
    }
    let written = traffic.end().await;
    must_hold(test, &house, &written).await;
}
