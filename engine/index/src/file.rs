//! The index file, version 3. Everything is little-endian; sizes are known from the header before anything is read.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | magic `FACESIDX` |
//! | 8 | 4 | version, `u32`: 3 |
//! | 12 | 1 | kind: 1 exact, 2 graph, 3 inverted file |
//! | 13 | 1 | metric: 1 inner product, 2 cosine, 3 L2 |
//! | 14 | 1 | rows: 0 full, 1 compact |
//! | 15 | 1 | zero |
//! | 16 | 4 | dimension d, `u32`, 1 to 1024 |
//! | 20 | 4 | rows n, `u32`, at most 2²⁸ |
//! | 24 | 4 | nodes (graph) or cells (inverted file) v, `u32`; else 0 |
//! | 28 | 4 | degree g, `u32`, at most 256 (graph; else 0) |
//! | 32 | 4 | entries, `u32` (graph; else 0) |
//! | 36 | 4 | effort that the index is tuned to, `u32`; 1 if exact |
//! | 40 | 4 | leading directions h, `u32`, a multiple of 64; 0 where all columns are coded, as of compact rows |
//! | 44 | 16 | zero |
//! | 60 | 4 | CRC-32C of bytes 0 to 59 |
//! | 64 | | the n rows |
//! | | 2·h·d | directions, `i16`, 32,767 times the true ones |
//! | | | inverted file only: the v centres of cells, as rows of L2 or else of inner product |
//! | | 4·(v + 1) | not exact: where each node's or cell's rows start, `u32` |
//! | | 4·n | not exact: rows by node or cell, `u32` |
//! | | 4·v·g | graph only: neighbours by node, `u32` |
//! | end − 4 | 4 | CRC-32C of bytes 0 to 59 and all from 64 to here, so that headers cannot be exchanged |
//!
//! Rows are `f32` values, row after row (4·n·d bytes), or, compact:
//!
//! | bytes | content |
//! |---|---|
//! | 4·d | not under inner product: what is taken off every row, `f32` |
//! | 4·n | scales, `f32` |
//! | n·d | codes of eight bits, plus 128, row after row |
//! | n·⌈d ÷ 2⌉ | codes of four bits, plus 8, row after row: value i in the low half of byte i, or in the high half of byte i − ⌈d ÷ 2⌉ |
//!
//! Reading trusts nothing: magic, version, header checksum, length, checksum, then every rule that searching relies
//! on (values finite, links inside, each row once, each node reachable), so that neither a damaged nor a forged file can
//! make a search panic or answer a wrong row. What searches prove their answers by
//! (lengths, errors, orders) is not stored: it is made from the rows, and so cannot contradict them; neither are the codes of full
//! rows, which are made in less time than reading them would take.
//!
//! Cost of reading, 1M × 64 on one core of two: full rows .5 (exact) to .75 CPU-seconds (inverted file), compact ones .2 to .5.
//! Making codes takes the most, then touching new memory; the checksum a tenth. So a caller may as well read a file as map it:
//! what is searched is laid out anew in any case. In use at the same time are the file and the index, nothing else of size.

use std::io::{self, Write};

use crate::basis::Basis;
use crate::codes::{Compact, Frame, Packed};
use crate::error::IndexError;
use crate::exact::Exact;
use crate::full::Full;
use crate::graph::Graph;
use crate::graph::distinct::Groups;
use crate::graph::layout::Layout;
use crate::ivf::Ivf;
use crate::ivf::cells::Cells;
use crate::kernels::fine::fine_bytes;
use crate::kernels::int8::QUAD;
use crate::metric::Metric;
use crate::parts::{Content, Parts};
use crate::search::{Effort, IndexKind, RowStorage};
use crate::table::{Given, Table};
use crate::vector_index::VectorIndex;
use crate::vectors::{DIMENSION_MAX, ROWS_MAX, Vectors};

/// The version that [`write()`] writes, and the only one that [`read`] takes: an index is rebuilt rather than converted.
pub const FORMAT_VERSION: u32 = 3;

const MAGIC: [u8; 8] = *b"FACESIDX";
const HEADER_BYTES: usize = 64;
const CHECKSUM_BYTES: usize = 4;
const DEGREE_MAX: u32 = 256;
/// Values turned into bytes at a time while writing.
const CHUNK_VALUES: usize = 4096;

