//! A process may die, a disk may fill, and bytes may rot, at any step: what is loaded is an image that was made, or an error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

mod world;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use faces_core::{digest::Digest, record::Record};
use faces_state::{Files, Operation, Options, StateError};
use proptest::prelude::*;
use serde_json::json;
use world::{apply, cut, digest, digest_of, event, open, records};

/// Lets so many operations pass, half of the last append among them, and then nothing any more. What was not synced is torn.
#[derive(Default)]
struct Crash {
    left: Mutex<Option<usize>>,
    is_dead: Mutex<bool>,
    unsynced: Mutex<BTreeMap<PathBuf, u64>>, // bytes that are safe
}

impl Crash {
    fn after(&self, operations: usize) {
        *self.left.lock().unwrap() = Some(operations);
    }

    /// What the disk holds after the power went: of files not synced, what was safe and half of the rest.
    fn tear(&self) {
        for (path, safe) in self.unsynced.lock().unwrap().iter() {
            let Ok(file) = fs::OpenOptions::new().write(true).open(path) else { continue };
            let bytes = file.metadata().unwrap().len();
            file.set_len(safe + (bytes - safe) / 2).unwrap();
        }
    }
}

impl Files for Crash {
    fn allow(&self, operation: Operation, path: &Path) -> io::Result<usize> {
        let mut left = self.left.lock().unwrap();
        match left.as_mut() {
            Some(0) => {
                let is_first = !std::mem::replace(&mut *self.is_dead.lock().unwrap(), true);
                return match operation {
                    Operation::Append(bytes) if is_first => Ok(bytes / 2),
                    _ => Err(ErrorKind::BrokenPipe.into()),
                };
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let mut unsynced = self.unsynced.lock().unwrap();
        match operation {
            Operation::Create => _ = unsynced.insert(path.to_owned(), 0),
            Operation::Sync | Operation::Remove => _ = unsynced.remove(path),
            _ => {}
        }
        Ok(usize::MAX)
    }
}

fn some(from: u32, count: u32) -> Vec<Record> {
    (from..from + count).map(|n| event(n % 40, n % 17, (n % 7) as usize, i64::from(n))).collect()
}

#[test]
fn a_crash_at_any_step_leaves_the_image_before_or_the_new_one() {
    let parts = [some(0, 300), some(300, 40), some(340, 40)];
    let digests: Vec<Digest> = (1..=3).map(|n| digest_of(&parts[..n].concat())).collect();
    let (mut befores, mut afters) = (0, 0);
    for steps in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let crash = Arc::new(Crash::default());
        let options = Options { files: Some(crash.clone()), ..Options::new("log") };
        let (mut store, state, _) = open(folder.path(), options).unwrap();
        for (n, part) in parts[..2].iter().enumerate() {
            apply(&state, part);
            store.write(cut(&state), json!(n)).unwrap();
        }
        apply(&state, &parts[2]);
        crash.after(steps);
        let written = store.write(cut(&state), json!(2));
        let has_died = *crash.is_dead.lock().unwrap();
        drop(store);
        crash.tear();
        let (mut store, again, loaded) = open(folder.path(), Options::new("log")).unwrap();
        let image = loaded.unwrap().positions.as_u64().unwrap() as usize;
        assert!(image == 2 || (image == 1 && written.is_err()), "after {steps} steps: {written:?}, image {image}");
        assert_eq!(digest(&again), digests[image], "after {steps} steps");
        *(if image == 2 { &mut afters } else { &mut befores }) += 1;
        // Life goes on, and nothing is left lying about.
        apply(&again, &parts.concat());
        let mut folder_bytes = 0;
        for n in 3..5 {
            store.write(cut(&again), json!(n)).unwrap();
            folder_bytes = store.disk_bytes().unwrap();
        }
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{names:?} ({folder_bytes} bytes)");
        drop(store);
        let (_store, last, _) = open(folder.path(), Options::new("log")).unwrap();
        assert_eq!(digest(&last), digests[2]);
        if !has_died {
            break;
        }
    }
    assert!(befores > 3 && afters > 1, "{befores} before, {afters} after");
}

/// A disk on which nothing has room.
struct Full(Mutex<bool>);

impl Files for Full {
    fn allow(&self, operation: Operation, _: &Path) -> io::Result<usize> {
        match operation {
            Operation::Append(bytes) if *self.0.lock().unwrap() => Ok(bytes / 3),
            _ => Ok(usize::MAX),
        }
    }
}

#[test]
fn a_full_disk_costs_a_cycle_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let full = Arc::new(Full(Mutex::new(false)));
    let options = Options { files: Some(full.clone()), ..Options::new("log") };
    let (mut store, state, _) = open(folder.path(), options).unwrap();
    apply(&state, &some(0, 300));
    store.write(cut(&state), json!(0)).unwrap();
    let names = || -> Vec<_> { fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect() };
    let held = names();
    apply(&state, &some(300, 100));
    *full.0.lock().unwrap() = true;
    let error = store.write(cut(&state), json!(1)).unwrap_err();
    let StateError::Full { bytes_written, bytes_needed, .. } = &error else { panic!("{error}") };
    assert!((1..*bytes_needed).contains(bytes_written), "what found room is less than what is needed: {error}");
    assert!(error.to_string().contains("segment-"), "{error}");
    assert_eq!(names(), held, "room is given back");
    *full.0.lock().unwrap() = false;
    apply(&state, &some(400, 100));
    store.write(cut(&state), json!(2)).unwrap();
    drop(store);
    let (_store, again, _) = open(folder.path(), Options::new("log")).unwrap();
    assert_eq!(digest(&again), digest(&state));
}

