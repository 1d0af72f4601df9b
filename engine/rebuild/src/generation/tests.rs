//! What is published comes back the same; what is damaged, foreign or half-written is refused and named.

use std::{fs, path::Path};

use faces_core::catalogue::ItemAttributes;
use faces_index::{Scratch, Search};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    TrainParams,
    training::{Interaction, Log},
};

pub(super) fn generation(seed: u32) -> Generation {
    let item = |id: u32| TrainingItem { bu: format!("u{}", id % 2), item_id: format!("item-{id}") };
    let act =
        |n: u32| Interaction { person: n % 13, item: (n * 7 + n % 13 + seed) % 30, ts_ms: i64::from(n) * 3_600_000, weight: 1.0 };
    let attributes = |id: u32| ItemAttributes { title: format!("thing {id}"), price: Some(f64::from(id)), ..Default::default() };
    let log = Log::new((0..32).map(item).collect(), (0..200).map(act).collect()).unwrap();
    let log = log.with_attributes((0..32).map(attributes).collect()).unwrap();
    let mut params = TrainParams::default();
    params.embedding.dimension = 6;
    crate::train_at(&log, &params, 1_767_225_600_000 + i64::from(seed), &|_, _| ()).unwrap()
}

fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path().join("generations")).unwrap();
    (folder, store)
}

fn found(space: &Space, query: &[f32]) -> Vec<(u32, u32)> {
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    let search = Search::new(query, 5);
    space.index.search(&search, &mut scratch, &mut found).unwrap();
    found.iter().map(|neighbour| (neighbour.row, neighbour.score.to_bits())).collect()
}

#[test]
fn who_is_not_the_first_to_take_in_a_generation_has_it_all_the_same() {
    let ((_there, theirs), (_here, ours)) = (store(), store());
    let id = theirs.stage(&generation(0)).unwrap();
    let copy = |to: &Path| {
        fs::read_dir(theirs.root().join(id.as_str())).unwrap().flatten().for_each(|file| {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        });
        Ok::<_, GenerationError>(())
    };
    // While one is fetching, another begins and ends.
    let slow = ours.receive(&id, |to| copy(to).and_then(|()| ours.receive(&id, copy)));
    slow.unwrap();
    ours.load(&id).unwrap();
    assert_eq!(fs::read_dir(ours.root()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_published_comes_back() {
    let (_folder, store) = store();
    assert_eq!(store.current().unwrap(), None);
    let mut made = generation(0);
    made.manifest.inputs.push(Input { name: "events.csv".into(), bytes: 12, rows: 3 });
    let id = store.publish(&made).unwrap();
    assert_eq!((store.current().unwrap(), store.list().unwrap()), (Some(id.clone()), vec![id.clone()]));
    let loaded = store.load(&id).unwrap();
    assert_eq!(loaded.manifest.files.len(), 6 + made.spaces.len());
    assert_eq!(
        (loaded.seed.clone(), store.seed(&id).unwrap(), store.items(&id).unwrap()),
        (None, made.seed.clone(), made.items.clone())
    );
    assert!(made.seed.as_ref().is_some_and(|seed| seed.catalogue[7].title == "thing 7" && seed.neighbours.people_count() > 0));
    let of_all: u64 = loaded.manifest.files.iter().map(|file| file.bytes).sum();
    assert!(loaded.manifest.served_bytes() < of_all, "a server that runs does not load the seed");
    assert_eq!(Manifest { files: vec![], ..loaded.manifest.clone() }, made.manifest);
    assert_eq!(loaded.manifest, store.manifest(&id).unwrap());
    assert_eq!(loaded.items, made.items);
    assert_eq!(loaded.co_visited, made.co_visited);
    assert_eq!(loaded.content, made.content);
    assert!(loaded.content.rows().len() > 32, "titles have words in common");
    assert_eq!(loaded.popular, made.popular);
    assert_eq!(loaded.spaces.len(), made.spaces.len());
    for (loaded, made) in loaded.spaces.iter().zip(&made.spaces) {
        assert_eq!((&loaded.bu, &loaded.rows), (&made.bu, &made.rows));
        assert_eq!(loaded.index.vectors(), made.index.vectors());
        let mut query = Vec::new();
        assert!(made.vector_into(made.rows[0], &mut query) && !made.vector_into(u32::MAX, &mut query.clone()));
        assert_eq!(found(loaded, &query), found(made, &query));
        assert_eq!(made.item_row(made.index_row(made.rows[1]).unwrap()), Some(made.rows[1]));
    }
    assert!(loaded.space("u1").is_some() && loaded.space("u9").is_none());
    let parameters: TrainParams = serde_json::from_value(loaded.manifest.parameters).unwrap();
    assert_eq!(parameters.embedding.dimension, 6);
}

#[test]
fn roll_back_is_one_call() {
    let (_folder, store) = store();
    let (first, second) = (store.publish(&generation(0)).unwrap(), store.publish(&generation(1)).unwrap());
    assert_eq!(store.current().unwrap().as_ref(), Some(&second));
    assert_eq!(store.list().unwrap(), [second.clone(), first.clone()]);
    store.activate(&first).unwrap();
    assert_eq!(store.current().unwrap().as_ref(), Some(&first));
    let again = store.publish(&generation(1)).unwrap_err();
    assert!(matches!(again, GenerationError::AlreadyPublished { .. }), "{again}");
    let unknown: GenerationId = "gen-0000000000000000".parse().unwrap();
    assert!(matches!(store.activate(&unknown), Err(GenerationError::Unknown { .. })));
    assert_eq!(store.current().unwrap().as_ref(), Some(&first));
}

#[test]
fn a_half_written_generation_is_not_there() {
    let (_folder, store) = store();
    let id = store.publish(&generation(0)).unwrap();
    // A publisher that died: its staging folder holds everything but the rename, its pointer everything but that.
    let staging = store.root().join(format!(".staging-{id}-9-9"));
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("items.bin"), b"FACESGEN").unwrap();
    fs::write(store.root().join(".CURRENT-9-9"), b"gen-0000000000000000").unwrap();
    fs::write(store.root().join("gen-notes.txt"), b"").unwrap();
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&id));
    assert_eq!(store.current().unwrap(), Some(id));
}