/// The sizes and kinds that a header states.
#[derive(Debug, Clone, Copy)]
struct Header {
    kind: IndexKind,
    metric: Metric,
    storage: RowStorage,
    dimension: u32,
    rows: u32,
    nodes: u32,
    degree: u32,
    entries: u32,
    effort: u32,
    leading: u32,
}

/// Writes `index` to `out` in small pieces (wrap a file in a `BufWriter` or not, it matters little), without flushing.
/// Equal indexes give equal bytes.
///
/// # Errors
/// [`IndexError::Write`] with what `out` said.
pub fn write(index: &dyn VectorIndex, out: &mut dyn Write) -> Result<(), IndexError> {
    let Parts { table, content, basis } = index.parts();
    let [nodes, degree, entries] = match content {
        Content::Exact => [0, 0, 0],
        Content::Ivf(cells, _) => [cells.len(), 0, 0],
        Content::Graph(layout) => [layout.groups.len(), layout.degree, layout.entries],
    };
    let header = Header {
        kind: index.kind(),
        metric: index.metric(),
        storage: index.storage(),
        dimension: table.dimension() as u32,
        rows: table.len() as u32,
        nodes: nodes as u32,
        degree: degree as u32,
        entries: entries as u32,
        effort: index.effort().0,
        leading: basis.map_or(0, Basis::leading) as u32,
    };
    let mut payload = Payload { out, checksum: header.checksum() };
    let written = payload.out.write_all(&header.encode()).and_then(|()| {
        payload.put_rows(table)?;
        if let Some(basis) = basis {
            let directions: Vec<u8> = basis.directions().flat_map(i16::to_le_bytes).collect();
            payload.put_bytes(&directions)?;
        }
        match content {
            Content::Exact => {}
            Content::Ivf(cells, centres) => {
                payload.put_rows(centres)?;
                payload.put(&cells.starts, |value| value.to_le_bytes())?;
                payload.put(&cells.rows, |value| value.to_le_bytes())?;
            }
            Content::Graph(layout) => {
                payload.put(&layout.groups.starts, |value| value.to_le_bytes())?;
                payload.put(&layout.groups.rows, |value| value.to_le_bytes())?;
                payload.put(&layout.links, |value| value.to_le_bytes())?;
            }
        }
        payload.out.write_all(&payload.checksum.to_le_bytes())
    });
    written.map_err(IndexError::Write)
}

/// Reads an index that [`write()`] wrote, and checks all of it.
///
/// # Errors
/// [`IndexError::Foreign`], [`IndexError::Newer`], [`IndexError::Length`], [`IndexError::Checksum`],
/// [`IndexError::Malformed`], or what [`Vectors::new`] says of the values.
pub fn read(bytes: &[u8]) -> Result<Box<dyn VectorIndex>, IndexError> {
    let header = Header::decode(bytes)?;
    let expected = header.file_bytes();
    if expected != bytes.len() as u64 {
        return Err(IndexError::Length { found: bytes.len() as u64, expected });
    }
    let (payload, checksum) = bytes
        .get(HEADER_BYTES..)
        .and_then(|rest| rest.split_last_chunk::<CHECKSUM_BYTES>())
        .ok_or(IndexError::Length { found: bytes.len() as u64, expected })?;
    if crc32c::crc32c_append(header.checksum(), payload) != u32::from_le_bytes(*checksum) {
        return Err(IndexError::Checksum { section: "content" });
    }
    let mut content = Cursor(payload);
    let (rows, nodes) = (header.rows as usize, header.nodes as usize);
    let given = content.rows(&header, header.metric, rows)?;
    let given = match content.basis(&header)? {
        Some(basis) => given.led_by(basis),
        None => given,
    };
    let effort = Effort(header.effort);
    Ok(match header.kind {
        IndexKind::Exact => Box::new(Exact::of(given)),
        IndexKind::Ivf => {
            let centres = content.rows(&header, Ivf::metric_of_centres(header.metric), nodes)?;
            let cells = Cells { starts: content.numbers(nodes + 1), rows: content.numbers(rows) };
            let centres = centres.coded_as(&given);
            Box::new(Ivf::new(given, cells, centres, effort)?)
        }
        IndexKind::Graph => {
            let groups = Groups { starts: content.numbers(nodes + 1), rows: content.numbers(rows) };
            let (entries, degree) = (header.entries as usize, header.degree as usize);
            let layout = Layout { groups, entries, degree, links: content.numbers(nodes * degree) };
            Box::new(Graph::new(given, layout, effort)?)
        }
    })
}

