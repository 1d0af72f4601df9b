//! A query allocates nothing once its thread is warm: counted, for every kind, metric and way to ask. A binary of its own,
//! because the allocator is the whole process's.
#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use faces_index::{BuildSpec, IndexKind, Metric, RowSet, RowStorage, Scratch, Search, Vectors, build, read, write};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    COUNT.with(|count| count.set(count.get() + 1));
    LARGEST.with(|largest| largest.set(largest.get().max(bytes)));
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn noise(rows: u32) -> Vec<f32> {
    let value =
        |at: u32| at.wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519) as f32 / u32::MAX as f32 - 0.4;
    (0..rows * 16).map(|at| value(at) * if at / 16 % 50 == 0 { 4.0 } else { 1.0 }).collect()
}

const KINDS: [IndexKind; 3] = [IndexKind::Exact, IndexKind::Ivf, IndexKind::Graph];
const STORAGES: [RowStorage; 2] = [RowStorage::Full, RowStorage::Compact];

/// Rows of 130 values that lie near 16 directions: of such only the leading columns are coded at first.
fn long(rows: u32) -> Vec<f32> {
    let turn = |at: usize, column: usize| ((at * 31 + column * 17) as f32 * 0.37).sin();
    let stretched = |short: &[f32]| (0..130).map(|at| (0..16).map(|column| turn(at, column) * short[column]).sum()).collect();
    noise(rows).chunks(16).flat_map(|short| -> Vec<f32> { stretched(short) }).collect()
}

#[test]
fn a_warm_query_allocates_nothing() {
    check(3_000, Vectors::new(16, noise(3_000)).unwrap());
}

#[test]
fn nor_does_one_over_long_rows() {
    check(4_200, Vectors::new(130, long(4_200)).unwrap());
}

fn check(count: u32, vectors: Vectors) {
    let filters = [20, 300, 1_500].map(|step| RowSet::from_fn(count as usize, |row| row.wrapping_mul(7_919) % count < step));
    let queries: Vec<&[f32]> = vectors.iter().step_by(100).collect();
    for metric in [Metric::InnerProduct, Metric::Cosine, Metric::L2] {
        for (kind, rows) in KINDS.into_iter().flat_map(|kind| STORAGES.map(|rows| (kind, rows))) {
            let spec = BuildSpec { kind: Some(kind), rows, ..BuildSpec::default() };
            let index = build(vectors.clone(), metric, &spec).unwrap();
            let searches: Vec<Search<'_>> = (queries.iter().zip(0usize..))
                .map(|(query, at)| Search { allowed: filters.get(at % 4), ..Search::new(query, [10, 120][at % 2]) })
                .collect();
            let (mut scratch, mut found, mut lists, mut scores) = (Scratch::new(), Vec::new(), Vec::new(), Vec::new());
            let mut values = Vec::new();
            let mut round = || {
                for search in &searches {
                    index.search(search, &mut scratch, &mut found).unwrap();
                    index.row_into(77, &mut values);
                    index.score(search.query, &[5, 7, 2_000], &mut scratch, &mut scores).unwrap();
                }
                index.search_batch(&searches, &mut scratch, &mut lists).unwrap();
            };
            round();
            let before = COUNT.get();
            round();
            assert_eq!(COUNT.get() - before, 0, "{kind:?} by {metric:?}, {rows:?}");
        }
    }
}

/// A header may promise any size: nothing is made room for that the file does not hold.
#[test]
fn forged_sizes_allocate_nothing() {
    const HEADER_BYTES: usize = 64;
    let vectors = Vectors::new(16, noise(200)).unwrap();
    for (kind, rows) in KINDS.into_iter().flat_map(|kind| STORAGES.map(|rows| (kind, rows))) {
        let mut bytes = Vec::new();
        let spec = BuildSpec { kind: Some(kind), rows, ..BuildSpec::default() };
        write(&*build(vectors.clone(), Metric::L2, &spec).unwrap(), &mut bytes).unwrap();
        // Dimension, rows, nodes or cells, degree, entries.
        for (place, value) in [(16, 1024u32), (20, 1 << 28), (24, 199), (28, 256), (32, 1 << 28)] {
            let mut forged = bytes.clone();
            forged[place..place + 4].copy_from_slice(&value.to_le_bytes());
            let seal = crc32c::crc32c(&forged[..HEADER_BYTES - 4]);
            forged[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&seal.to_le_bytes());
            LARGEST.set(0);
            assert!(read(&forged).is_err() || forged == bytes, "{kind:?} {rows:?}: {value} at {place}");
            assert!(LARGEST.get() <= 4 * bytes.len(), "{} bytes for a file of {}", LARGEST.get(), bytes.len());
        }
    }
}
