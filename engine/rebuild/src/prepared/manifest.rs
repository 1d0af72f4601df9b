//! `manifest.json` of prepared tables.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    TrainParams, cooccurrence::PairParams, covisitation::CoVisitationParams, generation::Input, popularity::PopularityParams,
    training::AssemblyReport,
};

/// The value of [`PreparedManifest::format`].
pub const PREPARED_FORMAT: &str = "faces-prepared";
/// The version this code writes and reads.
pub const PREPARED_VERSION: u32 = 2;

/// What is counted: the part of [`TrainParams`] that the tables depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counting {
    /// Each unit's popular items.
    pub popularity: PopularityParams,
    /// Item-to-item transitions.
    pub co_visitation: CoVisitationParams,
    /// Pairs under the embeddings.
    pub associations: PairParams,
    /// Associations kept for one item.
    pub contexts_max: usize,
    /// Moments that examples for the ranker are taken from, the latest ones.
    pub examples_max: usize,
    /// Events that are gone through for these, whoever's they are: about so many, the latest ones.
    pub replayed_max: usize,
}

impl From<&TrainParams> for Counting {
    fn from(params: &TrainParams) -> Self {
        Self {
            popularity: params.popularity,
            co_visitation: params.co_visitation,
            associations: params.embedding.pairs,
            contexts_max: params.embedding.contexts_max,
            examples_max: params.ranker.examples_max,
            replayed_max: params.ranker.replayed_max,
        }
    }
}

/// What was prepared, and how to tell that it is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreparedManifest {
    /// Always [`PREPARED_FORMAT`].
    pub format: String,
    /// [`PREPARED_VERSION`].
    pub version: u32,
    /// What was counted.
    pub counting: Counting,
    /// Everything in the tables happened strictly before this time, in milliseconds since 1970, UTC.
    pub cut_off_ms: i64,
    /// The files read, with their rows.
    pub inputs: Vec<Input>,
    /// What became of the rows.
    pub report: AssemblyReport,
    /// The tables.
    pub tables: Vec<PreparedTable>,
    /// How long each step took, in its order.
    pub seconds_by_step: Vec<(String, f64)>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedTable {
    /// Its folder.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Checksum of the set of its rows: equal for equal content, however it lies in files.
    pub content: String,
    /// Its files, in the order of their rows.
    pub files: Vec<PreparedFile>,
}

/// One file of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedFile {
    /// Its path below the folder of all tables.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32C (Castagnoli) of all of it.
    pub crc32c: u32,
}

impl PreparedFile {
    /// The file as it lies on disk. Reads all of it.
    ///
    /// # Errors
    /// What reading says.
    pub fn of(folder: &Path, name: &str) -> io::Result<Self> {
        use io::Read as _;
        let mut file = fs::File::open(folder.join(name))?;
        let (mut bytes, mut crc32c, mut block) = (0, 0, vec![0; 1 << 20]);
        loop {
            let read = file.read(&mut block)?;
            let Some(part) = block.get(..read).filter(|part| !part.is_empty()) else { break };
            bytes += part.len() as u64;
            crc32c = crc32c::crc32c_append(crc32c, part);
        }
        Ok(Self { name: name.to_owned(), bytes, crc32c })
    }
}
