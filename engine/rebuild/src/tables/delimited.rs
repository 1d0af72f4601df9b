//! CSV (RFC 4180, UTF-8, header first, comma), plain or in zstd frames.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    RECORD_BYTES_MAX, TableError, TableSize,
    cells::{Cell, Column, ReadFailure, RowSource, locate},
};

/// Bytes the CSV reader asks for at a time.
const BUFFER_BYTES: usize = 1 << 17;

pub(super) fn plain(
    path: &Path,
    file: File,
    columns: &'static [Column],
    size: TableSize,
) -> Result<Box<dyn RowSource>, TableError> {
    open(path, "CSV", Counted { file, size }, columns)
}

pub(super) fn zstd(
    path: &Path,
    file: File,
    columns: &'static [Column],
    size: TableSize,
) -> Result<Box<dyn RowSource>, TableError> {
    let decoder =
        ::zstd::stream::read::Decoder::new(Counted { file, size }).map_err(|error| corrupt(path, "CSV + zstd", &error))?;
    open(path, "CSV + zstd", decoder, columns)
}

fn corrupt(path: &Path, format: &'static str, error: &dyn std::fmt::Display) -> TableError {
    TableError::Corrupt { path: path.into(), format, reason: error.to_string() }
}

fn open(
    path: &Path,
    format: &'static str,
    bytes: impl Read + Send + 'static,
    columns: &'static [Column],
) -> Result<Box<dyn RowSource>, TableError> {
    let since_record = Arc::new(AtomicU64::new(0));
    let bounded = Bounded { inner: bytes, since_record: Arc::clone(&since_record) };
    let mut reader = csv::ReaderBuilder::new().has_headers(true).buffer_capacity(BUFFER_BYTES).from_reader(bounded);
    let header: Vec<String> = reader
        .headers()
        .map_err(|error| corrupt(path, format, &error))?
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').trim().to_owned())
        .collect();
    let places = locate(path, columns, &header)?;
    Ok(Box::new(DelimitedRows { reader, record: csv::StringRecord::new(), places, since_record }))
}

struct DelimitedRows<Bytes> {
    reader: csv::Reader<Bounded<Bytes>>,
    record: csv::StringRecord,
    places: Vec<Option<usize>>,
    since_record: Arc<AtomicU64>,
}

impl<Bytes: Read + Send> RowSource for DelimitedRows<Bytes> {
    fn advance(&mut self) -> Result<bool, ReadFailure> {
        self.since_record.store(0, Ordering::Relaxed);
        self.reader.read_record(&mut self.record).map_err(|error| {
            let (reason, fatal) = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    (format!("it has {len} cells where the header has {expected_len}"), false)
                }
                csv::ErrorKind::Utf8 { .. } => ("it is not UTF-8".to_owned(), false),
                _ => (error.to_string(), true),
            };
            ReadFailure { reason, fatal }
        })
    }

    fn cell(&self, column: usize) -> Cell<'_> {
        let place = self.places.get(column).copied().flatten();
        match place.and_then(|place| self.record.get(place)) {
            Some(text) => Cell::Text(Cow::Borrowed(text)),
            None => Cell::Missing,
        }
    }
}

/// Counts what is read from the file, for progress.
struct Counted {
    file: File,
    size: TableSize,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.size.add(bytes as u64);
        Ok(bytes)
    }
}

/// Ends the reading when one record keeps swallowing the file: an unclosed quote must not fill the memory.
struct Bounded<Bytes> {
    inner: Bytes,
    since_record: Arc<AtomicU64>,
}

impl<Bytes: Read> Read for Bounded<Bytes> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_record.load(Ordering::Relaxed) > RECORD_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the record is longer than 1 MiB: is a quote not closed?"));
        }
        let bytes = self.inner.read(buffer)?;
        self.since_record.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}
