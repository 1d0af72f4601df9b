//! The folder of images, held by one process.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    hash::{BuildHasher, RandomState},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use faces_core::state::State;

use crate::{
    RemoteOptions, RemoteStatus, StateError,
    files::{self, Disk, Files},
    manifest::{FileId, Manifest},
    remote::Remote,
    section::keys::KeysBuffer,
};

const LOCK: &str = "lock";

/// What a store may be told.
#[derive(Clone)]
pub struct Options {
    /// Which log the state comes from, for example the prefix of its topics. A folder of another log is refused.
    pub log: String,
    /// Most bytes written per second, so that images never starve reading the log; 0: no bound.
    pub bytes_per_second_max: u64,
    /// Where copies go, and are taken from when the folder has none as new.
    pub remote: Option<RemoteOptions>,
    /// The wall clock: milliseconds since 1970 UTC.
    pub now_ms: fn() -> i64,
    /// Asked before every change to the folder; for tests.
    pub files: Option<Arc<dyn Files>>,
}

impl Options {
    /// The usual ones, for a log.
    #[must_use]
    pub fn new(log: &str) -> Self {
        Self { log: log.to_owned(), bytes_per_second_max: 0, remote: None, now_ms, files: None }
    }
}

/// A folder of images, held for writing until this is dropped.
pub struct ImageStore {
    pub(crate) folder: PathBuf,
    pub(crate) options: Options,
    pub(crate) disk: Disk,
    pub(crate) run: u64,
    pub(crate) next_number: u64,
    /// The newest image, and the one before.
    pub(crate) current: Option<Manifest>,
    pub(crate) previous: Option<Manifest>,
    /// The state that was loaded into.
    pub(crate) state: Option<Weak<State>>,
    /// The cut that the newest image is of; 0: as it was loaded.
    pub(crate) kept: u32,
    pub(crate) cycle_bytes: u64,
    pub(crate) buffer: KeysBuffer,
    pub(crate) remote: Option<Remote>,
    _lock: File,
}

impl ImageStore {
    /// Takes a folder, made if need be. Nothing is read or deleted yet. With a `remote`, its uploads run in a thread of their own.
    ///
    /// # Errors
    /// [`StateError::InUse`] if another process has it, [`StateError::Remote`] for a URL that can't be used, else a file operation
    /// that failed.
    pub fn open(folder: &Path, options: Options) -> Result<Self, StateError> {
        fs::create_dir_all(folder).map_err(StateError::io("create", folder))?;
        let lock = lock(folder)?;
        let numbers = files::names(folder)?;
        let ids = numbers.iter().filter_map(|name| FileId::of_segment(name).or_else(|| FileId::of_image(name)));
        let next_number = ids.map(|id| id.number).max().map_or(1, |number| number.saturating_add(1));
        let disk = Disk::new(options.files.clone());
        let remote = options.remote.as_ref().map(|remote| Remote::open(remote, folder, &options.log)).transpose()?;
        Ok(Self {
            folder: folder.to_owned(),
            options,
            disk,
            run: draw(),
            next_number,
            current: None,
            previous: None,
            state: None,
            kept: 0,
            cycle_bytes: 0,
            buffer: KeysBuffer::default(),
            remote,
            _lock: lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How copying to the object store goes; `None` without one.
    #[must_use]
    pub fn remote_status(&self) -> Option<RemoteStatus> {
        self.remote.as_ref().map(Remote::status)
    }

    /// Copies the newest image to the object store if it is not there yet, and waits. To be called before a machine goes away.
    ///
    /// # Errors
    /// What kept the copy from being made.
    pub fn copy_now(&self) -> Result<(), StateError> {
        match (&self.remote, &self.current) {
            (Some(remote), Some(image)) => remote.copy_now(image),
            _ => Ok(()),
        }
    }

    /// Bytes of all files in the folder.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn disk_bytes(&self) -> Result<u64, StateError> {
        let names = files::names(&self.folder)?;
        Ok(names.iter().filter_map(|name| self.folder.join(name).metadata().ok()).map(|file| file.len()).sum())
    }

    /// Deletes what no kept image needs. What can't be deleted now is deleted later.
    pub(crate) fn clean(&self) {
        let kept = self.current.iter().chain(&self.previous);
        let mut needed: BTreeSet<String> = kept.flat_map(Manifest::names).collect();
        if let Some(remote) = &self.remote {
            needed.extend(remote.pinned());
        }
        if let Err(error) = clean(&self.disk, &self.folder, &needed) {
            tracing::warn!(%error, "an image that is not needed any more stays for now");
        }
    }
}

/// Deletes images, segments and leftovers that are not `needed`. Images go before what they need.
pub(crate) fn clean(disk: &Disk, folder: &Path, needed: &BTreeSet<String>) -> Result<(), StateError> {
    let names = files::names(folder)?;
    let is_ours = |name: &&String| FileId::is_any(name) || is_leftover(name);
    let mut dead: Vec<&String> = names.iter().filter(is_ours).filter(|name| !needed.contains(*name)).collect();
    dead.sort_unstable(); // "image" before "segment"
    dead.iter().try_for_each(|name| disk.remove(&folder.join(name)))
}

fn is_leftover(name: &str) -> bool {
    name.strip_suffix(".tmp").is_some_and(|stem| {
        FileId::of_image(&format!("{stem}.json")).is_some() || FileId::of_segment(&format!("{stem}.bin")).is_some()
    })
}

/// Takes the folder's lock, which the system gives back when the process ends, however it ends.
pub(crate) fn lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(StateError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            _ = file.take(32).read_to_string(&mut holder);
            let holder = if holder.is_empty() { "(unknown)".to_owned() } else { holder };
            return Err(StateError::InUse { folder: folder.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(StateError::Io { doing: "lock", path, source }),
    }
    let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    // A full disk must not keep anybody from starting: the id is for people.
    if let Err(error) = noted {
        tracing::warn!(%error, path = %path.display(), "can't note the process id");
    }
    Ok(file)
}

/// A random number: std's per-process random keys, over what differs between calls.
pub(crate) fn draw() -> u64 {
    RandomState::new().hash_one((std::process::id(), now_ms()))
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
