//! The files of an archive: their names, putting one in place, and where the chain of a partition ends.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use faces_ingest::tail::{Place, Resume};
use faces_state::ObjectPlace;
use futures::TryStreamExt as _;
use jiff::civil::Date;
use object_store::{ObjectStoreExt as _, PutMode, PutOptions, path::Path};
use parquet::file::{reader::FileReader as _, serialized_reader::SerializedFileReader};
use tokio::runtime::Runtime;

use crate::causes::causes;

/// The key in a file's footer that says which offset comes next.
pub(super) const NEXT_OFFSET: &str = "faces.next_offset";

/// Where files lie. Everything asynchronous stays inside.
#[derive(Debug)]
pub(super) struct Lake {
    place: ObjectPlace,
    runtime: Runtime,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It is in place.
    Done,
    /// One of that name is there already.
    TakenBefore,
}

impl Lake {
    /// Opens a folder, made if it is not there, or a place in an object store.
    pub(super) fn open(to: &str) -> Result<Self> {
        let url = if to.contains("://") { to.to_owned() } else { folder_url(to)? };
        let place = ObjectPlace::open(&url)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { place, runtime })
    }

    /// Puts a file in place, whole, unless one of its name is there.
    pub(super) fn put(&self, (topic, partition): &Place, day: Date, first: i64, bytes: Vec<u8>) -> Result<Put> {
        let path = self.topic(topic).join(format!("day={day}")).join(name(topic, *partition, first));
        let options = PutOptions::from(PutMode::Create);
        match self.runtime.block_on(self.place.store.put_opts(&path, bytes.into(), options)) {
            Ok(_) => Ok(Put::Done),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Put::TakenBefore),
            Err(error) => Err(error)
                .with_context(|| format!("cannot write {path} in {}; check the permissions and the space left", self.place.url)),
        }
    }

    fn topic(&self, topic: &str) -> Path {
        self.place.prefix.clone().join(topic)
    }

    /// The last file of each partition of a topic.
    fn last_files(&self, topic: &str) -> Result<HashMap<i32, (i64, Path)>> {
        let prefix = self.topic(topic);
        let listed = self.runtime.block_on(self.place.store.list(Some(&prefix)).try_collect::<Vec<_>>());
        let listed = listed.with_context(|| format!("cannot list {prefix} in {}", self.place.url))?;
        let mut last: HashMap<i32, (i64, Path)> = HashMap::new();
        for path in listed.into_iter().map(|file| file.location) {
            let Some((partition, first)) = path.filename().and_then(|name| parse(topic, name)) else { continue };
            if last.get(&partition).is_none_or(|(before, _)| *before < first) {
                last.insert(partition, (first, path));
            }
        }
        Ok(last)
    }

    /// What the footer of a file says comes next.
    fn next_offset(&self, path: &Path) -> Result<i64> {
        let read = async { self.place.store.get(path).await?.bytes().await };
        let bytes: Bytes = self.runtime.block_on(read).with_context(|| format!("cannot read {path} in {}", self.place.url))?;
        let damaged = || format!("{path} in {} is not a file of this archive; restore or remove it", self.place.url);
        let reader = SerializedFileReader::new(bytes).with_context(damaged)?;
        let pairs = reader.metadata().file_metadata().key_value_metadata().into_iter().flatten();
        let next = pairs.filter(|pair| pair.key == NEXT_OFFSET).find_map(|pair| pair.value.as_ref()?.parse().ok());
        next.with_context(damaged)
    }
}

impl Resume for Lake {
    fn resume(&self, places: &[Place]) -> Result<Vec<Option<i64>>, String> {
        let mut by_topic = HashMap::new();
        let resumed = places.iter().map(|(topic, partition)| {
            if !by_topic.contains_key(topic) {
                by_topic.insert(topic.clone(), self.last_files(topic)?);
            }
            let last = by_topic.get(topic).and_then(|last| last.get(partition));
            last.map(|(_, path)| self.next_offset(path)).transpose()
        });
        resumed.collect::<Result<_>>().map_err(|error| causes(&error))
    }
}

fn folder_url(folder: &str) -> Result<String> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {folder}"))?;
    let absolute = std::fs::canonicalize(folder).with_context(|| format!("cannot open the folder {folder}"))?;
    let url = url::Url::from_directory_path(&absolute).ok();
    url.map(String::from).with_context(|| format!("{} is no path that a URL can name", absolute.display()))
}

fn name(topic: &str, partition: i32, first: i64) -> String {
    format!("{topic}-{partition}-{first:020}.parquet")
}

/// Partition and first offset in a file's name.
fn parse(topic: &str, name: &str) -> Option<(i32, i64)> {
    let numbers = name.strip_prefix(topic)?.strip_prefix('-')?.strip_suffix(".parquet")?;
    let (partition, first) = numbers.split_once('-')?;
    Some((partition.parse().ok()?, first.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_written() {
        let written = name("faces.events.video-a", 7, 123);
        assert_eq!(parse("faces.events.video-a", &written), Some((7, 123)));
        assert_eq!(parse("faces.events.video", &written), None);
        for other in ["faces.identity-7.parquet", "faces.identity-7-x.parquet", "faces.identity-7-1.parquet#1"] {
            assert_eq!(parse("faces.identity", other), None, "{other}");
        }
    }

    #[test]
    fn a_name_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        let (place, day) = (("t".to_owned(), 0), jiff::civil::date(2026, 1, 2));
        assert_eq!(lake.put(&place, day, 5, b"one".to_vec()).unwrap(), Put::Done);
        assert_eq!(lake.put(&place, day, 5, b"two".to_vec()).unwrap(), Put::TakenBefore);
        let file = folder.path().join("t/day=2026-01-02/t-0-00000000000000000005.parquet");
        assert_eq!(std::fs::read(&file).unwrap(), b"one");
        // What no archiver wrote is no place to go on from.
        assert!(lake.resume(&[place]).unwrap_err().contains("not a file of this archive"));
    }
}
