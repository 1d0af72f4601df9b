//! An image: which sections make up the state, and what they belong to.
//!
//! The file is one line of text (magic, format, checksum, length) and JSON. Any change to it is noticed, but for the letter case of
//! the checksum's digits, which means the same.

use std::{collections::BTreeSet, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use faces_core::{ids::EventTime, table::SHARDS};

pub(crate) const FORMAT: u32 = 1;
const MAGIC: &str = "faces-image";
/// Largest image file that is read, bytes: thousands of sections per shard.
const BYTES_MAX: u64 = 1 << 30;

/// Names a file of a folder: its number, and who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct FileId {
    pub(crate) number: u64,
    pub(crate) run: u64,
}

impl FileId {
    pub(crate) fn segment_name(self) -> String {
        format!("segment-{:08}-{:016x}.bin", self.number, self.run)
    }

    pub(crate) fn image_name(self) -> String {
        format!("image-{:08}-{:016x}.json", self.number, self.run)
    }

    /// The id in the name of a segment.
    pub(crate) fn of_segment(name: &str) -> Option<Self> {
        Self::of(name.strip_prefix("segment-")?.strip_suffix(".bin")?)
    }

    /// The id in the name of an image.
    pub(crate) fn of_image(name: &str) -> Option<Self> {
        Self::of(name.strip_prefix("image-")?.strip_suffix(".json")?)
    }

    /// Whether this is the name of an image or a segment.
    pub(crate) fn is_any(name: &str) -> bool {
        Self::of_segment(name).or_else(|| Self::of_image(name)).is_some()
    }

    fn of(stem: &str) -> Option<Self> {
        let (number, run) = stem.split_once('-')?;
        Some(Self { number: number.parse().ok()?, run: u64::from_str_radix(run, 16).ok()? })
    }
}

/// A part of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Section {
    /// Position in [`Manifest::segments`].
    #[serde(rename = "s")]
    pub(crate) segment: usize,
    #[serde(rename = "o")]
    pub(crate) offset: u64,
    #[serde(rename = "b")]
    pub(crate) bytes: u64,
    #[serde(rename = "x")]
    pub(crate) checksum: u64,
    /// Values in it: fragments and nodes, or items.
    #[serde(rename = "n")]
    pub(crate) values: u64,
    /// Whether it is (part of) the whole, not what changed.
    #[serde(rename = "w")]
    pub(crate) is_base: bool,
}

/// A segment that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentRef {
    pub(crate) id: FileId,
    pub(crate) bytes: u64,
    /// Segments of the lineage before it: tells how old it is.
    pub(crate) order: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) id: FileId,
    /// Drawn at random when the first image of a history is made; later images inherit it.
    pub(crate) lineage: u64,
    /// Milliseconds since 1970 UTC; grows along a lineage.
    pub(crate) created_ms: i64,
    pub(crate) log: String,
    pub(crate) positions: Value,
    pub(crate) newest_ms: Option<i64>,
    pub(crate) horizon_ms: Option<i64>,
    /// Segments written along the lineage.
    pub(crate) segment_count: u64,
    pub(crate) segments: Vec<SegmentRef>,
    /// Items in the sections below.
    pub(crate) item_count: u64,
    /// Oldest first: those of a whole, then changes.
    pub(crate) items: Vec<Section>,
    /// By shard; each as `items`.
    pub(crate) shards: Vec<Vec<Section>>,
}

impl Manifest {
    pub(crate) fn newest(&self) -> Option<EventTime> {
        self.newest_ms.map(EventTime::from_millis)
    }

    pub(crate) fn horizon(&self) -> Option<EventTime> {
        self.horizon_ms.map(EventTime::from_millis)
    }

    pub(crate) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.items.iter().chain(self.shards.iter().flatten())
    }

    /// Names of everything the image needs, itself included.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let segments = self.segments.iter().map(|segment| segment.id.segment_name());
        segments.chain([self.id.image_name()]).collect()
    }

    /// Bytes of its segments.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Bytes of its sections.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.sections().map(|section| section.bytes).sum()
    }

    /// Drops the segments in which no section lies any more.
    pub(crate) fn forget_dead_segments(&mut self) {
        let used: BTreeSet<usize> = self.sections().map(|section| section.segment).collect();
        let mut positions = vec![0; self.segments.len()];
        for (new, old) in used.iter().enumerate() {
            if let Some(position) = positions.get_mut(*old) {
                *position = new;
            }
        }
        self.segments = used.iter().filter_map(|old| self.segments.get(*old).copied()).collect();
        for section in self.items.iter_mut().chain(self.shards.iter_mut().flatten()) {
            section.segment = positions.get(section.segment).copied().unwrap_or_default();
        }
    }

    /// The file's bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let json = serde_json::to_vec(self)?;
        let mut file = format!("{MAGIC} {FORMAT} {:016x} {}\n", xxh3_64(&json), json.len()).into_bytes();
        file.extend(json);
        Ok(file)
    }

    /// The image in a file's bytes, or what is wrong with them.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, String> {
        let end = file.iter().take(100).position(|byte| *byte == b'\n').ok_or("no header line")?;
        let (line, json) = file.split_at(end);
        let json = json.get(1..).unwrap_or_default();
        let line = std::str::from_utf8(line).map_err(|_| "header line is no text")?;
        let parts: Vec<&str> = line.split(' ').collect();
        let [magic, format, checksum, bytes] = parts.as_slice() else { return Err("header line has not four parts".into()) };
        if *magic != MAGIC {
            return Err(format!("starts with {magic:?}, not with {MAGIC:?}"));
        }
        if *format != FORMAT.to_string() {
            return Err(format!("has format {format}; this version of faces reads {FORMAT}"));
        }
        if *bytes != json.len().to_string() {
            return Err(format!("is torn: {} bytes of {bytes}", json.len()));
        }
        let is_whole = checksum.len() == 16 && u64::from_str_radix(checksum, 16) == Ok(xxh3_64(json));
        if !is_whole {
            return Err("checksum does not match".into());
        }
        let manifest: Self = serde_json::from_slice(json).map_err(|error| format!("can't be read: {error}"))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// What must hold whatever the bytes say.
    fn check(&self) -> Result<(), String> {
        if self.shards.len() != SHARDS {
            return Err(format!("has {} shards instead of {SHARDS}", self.shards.len()));
        }
        for section in self.sections() {
            let end = section.offset.saturating_add(section.bytes);
            let segment_bytes = self.segments.get(section.segment).map_or(0, |segment| segment.bytes);
            if end > segment_bytes {
                return Err("a section lies outside its segment".into());
            }
        }
        Ok(())
    }

    /// The image in a file, or what is wrong with it.
    pub(crate) fn read(folder: &Path, id: FileId) -> Result<Self, String> {
        let name = id.image_name();
        let read = || -> Result<Self, String> {
            let path = folder.join(&name);
            let bytes = path.metadata().map_err(|error| error.to_string())?.len();
            if bytes > BYTES_MAX {
                return Err(format!("has {bytes} bytes, which no image has"));
            }
            let manifest = Self::decode(&std::fs::read(path).map_err(|error| error.to_string())?)?;
            if manifest.id != id {
                return Err(format!("is really {}", manifest.id.image_name()));
            }
            Ok(manifest)
        };
        read().map_err(|reason| format!("{name}: {reason}"))
    }
}
