//! Files: what is written is read back the same, and nothing else is read at all.

use std::sync::LazyLock;

use faces_index::{
    BuildSpec, Effort, FORMAT_VERSION, IndexError, IndexKind, Metric, RowStorage, VectorIndex, Vectors, build, read, write,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::data::{K, KINDS, METRICS, Random, STORAGES, fixtures, found, kept_rows, made, made_of};

const HEADER_BYTES: usize = 64;
const DIMENSION: usize = 5;

fn bytes_of(index: &dyn VectorIndex) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(index, &mut bytes).unwrap();
    bytes
}

/// A file of 320 rows of 5 values with some duplicates: small enough to damage everywhere, with nodes beyond the entries.
fn small_of(kind: IndexKind, metric: Metric, rows: RowStorage) -> Vec<u8> {
    let mut random = Random::new(2);
    let mut data: Vec<f32> = (0..300).flat_map(|_| random.vector(DIMENSION)).collect();
    data.extend_from_within(..20 * DIMENSION);
    let spec = BuildSpec { kind: Some(kind), rows, cells: Some(16), m: 4, ef_construction: 16, ..BuildSpec::default() };
    bytes_of(&*build(Vectors::new(DIMENSION, data).unwrap(), metric, &spec).unwrap())
}

/// One of every kind, metric and form of rows.
fn smalls() -> &'static [Vec<u8>] {
    static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let kinds = KINDS.into_iter().flat_map(|kind| METRICS.map(|metric| (kind, metric)));
        kinds.flat_map(|(kind, metric)| STORAGES.map(|rows| small_of(kind, metric, rows))).collect()
    });
    &FILES
}

/// Makes checksums right again after a change.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let header = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
    let end = bytes.len() - 4;
    let content = crc32c::crc32c_append(header, &bytes[HEADER_BYTES..end]);
    bytes[end..].copy_from_slice(&content.to_le_bytes());
    bytes
}

#[test]
fn what_is_written_is_read_back_the_same() {
    for fixture in fixtures() {
        for index in fixture.all() {
            let bytes = bytes_of(index);
            let again = read(&bytes).unwrap();
            assert_eq!((again.kind(), again.metric(), again.effort()), (index.kind(), index.metric(), index.effort()));
            assert_eq!((again.storage(), again.vectors()), (index.storage(), index.vectors()));
            assert!(kept_rows(&*again) == kept_rows(index));
            assert_eq!(again.memory_bytes(), index.memory_bytes());
            for query in &fixture.queries {
                let expected = found(index, query, K, None, None);
                assert_eq!(found(&*again, query, K, None, None), expected);
            }
            assert!(bytes_of(&*again) == bytes);
        }
        for kind in KINDS {
            let index = &*fixture.exact;
            let empty = made_of(Vectors::new(5, vec![]).unwrap(), index.metric(), kind, index.storage());
            assert!(read(&bytes_of(&*empty)).unwrap().is_empty());
        }
    }
}

#[test]
fn equal_builds_give_equal_files_and_seeds_matter() {
    let mut random = Random::new(4);
    let vectors = Vectors::new(6, (0..600).flat_map(|_| random.vector(6)).collect()).unwrap();
    let file = |seed| {
        let spec = BuildSpec { kind: Some(IndexKind::Graph), seed, ..BuildSpec::default() };
        bytes_of(&*build(vectors.clone(), Metric::Cosine, &spec).unwrap())
    };
    assert!(file(1) == file(1));
    assert!(file(1) != file(2));
}

#[test]
fn any_flipped_bit_is_noticed() {
    for bytes in smalls() {
        let places = (0..HEADER_BYTES).chain((HEADER_BYTES..bytes.len()).step_by(13)).chain(bytes.len() - 4..bytes.len());
        for (place, bit) in places.zip((0..8).cycle()) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            assert!(read(&damaged).is_err(), "bit {bit} of byte {place}");
        }
    }
}

