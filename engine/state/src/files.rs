//! Every change to a folder goes through here, so that tests can stop it at any step.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

use crate::StateError;

/// What is about to be done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new file.
    Create,
    /// Bytes at its end; so many.
    Append(usize),
    /// Its bytes are made to last.
    Sync,
    /// It gets its name.
    Rename,
    /// It goes.
    Remove,
    /// Names in a folder are made to last.
    SyncFolder,
}

/// Asked before every change to a folder; for tests, which refuse. Gives how many bytes of an [`Operation::Append`] may pass.
pub trait Files: Send + Sync {
    /// Lets an operation pass, or not.
    ///
    /// # Errors
    /// What the operation is to fail with.
    fn allow(&self, operation: Operation, path: &Path) -> io::Result<usize>;
}

/// Changes to files, watched.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    watcher: Option<Arc<dyn Files>>,
}

impl Disk {
    pub(crate) fn new(watcher: Option<Arc<dyn Files>>) -> Self {
        Self { watcher }
    }

    fn allow(&self, operation: Operation, path: &Path) -> io::Result<usize> {
        self.watcher.as_ref().map_or(Ok(usize::MAX), |watcher| watcher.allow(operation, path))
    }

    pub(crate) fn create(&self, path: &Path) -> Result<File, StateError> {
        let created = self.allow(Operation::Create, path).and_then(|_| File::create_new(path));
        created.map_err(StateError::io("create", path))
    }

    /// Bytes that were written go with the error.
    pub(crate) fn append(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let allowed = self.allow(Operation::Append(bytes.len()), path)?;
        match bytes.get(..allowed) {
            Some(part) if part.len() < bytes.len() => {
                file.write_all(part)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => file.write_all(bytes),
        }
    }

    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<(), StateError> {
        self.allow(Operation::Sync, path).and_then(|_| file.sync_all()).map_err(StateError::io("sync", path))
    }

    /// Writes a small file whole or not at all: beside, synced, renamed, folder synced.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), StateError> {
        let beside = path.with_extension("tmp");
        let put = || {
            let mut file = self.create(&beside)?;
            self.append(&mut file, &beside, bytes).map_err(StateError::io("write", &beside))?;
            self.sync(&file, &beside)?;
            self.rename(&beside, path)
        };
        let put = put();
        if put.is_err() {
            _ = self.remove(&beside);
        }
        put
    }

    /// Gives a file its name, for good.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), StateError> {
        let renamed = self.allow(Operation::Rename, to).and_then(|_| fs::rename(from, to));
        renamed.map_err(StateError::io("name", to))?;
        self.sync_folder_of(to)
    }

    pub(crate) fn sync_folder_of(&self, path: &Path) -> Result<(), StateError> {
        let Some(folder) = path.parent() else { return Ok(()) };
        let synced = self.allow(Operation::SyncFolder, folder).and_then(|_| File::open(folder)?.sync_all());
        synced.map_err(StateError::io("sync", folder))
    }

    /// No error if there is nothing to remove.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), StateError> {
        match self.allow(Operation::Remove, path).and_then(|_| fs::remove_file(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(StateError::io("remove", path)),
        }
    }
}

/// Fills `buffer` with `bytes` bytes from `offset` on.
pub(crate) fn read_at(file: &mut File, offset: u64, bytes: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    if buffer.len() != bytes {
        buffer.resize(bytes, 0);
    }
    file.read_exact(buffer)
}

/// Names of the files in a folder; other things are passed over.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, StateError> {
    let read = || -> io::Result<Vec<String>> {
        let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    };
    read().map_err(StateError::io("list", folder))
}