#[test]
fn what_contradicts_itself_is_not_published() {
    let (_folder, store) = store();
    let refused = |spoil: fn(&mut Generation), reason: &str| {
        let mut made = generation(0);
        spoil(&mut made);
        let message = store.publish(&made).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
        assert!(fs::read_dir(store.root()).unwrap().next().is_none(), "nothing is left behind");
    };
    refused(|made| made.manifest.dimension = 7, "dimension 6 where the manifest has 7");
    refused(|made| made.manifest.metric = faces_index::Metric::InnerProduct, "metric");
    refused(|made| made.manifest.counts.items += 1, "the manifest promises");
    refused(|made| made.spaces.clear(), "no index at all");
    refused(|made| made.spaces.reverse(), "order");
    refused(|made| made.spaces[0].bu = "u00".into(), "item row 0 is of unit u0");
    refused(|made| *made.spaces[0].rows.last_mut().unwrap() = 98, "item row 98 of 32");
    refused(|made| made.spaces[0].rows.swap(0, 1), "do not ascend");
    refused(|made| made.spaces[1].rows.truncate(2), "vectors for");
    refused(|made| made.items[3] = made.items[5].clone(), "there twice");
    refused(|made| made.items.truncate(20), "item row 20 of 20");
    refused(|made| made.items.clear(), "no items");
    refused(|made| made.seed.as_mut().unwrap().catalogue.truncate(9), "its catalogue covers 9 items of 32");
}

#[test]
fn a_bad_pointer_is_named() {
    let (_folder, store) = store();
    for text in ["", "gen-../../../etc", "gen-0123\n", &"x".repeat(300)] {
        fs::write(store.root().join("CURRENT"), text).unwrap();
        let message = store.current().unwrap_err().to_string();
        assert!(message.contains("CURRENT is damaged"), "{message}");
    }
}

