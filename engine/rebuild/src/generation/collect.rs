//! Old generations go; what is current, what a roll-back would go to, and what somebody loads or serves stay.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
};

use super::{
    GenerationError, GenerationId, Store,
    files::{io_error, unique},
    store::{MANIFEST, STAGING},
};

/// What the folder of a generation that is being deleted begins with.
const DELETED: &str = ".deleted-";

/// While this is there, a generation is not collected: a lock of the operating system on its manifest, shared with others that use
/// it, gone with its holder.
#[derive(Debug)]
pub struct Held {
    _locked: File,
}

/// Why a generation stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is current.
    Current,
    /// A roll-back would go to it.
    Before,
    /// It is among the newest.
    New,
    /// A server loads or serves it.
    InUse,
}

/// What a collection came to.
#[derive(Debug, Default)]
pub struct Collected {
    /// Generations that went, or would go.
    pub deleted: Vec<GenerationId>,
    /// Those that stay, newest first.
    pub kept: Vec<(GenerationId, Kept)>,
    /// Folders that jobs left half-written when they died.
    pub leftovers: usize,
}

impl Store {
    /// Keeps a generation from being collected, as long as what this gives is there.
    ///
    /// # Errors
    /// [`GenerationError::Unknown`], [`GenerationError::Io`].
    pub fn hold(&self, id: &GenerationId) -> Result<Held, GenerationError> {
        let path = self.existing_folder(id)?.join(MANIFEST);
        let file = File::open(&path).map_err(io_error("read", &path))?;
        file.lock_shared().map_err(io_error("lock", &path))?;
        Ok(Held { _locked: file })
    }

    /// Deletes all but the `keep` newest generations, and what jobs left half-written. To be called with the [lease](super::Lease):
    /// what is being written looks like what was left. With `is_dry` nothing is deleted.
    ///
    /// # Errors
    /// [`GenerationError::Io`], [`GenerationError::BadPointer`] for a pointer that can't be read: then nothing is deleted.
    pub fn collect(&self, keep: usize, is_dry: bool) -> Result<Collected, GenerationError> {
        let _locked = self.lock()?; // nobody moves the pointer meanwhile
        let pointer = self.pointer()?;
        let before = pointer.as_ref().map(|pointer| self.before(pointer)).transpose()?.flatten();
        let mut collected = Collected::default();
        for (place, id) in self.list()?.into_iter().enumerate() {
            let kept = if pointer.as_ref().is_some_and(|pointer| pointer.id == id) {
                Some(Kept::Current)
            } else if before.as_ref() == Some(&id) {
                Some(Kept::Before)
            } else if place < keep {
                Some(Kept::New)
            } else if !self.delete(&id, is_dry)? {
                Some(Kept::InUse)
            } else {
                None
            };
            match kept {
                Some(why) => collected.kept.push((id, why)),
                None => collected.deleted.push(id),
            }
        }
        collected.leftovers = self.sweep(is_dry)?;
        Ok(collected)
    }

    /// Deletes a generation that nobody holds; false for one that somebody does.
    fn delete(&self, id: &GenerationId, is_dry: bool) -> Result<bool, GenerationError> {
        let folder = self.folder(id);
        let manifest = folder.join(MANIFEST);
        let file = match OpenOptions::new().read(true).write(!is_dry).open(&manifest) {
            Err(error) if error.kind() == ErrorKind::NotFound => None, // nobody can have loaded it
            file => Some(file.map_err(io_error("lock", &manifest))?),
        };
        if file.as_ref().is_some_and(|file| file.try_lock().is_err()) {
            return Ok(false);
        }
        if !is_dry {
            // Out of sight at one stroke, then bit by bit.
            let deleted = self.root().join(format!("{DELETED}{id}-{}", unique()));
            fs::rename(&folder, &deleted).map_err(io_error("delete", &folder))?;
            fs::remove_dir_all(&deleted).map_err(io_error("delete", &deleted))?;
        }
        Ok(true)
    }

    fn sweep(&self, is_dry: bool) -> Result<usize, GenerationError> {
        let mut leftovers = 0;
        for entry in fs::read_dir(self.root()).map_err(io_error("list", self.root()))? {
            let entry = entry.map_err(io_error("list", self.root()))?;
            let name = entry.file_name();
            let is_left = name.to_str().is_some_and(|name| name.starts_with(STAGING) || name.starts_with(DELETED));
            if is_left {
                leftovers += 1;
                if !is_dry {
                    fs::remove_dir_all(entry.path()).map_err(io_error("delete", &entry.path()))?;
                }
            }
        }
        Ok(leftovers)
    }
}
