//! `.fbin`, the plain format of vector benchmarks: u32 rows, u32 dimension, then f32 values row by row, little-endian.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use faces_index::{IndexError, Vectors};
use thiserror::Error;

const HEADER_BYTES: u64 = 8;

/// Why a file of vectors was refused.
#[derive(Debug, Error)]
pub enum FbinError {
    /// It can't be opened or read.
    #[error("can't read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is too short for a header.
    #[error("{}: {found} bytes are no .fbin file, whose header (u32 rows, u32 dimension) takes {HEADER_BYTES}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// Its length is not what its header implies.
    #[error(
        "{}: the header says {rows} rows of dimension {dimension}, which takes {expected} bytes, found {found}: copy or export it again",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Rows by the header.
        rows: u32,
        /// Dimension by the header.
        dimension: u32,
        /// Bytes that rows and dimension imply.
        expected: u128,
        /// The file's length.
        found: u64,
    },
    /// It holds no row.
    #[error("{}: holds no rows", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Its dimension or a value is not allowed.
    #[error("{}", path.display())]
    Vectors {
        /// The file.
        path: PathBuf,
        /// What is wrong, with row and column.
        #[source]
        source: IndexError,
    },
}

/// Reads a whole file. Memory: its size. The length is checked before anything is allocated.
///
/// # Errors
/// A file that can't be read, is empty, truncated or too long for its header, or holds a value that is not finite.
pub fn read(path: &Path) -> Result<Vectors, FbinError> {
    let io_error = |source| FbinError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io_error)?;
    let found = file.metadata().map_err(io_error)?.len();
    if found < HEADER_BYTES {
        return Err(FbinError::Header { path: path.to_owned(), found });
    }
    let mut header = [0u32; 2];
    file.read_exact(bytemuck::cast_slice_mut(&mut header)).map_err(io_error)?;
    let [rows, dimension] = header.map(u32::from_le);
    let values = u128::from(rows) * u128::from(dimension);
    let expected = values * 4 + u128::from(HEADER_BYTES);
    if expected != u128::from(found) {
        return Err(FbinError::Length { path: path.to_owned(), rows, dimension, expected, found });
    }
    if rows == 0 {
        return Err(FbinError::Empty { path: path.to_owned() });
    }
    let mut data = vec![0f32; values as usize]; // no more than the file holds
    file.read_exact(bytemuck::cast_slice_mut(&mut data)).map_err(io_error)?;
    if cfg!(target_endian = "big") {
        data.iter_mut().for_each(|value| *value = f32::from_bits(value.to_bits().swap_bytes()));
    }
    Vectors::new(dimension as usize, data).map_err(|source| FbinError::Vectors { path: path.to_owned(), source })
}

/// The bytes of a file that holds `vectors`.
#[must_use]
pub fn encode(vectors: &Vectors) -> Vec<u8> {
    let header = [vectors.len() as u32, vectors.dimension() as u32];
    let mut bytes: Vec<u8> = header.iter().flat_map(|number| number.to_le_bytes()).collect();
    bytes.extend(vectors.as_slice().iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<Vectors, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.fbin");
        std::fs::write(&path, bytes).unwrap();
        read(&path).map_err(|error| {
            let error = anyhow::Error::new(error);
            format!("{error:#}").replace(&format!("{}", path.display()), "x.fbin")
        })
    }

    fn two_by_three() -> Vec<u8> {
        encode(&Vectors::new(3, vec![1.0, -2.5, 0.0, 1e-9, 3.0, 4.0]).unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        let vectors = Vectors::new(3, vec![1.0, -2.5, 0.0, 1e-9, 3.0, 4.0]).unwrap();
        assert_eq!(read_bytes(&encode(&vectors)).unwrap(), vectors);
    }

    #[test]
    fn corrupt_files_are_refused_with_the_reason() {
        #[track_caller]
        fn check(bytes: &[u8], expected: &str) {
            let message = read_bytes(bytes).unwrap_err();
            assert!(message.contains("x.fbin") && message.contains(expected), "{message}");
        }
        let whole = two_by_three();
        check(&[], "0 bytes are no .fbin file");
        check(&whole[..7], "7 bytes are no .fbin file");
        for length in [8, 9, 31] {
            check(&whole[..length], &format!("2 rows of dimension 3, which takes 32 bytes, found {length}"));
        }
        check(&[&whole[..], &[0]].concat(), "takes 32 bytes, found 33");
        check(&[0xff; 64], "4294967295 rows of dimension 4294967295, which takes 73786976260478468108 bytes, found 64");
        check(&[0; 8], "holds no rows");
        check(&[1, 0, 0, 0, 0, 0, 0, 0], "dimension 0 is outside");
        let with = |at: usize, value: f32| {
            let mut bytes = two_by_three();
            bytes[8 + at * 4..12 + at * 4].copy_from_slice(&value.to_le_bytes());
            bytes
        };
        check(&with(4, f32::NAN), "row 1, column 1 holds NaN");
        check(&with(2, f32::NEG_INFINITY), "row 0, column 2 holds -inf");
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = read(Path::new("nowhere/x.fbin")).unwrap_err().to_string();
        assert!(message.contains("nowhere/x.fbin"), "{message}");
    }
}
