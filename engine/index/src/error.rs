//! Every way this crate says no, in one enum, so that a caller can map each to an exit code or a status.

use std::io;

use thiserror::Error;

/// Why vectors, a query, a build or a file was refused. Nothing in this crate panics on bad input instead.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The dimension is outside what the kernels and the file format are made for.
    #[error("dimension {dimension} is outside 1..={max}: reduce or pad the embedding")]
    Dimension {
        /// The dimension that was asked for.
        dimension: usize,
        /// The largest dimension allowed.
        max: usize,
    },
    /// The values do not fill whole rows.
    #[error("{values} values do not make whole rows of dimension {dimension}: check the embedding's export")]
    Ragged {
        /// How many values came.
        values: usize,
        /// The dimension they should be a multiple of.
        dimension: usize,
    },
    /// More rows than row numbers can name.
    #[error("{rows} rows are more than the {max} of one index: split the catalogue")]
    TooManyRows {
        /// How many rows came.
        rows: usize,
        /// The largest number of rows of one index.
        max: usize,
    },
    /// A value is NaN, infinite, or so large that scores could overflow.
    #[error(
        "row {row}, column {column} holds {value}: values must be finite and at most {max:e} in magnitude; drop or rescale the row"
    )]
    Value {
        /// The row of the value.
        row: usize,
        /// The column of the value.
        column: usize,
        /// The value itself.
        value: f32,
        /// The largest magnitude allowed.
        max: f32,
    },
    /// The query was made for another vector space.
    #[error("the query has dimension {found}, the index {expected}: embed it with the generation that is searched")]
    QueryDimension {
        /// The query's dimension.
        found: usize,
        /// The index's dimension.
        expected: usize,
    },
    /// A value of the query is NaN, infinite, or so large that scores could overflow.
    #[error("the query holds {value} in column {column}: values must be finite and at most {max:e} in magnitude")]
    QueryValue {
        /// The column of the value.
        column: usize,
        /// The value itself.
        value: f32,
        /// The largest magnitude allowed.
        max: f32,
    },
    /// The filter was made for another generation.
    #[error("the filter covers {found} rows, the index has {expected}: compile it for the generation that is searched")]
    FilterRows {
        /// How many rows the filter covers.
        found: usize,
        /// How many rows the index has.
        expected: usize,
    },
    /// A row that the index does not have was asked for by number.
    #[error("row {row} does not exist: the index has {rows} rows")]
    RowUnknown {
        /// The row that was asked for.
        row: u32,
        /// How many rows the index has.
        rows: usize,
    },
    /// A build parameter is outside its range.
    #[error("build parameter {name} is {value}, allowed is {min}..={max}")]
    Parameter {
        /// The parameter's name in [`BuildSpec`](crate::BuildSpec).
        name: &'static str,
        /// The value that was asked for.
        value: usize,
        /// The smallest value allowed.
        min: usize,
        /// The largest value allowed.
        max: usize,
    },
    /// What tuning should aim at makes no sense.
    #[error("the index can't be tuned so: {reason}")]
    Tuning {
        /// What it must be.
        reason: &'static str,
    },
    /// The tail of a live index has no room.
    #[error("the tail holds its {max} vectors: rebuild the base")]
    TailFull {
        /// The most vectors it holds.
        max: usize,
    },
    /// The bytes are no index file at all.
    #[error("not an index file: it does not start with the magic bytes; check the path")]
    Foreign,
    /// The file was written by a later version of this crate.
    #[error(
        "index file version {found} is newer than {supported}, the newest known here: upgrade this binary or rebuild the index"
    )]
    Newer {
        /// The version in the file.
        found: u32,
        /// The newest version this crate reads.
        supported: u32,
    },
    /// The file was written by an earlier version of this crate.
    #[error("index file version {found} is older than {supported}, the only one read here: rebuild the index")]
    Older {
        /// The version in the file.
        found: u32,
        /// The version this crate reads.
        supported: u32,
    },
    /// The file ends early, or goes on after its end.
    #[error("index file is {found} bytes long, its header says {expected}: copy or rebuild it again")]
    Length {
        /// The file's length.
        found: u64,
        /// The length that the header implies.
        expected: u64,
    },
    /// A checksum does not match: bits changed after writing.
    #[error("index file is damaged: the checksum of its {section} does not match; copy or rebuild it again")]
    Checksum {
        /// Which part is damaged.
        section: &'static str,
    },
    /// The checksums match, yet the content breaks a rule of the format.
    #[error("index file breaks the format: {reason}; rebuild it with this binary")]
    Malformed {
        /// The rule that is broken.
        reason: &'static str,
    },
    /// The output could not be written.
    #[error("the index could not be written: check space and permissions")]
    Write(#[source] io::Error),
}
