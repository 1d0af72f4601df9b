//! Files that are written when long work is done.

use std::{fs::OpenOptions, path::Path};

use anyhow::{Context as _, Result};

/// Says before the work, not after it, that its result can't be written. Where there was no file there is an empty one then.
///
/// # Errors
/// A file that can't be opened for writing.
pub fn check_writable(path: &Path) -> Result<()> {
    if path.exists() && !path.is_file() && !path.is_dir() {
        return Ok(()); // a pipe: who opens it is heard by whoever reads
    }
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_what_can_not_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old.html"), folder.path().join("new.html"));
        std::fs::write(&old, "of yesterday").unwrap();
        check_writable(&old).unwrap();
        check_writable(&new).unwrap();
        check_writable(Path::new("/dev/null")).unwrap();
        assert_eq!([old, new].map(|path| std::fs::read_to_string(path).unwrap()), ["of yesterday", ""]);
        for path in [folder.path().to_owned(), folder.path().join("nowhere/r.html")] {
            let said = check_writable(&path).unwrap_err().to_string();
            assert_eq!(said, format!("can't write {}", path.display()));
        }
    }
}