/// Publishes, lets `spoil` at the folder, and expects loading and activating to refuse, naming `file` and `reason`.
#[track_caller]
fn check_refused(spoil: impl Fn(&Path), file: &str, reason: &str) {
    let (_folder, store) = store();
    let kept = store.publish(&generation(0)).unwrap();
    let id = store.stage(&generation(1)).unwrap();
    spoil(&store.root().join(id.as_str()));
    let message = store.load(&id).unwrap_err().to_string();
    assert!(message.contains(file) && message.contains(reason), "{message}");
    assert_eq!(store.activate(&id).unwrap_err().to_string(), message);
    assert_eq!(store.current().unwrap(), Some(kept));
}

/// Replaces text in the manifest and, if asked, makes its checksum fit.
fn edit_manifest(from: &'static str, to: &'static str, is_signed: bool) -> impl Fn(&Path) {
    move |folder| {
        let path = folder.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        let text = text.replacen(from, to, 1);
        fs::write(&path, &text).unwrap();
        if is_signed {
            fs::write(folder.join("manifest.crc32c"), format!("{:08x}", crc32c::crc32c(text.as_bytes()))).unwrap();
        }
    }
}

#[test]
fn damaged_and_foreign_folders_are_refused() {
    let cut = |name: &'static str, bytes: usize| {
        move |folder: &Path| {
            let whole = fs::read(folder.join(name)).unwrap();
            fs::write(folder.join(name), &whole[..whole.len() - bytes]).unwrap();
        }
    };
    let remove = |name: &'static str| move |folder: &Path| fs::remove_file(folder.join(name)).unwrap();
    check_refused(remove("manifest.json"), "manifest.json", "cannot read");
    check_refused(remove("manifest.crc32c"), "manifest.crc32c", "cannot read");
    check_refused(remove("space-0001.bin"), "space-0001.bin", "cannot read");
    check_refused(remove("content.bin"), "content.bin", "cannot read");
    check_refused(edit_manifest("\"content.bin\"", "\"contents.bin\"", true), "space-0002.bin", "does not list it");
    check_refused(remove("neighbours.bin"), "neighbours.bin", "cannot read");
    check_refused(cut("catalogue.bin", 1), "catalogue.bin", "bytes and the manifest promises");
    check_refused(edit_manifest("\"catalogue.bin\"", "\"catalog.bin\"", true), "catalogue.bin", "does not list it");
    check_refused(cut("items.bin", 1), "items.bin", "bytes and the manifest promises");
    check_refused(cut("space-0000.bin", 4), "space-0000.bin", "bytes and the manifest promises");
    check_refused(cut("manifest.json", 20), "manifest.json", "not a generation's manifest");
    let emptied = |folder: &Path| fs::write(folder.join("co_visited.bin"), b"").unwrap();
    check_refused(emptied, "co_visited.bin", "it has 0 bytes");
    let foreign = |folder: &Path| fs::write(folder.join("manifest.json"), b"{\"name\":\"web app\"}").unwrap();
    check_refused(foreign, "manifest.json", "`no format` where `faces-generation` belongs");
    check_refused(edit_manifest("\"dimension\": 6", "\"dimension\": 7", false), "manifest.json", "its checksum is");
    check_refused(edit_manifest("\"dimension\": 6", "\"dimension\": 7", true), "gen-", "dimension 6 where the manifest has 7");
    check_refused(edit_manifest("\"items\": 32", "\"items\": 31", true), "gen-", "the manifest promises");
    check_refused(edit_manifest("\"cosine\"", "\"inner_product\"", true), "gen-", "metric");
    check_refused(edit_manifest("format_version\": 3", "format_version\": 4", true), "manifest.json", "upgrade it or rebuild");
    check_refused(edit_manifest("format_version\": 3", "format_version\": 0", true), "manifest.json", "never written");
    check_refused(edit_manifest("\"popular.bin\"", "\"../popular.bin\"", true), "popular.bin", "does not list it");
    check_refused(edit_manifest("\"space-0001.bin\"", "\"space-9999.bin\"", true), "space-0001.bin", "does not list it");
    let moved = |folder: &Path| {
        let other = folder.parent().unwrap().join(generation(0).manifest.id.as_str());
        fs::copy(other.join("manifest.json"), folder.join("manifest.json")).unwrap();
        fs::copy(other.join("manifest.crc32c"), folder.join("manifest.crc32c")).unwrap();
    };
    check_refused(moved, "manifest.json", "lies in the place of");
}

