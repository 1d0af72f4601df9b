//! Generations in a folder: published whole or not at all, checked before they are pointed at and when they are read.
//!
//! ```text
//! root/CURRENT                  the generation to serve, replaced atomically (`pointer`)
//! root/HISTORY                  what was current before, and why (`pointer`)
//! root/LEASE                    who rebuilds at the moment (`lease`)
//! root/gen-0123456789abcdef/    manifest.json, manifest.crc32c, perhaps manifest.sig, and the files of `parts`, `ranker_file` and `seed_files`
//! root/.staging-…               a generation being written, or one whose writer died; never looked at
//! ```
//!
//! A generation is written to a staging folder, every file synced, read back and checked, and then renamed: whoever
//! sees a `gen-` folder sees all of it, after a crash too. Two publishers never mix: each has its own staging folder,
//! and `CURRENT` moves only for whoever knows what it says.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    Expected, FORMAT_NAME, FORMAT_VERSION, FORMAT_VERSION_MIN, FileEntry, Generation, GenerationError, GenerationId, How,
    Manifest,
    files::{io_error, read_bounded, sync_folder, unique, write_synced},
    parts, ranker_file, seed_files,
    sign::{PublicKey, SIGNATURE, SecretKey},
};
use crate::{gates::Verdict, neighbour_lists::NeighbourLists, pace::Pace, seed::Seed, training::TrainingItem};

pub(super) const MANIFEST: &str = "manifest.json";
const MANIFEST_CHECKSUM: &str = "manifest.crc32c";
/// Longest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// Longest checksum that is read.
const CHECKSUM_BYTES_MAX: u64 = 256;
/// What the folder of a generation that is being written begins with.
pub(super) const STAGING: &str = ".staging-";

/// A folder of generations. Cheap; holds no open files.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    signs: Option<SecretKey>,
    verifies: Option<PublicKey>,
}

