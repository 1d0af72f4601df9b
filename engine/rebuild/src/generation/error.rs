//! Why a generation cannot be published, found or loaded.

use std::{io, path::PathBuf};

use super::GenerationId;

/// Why a generation cannot be published, found or loaded. Each names the file or folder.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}; check the path, the permissions and the space left", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// There is no such generation.
    #[error("generation {id} is not in {}; choose one that the store lists", root.display())]
    Unknown {
        /// The id asked for.
        id: GenerationId,
        /// The store.
        root: PathBuf,
    },
    /// A generation of that id is there already.
    #[error("generation {id} is already in {}; activate it, or train again", root.display())]
    AlreadyPublished {
        /// Its id.
        id: GenerationId,
        /// The store.
        root: PathBuf,
    },
    /// Somebody else moved the pointer in the meantime.
    #[error(
        "{} points at {found} where {expected} was expected: somebody else moved it meanwhile; {id} is stored but not current, \
         so compare the two and `faces generations activate` the one you want",
        root.display()
    )]
    Moved {
        /// What was to become current.
        id: GenerationId,
        /// What was current when the work began.
        expected: String,
        /// What is current now.
        found: String,
        /// The store.
        root: PathBuf,
    },
    /// Nothing is current.
    #[error("no generation is current in {}; run `faces rebuild`, or activate one that the store lists", root.display())]
    NothingCurrent {
        /// The store.
        root: PathBuf,
    },
    /// There is nothing to roll back to.
    #[error("{} knows no generation before {id}; choose one that the store lists and activate it", root.display())]
    NothingBefore {
        /// The current one.
        id: String,
        /// The store.
        root: PathBuf,
    },
    /// Another job has the store.
    #[error(
        "{} is leased by {holder} since {since}, until {until} unless it is renewed; wait for it (--wait), or see whether it still runs",
        root.display()
    )]
    Leased {
        /// The store.
        root: PathBuf,
        /// What, on which host, as which process.
        holder: String,
        /// When it began.
        since: String,
        /// When the lease ends by itself.
        until: String,
    },
    /// The lease went to another job, because it was not renewed in time.
    #[error("the lease of {} was lost before the work was done; nothing was published, run it again", root.display())]
    LeaseLost {
        /// The store.
        root: PathBuf,
    },
    /// A text that is no id.
    #[error("`{text}` is no generation id; one looks like gen-0123456789abcdef")]
    BadId {
        /// The text, cut to 64 characters.
        text: String,
    },
    /// The folder holds something else, or a manifest that cannot be read.
    #[error("{} is not a generation's manifest: {reason}; point at a folder that `faces rebuild` published", path.display())]
    NotAManifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Written by a later format.
    #[error("{} has format version {found}, and this program reads up to {known}; upgrade it or rebuild", path.display())]
    Newer {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The latest this program reads.
        known: u32,
    },
    /// A file is not what the manifest says, or not what its format says.
    #[error("{} is damaged: {reason}; restore the file or rebuild", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What says which generation is current says none.
    #[error("{} is damaged: {reason}; `faces generations activate` one that the store lists", path.display())]
    BadPointer {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Not signed by the key that is asked for.
    #[error("{} does not vouch for the generation: {reason}; load what was signed with the key of generations.verify_key", path.display())]
    NotSigned {
        /// The signature.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A text that is no key.
    #[error("{what} is no key of 64 hexadecimal digits; make a pair with `faces generations keygen`")]
    BadKey {
        /// Where it stands.
        what: String,
    },
    /// A key is never written over another file.
    #[error("{} is there already; name a new file, or move that one away", path.display())]
    KeyThere {
        /// The file.
        path: PathBuf,
    },
    /// Whole files that do not fit each other.
    #[error("generation in {} contradicts itself: {reason}; rebuild", path.display())]
    Inconsistent {
        /// The generation's folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
