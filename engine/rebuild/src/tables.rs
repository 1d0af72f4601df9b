//! The file schema (DESIGN section 10), read as streams: `events`, `items` and `links` as CSV, CSV + zstd or Parquet.
//!
//! The extension picks the format: `.csv`, `.csv.zst`, `.parquet`. Columns are found by header name in any order;
//! columns this schema does not know pass unread. A row that breaks the schema is one `Err` that names the file, the
//! row and the column, and the reading goes on with the next row, so that the caller decides whether one bad row stops
//! the job. Damage to the file itself (a torn zstd frame, a broken Parquet page) is one last `Err`.
//!
//! A table of items or links may be a log of changes (`updated_ms`, `deleted`; `operation`), as an archive is: what stands of it, [`newest`] and
//! [`LinkedAccounts`](crate::training::LinkedAccounts) say.
//!
//! Limits: a CSV record holds at most [`RECORD_BYTES_MAX`] bytes, which also bounds what an unclosed quote can read
//! into memory; identifiers hold at most [`ID_BYTES_MAX`] bytes; times lie between 1971 and 2200, which catches
//! seconds and microseconds in a column of milliseconds.
//!
//! This module must not know what the rows are used for: no training weights, no identity.

mod cells;
mod changes;
mod delimited;
mod parquet_rows;
mod rows;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use cells::check_ts_ms;
use cells::{Cells, Column, RowSource};
pub use changes::newest;
pub use rows::{EventRow, ItemRow, LinkRow, SOLD_OUT};

/// Most bytes of one CSV record, quotes included (1 MiB).
pub const RECORD_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of one identifier: a unit, a local user id, an item id, an event type.
pub const ID_BYTES_MAX: usize = 512;
/// First accepted event time, 1971-01-01: anything below is almost surely in seconds.
pub const TS_MS_MIN: i64 = 31_536_000_000;
/// Last accepted event time, 2200-01-01: anything above is almost surely in micro- or nanoseconds.
pub const TS_MS_MAX: i64 = 7_258_118_400_000;

/// Opens an `events` table: `ts_ms`, `bu`, `local_user_id`, `item_id`, `event_type`, optional `value`, `currency`.
///
/// # Errors
/// [`TableError`] when the file cannot be opened, has an unknown extension or lacks a column.
pub fn read_events(path: impl AsRef<Path>) -> Result<Table<EventRow>, TableError> {
    Table::open(path.as_ref(), rows::EVENT_COLUMNS, EventRow::from_cells)
}

/// Opens an `items` table: `item_id`, `bu`, optional `title`, `category` (levels separated by `|`), `brand`, `price`,
/// `stock` (`in_stock`, `sold_out` or nothing) and more.
///
/// # Errors
/// As [`read_events`].
pub fn read_items(path: impl AsRef<Path>) -> Result<Table<ItemRow>, TableError> {
    Table::open(path.as_ref(), rows::ITEM_COLUMNS, ItemRow::from_cells)
}

/// Opens a `links` table: `ts_ms`, `bu_a`, `local_user_a`, `bu_b`, `local_user_b`, and, if it has them, `operation`, `evidence`, `confidence`.
///
/// # Errors
/// As [`read_events`].
pub fn read_links(path: impl AsRef<Path>) -> Result<Table<LinkRow>, TableError> {
    Table::open(path.as_ref(), rows::LINK_COLUMNS, LinkRow::from_cells)
}

/// How a row type is made of its cells.
type FromCells<Row> = fn(&Cells<'_>) -> Result<Row, TableError>;

/// A table being read: an iterator over its rows. Memory is one record (CSV) or one row group's pages (Parquet).
pub struct Table<Row> {
    path: PathBuf,
    source: Box<dyn RowSource>,
    columns: &'static [Column],
    from_cells: FromCells<Row>,
    size: TableSize,
    row_number: u64,
    broken: bool,
}

impl<Row> std::fmt::Debug for Table<Row> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Table").field("path", &self.path).field("row_number", &self.row_number).finish_non_exhaustive()
    }
}

