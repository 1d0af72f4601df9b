//! Files written so that they are there whole or not at all, after a power cut too.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use super::GenerationError;

pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, GenerationError> {
    let length = fs::metadata(path).map_err(io_error("read", path))?.len();
    if length > bytes_max {
        let reason = format!("it has {length} bytes, more than the {bytes_max} such a file may have");
        return Err(GenerationError::Corrupt { path: path.into(), reason });
    }
    fs::read(path).map_err(io_error("read", path))
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), GenerationError> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(io_error("write", path))
}

/// Makes renames and new names in a folder last through a power cut.
pub(super) fn sync_folder(path: &Path) -> Result<(), GenerationError> {
    // Only on Unix can a folder be opened and synced; elsewhere the file system has to see to it.
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", path))?;
    }
    Ok(())
}

pub(super) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> GenerationError + 'a {
    move |source| GenerationError::Io { action, path: path.into(), source }
}

/// A suffix that no other writer uses, nor used: in a container every process may have the same number, and what one that was killed
/// left must not be in the way of the next.
pub(super) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed), since_1970.as_nanos())
}

/// Replaces a small file at one stroke: whoever reads it sees the old text or the new one.
pub(super) fn replace(root: &Path, name: &str, text: &str) -> Result<(), GenerationError> {
    let staged = root.join(format!(".{name}-{}", unique()));
    let target = root.join(name);
    let written = write_synced(&staged, text.as_bytes());
    let replaced = written.and_then(|()| fs::rename(&staged, &target).map_err(io_error("replace", &target)));
    if replaced.is_err() {
        // Best effort: what matters to the caller is why nothing was replaced.
        let _ = fs::remove_file(&staged);
    }
    replaced?;
    sync_folder(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_of_the_same_number_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let count: u32 = unique().split('-').nth(1).unwrap().parse().unwrap();
        for count in count..count + 100 {
            fs::write(folder.path().join(format!(".LEASE-{}-{count}", std::process::id())), "").unwrap();
        }
        replace(folder.path(), "LEASE", "mine").unwrap();
        assert_eq!(fs::read(folder.path().join("LEASE")).unwrap(), b"mine");
    }
}
