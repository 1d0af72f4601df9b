//! Why no tables were prepared.

use std::{io, path::PathBuf};

use datafusion::error::DataFusionError;
use faces_rebuild::{
    prepared::PreparedError,
    tables::{TS_MS_MAX, TS_MS_MIN, TableError},
};

/// Why no tables were prepared. Nothing half-made looks like something whole then.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// A path, pattern or URL that can't be one.
    #[error("{given} is no path, pattern or URL of a table: {reason}")]
    Source {
        /// As it was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing there.
    #[error("{given} names no file; give a Parquet file, a folder of such, a pattern (`lake/events/day=*/*.parquet`) or a URL")]
    NoFiles {
        /// As it was given.
        given: String,
    },
    /// A store that can't be read.
    #[error("cannot read {name}; check the name and the permissions")]
    Store {
        /// The file or folder.
        name: String,
        /// The cause.
        #[source]
        source: object_store::Error,
    },
    /// A file that is no whole Parquet file.
    #[error("{file} is not a whole Parquet file ({reason}); write it again or remove it")]
    Broken {
        /// The file.
        file: String,
        /// What its reader said.
        reason: String,
    },
    /// A column that is missing, or of another type.
    #[error("{file}, column `{column}`: {reason}")]
    Column {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// What is wrong with it, and the way out.
        reason: String,
    },
    /// Times in another unit than they should be.
    #[error(
        "{file} has the time {found} in `ts_ms`, outside of {TS_MS_MIN} to {TS_MS_MAX} (1971 to 2200) in milliseconds since 1970; \
         is it in seconds or microseconds? write the file again"
    )]
    Time {
        /// The file.
        file: String,
        /// The time found.
        found: i64,
    },
    /// An item given twice.
    #[error("item {bu}/{item_id} is in {first} and again in {second}; keep one of them")]
    RepeatedItem {
        /// Its unit.
        bu: String,
        /// Its id.
        item_id: String,
        /// The first file.
        first: String,
        /// The second one.
        second: String,
    },
    /// Nothing to train on.
    #[error(
        "none of {events} events in {given} is an interaction; check that they name items of the items table, that their types carry \
         weight (view, purchase, …) and that the cut-off is not before them all"
    )]
    NoInteractions {
        /// Events read.
        events: u64,
        /// Where they were read.
        given: String,
    },
    /// What is there was made of something else.
    #[error("{} holds steps made of other inputs or parameters; remove the folder, or leave out --resume", folder.display())]
    OtherRequest {
        /// The folder of steps.
        folder: PathBuf,
    },
    /// Tables that can't be put together.
    #[error("tables of items or links: {0}")]
    Table(#[from] TableError),
    /// Prepared tables that can't be read back.
    #[error(transparent)]
    Prepared(#[from] PreparedError),
    /// A file that can't be read or written.
    #[error("cannot {what} {}; check the permissions and the space left", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// SQL that failed.
    #[error("step {step} failed")]
    Sql {
        /// The step.
        step: String,
        /// The cause.
        #[source]
        source: Box<DataFusionError>,
    },
}

impl LakeError {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn sql(step: impl Into<String>) -> impl FnOnce(DataFusionError) -> Self {
        let step = step.into();
        move |source| Self::Sql { step, source: Box::new(source) }
    }
}