impl<Row> Table<Row> {
    fn open(path: &Path, columns: &'static [Column], from_cells: FromCells<Row>) -> Result<Self, TableError> {
        let open_error = |source| TableError::Open { path: path.into(), source };
        let file = File::open(path).map_err(open_error)?;
        let metadata = file.metadata().map_err(open_error)?;
        if metadata.is_dir() {
            return Err(open_error(io::Error::new(io::ErrorKind::IsADirectory, "this is a folder")));
        }
        let size = TableSize { read: Arc::new(AtomicU64::new(0)), total: metadata.len() };
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let source = if name.ends_with(".csv") {
            delimited::plain(path, file, columns, size.clone())?
        } else if name.ends_with(".csv.zst") {
            delimited::zstd(path, file, columns, size.clone())?
        } else if name.ends_with(".parquet") {
            parquet_rows::open(path, file, columns, size.clone())?
        } else {
            return Err(TableError::UnknownFormat { path: path.into() });
        };
        Ok(Self { path: path.into(), source, columns, from_cells, size, row_number: 0, broken: false })
    }

    /// How far the reading is; the handle stays valid while the rows are consumed.
    pub fn size(&self) -> TableSize {
        self.size.clone()
    }

    /// The file this table is read from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl<Row> Iterator for Table<Row> {
    type Item = Result<Row, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        match self.source.advance() {
            Ok(true) => {
                self.row_number += 1;
                let cells = self.source.cells(&self.path, self.row_number, self.columns);
                Some((self.from_cells)(&cells))
            }
            Ok(false) => {
                self.size.finish();
                None
            }
            Err(failure) => {
                self.broken = failure.fatal;
                self.row_number += 1;
                Some(Err(TableError::Read { path: self.path.clone(), row: self.row_number, reason: failure.reason }))
            }
        }
    }
}

/// Bytes of a table file and how many of them have been read: what a progress bar needs. Cheap to clone; clones share
/// the counter. Counts bytes of the file as stored, before decompression.
#[derive(Debug, Clone)]
pub struct TableSize {
    read: Arc<AtomicU64>,
    total: u64,
}

impl TableSize {
    /// Bytes of the file read so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of the file.
    pub fn bytes_total(&self) -> u64 {
        self.total
    }

    fn add(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    fn set(&self, bytes: u64) {
        self.read.store(bytes, Ordering::Relaxed);
    }

    fn finish(&self) {
        self.set(self.total);
    }
}

/// Why a table, or one row of it, could not be read. Rows are counted from 1, the header not included.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be opened.
    #[error("cannot open table {}; check the path and the permissions", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The extension names no format this reader knows.
    #[error("table {} has an unknown extension; use .csv, .csv.zst or .parquet", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what its extension says.
    #[error("table {} is not a readable {format} file: {reason}; write it again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The format its extension names.
        format: &'static str,
        /// What the format's reader said.
        reason: String,
    },
    /// A required column is missing from the header.
    #[error("table {} has no column `{column}` (it has: {found}); rename or add the column", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The missing column.
        column: &'static str,
        /// The columns that are there.
        found: String,
    },
    /// A column is named twice in the header, so its values are ambiguous.
    #[error("table {} names the column `{column}` twice; keep one of them", path.display())]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The repeated column.
        column: &'static str,
    },
    /// A cell does not hold what its column must hold.
    #[error("table {}, row {row}, column `{column}`: `{value}` is not {expected}; correct or drop the row", path.display())]
    BadCell {
        /// The file.
        path: PathBuf,
        /// The row, from 1, without the header.
        row: u64,
        /// The column.
        column: &'static str,
        /// What the cell holds, cut to 64 characters.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A row cannot be split into cells, or the file breaks off.
    #[error("table {}, row {row}: {reason}; correct the row or write the file again", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The row, from 1, without the header.
        row: u64,
        /// What went wrong.
        reason: String,
    },
}