/// A folder with two images, and the digests of both.
fn two_images(folder: &Path, records: &[Record]) -> [Digest; 2] {
    let (mut store, state, _) = open(folder, Options::new("log")).unwrap();
    let (first, second) = records.split_at(records.len() * 3 / 4);
    apply(&state, first);
    store.write(cut(&state), json!(0)).unwrap();
    let before = digest(&state);
    apply(&state, second);
    store.write(cut(&state), json!(1)).unwrap();
    [before, digest(&state)]
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| !path.ends_with("lock")).collect();
    files.sort();
    files
}

/// Loads what is in a damaged folder: it must be one of the two images, or an error that says what to do.
fn check_damaged(folder: &Path, digests: [Digest; 2]) -> Result<(), TestCaseError> {
    match open(folder, Options::new("log")) {
        Ok((_, state, Some(loaded))) => {
            let image = loaded.positions.as_u64().unwrap() as usize;
            prop_assert_eq!(digest(&state), digests[image]);
            prop_assert!(image == 1 || !loaded.passed_over.is_empty(), "{:?}", loaded);
        }
        Ok((.., None)) => prop_assert!(false, "silently empty"),
        Err(error) => {
            let says_so = matches!(error, StateError::NoneUsable { .. });
            prop_assert!(says_so, "{}", error);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_noticed_or_harmless(
        records in records(20..200),
        damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8_u8, 0..3_u8), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let digests = two_images(folder.path(), &records);
        for (file, place, bit, kind) in damages {
            let files = files(folder.path());
            let path = file.get(&files);
            let whole = fs::read(path).unwrap();
            let mut damaged = whole.clone();
            let place = place.index(whole.len());
            match kind {
                0 => damaged[place] ^= 1 << bit,
                1 => damaged.truncate(place),
                _ => fs::remove_file(path).unwrap(),
            }
            if kind < 2 {
                fs::write(path, &damaged).unwrap();
            }
            // The oldest image alone gone is no damage to the newest, and the newest gone leaves the one before.
            if kind < 2 || path.extension().is_some_and(|extension| extension == "bin") {
                check_damaged(folder.path(), digests)?;
            }
            fs::write(path, &whole).unwrap();
        }
        let (_store, state, _) = open(folder.path(), Options::new("log")).unwrap();
        prop_assert_eq!(digest(&state), digests[1]);
    }

    /// Sections that pass their checksum and are nonsense all the same: no panic, no huge buffer.
    #[test]
    fn nonsense_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), records in records(20..60)) {
        let folder = tempfile::tempdir().unwrap();
        two_images(folder.path(), &records);
        for path in files(folder.path()) {
            fs::write(path, &bytes).unwrap();
        }
        let is_refused = matches!(open(folder.path(), Options::new("log")), Err(StateError::NoneUsable { .. }));
        prop_assert!(is_refused);
    }
}

#[test]
fn both_images_damaged_is_an_error_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    two_images(folder.path(), &some(0, 100));
    for path in files(folder.path()).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        fs::write(path, "faces-image 1 0 0\n").unwrap();
    }
    let error = open(folder.path(), Options::new("log")).err().unwrap().to_string();
    assert!(error.contains("object store") && error.contains("delete it"), "{error}");
}