impl Store {
    /// Opens the store, making the folder if it is not there.
    ///
    /// # Errors
    /// [`GenerationError::Io`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, GenerationError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(io_error("make the folder", &root))?;
        Ok(Self { root, signs: None, verifies: None })
    }

    /// Signs what is published from now on.
    #[must_use]
    pub fn signing_with(self, key: SecretKey) -> Self {
        Self { signs: Some(key), ..self }
    }

    /// Takes only what this key vouches for.
    #[must_use]
    pub fn verifying_with(self, key: PublicKey) -> Self {
        Self { verifies: Some(key), ..self }
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes the generation and makes it the current one, whatever is current. On an error nothing is published.
    ///
    /// # Errors
    /// [`GenerationError`]: what [`Store::stage`] and [`Store::swing`] say.
    pub fn publish(&self, generation: &Generation) -> Result<GenerationId, GenerationError> {
        let id = self.stage(generation)?;
        self.swing(&id, Expected::Any, How::Published, "")?;
        Ok(id)
    }

    /// Writes the generation beside the others without making it the current one.
    ///
    /// # Errors
    /// As [`Store::prepare`], [`Prepared::read_back`] and [`Prepared::finish`].
    pub fn stage(&self, generation: &Generation) -> Result<GenerationId, GenerationError> {
        let prepared = self.prepare(generation)?;
        prepared.read_back()?;
        prepared.finish(None)
    }

    /// Writes the generation's files where nobody looks for generations.
    ///
    /// # Errors
    /// [`GenerationError::Inconsistent`] for parts that do not fit each other, [`GenerationError::AlreadyPublished`],
    /// [`GenerationError::Io`]. Nothing is left behind then.
    pub fn prepare(&self, generation: &Generation) -> Result<Prepared, GenerationError> {
        let id = generation.manifest.id.clone();
        let target = self.folder(&id);
        let inconsistent = |reason| GenerationError::Inconsistent { path: target.clone(), reason };
        if target.exists() {
            return Err(GenerationError::AlreadyPublished { id, root: self.root.clone() });
        }
        generation.check().map_err(inconsistent)?;
        let files = encode(generation).map_err(inconsistent)?;
        let staging = Staging::new(&self.root, &id)?;
        let mut manifest = generation.manifest.clone();
        manifest.files.clear();
        for (name, bytes) in &files {
            write_synced(&staging.path.join(name), bytes)?;
            let crc32c = crc32c::crc32c(bytes);
            manifest.files.push(FileEntry { name: name.clone(), bytes: bytes.len() as u64, crc32c });
        }
        let prepared = Prepared { store: self.clone(), target, staging, manifest };
        prepared.write_manifest()?;
        Ok(prepared)
    }

    /// Takes in a generation that lies elsewhere: `fetch` puts its files into a folder where nobody looks; there they are checked, and only
    /// then shown. It is not made current. Who takes in the same at the same time does not fail by it.
    ///
    /// # Errors
    /// What `fetch` and [`Store::load`] say, [`GenerationError::Io`]. Nothing is left behind then.
    pub fn receive<E: From<GenerationError>>(
        &self,
        id: &GenerationId,
        fetch: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let staging = Staging::new(&self.root, id)?;
        fetch(&staging.path)?;
        load_folder(&staging.path, id, self.verifies.as_ref(), &mut Pace::full())?;
        sync_folder(&staging.path)?;
        let target = self.folder(id);
        match staging.rename_to(&target) {
            Err(_) if target.is_dir() => Ok(()), // somebody else was quicker, and checked it as well
            renamed => Ok(renamed.and_then(|()| sync_folder(&self.root))?),
        }
    }

    /// The ids of all stored generations, newest first. Half-written ones are not among them.
    ///
    /// # Errors
    /// [`GenerationError::Io`].
    pub fn list(&self) -> Result<Vec<GenerationId>, GenerationError> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(io_error("list", &self.root))? {
            let entry = entry.map_err(io_error("list", &self.root))?;
            ids.extend(entry.file_name().to_str().and_then(|name| name.parse::<GenerationId>().ok()));
        }
        ids.sort_unstable_by(|left, right| right.cmp(left));
        Ok(ids)
    }

    /// Reads a generation's manifest alone: cheap, for lists.
    ///
    /// # Errors
    /// As [`Store::load`], for the manifest.
    pub fn manifest(&self, id: &GenerationId) -> Result<Manifest, GenerationError> {
        let folder = self.existing_folder(id)?;
        read_manifest(&folder, id, self.verifies.as_ref())
    }

    /// Reads and checks a whole generation: format, checksum and length of every file, counts, dimension, metric, every
    /// row in range. The seed is checked for damage alone and left where it is ([`Store::seed`]). Memory: the generation and its largest
    /// file; time: mostly the disk's.
    ///
    /// # Errors
    /// [`GenerationError::Unknown`], [`GenerationError::Newer`], [`GenerationError::NotAManifest`],
    /// [`GenerationError::Corrupt`], [`GenerationError::Inconsistent`], [`GenerationError::Io`].
    pub fn load(&self, id: &GenerationId) -> Result<Generation, GenerationError> {
        self.load_at(id, &mut Pace::full())
    }

    /// [`Store::load`] at a pace, beside work that should not feel it.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load_at(&self, id: &GenerationId, pace: &mut Pace) -> Result<Generation, GenerationError> {
        let folder = self.existing_folder(id)?;
        load_folder(&folder, id, self.verifies.as_ref(), pace)
    }

    /// Reads which items a generation has, by row.
    ///
    /// # Errors
    /// As [`Store::load`], for the manifest and the items.
    pub fn items(&self, id: &GenerationId) -> Result<Vec<TrainingItem>, GenerationError> {
        let folder = self.existing_folder(id)?;
        let manifest = read_manifest(&folder, id, self.verifies.as_ref())?;
        read_part(&folder, &manifest.files, parts::ITEMS, &mut Pace::full(), parts::decode_items)
    }

    /// Reads a generation's seed: what a server starts from where the log no longer tells it. `None` where it has none.
    ///
    /// # Errors
    /// As [`Store::load`], for the manifest and the seed's files.
    pub fn seed(&self, id: &GenerationId) -> Result<Option<Seed>, GenerationError> {
        let folder = self.existing_folder(id)?;
        let manifest = read_manifest(&folder, id, self.verifies.as_ref())?;
        if !has_seed(&manifest) {
            return Ok(None);
        }
        let (files, pace) = (&manifest.files, &mut Pace::full());
        let catalogue = read_part(&folder, files, seed_files::CATALOGUE, pace, seed_files::decode_catalogue)?;
        let neighbours = read_part(&folder, files, seed_files::NEIGHBOURS, pace, seed_files::decode_neighbours)?;
        let seed = Seed { catalogue, neighbours };
        match seed.check(manifest.counts.items) {
            Ok(()) => Ok(Some(seed)),
            Err(reason) => Err(GenerationError::Inconsistent { path: folder, reason }),
        }
    }

    pub(super) fn folder(&self, id: &GenerationId) -> PathBuf {
        self.root.join(id.as_str())
    }

    pub(super) fn existing_folder(&self, id: &GenerationId) -> Result<PathBuf, GenerationError> {
        let folder = self.folder(id);
        if folder.is_dir() { Ok(folder) } else { Err(GenerationError::Unknown { id: id.clone(), root: self.root.clone() }) }
    }
}