/// What is left of the content; its length was checked before.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at_checked(count).unwrap_or((self.0, &[]));
        self.0 = rest;
        taken
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        self.bytes(4 * count).as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    fn numbers(&mut self, count: usize) -> Vec<u32> {
        self.bytes(4 * count).as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
    }

    fn rows(&mut self, header: &Header, metric: Metric, rows: usize) -> Result<Given<'a>, IndexError> {
        let dimension = header.dimension as usize;
        Ok(match header.storage {
            RowStorage::Full => {
                let full = Full::new(Vectors::new(dimension, self.floats(rows * dimension))?, metric);
                let frame = Frame::plain(&full);
                Given::Full(full, frame)
            }
            RowStorage::Compact => {
                let centre = self.floats(centre_values(metric, dimension));
                let scales = self.floats(rows);
                let (codes, fines) = (self.bytes(rows * dimension), self.bytes(rows * fine_bytes(dimension)));
                Given::Compact(Packed::new(metric, dimension, centre, scales, codes, fines)?)
            }
        })
    }

    fn basis(&mut self, header: &Header) -> Result<Option<Basis>, IndexError> {
        let (dimension, leading) = (header.dimension as usize, header.leading as usize);
        let directions = self.bytes(2 * leading * dimension).as_chunks::<2>().0;
        let directions: Vec<i16> = directions.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        (leading > 0).then(|| Basis::new(dimension, leading, &directions)).transpose()
    }
}

/// How many values are taken off compact rows.
fn centre_values(metric: Metric, dimension: usize) -> usize {
    if metric == Metric::InnerProduct { 0 } else { dimension }
}

struct Payload<'a> {
    out: &'a mut dyn Write,
    checksum: u32,
}

impl Payload<'_> {
    fn put<T: Copy>(&mut self, values: &[T], encode: impl Fn(T) -> [u8; 4]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(4 * CHUNK_VALUES.min(values.len()));
        for chunk in values.chunks(CHUNK_VALUES) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| encode(*value)));
            self.put_bytes(&bytes)?;
        }
        Ok(())
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
        self.out.write_all(bytes)
    }

    fn put_rows(&mut self, table: &Table) -> io::Result<()> {
        match table {
            Table::Full(full) => self.put(full.vectors().as_slice(), |value| value.to_le_bytes()),
            Table::Compact(compact) => self.put_compact(compact),
        }
    }

    fn put_compact(&mut self, compact: &Compact) -> io::Result<()> {
        let frame = compact.frame();
        self.put(frame.centre(), |value| value.to_le_bytes())?;
        let mut codes = vec![0; frame.dimension().next_multiple_of(QUAD)];
        let scales: Vec<f32> = (0..compact.len() as u32).map(|row| compact.codes_of(row, &mut codes)).collect();
        self.put(&scales, |value| value.to_le_bytes())?;
        let mut bytes = Vec::with_capacity(4 * CHUNK_VALUES + DIMENSION_MAX);
        for row in 0..compact.len() as u32 {
            compact.codes_of(row, &mut codes);
            bytes.extend_from_slice(codes.get(..frame.dimension()).unwrap_or_default());
            if bytes.len() >= 4 * CHUNK_VALUES {
                self.put_bytes(&bytes)?;
                bytes.clear();
            }
        }
        self.put_bytes(&bytes)?;
        compact.fines().chunks(4 * CHUNK_VALUES).try_for_each(|bytes| self.put_bytes(bytes))
    }
}

impl Header {
    /// Of all but itself.
    fn checksum(&self) -> u32 {
        self.encode().last_chunk().map_or(0, |checksum| u32::from_le_bytes(*checksum))
    }

    fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            IndexKind::Exact => 1,
            IndexKind::Graph => 2,
            IndexKind::Ivf => 3,
        };
        let metric = match self.metric {
            Metric::InnerProduct => 1,
            Metric::Cosine => 2,
            Metric::L2 => 3,
        };
        let storage = match self.storage {
            RowStorage::Full => 0,
            RowStorage::Compact => 1,
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend([kind, metric, storage, 0]);
        for number in [self.dimension, self.rows, self.nodes, self.degree, self.entries, self.effort, self.leading] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(HEADER_BYTES - CHECKSUM_BYTES, 0);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// The version is looked at before the checksum: a later header may be laid out differently.
    fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(IndexError::Foreign);
        };
        if *magic != MAGIC {
            return Err(IndexError::Foreign);
        }
        let short = IndexError::Length { found: bytes.len() as u64, expected: HEADER_BYTES as u64 };
        let Some((version, _)) = rest.split_first_chunk::<4>() else {
            return Err(short);
        };
        let version = u32::from_le_bytes(*version);
        if version > FORMAT_VERSION {
            return Err(IndexError::Newer { found: version, supported: FORMAT_VERSION });
        }
        if version < FORMAT_VERSION {
            return Err(IndexError::Older { found: version, supported: FORMAT_VERSION });
        }
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(short);
        };
        let Some((stated, checksum)) = header.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Err(short);
        };
        if crc32c::crc32c(stated) != u32::from_le_bytes(*checksum) {
            return Err(IndexError::Checksum { section: "header" });
        }
        Self::of_fields(stated)
    }

    fn of_fields(stated: &[u8]) -> Result<Self, IndexError> {
        let malformed = |reason| Err(IndexError::Malformed { reason });
        let fields = stated.as_chunks::<4>().0;
        let &[_, _, _, [kind, metric, storage, 0], dimension, rows, nodes, degree, entries, effort, leading, ref zeros @ ..] =
            fields
        else {
            return malformed("the header has a form of its own");
        };
        let kind = match kind {
            1 => IndexKind::Exact,
            2 => IndexKind::Graph,
            3 => IndexKind::Ivf,
            _ => return malformed("the kind is unknown"),
        };
        let metric = match metric {
            1 => Metric::InnerProduct,
            2 => Metric::Cosine,
            3 => Metric::L2,
            _ => return malformed("the metric is unknown"),
        };
        let storage = match storage {
            0 => RowStorage::Full,
            1 => RowStorage::Compact,
            _ => return malformed("the form of the rows is unknown"),
        };
        let [dimension, rows, nodes, degree, entries, effort, leading] =
            [dimension, rows, nodes, degree, entries, effort, leading].map(u32::from_le_bytes);
        let is_foreign = match kind {
            IndexKind::Exact => nodes > 0 || degree > 0 || entries > 0 || effort != 1,
            IndexKind::Ivf => degree > 0 || entries > 0,
            IndexKind::Graph => false,
        };
        if !(1..=DIMENSION_MAX).contains(&(dimension as usize))
            || rows as usize > ROWS_MAX
            || nodes > rows
            || degree > DEGREE_MAX
            || leading > dimension
            || (leading > 0 && storage == RowStorage::Compact)
            || !leading.is_multiple_of(2)
            || is_foreign
            || zeros.iter().any(|zero| *zero != [0; 4])
        {
            return malformed("a size in the header is out of range");
        }
        Ok(Self { kind, metric, storage, dimension, rows, nodes, degree, entries, effort, leading })
    }

    /// The length of the whole file. Cannot overflow: rows and dimension are bounded.
    fn file_bytes(&self) -> u64 {
        let [rows, nodes, degree] = [self.rows, self.nodes, self.degree].map(u64::from);
        let layout = match self.kind {
            IndexKind::Exact => 0,
            IndexKind::Ivf => self.rows_bytes(Ivf::metric_of_centres(self.metric), nodes) + 4 * (nodes + 1 + rows),
            IndexKind::Graph => 4 * (nodes + 1 + rows + nodes * degree),
        };
        let basis = 2 * u64::from(self.leading) * u64::from(self.dimension);
        HEADER_BYTES as u64 + self.rows_bytes(self.metric, rows) + basis + layout + CHECKSUM_BYTES as u64
    }

    fn rows_bytes(&self, metric: Metric, rows: u64) -> u64 {
        let dimension = self.dimension as usize;
        match self.storage {
            RowStorage::Full => 4 * rows * dimension as u64,
            RowStorage::Compact => {
                4 * centre_values(metric, dimension) as u64 + rows * (4 + dimension as u64 + fine_bytes(dimension) as u64)
            }
        }
    }
}
