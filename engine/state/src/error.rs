//! What can go wrong, and the way out.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why an image was not written or loaded.
#[derive(Debug, Error)]
pub enum StateError {
    /// Another process writes here.
    #[error("folder {folder} is in use by process {holder}: stop it, or use another folder", folder = folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Its process id, as far as known.
        holder: String,
    },
    /// A file operation failed.
    #[error("can't {doing} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full; the image before stands.
    #[error(
        "no room for image {image}: {path} took {bytes_written} bytes and no more, at least {bytes_needed} are needed; \
         free space or move the folder (the image before is untouched, the next cycle tries again)",
        path = path.display()
    )]
    Full {
        /// The image that was not written.
        image: u64,
        /// The file that found no room.
        path: PathBuf,
        /// Bytes that found room; they were given back.
        bytes_written: u64,
        /// As many as the cycle before took, or as were to be written until then.
        bytes_needed: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Images are there, but none is whole.
    #[error(
        "no image in {folder} can be used ({}); restore the folder from its object store copy, or delete it to build the state anew from the log",
        reasons.join("; "),
        folder = folder.display()
    )]
    NoneUsable {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with each image.
        reasons: Vec<String>,
    },
    /// The folder belongs to another log.
    #[error(
        "{folder} holds images of the log {found:?}, not of {expected:?}: name another folder, or delete it to build the state anew",
        folder = folder.display()
    )]
    OtherLog {
        /// The folder (or object store).
        folder: PathBuf,
        /// The log the images are of.
        found: String,
        /// The log the caller reads.
        expected: String,
    },
    /// The bytes are not what their checksum was made of. The state is to be thrown away.
    #[error("image {image} changed while it was loaded ({reason}): throw the state away and load again")]
    Torn {
        /// The image.
        image: u64,
        /// What is wrong.
        reason: String,
    },
    /// A cut is being held by somebody else, or `write` came before `load`.
    #[error("{0}")]
    Misuse(&'static str),
    /// The object store can't be used.
    #[error("object store {url}: {reason}")]
    Remote {
        /// Its URL, without credentials.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

impl StateError {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}