fn encode(generation: &Generation) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut files = vec![
        (parts::ITEMS.to_owned(), parts::encode_items(&generation.items)?),
        (parts::CO_VISITED.to_owned(), parts::encode_co_visited(&generation.co_visited)),
        (parts::CONTENT.to_owned(), parts::encode_content(&generation.content)),
        (parts::POPULAR.to_owned(), parts::encode_popular(&generation.popular)?),
    ];
    if let Some(trained) = &generation.ranker {
        files.push((ranker_file::RANKER.to_owned(), ranker_file::encode(trained)?));
    }
    for (place, space) in generation.spaces.iter().enumerate() {
        files.push((parts::space_name(place)?, parts::encode_space(space)?));
    }
    if let Some(seed) = &generation.seed {
        files.extend(seed_files::encode(seed)?);
    }
    Ok(files)
}

fn has_seed(manifest: &Manifest) -> bool {
    manifest.files.iter().any(|entry| seed_files::SEED.contains(&entry.name.as_str()))
}

fn load_folder(
    folder: &Path,
    id: &GenerationId,
    key: Option<&PublicKey>,
    pace: &mut Pace,
) -> Result<Generation, GenerationError> {
    let manifest = read_manifest(folder, id, key)?;
    let entries = &manifest.files;
    let items = read_part(folder, entries, parts::ITEMS, pace, parts::decode_items)?;
    let co_visited = read_part(folder, entries, parts::CO_VISITED, pace, parts::decode_co_visited)?;
    let popular = read_part(folder, entries, parts::POPULAR, pace, parts::decode_popular)?;
    let lists = |name: &str| entries.iter().any(|entry| entry.name == name);
    let (has_content, has_ranker) = (lists(parts::CONTENT), lists(ranker_file::RANKER));
    let content = has_content.then(|| read_part(folder, entries, parts::CONTENT, pace, parts::decode_content)).transpose()?;
    let content = content.unwrap_or_else(|| NeighbourLists::none(items.len()));
    let ranker = has_ranker.then(|| read_part(folder, entries, ranker_file::RANKER, pace, ranker_file::decode)).transpose()?;
    let seed_files = if has_seed(&manifest) { seed_files::SEED.as_slice() } else { &[] };
    seed_files.iter().try_for_each(|name| read_part(folder, entries, name, pace, |_| Ok(())))?;
    // Some files are no spaces. A listed file that is none of those expected shows as a space that is missing.
    let space_count = entries.len().saturating_sub(3 + usize::from(has_content) + usize::from(has_ranker) + seed_files.len());
    let mut spaces = Vec::with_capacity(space_count.min(1_024));
    for place in 0..space_count {
        let inconsistent = |reason| GenerationError::Inconsistent { path: folder.into(), reason };
        let name = parts::space_name(place).map_err(inconsistent)?;
        spaces.push(read_part(folder, entries, &name, pace, parts::decode_space)?);
    }
    let generation = Generation { manifest, items, spaces, co_visited, content, popular, ranker, seed: None };
    match generation.check() {
        Ok(()) => Ok(generation),
        Err(reason) => Err(GenerationError::Inconsistent { path: folder.into(), reason }),
    }
}

fn read_manifest(folder: &Path, id: &GenerationId, key: Option<&PublicKey>) -> Result<Manifest, GenerationError> {
    let path = folder.join(MANIFEST);
    let not_a_manifest = |reason: String| GenerationError::NotAManifest { path: path.clone(), reason };
    let bytes = read_bounded(&path, MANIFEST_BYTES_MAX)?;
    let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| not_a_manifest(error.to_string()))?;
    let format = json.get("format").and_then(serde_json::Value::as_str).unwrap_or("no format");
    if format != FORMAT_NAME {
        return Err(not_a_manifest(format!("it says `{format}` where `{FORMAT_NAME}` belongs")));
    }
    let found = json.get("format_version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if found > u64::from(FORMAT_VERSION) {
        return Err(GenerationError::Newer { path, found, known: FORMAT_VERSION });
    }
    if found < u64::from(FORMAT_VERSION_MIN) {
        return Err(not_a_manifest(format!("its format version {found} was never written")));
    }
    let checksum_path = folder.join(MANIFEST_CHECKSUM);
    let promised = read_bounded(&checksum_path, CHECKSUM_BYTES_MAX)?;
    let actual = format!("{:08x}", crc32c::crc32c(&bytes));
    if promised.trim_ascii_end() != actual.as_bytes() {
        let reason = format!("its checksum is {actual}, and {MANIFEST_CHECKSUM} says otherwise");
        return Err(GenerationError::Corrupt { path, reason });
    }
    key.map_or(Ok(()), |key| key.verify(folder, &bytes))?;
    let manifest: Manifest = serde_json::from_value(json).map_err(|error| not_a_manifest(error.to_string()))?;
    if &manifest.id != id {
        return Err(not_a_manifest(format!("it is the manifest of {} and lies in the place of {id}", manifest.id)));
    }
    Ok(manifest)
}

