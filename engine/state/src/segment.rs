//! A segment while it is written: sections one after the other, then one sync.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    StateError,
    files::Disk,
    manifest::{FORMAT, FileId, Section, SegmentRef},
};

pub(crate) const HEADER_BYTES: usize = 32;
const BUFFER_BYTES: usize = 1 << 20;

/// The first bytes of a segment.
pub(crate) fn header(id: FileId) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let parts = b"FACESSEG".iter().copied().chain(FORMAT.to_le_bytes()).chain([0; 4]);
    let parts = parts.chain(id.number.to_le_bytes()).chain(id.run.to_le_bytes());
    header.iter_mut().zip(parts).for_each(|(place, byte)| *place = byte);
    header
}

pub(crate) struct SegmentWriter<'a> {
    disk: &'a Disk,
    path: PathBuf,
    id: FileId,
    position: usize,
    file: Option<File>,
    buffer: Vec<u8>,
    bytes: u64,
    pace: Pace,
}

impl<'a> SegmentWriter<'a> {
    /// A segment that will stand at `position` of an image's list. No file is made before there is something to write.
    pub(crate) fn new(disk: &'a Disk, folder: &Path, id: FileId, position: usize, bytes_per_second_max: u64) -> Self {
        Self {
            disk,
            path: folder.join(id.segment_name()),
            id,
            position,
            file: None,
            buffer: Vec::new(),
            bytes: 0,
            pace: Pace::new(bytes_per_second_max),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that reached the file.
    pub(crate) fn on_disk(&self) -> u64 {
        self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |file| file.len())
    }

    /// Bytes that were to be written, those that found no room included.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn append(&mut self, section: &[u8], values: u64, is_base: bool) -> Result<Section, StateError> {
        if self.file.is_none() {
            self.file = Some(self.disk.create(&self.path)?);
            self.put(&header(self.id))?;
        }
        let offset = self.bytes;
        let checksum = xxh3_64(section);
        self.put(section)?;
        self.pace.keep(self.bytes);
        Ok(Section { segment: self.position, offset, bytes: section.len() as u64, checksum, values, is_base })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        self.bytes += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            self.write_through(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StateError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write_through(&buffer);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write_through(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let Some(file) = self.file.as_mut().filter(|_| !bytes.is_empty()) else { return Ok(()) };
        self.disk.append(file, &self.path, bytes).map_err(StateError::io("write", &self.path))
    }

    /// Makes the segment last. `None` if nothing was written.
    pub(crate) fn finish(&mut self, order: u64) -> Result<Option<SegmentRef>, StateError> {
        self.flush()?;
        let Some(file) = self.file.as_ref() else { return Ok(None) };
        self.disk.sync(file, &self.path)?;
        self.disk.sync_folder_of(&self.path)?;
        Ok(Some(SegmentRef { id: self.id, bytes: self.bytes, order }))
    }

    /// Gives the room back.
    pub(crate) fn abandon(mut self) {
        if self.file.take().is_some() {
            _ = self.disk.remove(&self.path); // what is left is deleted by a later cycle
        }
    }
}

/// Whether a write failed for want of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Keeps writing under a rate.
struct Pace {
    bytes_per_second_max: u64, // 0: no bound
    since: Instant,
}

impl Pace {
    fn new(bytes_per_second_max: u64) -> Self {
        Self { bytes_per_second_max, since: Instant::now() }
    }

    fn keep(&self, bytes: u64) {
        if self.bytes_per_second_max > 0 {
            let due = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second_max as f64);
            thread::sleep(due.saturating_sub(self.since.elapsed()));
        }
    }
}
