//! Copies in an object store: made, kept few, and fetched where they are newer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

mod world;

use std::{fs, path::Path, time::Duration};

use faces_core::record::Record;
use faces_state::{ImageStore, ObjectPlace, Options, RemoteOptions, StateError};
use serde_json::json;
use world::{apply, cut, digest, event, open, state};

fn options(remote: &Path) -> Options {
    let url = format!("file://{}", remote.display());
    Options { remote: Some(RemoteOptions { url, interval: Duration::from_secs(3600) }), ..Options::new("log") }
}

fn some(from: u32, count: u32) -> Vec<Record> {
    (from..from + count).map(|n| event(n % 400, n % 70, (n % 7) as usize, i64::from(n))).collect()
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_copy_replaces_a_lost_folder() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut store, first, loaded) = open(here.path(), options(there.path())).unwrap();
    assert!(loaded.is_none());
    apply(&first, &some(0, 2000));
    store.write(cut(&first), json!(0)).unwrap();
    store.copy_now().unwrap();
    for n in 1..6 {
        apply(&first, &some(2000 * n, 500));
        store.write(cut(&first), json!(n)).unwrap();
        store.copy_now().unwrap();
    }
    let status = store.remote_status().unwrap();
    assert_eq!((status.copied, status.failures, status.is_copying), (Some(6), 0, false), "{status:?}");
    assert!(count(there.path()) <= count(here.path()), "what nobody needs is deleted there too");
    drop(store);

    // Lost altogether.
    let other = tempfile::tempdir().unwrap();
    let (mut store, second, loaded) = open(other.path(), options(there.path())).unwrap();
    let loaded = loaded.unwrap();
    assert!(loaded.is_fetched && loaded.positions == json!(5), "{loaded:?}");
    assert_eq!(digest(&second), digest(&first));
    apply(&second, &some(20_000, 500));
    store.write(cut(&second), json!(6)).unwrap();
    store.copy_now().unwrap();
    drop(store);

    // Older here than there, by now; what is the same is not fetched again.
    let (store, third, loaded) = open(here.path(), options(there.path())).unwrap();
    assert_eq!(loaded.unwrap().positions, json!(6));
    assert_eq!(digest(&third), digest(&second));
    drop(store);

    // Damaged here.
    for file in fs::read_dir(here.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "bin") {
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(&file, bytes).unwrap();
        }
    }
    let (_store, fourth, loaded) = open(here.path(), options(there.path())).unwrap();
    assert!(loaded.unwrap().is_fetched);
    assert_eq!(digest(&fourth), digest(&second));
}

#[test]
fn of_copies_the_newest_that_is_whole_is_fetched() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut store, first, _) = open(here.path(), options(there.path())).unwrap();
    let mut digests = Vec::new();
    for n in 0..2 {
        apply(&first, &some(200 * n, 200));
        store.write(cut(&first), json!(n)).unwrap();
        store.copy_now().unwrap();
        digests.push(digest(&first));
    }
    let segments = fs::read_dir(there.path()).unwrap().map(|entry| entry.unwrap().path());
    let newest = segments.filter(|path| path.extension().is_some_and(|extension| extension == "bin")).max().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    *bytes.last_mut().unwrap() ^= 4;
    fs::write(&newest, bytes).unwrap();
    let other = tempfile::tempdir().unwrap();
    let (_store, again, loaded) = open(other.path(), options(there.path())).unwrap();
    let loaded = loaded.unwrap();
    assert!(loaded.is_fetched && loaded.positions == json!(0), "{loaded:?}");
    assert_eq!(digest(&again), digests[0]);
}

#[test]
fn what_is_newer_here_is_not_fetched() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut store, first, _) = open(here.path(), options(there.path())).unwrap();
    apply(&first, &some(0, 200));
    store.write(cut(&first), json!(0)).unwrap();
    store.copy_now().unwrap();
    apply(&first, &some(200, 200));
    store.write(cut(&first), json!(1)).unwrap(); // within the interval: not copied
    drop(store);
    let (_store, again, loaded) = open(here.path(), options(there.path())).unwrap();
    let loaded = loaded.unwrap();
    assert!(!loaded.is_fetched && loaded.positions == json!(1), "{loaded:?}");
    assert_eq!(digest(&again), digest(&first));
}

#[test]
fn a_store_that_cant_be_used_is_named() {
    let here = tempfile::tempdir().unwrap();
    for url in ["nonsense", "gopher://somewhere/x"] {
        let remote = RemoteOptions { url: url.to_owned(), interval: Duration::ZERO };
        let refused = ImageStore::open(here.path(), Options { remote: Some(remote), ..Options::new("log") });
        assert!(matches!(refused, Err(StateError::Remote { .. })), "{url}");
    }
    if cfg!(not(feature = "aws")) {
        let refused = ObjectPlace::open("s3://bucket/x").unwrap_err().to_string();
        assert!(refused.contains("s3://bucket/x") && refused.contains("--features aws"), "{refused}");
    }
    let there = tempfile::tempdir().unwrap();
    let (mut store, state_, _) = open(here.path(), options(there.path())).unwrap();
    apply(&state_, &some(0, 10));
    store.write(cut(&state_), json!(0)).unwrap();
    store.copy_now().unwrap();
    drop(store);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut store = ImageStore::open(elsewhere.path(), Options { log: "another".into(), ..options(there.path()) }).unwrap();
    assert!(matches!(store.load(&state(), &|_| ()), Err(StateError::OtherLog { .. })));
}