fn read_part<T>(
    folder: &Path,
    entries: &[FileEntry],
    name: &str,
    pace: &mut Pace,
    decode: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<T, GenerationError> {
    let path = folder.join(name);
    let corrupt = |reason: String| GenerationError::Corrupt { path: path.clone(), reason };
    let entry = entries.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| corrupt("the manifest does not list it".into()))?;
    let length = fs::metadata(&path).map_err(io_error("read", &path))?.len();
    if length != entry.bytes {
        return Err(corrupt(format!("it has {length} bytes and the manifest promises {}", entry.bytes)));
    }
    let (bytes, checksum) = read_at(&path, length, pace).map_err(io_error("read", &path))?;
    if checksum != entry.crc32c {
        return Err(corrupt(format!("its checksum is {checksum:08x} and the manifest promises {:08x}", entry.crc32c)));
    }
    let decoded = decode(&bytes).map_err(corrupt);
    pace.step();
    decoded
}

/// A file and its checksum, read a piece at a time.
fn read_at(path: &Path, length: u64, pace: &mut Pace) -> io::Result<(Vec<u8>, u32)> {
    const PIECE: u64 = 256 << 10;
    let (mut file, mut bytes) = (File::open(path)?, Vec::with_capacity(usize::try_from(length).unwrap_or(0)));
    let mut checksum = 0;
    loop {
        let before = bytes.len();
        if (&mut file).take(PIECE).read_to_end(&mut bytes)? == 0 {
            return Ok((bytes, checksum));
        }
        checksum = crc32c::crc32c_append(checksum, bytes.get(before..).unwrap_or_default());
        pace.step();
    }
}

/// A generation on disk that nobody can find yet; dropped, it is gone.
pub struct Prepared {
    store: Store,
    target: PathBuf,
    staging: Staging,
    manifest: Manifest,
}

impl Prepared {
    /// Reads and checks what was written, as [`Store::load`] does: what a server will have.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn read_back(&self) -> Result<Generation, GenerationError> {
        load_folder(&self.staging.path, &self.manifest.id, self.store.verifies.as_ref(), &mut Pace::full())
    }

    /// What it will be called.
    pub fn id(&self) -> &GenerationId {
        &self.manifest.id
    }

    /// The folder it lies in for now.
    pub fn folder(&self) -> &Path {
        &self.staging.path
    }

    /// Shows it to everybody, with what the gates found written into its manifest. It becomes current by [`Store::swing`].
    ///
    /// # Errors
    /// [`GenerationError::Io`]; nothing is left behind then.
    pub fn finish(mut self, verdict: Option<Verdict>) -> Result<GenerationId, GenerationError> {
        if verdict.is_some() {
            self.manifest.gates = verdict;
            let signature = self.store.signs.as_ref().map(|_| SIGNATURE);
            for name in [MANIFEST, MANIFEST_CHECKSUM].into_iter().chain(signature) {
                let path = self.staging.path.join(name);
                fs::remove_file(&path).map_err(io_error("replace", &path))?;
            }
            self.write_manifest()?;
        }
        sync_folder(&self.staging.path)?;
        self.staging.rename_to(&self.target)?;
        sync_folder(&self.store.root)?;
        Ok(self.manifest.id)
    }

    fn write_manifest(&self) -> Result<(), GenerationError> {
        let unwritten =
            |error: serde_json::Error| GenerationError::Inconsistent { path: self.target.clone(), reason: error.to_string() };
        let manifest = serde_json::to_vec_pretty(&self.manifest).map_err(unwritten)?;
        write_synced(&self.staging.path.join(MANIFEST), &manifest)?;
        let checksum = format!("{:08x}\n", crc32c::crc32c(&manifest));
        write_synced(&self.staging.path.join(MANIFEST_CHECKSUM), checksum.as_bytes())?;
        let signature = self.store.signs.as_ref().map(|key| key.sign(&manifest));
        signature.map_or(Ok(()), |signature| write_synced(&self.staging.path.join(SIGNATURE), signature.as_bytes()))
    }
}

/// A folder that goes away unless it is renamed.
struct Staging {
    path: PathBuf,
    is_published: bool,
}

impl Staging {
    fn new(root: &Path, id: &GenerationId) -> Result<Self, GenerationError> {
        let path = root.join(format!("{STAGING}{id}-{}", unique()));
        fs::create_dir(&path).map_err(io_error("make the folder", &path))?;
        Ok(Self { path, is_published: false })
    }

    fn rename_to(mut self, target: &Path) -> Result<(), GenerationError> {
        fs::rename(&self.path, target).map_err(io_error("rename a finished generation to", target))?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_published {
            // Best effort: an unfinished folder does no harm beyond its space.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
