//! What leaves the process: text on standard output, and pages in files.
//!
//! Whoever reads standard output may have seen enough (`| head`). That is no failure, so that a run ends as its verdict says; whatever else
//! keeps the text from being written is one.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// What could not be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Standard output.
    #[error("the output can't be written")]
    Standard(#[source] io::Error),
    /// The page of a report.
    #[error("--html {} can't be written", path.display())]
    Page {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Writes to standard output, at once. False when nobody reads it any more.
///
/// # Errors
/// [`OutputError::Standard`].
pub fn print(text: &str) -> Result<bool, OutputError> {
    let mut to = io::stdout().lock();
    is_read(to.write_all(text.as_bytes()).and_then(|()| to.flush()))
}

/// The file of a page: opened before a run, so that no run is lost to a name that can't be written, and filled after it. Until then it keeps
/// what it had; one that was not there before goes when nothing comes to be written.
#[derive(Debug)]
pub struct PageFile {
    path: PathBuf,
    file: File,
    is_empty_and_ours: bool,
}

impl PageFile {
    /// Opens or makes it.
    ///
    /// # Errors
    /// [`OutputError::Page`] when it can't be written.
    pub fn open(path: &Path) -> Result<Self, OutputError> {
        let is_new = !path.exists();
        match File::options().write(true).create(true).truncate(false).open(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file, is_empty_and_ours: is_new }),
            Err(source) => Err(OutputError::Page { path: path.to_owned(), source }),
        }
    }

    /// Fills it with `page` alone.
    ///
    /// # Errors
    /// [`OutputError::Page`]; part of it may be written then.
    pub fn write(mut self, page: &str) -> Result<(), OutputError> {
        self.is_empty_and_ours = false;
        self.fill(page).map_err(|source| OutputError::Page { path: self.path.clone(), source })
    }

    fn fill(&mut self, page: &str) -> io::Result<()> {
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?; // a pipe has no length
        }
        self.file.write_all(page.as_bytes())
    }
}

impl Drop for PageFile {
    fn drop(&mut self) {
        if self.is_empty_and_ours {
            _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a line to standard error; where that can't be written, nobody is left to be told.
pub fn warn(line: &str) {
    _ = writeln!(io::stderr(), "{line}");
}

/// Whether what was written to standard output has a reader.
///
/// # Errors
/// [`OutputError::Standard`] where it was not written for another reason.
pub fn is_read(written: io::Result<()>) -> Result<bool, OutputError> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(OutputError::Standard(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_replaces_what_was_there_and_leaves_nothing_when_nothing_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        drop(PageFile::open(&path).unwrap());
        assert!(!path.exists());
        PageFile::open(&path).unwrap().write("a long page").unwrap();
        drop(PageFile::open(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a long page");
        PageFile::open(&path).unwrap().write("short").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        let refused = PageFile::open(&folder.path().join("missing/page.html")).unwrap_err().to_string();
        assert!(refused.starts_with("--html ") && refused.ends_with("missing/page.html can't be written"), "{refused}");
    }

    #[test]
    fn only_a_reader_who_has_gone_is_no_failure() {
        assert!(is_read(Ok(())).unwrap());
        assert!(!is_read(Err(ErrorKind::BrokenPipe.into())).unwrap());
        for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::WriteZero] {
            assert!(is_read(Err(kind.into())).is_err(), "{kind}");
        }
    }
}
