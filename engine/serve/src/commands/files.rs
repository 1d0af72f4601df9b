//! Files that are written when long work is done.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

/// Refuses to write over what is read, or over what was just written. What is written goes by the flag that names it.
///
/// # Errors
/// A file that is named twice.
pub fn check_apart<'a>(
    read: impl IntoIterator<Item = impl AsRef<Path>>,
    written: impl IntoIterator<Item = (&'static str, Option<&'a PathBuf>)>,
) -> Result<()> {
    let mut taken: Vec<PathBuf> = read.into_iter().filter_map(|path| path.as_ref().canonicalize().ok()).collect();
    let is_kept = |path: &Path| path.is_file() || !path.exists(); // unlike /dev/null
    for (flag, path) in written.into_iter().filter_map(|(flag, path)| Some((flag, path.filter(|path| is_kept(path))?))) {
        let path = path.canonicalize().or_else(|_| std::path::absolute(path))?;
        ensure!(!taken.contains(&path), "{flag} {} is another of the files named: give it a name of its own", path.display());
        taken.push(path);
    }
    Ok(())
}

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