#[test]
fn a_generation_of_before_there_were_seeds_is_read() {
    let (_folder, store) = store();
    let id = store.publish(&Generation { seed: None, ..generation(0) }).unwrap();
    edit_manifest("format_version\": 3", "format_version\": 1", true)(&store.root().join(id.as_str()));
    assert_eq!((store.load(&id).unwrap().items.len(), store.seed(&id).unwrap()), (32, None));
}

#[test]
fn a_generation_of_before_there_was_content_is_read() {
    let (_folder, store) = store();
    let made = generation(0);
    let id = store.publish(&made).unwrap();
    let folder = store.root().join(id.as_str());
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    manifest["format_version"] = 2.into();
    manifest["files"].as_array_mut().unwrap().retain(|file| file["name"] != "content.bin");
    manifest["counts"].as_object_mut().unwrap().remove("content_pairs").unwrap();
    manifest["parameters"].as_object_mut().unwrap().remove("content").unwrap();
    let manifest = serde_json::to_vec(&manifest).unwrap();
    fs::write(folder.join("manifest.json"), &manifest).unwrap();
    fs::write(folder.join("manifest.crc32c"), format!("{:08x}", crc32c::crc32c(&manifest))).unwrap();
    fs::remove_file(folder.join("content.bin")).unwrap();

    let loaded = store.load(&id).unwrap();
    assert_eq!(loaded.content, NeighbourLists::none(32));
    assert_eq!((loaded.co_visited, loaded.spaces.len()), (made.co_visited, made.spaces.len()));
    let parameters: TrainParams = serde_json::from_value(loaded.manifest.parameters).unwrap();
    assert_eq!(parameters, TrainParams { content: Default::default(), ..parameters.clone() });
}

#[test]
fn every_flipped_byte_of_every_file_is_noticed() {
    let (_folder, store) = store();
    let id = store.publish(&generation(0)).unwrap();
    let folder = store.root().join(id.as_str());
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 10);
    for path in names {
        let whole = fs::read(&path).unwrap();
        for place in (0..whole.len()).step_by(whole.len() / 40 + 1) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            fs::write(&path, damaged).unwrap();
            assert!(store.load(&id).is_err(), "byte {place} of {}", path.display());
        }
        fs::write(&path, whole).unwrap();
    }
    store.load(&id).unwrap();
}

proptest! {
    /// Behind the checksums stands a decoder that may see anything: it must refuse, not panic, not fill the memory.
    #[test]
    fn decoders_survive_any_bytes(
        part in 0..5_usize,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut: bool,
    ) {
        thread_local! {
            static FILES: [Vec<u8>; 5] = {
                let made = generation(0);
                [
                    parts::encode_items(&made.items).unwrap(),
                    parts::encode_space(&made.spaces[0]).unwrap(),
                    parts::encode_co_visited(&made.co_visited),
                    parts::encode_content(&made.content),
                    parts::encode_popular(&made.popular).unwrap(),
                ]
            };
        }
        let mut bytes = FILES.with(|files| files[part].clone());
        for (place, byte) in &edits {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let is_whole = edits.is_empty() && !is_cut;
        let is_decoded = match part {
            0 => parts::decode_items(&bytes).is_ok(),
            1 => parts::decode_space(&bytes).is_ok(),
            2 => parts::decode_co_visited(&bytes).is_ok(),
            3 => parts::decode_content(&bytes).is_ok(),
            _ => parts::decode_popular(&bytes).is_ok(),
        };
        prop_assert!(is_decoded || !is_whole);
        prop_assert!(!(is_decoded && is_cut));
    }
}
