//! The server is killed at random moments, also while it starts, and started again on its images.

use rand::RngExt as _;

use crate::{
    form::form,
    house::{House, eventually},
    traffic::{BUS, Traffic},
    verdict::must_hold,
};

const IMAGES_WRITTEN: &str = "faces_state_images_total{outcome=\"written\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_again_and_again_loses_nothing_and_counts_nothing_twice() {
    let test = "kill";
    let Some(mut house) = House::open(&BUS, &["state.image_seconds=1"]).await else { return };
    let mut dice = form().dice(test);
    let traffic = Traffic::start(&house, form().seed_of(test));
    let (kills, mut loaded) = (form().of(4, 20), 0);
    for kill in 0..kills {
        if kill % 4 == 2 {
            house.kill();
            house.launch().await; // and killed once more, somewhere in its start
            traffic.more(dice.random_range(0..200)).await;
        } else {
            if kill % 2 == 0 {
                eventually("an image", async || (house.metric(IMAGES_WRITTEN) > 0).then_some(())).await;
            }
            traffic.more(dice.random_range(50..500)).await;
        }
        house.kill();
        house.start().await;
        let has_loaded = house.server_log().contains("state loaded");
        loaded += u32::from(has_loaded);
        form().say(
            test,
            &format!(
                "killed, {} of {kills}; ready again, {}",
                kill + 1,
                if has_loaded { "from an image" } else { "from nothing" }
            ),
        );
    }
    assert!(loaded > 0, "no start found an image");
    let written = traffic.end().await;
    must_hold(test, &house, &written).await;
}