#[test]
fn any_other_length_is_noticed() {
    for bytes in smalls() {
        for length in (0..200).chain((200..bytes.len()).step_by(31)).chain([bytes.len() - 1]) {
            assert!(matches!(read(&bytes[..length]), Err(IndexError::Length { .. } | IndexError::Foreign)), "{length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(read(&longer), Err(IndexError::Length { .. })));
    }
}

#[test]
fn refusals_name_the_reason() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut bytes = small_of(IndexKind::Graph, Metric::Cosine, RowStorage::Full);
        change(&mut bytes);
        let message = read(&resealed(bytes)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let (rows, content, row_bytes) = (320, HEADER_BYTES, 4 * DIMENSION);
    let (starts, order) = (content + row_bytes * rows, content + row_bytes * rows + 4 * 301);
    let links = order + 4 * rows;
    check(|bytes| bytes[0] = b'f', "not an index file");
    check(|bytes| bytes[8] = FORMAT_VERSION as u8 + 1, "version 4 is newer than 3");
    check(|bytes| bytes[8] = 2, "version 2 is older than 3");
    check(|bytes| bytes[12] = 9, "the kind is unknown");
    check(|bytes| bytes[13] = 9, "the metric is unknown");
    check(|bytes| bytes[15] = 1, "a form of its own");
    check(|bytes| bytes[40] = 1, "out of range");
    check(|bytes| bytes[16] = 6, "its header says");
    check(|bytes| bytes[32..36].fill(0), "entries are not among the nodes");
    check(|bytes| bytes[content..content + 4].copy_from_slice(&f32::NAN.to_le_bytes()), "row 0, column 0 holds NaN");
    check(|bytes| bytes[starts + 4] = 0, "nodes do not divide the rows");
    check(|bytes| bytes.copy_within(order..order + 4, order + 4), "in two");
    check(|bytes| bytes.swap(content, content + row_bytes * 299), "rows differ");
    check(|bytes| bytes[links + 3] = 1, "a link leads nowhere");
    check(
        |bytes| {
            let end = bytes.len() - 4;
            bytes[links..end].fill(0);
        },
        "cannot be reached",
    );
}

#[test]
fn a_full_disk_is_reported() {
    let index = made(Vectors::new(2, vec![1.0; 64]).unwrap(), Metric::Cosine, IndexKind::Exact);
    let mut disk = [0u8; 100];
    assert!(matches!(write(&*index, &mut disk.as_mut_slice()), Err(IndexError::Write(_))));
}

#[test]
fn refusals_of_compact_rows_and_cells_name_the_reason() {
    #[track_caller]
    fn check(place: usize, value: [u8; 4], expected: &str) {
        let mut bytes = small_of(IndexKind::Ivf, Metric::L2, RowStorage::Compact);
        bytes[place..place + 4].copy_from_slice(&value);
        let message = read(&resealed(bytes)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let rows_bytes = |rows| 4 * DIMENSION + rows * (4 + DIMENSION + DIMENSION.div_ceil(2));
    let (scales, starts) = (HEADER_BYTES + 4 * DIMENSION, HEADER_BYTES + rows_bytes(320) + rows_bytes(16));
    let order = starts + 4 * 17;
    check(12, [3, 3, 2, 0], "the form of the rows is unknown");
    check(12, [1, 3, 1, 0], "out of range");
    check(16, [0; 4], "out of range");
    check(20, ((1u32 << 28) + 1).to_le_bytes(), "out of range");
    check(20, (1u32 << 28).to_le_bytes(), "its header says"); // and nothing is allocated before that
    check(24, 321u32.to_le_bytes(), "out of range");
    check(HEADER_BYTES, f32::NAN.to_le_bytes(), "the centre of the rows is not finite");
    for bad in [f32::NAN, -1.0, f32::INFINITY, 1e15] {
        check(scales + 4 * 9, bad.to_le_bytes(), "a row's scale is out of range");
    }
    check(starts, 1u32.to_le_bytes(), "the cells do not divide the rows");
    check(starts + 4, u32::MAX.to_le_bytes(), "the cells do not divide the rows");
    check(order, 320u32.to_le_bytes(), "a row is in no cell, or in two");
}

/// One thing done to a file.
#[derive(Debug, Clone)]
enum Damage {
    Truncate(Index),
    Extend(Vec<u8>),
    Flip(Index, u8),
    Byte(Index, u8),
    /// Of four bytes, where the header's fields or numbers may lie.
    Word(Index, u32),
    HeaderWord(u8, u32),
    /// Copies a section over another place.
    Splice(Index, Index, Index),
    /// Takes a section from another file.
    Foreign(Index, Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let word = || prop_oneof![any::<u32>(), 0u32..400, prop::sample::select(vec![1 << 28, u32::MAX, 0x7fc0_0000, 0x7f80_0000])];
    prop_oneof![
        1 => any::<Index>().prop_map(Damage::Truncate),
        1 => prop::collection::vec(any::<u8>(), 1..9).prop_map(Damage::Extend),
        3 => (any::<Index>(), 0u8..8).prop_map(|(place, bit)| Damage::Flip(place, bit)),
        3 => (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Damage::Byte(place, byte)),
        4 => (any::<Index>(), word()).prop_map(|(place, word)| Damage::Word(place, word)),
        4 => (0u8..16, word()).prop_map(|(field, word)| Damage::HeaderWord(field, word)),
        2 => any::<[Index; 3]>().prop_map(|[from, to, count]| Damage::Splice(from, to, count)),
        2 => any::<[Index; 3]>().prop_map(|[file, place, count]| Damage::Foreign(file, place, count)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len().max(1);
        match self {
            Self::Truncate(at) => bytes.truncate(at.index(length)),
            Self::Extend(more) => bytes.extend(more),
            Self::Flip(at, bit) => bytes.get_mut(at.index(length)).into_iter().for_each(|byte| *byte ^= 1 << bit),
            Self::Byte(at, value) => bytes.get_mut(at.index(length)).into_iter().for_each(|byte| *byte = *value),
            Self::Word(at, word) => overwrite(bytes, at.index(length) & !3, &word.to_le_bytes()),
            Self::HeaderWord(field, word) => overwrite(bytes, usize::from(*field) * 4, &word.to_le_bytes()),
            Self::Splice(from, to, count) => {
                let section: Vec<u8> = bytes.iter().skip(from.index(length)).take(count.index(400)).copied().collect();
                overwrite(bytes, to.index(length), &section);
            }
            Self::Foreign(file, at, count) => {
                let (other, at) = (&smalls()[file.index(smalls().len())], at.index(length));
                let section: Vec<u8> = other.iter().skip(at).take(count.index(4_000)).copied().collect();
                overwrite(bytes, at, &section);
            }
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, section: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(section) {
        *place = *byte;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Whatever is done to a file, it is refused with a reason, or it is a file that this crate could have written: it reads back
    /// equal and answers within its rows. With its checksums made right again, it is the other checks that see to that.
    #[test]
    fn a_damaged_or_forged_file_is_refused_or_whole(
        file: Index,
        damages in prop::collection::vec(damage(), 1..4),
        is_resealed in prop::bool::weighted(0.8),
    ) {
        let mut bytes = smalls()[file.index(smalls().len())].clone();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        if is_resealed && bytes.len() >= HEADER_BYTES + 4 {
            bytes = resealed(bytes);
        }
        match read(&bytes) {
            Ok(index) => {
                // Without new checksums it is a file as it was written; a header taken over whole may make it another.
                prop_assert!(is_resealed || smalls().contains(&bytes));
                prop_assert!(bytes_of(&*index) == bytes);
                let query = vec![1.0; index.dimension()];
                for effort in [None, Some(Effort(u32::MAX))] {
                    let answer = found(&*index, &query, 7, effort, None);
                    prop_assert_eq!(answer.len(), index.len().min(7));
                    prop_assert!(answer.iter().all(|one| (one.row as usize) < index.len() && one.score.is_finite()));
                }
            }
            Err(error) => {
                let is_of_files = matches!(
                    error,
                    IndexError::Foreign | IndexError::Newer { .. } | IndexError::Older { .. } | IndexError::Length { .. }
                        | IndexError::Checksum { .. } | IndexError::Malformed { .. } | IndexError::Value { .. }
                );
                prop_assert!(is_of_files, "{}", error);
                prop_assert!(is_resealed || !matches!(error, IndexError::Malformed { .. } | IndexError::Value { .. }), "{}", error);
            }
        }
    }
}
