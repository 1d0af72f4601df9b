//! Files: what is written is read back the same, and nothing else is read at all.

use faces_index::{BuildSpec, FORMAT_VERSION, IndexError, IndexKind, Metric, VectorIndex, Vectors, build, read, write};
use proptest::prelude::*;

use crate::data::{K, KINDS, METRICS, Random, fixture, found, made};

const HEADER_BYTES: usize = 64;

fn bytes_of(index: &dyn VectorIndex) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(index, &mut bytes).unwrap();
    bytes
}

/// A file of 320 rows of 4 values with some duplicates: small enough to damage everywhere, with nodes beyond the entries.
fn small(kind: IndexKind) -> Vec<u8> {
    let mut random = Random::new(2);
    let mut data: Vec<f32> = (0..300).flat_map(|_| random.vector(4)).collect();
    data.extend_from_within(..80);
    let spec = BuildSpec { kind: Some(kind), m: 4, ef_construction: 16, ..BuildSpec::default() };
    bytes_of(&*build(Vectors::new(4, data).unwrap(), Metric::Cosine, &spec).unwrap())
}

/// Makes checksums right again after a change.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let header = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
    let end = bytes.len() - 4;
    let content = crc32c::crc32c(&bytes[HEADER_BYTES..end]);
    bytes[end..].copy_from_slice(&content.to_le_bytes());
    bytes
}

#[test]
fn what_is_written_is_read_back_the_same() {
    for metric in METRICS {
        let fixture = fixture(metric);
        for index in fixture.all() {
            let bytes = bytes_of(index);
            let again = read(&bytes).unwrap();
            assert_eq!((again.kind(), again.metric(), again.effort()), (index.kind(), metric, index.effort()));
            assert_eq!(again.vectors(), index.vectors());
            for query in &fixture.queries {
                let expected = found(index, query, K, None, None);
                assert_eq!(found(&*again, query, K, None, None), expected);
            }
            assert!(bytes_of(&*again) == bytes);
        }
        for kind in KINDS {
            let empty = made(Vectors::new(5, vec![]).unwrap(), metric, kind);
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
    for kind in KINDS {
        let bytes = small(kind);
        let places = (0..HEADER_BYTES).chain((HEADER_BYTES..bytes.len()).step_by(7)).chain(bytes.len() - 4..bytes.len());
        for (place, bit) in places.zip((0..8).cycle()) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            assert!(read(&damaged).is_err(), "bit {bit} of byte {place}");
        }
    }
}

#[test]
fn any_other_length_is_noticed() {
    for kind in KINDS {
        let bytes = small(kind);
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
        let mut bytes = small(IndexKind::Graph);
        change(&mut bytes);
        let message = read(&resealed(bytes)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let (rows, content) = (320, HEADER_BYTES);
    let (starts, order) = (content + 16 * rows, content + 16 * rows + 4 * 301);
    let links = order + 4 * rows;
    check(|bytes| bytes[0] = b'f', "not an index file");
    check(|bytes| bytes[8] = FORMAT_VERSION as u8 + 1, "version 4 is newer than 3");
    check(|bytes| bytes[8] = 2, "version 2 is older than 3");
    check(|bytes| bytes[12] = 9, "the kind is unknown");
    check(|bytes| bytes[13] = 9, "the metric is unknown");
    check(|bytes| bytes[15] = 1, "a form of its own");
    check(|bytes| bytes[40] = 1, "out of range");
    check(|bytes| bytes[16] = 5, "its header says");
    check(|bytes| bytes[32..36].fill(0), "entries are not among the nodes");
    check(|bytes| bytes[content..content + 4].copy_from_slice(&f32::NAN.to_le_bytes()), "row 0, column 0 holds NaN");
    check(|bytes| bytes[starts + 4] = 0, "nodes do not divide the rows");
    check(|bytes| bytes.copy_within(order..order + 4, order + 4), "in two");
    check(|bytes| bytes.swap(content, content + 16 * 299), "rows differ");
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Forged files, whose checksums are right: refused, or read as an index that answers within its rows.
    #[test]
    fn no_forged_file_makes_a_panic(
        kind in prop::sample::select(KINDS.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        in_header: bool,
    ) {
        static FILES: std::sync::LazyLock<[Vec<u8>; 3]> = std::sync::LazyLock::new(|| KINDS.map(small));
        let mut bytes = KINDS.iter().zip(FILES.iter()).find(|(of, _)| **of == kind).unwrap().1.clone();
        let end = if in_header { HEADER_BYTES } else { bytes.len() };
        for (place, byte) in changes {
            bytes[place.index(end)] = byte;
        }
        if let Ok(index) = read(&resealed(bytes)) {
            let dimension = index.dimension();
            let answer = found(&*index, &vec![1.0; dimension], 7, None, None);
            prop_assert!(answer.iter().all(|neighbour| (neighbour.row as usize) < index.len()));
        }
    }
}
