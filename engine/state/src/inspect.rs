//! For people: which images there are, and setting positions by hand.

use std::path::Path;

use serde_json::Value;

use crate::{
    StateError,
    files::{Disk, names},
    load::candidates,
    manifest::{FileId, Manifest},
    store::{clean, draw, lock},
    verify::verify,
};

/// What an image says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSummary {
    /// Name of its file.
    pub name: String,
    /// Its number.
    pub image: u64,
    /// The history it belongs to.
    pub lineage: u64,
    /// When it was made, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// The log it is of.
    pub log: String,
    /// The caller's log positions.
    pub positions: Value,
    /// Newest event time in it, milliseconds since 1970 UTC.
    pub newest_ms: Option<i64>,
    /// Items in it.
    pub items: u64,
    /// Segments it needs.
    pub segments: usize,
    /// Bytes of these segments.
    pub segment_bytes: u64,
    /// Bytes in them that it needs.
    pub live_bytes: u64,
}

/// Images in a folder, newest first, and what is wrong with those that can't be used. With `is_thorough` every byte is read and
/// compared with its checksum. Changes nothing; may be used while a server writes (an image may then vanish meanwhile).
///
/// # Errors
/// The folder can't be read.
pub fn inspect(folder: &Path, is_thorough: bool) -> Result<(Vec<ImageSummary>, Vec<String>), StateError> {
    let (found, mut wrong) = candidates(folder)?;
    let mut summaries = Vec::new();
    for image in &found {
        match if is_thorough { verify(folder, image, &|_| ()) } else { Ok(()) } {
            Ok(()) => summaries.push(summary(image)),
            Err(reason) => wrong.push(reason),
        }
    }
    Ok((summaries, wrong))
}

fn summary(image: &Manifest) -> ImageSummary {
    ImageSummary {
        name: image.id.image_name(),
        image: image.id.number,
        lineage: image.lineage,
        created_ms: image.created_ms,
        log: image.log.clone(),
        positions: image.positions.clone(),
        newest_ms: image.newest_ms,
        items: image.item_count,
        segments: image.segments.len(),
        segment_bytes: image.segment_bytes(),
        live_bytes: image.live_bytes(),
    }
}

/// Makes a new image of the newest whole one, with other positions; the state is the same. The one before is kept. Gives the new
/// image's number, `None` if there is no image.
///
/// # Errors
/// [`StateError::InUse`] while a server has the folder, [`StateError::NoneUsable`] if all images are damaged, or a file operation
/// that failed; what was there then stands.
pub fn rewrite_positions(folder: &Path, change: impl FnOnce(Value) -> Value) -> Result<Option<u64>, StateError> {
    let _lock = lock(folder)?;
    let (found, mut wrong) = candidates(folder)?;
    let whole = found.into_iter().find(|image| match verify(folder, image, &|_| ()) {
        Ok(()) => true,
        Err(reason) => {
            wrong.push(reason);
            false
        }
    });
    let Some(before) = whole else {
        let none = StateError::NoneUsable { folder: folder.to_owned(), reasons: wrong.clone() };
        return if wrong.is_empty() { Ok(None) } else { Err(none) };
    };
    let ids = names(folder)?;
    let number = ids.iter().filter_map(|name| FileId::of_segment(name).or_else(|| FileId::of_image(name))).map(|id| id.number);
    let id = FileId { number: number.max().unwrap_or_default().saturating_add(1), run: draw() };
    let positions = change(before.positions.clone());
    let image = Manifest { id, positions, created_ms: before.created_ms.saturating_add(1), ..before.clone() };
    let path = folder.join(id.image_name());
    let disk = Disk::default();
    disk.put(&path, &image.encode().map_err(|error| StateError::io("encode", &path)(error.into()))?)?;
    let needed = [image.names(), before.names()].into_iter().flatten().collect();
    clean(&disk, folder, &needed)?;
    Ok(Some(id.number))
}
