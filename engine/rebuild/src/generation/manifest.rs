//! `manifest.json`: what a generation is, from what it was made, and how to tell that it is whole.
//!
//! The manifest's own checksum lies beside it in `manifest.crc32c` (eight hexadecimal digits), so that no byte of a
//! generation goes unchecked. Readers look at `format` and `format_version` before anything else.

use faces_index::{Effort, IndexKind, Metric, Tuned};
use serde::{Deserialize, Serialize};

use super::{GenerationId, seed_files::SEED};
use crate::{embedding::EmbeddingSource, gates::Verdict};

/// The value of [`Manifest::format`].
pub const FORMAT_NAME: &str = "faces-generation";
/// The format version this code writes, and the latest it reads.
pub const FORMAT_VERSION: u32 = 3;
/// The first that it reads: version 1 has no seed, and none before 3 has lists of items alike by content.
pub const FORMAT_VERSION_MIN: u32 = 1;

/// What a generation is, from what it was made, and how to tell that it is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`FORMAT_NAME`].
    pub format: String,
    /// The version of the folder's format.
    pub format_version: u32,
    /// The generation's id, also the name of its folder.
    pub id: GenerationId,
    /// When it was made, in milliseconds since 1970, UTC.
    pub created_at_ms: i64,
    /// The same for people, RFC 3339.
    pub created_at: String,
    /// The version of the code that made it.
    pub code_version: String,
    /// Everything it was trained on happened strictly before this time, in milliseconds since 1970, UTC.
    pub cut_off_ms: i64,
    /// Numbers in a vector.
    pub dimension: usize,
    /// Where the vectors come from.
    #[serde(default)]
    pub embeddings: EmbeddingSource,
    /// How vectors are compared.
    pub metric: Metric,
    /// How much of everything there is.
    pub counts: Counts,
    /// The parameters of training, as [`crate::TrainParams`] serialises; for people and comparisons, never for loading.
    pub parameters: serde_json::Value,
    /// How each unit's items are searched, and what else was tried; in the units' order.
    #[serde(default)]
    pub indexes: Vec<UnitIndex>,
    /// The files or topics it was made from; filled in by the caller of training.
    pub inputs: Vec<Input>,
    /// Hash (XXH3, 64 bits) of the file of rules for slates that was in force; filled in by the caller of training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_xxh3: Option<String>,
    /// What the gates found before it was published, and why it was published all the same if one refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Verdict>,
    /// The generation's files; filled in when it is published.
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// Bytes of what is loaded to answer: all but the seed.
    pub fn served_bytes(&self) -> u64 {
        let served = self.files.iter().filter(|file| !SEED.contains(&file.name.as_str()));
        served.map(|file| file.bytes).sum()
    }
}

/// How much of everything there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Items in the list.
    pub items: usize,
    /// Business units with items.
    pub units: usize,
    /// Items with a vector.
    pub embedded_items: usize,
    /// Item-to-item transitions.
    pub co_visited_pairs: usize,
    /// Pairs of items alike by what the catalogue says.
    #[serde(default)]
    pub content_pairs: usize,
    /// Items in the units' popular lists.
    pub popular_items: usize,
    /// Interactions trained on.
    pub interactions: usize,
    /// Persons trained on.
    pub persons: usize,
}

/// How a unit's items are searched. For people and comparisons: an index file says the same of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitIndex {
    /// The unit.
    pub bu: String,
    /// The kind of its index.
    pub kind: IndexKind,
    /// The effort of a search that names none.
    pub effort: Effort,
    /// What was tried and chosen; nothing where the kind was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<Tuned>,
}

/// Something a generation was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// A path, a URL or a topic.
    pub name: String,
    /// Its size in bytes as stored.
    pub bytes: u64,
    /// Rows read from it.
    pub rows: u64,
}

/// One file of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the generation's folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32C (Castagnoli) of all of it.
    pub crc32c: u32,
}
