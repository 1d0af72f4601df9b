//! What leaves the process: text on standard output, and pages in files.
//!
//! Whoever reads standard output may have seen enough (`| head`). That is no failure, so that a run ends as its verdict says; whatever else
//! keeps the text from being written is one.

use std::io::{self, ErrorKind, Write};

use thiserror::Error;

/// What could not be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Standard output.
    #[error("the output can't be written")]
    Standard(#[source] io::Error),
}

/// Writes to standard output, at once. False when nobody reads it any more.
///
/// # Errors
/// [`OutputError::Standard`].
pub fn print(text: &str) -> Result<bool, OutputError> {
    let mut to = io::stdout().lock();
    is_read(to.write_all(text.as_bytes()).and_then(|()| to.flush()))
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
    fn only_a_reader_who_has_gone_is_no_failure() {
        assert!(is_read(Ok(())).unwrap());
        assert!(!is_read(Err(ErrorKind::BrokenPipe.into())).unwrap());
        for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::WriteZero] {
            assert!(is_read(Err(kind.into())).is_err(), "{kind}");
        }
    }
}
