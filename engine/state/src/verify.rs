//! Reading sections in parallel, and finding out whether an image is whole before anything is built from it.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    files::read_at,
    manifest::{Manifest, Section},
    section::{
        items::read_items,
        keys::{StoredFragment, read_keys},
    },
    segment::{HEADER_BYTES, header},
};

/// Reads sections for one thread.
pub(crate) struct Reader<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    files: HashMap<usize, File>,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(folder: &'a Path, manifest: &'a Manifest) -> Self {
        Self { folder, manifest, files: HashMap::new(), buffer: Vec::new() }
    }

    fn path(&self, segment: usize) -> Option<PathBuf> {
        Some(self.folder.join(self.manifest.segments.get(segment)?.id.segment_name()))
    }

    /// The bytes of a section, their checksum compared, or what is wrong.
    pub(crate) fn read(&mut self, section: &Section) -> Result<&[u8], String> {
        let path = self.path(section.segment).ok_or("a section without a segment")?;
        let name = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = match self.files.entry(section.segment) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                let (file, bytes) = open(&path).map_err(|error| format!("{}: {error}", name()))?;
                let expected = self.manifest.segments.get(section.segment).map_or(0, |segment| segment.bytes);
                if bytes != expected {
                    return Err(format!("{} is torn: {bytes} bytes of {expected}", name()));
                }
                free.insert(file)
            }
        };
        // The section lies inside the segment (checked when the image was read), and the segment has its length.
        let bytes = usize::try_from(section.bytes).map_err(|_| "a section larger than memory")?;
        read_at(file, section.offset, bytes, &mut self.buffer).map_err(|error| format!("{}: {error}", name()))?;
        if xxh3_64(&self.buffer) != section.checksum {
            return Err(format!("{}: checksum does not match at byte {}", name(), section.offset));
        }
        Ok(&self.buffer)
    }
}

fn open(path: &Path) -> std::io::Result<(File, u64)> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// Does jobs 0 to `count` on all cores; the first error ends it. `begin` makes what a thread works with.
pub(crate) fn in_parallel<W, E: Send>(
    count: usize,
    begin: impl Fn() -> W + Sync,
    job: impl Fn(&mut W, usize) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let (next, is_over, failed) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut worker = begin();
                while !is_over.load(Relaxed) {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= count {
                        break;
                    }
                    if let Err(error) = job(&mut worker, number) {
                        is_over.store(true, Relaxed);
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Whether everything the image needs is there, unchanged, and makes sense; else what is wrong. Reads all of it, on all cores.
/// `done` is told of bytes.
pub(crate) fn verify(folder: &Path, manifest: &Manifest, done: &(dyn Fn(u64) + Sync)) -> Result<(), String> {
    let of_image = |reason: String| format!("{}: {reason}", manifest.id.image_name());
    for segment in &manifest.segments {
        let name = segment.id.segment_name();
        let (mut file, bytes) = open(&folder.join(&name)).map_err(|error| of_image(format!("{name}: {error}")))?;
        if bytes != segment.bytes {
            return Err(of_image(format!("{name} is torn: {bytes} bytes of {}", segment.bytes)));
        }
        let mut found = Vec::new();
        let read = read_at(&mut file, 0, HEADER_BYTES.min(usize::try_from(bytes).unwrap_or(HEADER_BYTES)), &mut found);
        if read.is_err() || found != header(segment.id) {
            return Err(of_image(format!("{name} does not begin as it should")));
        }
    }
    verify_items(folder, manifest, done).map_err(of_image)?;
    let begin = || Reader::new(folder, manifest);
    let job = |reader: &mut Reader<'_>, shard: usize| {
        for section in manifest.shards.get(shard).into_iter().flatten() {
            check_keys(reader.read(section)?, manifest.item_count)
                .ok_or_else(|| format!("shard {shard} makes no sense at byte {}", section.offset))?;
            done(section.bytes);
        }
        Ok(())
    };
    in_parallel(manifest.shards.len(), begin, job).map_err(of_image)
}

fn check_keys(section: &[u8], item_count: u64) -> Option<()> {
    let on_fragment = |_, stored: StoredFragment<'_>| (stored.items_end()? <= item_count).then_some(());
    read_keys(section, on_fragment, |_, stored| stored.node().map(drop))
}

fn verify_items(folder: &Path, manifest: &Manifest, done: &(dyn Fn(u64) + Sync)) -> Result<(), String> {
    let mut reader = Reader::new(folder, manifest);
    let mut named = 0_u64;
    for section in &manifest.items {
        let read = read_items(reader.read(section)?, |item| {
            let number = u64::from(item.id.number());
            if item.name.is_some() {
                (number == named).then_some(())?;
                named += 1;
            }
            (number < named).then_some(())
        });
        read.ok_or_else(|| format!("items make no sense at byte {}", section.offset))?;
        done(section.bytes);
    }
    if named == manifest.item_count { Ok(()) } else { Err(format!("has {named} items of {}", manifest.item_count)) }
}
