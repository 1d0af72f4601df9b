//! Files of the state's folder are torn or changed while the server is down.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::{
    form::form,
    house::{House, eventually},
    oracle,
    traffic::{BUS, Traffic, Written},
    verdict::{must_hold, settled},
};

/// Files whose names begin with `kind`, newest first.
fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind)).collect();
    let number = |path: &PathBuf| -> u64 {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.split('-').nth(1).unwrap().parse().unwrap()
    };
    found.sort_by_key(|path| std::cmp::Reverse(number(path)));
    found
}

/// The newest image, or the segment that was written with it: one that nothing changed before shares the segments of the image before.
fn newest(folder: &Path, dice: &mut ChaCha8Rng) -> PathBuf {
    let image = files(folder, "image-").remove(0);
    let name = image.file_stem().unwrap().to_str().unwrap().replace("image-", "segment-");
    let segment = folder.join(format!("{name}.bin"));
    if dice.random_bool(0.5) && segment.exists() { segment } else { image }
}

/// Truncates a file, or changes one byte of it; says what.
fn damage(file: &Path, dice: &mut ChaCha8Rng) -> String {
    let mut bytes = fs::read(file).unwrap();
    let at = dice.random_range(0..bytes.len());
    let what = if dice.random_bool(0.5) {
        bytes.truncate(at);
        "cut off at"
    } else {
        bytes[at] ^= 1 << dice.random_range(0..8_u32);
        "changed at"
    };
    fs::write(file, bytes).unwrap();
    format!("{} {what} byte {at}", file.file_name().unwrap().display())
}

/// Lets the server write at least two images more, so that there is one to fall back to; then it is down.
async fn write_images_and_end(house: &mut House, dice: &mut ChaCha8Rng) {
    eventually("an image", async || (house.metric("faces_state_images_total{outcome=\"written\"}") > 1).then_some(())).await;
    if dice.random_bool(0.5) {
        house.stop().await;
    } else {
        house.kill();
    }
}

async fn must_be(house: &House, written: &Written, what: &str) {
    let expected = oracle::digest(&house.topics, &written.records, 0);
    settled(house, written).await.must_be(&expected, what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_image_is_passed_over_for_the_one_before() {
    let test = "damage";
    let Some(mut house) = House::open(&BUS, &["state.image_seconds=1"]).await else { return };
    let mut dice = form().dice(test);
    let mut written = Traffic::burst(&house, form().seed_of(test), 1_500).await;
    for round in 0..form().of(3, 15) {
        write_images_and_end(&mut house, &mut dice).await;
        let what = damage(&newest(&house.state(), &mut dice), &mut dice);
        form().say(test, &format!("round {round}: {what}"));
        house.start().await;
        let log = house.server_log();
        assert!(log.contains("state loaded") && log.contains("an image is damaged; using another"), "{what}: {log}");
        must_be(&house, &written, &what).await;
        written = written.and(Traffic::burst(&house, dice.random(), 100).await);
        must_be(&house, &written, &what).await;
    }

    // Nothing is whole: it says so, and what to do.
    write_images_and_end(&mut house, &mut dice).await;
    let what: Vec<_> = files(&house.state(), "image-").iter().map(|file| damage(file, &mut dice)).collect();
    let (code, log) = house.refusal().await;
    assert_eq!(code, Some(1), "{what:?}: {log}");
    for part in [house.state().to_str().unwrap(), "can be used", "delete it to build the state anew from the log"] {
        assert!(log.contains(part), "{part:?} is not in: {log}");
    }
    fs::remove_dir_all(house.state()).unwrap();
    house.start().await;
    must_hold(test, &house, &written).await;
}
