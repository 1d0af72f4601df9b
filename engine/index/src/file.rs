//! The index file, version 2. Everything is little-endian; sizes are known from the header before anything is read.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | magic `FACESIDX` |
//! | 8 | 4 | version, `u32`: 2 |
//! | 12 | 1 | kind: 1 exact, 2 graph, 3 inverted file |
//! | 13 | 1 | metric: 1 inner product, 2 cosine, 3 L2 |
//! | 14 | 2 | zero |
//! | 16 | 4 | dimension d, `u32`, 1 to 1024 |
//! | 20 | 4 | rows n, `u32`, at most 2²⁸ |
//! | 24 | 4 | nodes (graph) or cells (inverted file) v, `u32`; else 0 |
//! | 28 | 4 | degree g, `u32`, at most 256 (graph; else 0) |
//! | 32 | 4 | entries, `u32` (graph; else 0) |
//! | 36 | 4 | effort that the index is tuned to, `u32` |
//! | 40 | 4 | leading directions h, `u32`, a multiple of 64; 0 where all columns are coded |
//! | 44 | 16 | zero |
//! | 60 | 4 | CRC-32C of bytes 0 to 59 |
//! | 64 | 4·n·d | vectors, `f32`, row after row |
//! | | 2·h·d | directions, `i16`, 32,767 times the true ones |
//! | | 4·v·d | inverted file only: centres, `f32`, cell after cell |
//! | | 4·(v + 1) | not exact: where each node's or cell's rows start, `u32` |
//! | | 4·n | not exact: rows by node or cell, `u32` |
//! | | 4·v·g | graph only: neighbours by node, `u32` |
//! | end − 4 | 4 | CRC-32C of everything between header and here |
//!
//! Reading trusts nothing: magic, version, header checksum, length, checksum, then every rule that searching relies
//! on (values finite, links inside, each row once, each node reachable), so that neither a damaged nor a forged file can
//! make a search panic or answer a wrong row. Codes are not stored: they are made from the vectors in less time than
//! reading them would take, and so cannot contradict them.

use std::io::{self, Write};

use crate::basis::Basis;
use crate::codes::Frame;
use crate::error::IndexError;
use crate::exact::Exact;
use crate::graph::{Graph, Groups, Layout};
use crate::ivf::{Cells, Ivf};
use crate::metric::Metric;
use crate::search::{Effort, IndexKind, VectorIndex};
use crate::table::Table;
use crate::vectors::{DIMENSION_MAX, ROWS_MAX, Vectors};

/// The version that [`write()`] writes, and the only one that [`read`] takes: an index is rebuilt rather than converted.
pub const FORMAT_VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"FACESIDX";
const HEADER_BYTES: usize = 64;
const CHECKSUM_BYTES: usize = 4;
const DEGREE_MAX: u32 = 256;
/// Values turned into bytes at a time while writing.
const CHUNK_VALUES: usize = 4096;

/// What a file of an index holds beside its vectors; opaque, made by an index for [`write()`].
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    content: Content<'a>,
    basis: Option<&'a Basis>,
}

#[derive(Debug, Clone, Copy)]
enum Content<'a> {
    Exact,
    Ivf(&'a Cells),
    Graph(&'a Layout),
}

impl<'a> Parts<'a> {
    pub(crate) fn exact(basis: Option<&'a Basis>) -> Self {
        Self { content: Content::Exact, basis }
    }

    pub(crate) fn ivf(cells: &'a Cells, basis: Option<&'a Basis>) -> Self {
        Self { content: Content::Ivf(cells), basis }
    }

    pub(crate) fn graph(layout: &'a Layout, basis: Option<&'a Basis>) -> Self {
        Self { content: Content::Graph(layout), basis }
    }
}

/// The sizes and kinds that a header states.
#[derive(Debug, Clone, Copy)]
struct Header {
    kind: IndexKind,
    metric: Metric,
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
    let vectors = index.vectors();
    let Parts { content, basis } = index.parts();
    let [nodes, degree, entries] = match content {
        Content::Exact => [0, 0, 0],
        Content::Ivf(cells) => [cells.len(), 0, 0],
        Content::Graph(layout) => [layout.groups.len(), layout.degree, layout.entries],
    };
    let header = Header {
        kind: index.kind(),
        metric: index.metric(),
        dimension: vectors.dimension() as u32,
        rows: vectors.len() as u32,
        nodes: nodes as u32,
        degree: degree as u32,
        entries: entries as u32,
        effort: index.effort().0,
        leading: basis.map_or(0, Basis::leading) as u32,
    };
    let mut payload = Payload { out, checksum: 0 };
    let written = payload.out.write_all(&header.encode()).and_then(|()| {
        payload.put(vectors.as_slice(), |value| value.to_le_bytes())?;
        if let Some(basis) = basis {
            let halves: Vec<i16> = basis.directions().collect();
            payload.put(halves.as_chunks::<2>().0, join)?;
        }
        match content {
            Content::Exact => {}
            Content::Ivf(cells) => {
                payload.put(cells.centres.as_slice(), |value| value.to_le_bytes())?;
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
    if crc32c::crc32c(payload) != u32::from_le_bytes(*checksum) {
        return Err(IndexError::Checksum { section: "content" });
    }
    let mut content = Content4(payload.as_chunks::<4>().0.iter());
    let (dimension, rows) = (header.dimension as usize, header.rows as usize);
    let vectors = Vectors::new(dimension, content.floats(rows * dimension))?;
    let leading = header.leading as usize;
    let halves: Vec<i16> = content.numbers(leading * dimension / 2).into_iter().flat_map(split).collect();
    let basis = (leading > 0).then(|| Basis::new(dimension, leading, &halves)).transpose()?;
    let table = Table::new(vectors, header.metric);
    let frame = Frame::with(&table, basis);
    let effort = Effort(header.effort);
    Ok(match header.kind {
        IndexKind::Exact => Box::new(Exact::with(table, frame)),
        IndexKind::Ivf => {
            let centres = Vectors::new(dimension, content.floats(header.nodes as usize * dimension))?;
            let cells = Cells { centres, starts: content.numbers(header.nodes as usize + 1), rows: content.numbers(rows) };
            Box::new(Ivf::new(table, frame, cells, effort)?)
        }
        IndexKind::Graph => {
            let groups = Groups { starts: content.numbers(header.nodes as usize + 1), rows: content.numbers(rows) };
            let (entries, degree) = (header.entries as usize, header.degree as usize);
            let layout = Layout { groups, entries, degree, links: content.numbers(usize::MAX) };
            Box::new(Graph::new(table, frame, layout, effort)?)
        }
    })
}

/// Content as numbers of four bytes; the length was checked before.
struct Content4<'a>(std::slice::Iter<'a, [u8; 4]>);

impl Content4<'_> {
    fn floats(&mut self, count: usize) -> Vec<f32> {
        self.0.by_ref().take(count).map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    fn numbers(&mut self, count: usize) -> Vec<u32> {
        self.0.by_ref().take(count).map(|bytes| u32::from_le_bytes(*bytes)).collect()
    }
}

/// Two numbers of 16 bits as four bytes.
fn join([first, second]: [i16; 2]) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_le_bytes(), second.to_le_bytes());
    [a, b, c, d]
}

fn split(joined: u32) -> [i16; 2] {
    [joined as i16, (joined >> 16) as i16]
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
            self.checksum = crc32c::crc32c_append(self.checksum, &bytes);
            self.out.write_all(&bytes)?;
        }
        Ok(())
    }
}

impl Header {
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
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend([kind, metric, 0, 0]);
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
        let &[_, _, _, [kind, metric, 0, 0], dimension, rows, nodes, degree, entries, effort, leading, ref zeros @ ..] = fields
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
        let [dimension, rows, nodes, degree, entries, effort, leading] =
            [dimension, rows, nodes, degree, entries, effort, leading].map(u32::from_le_bytes);
        let is_foreign = match kind {
            IndexKind::Exact => nodes > 0 || degree > 0 || entries > 0,
            IndexKind::Ivf => degree > 0 || entries > 0,
            IndexKind::Graph => false,
        };
        if dimension as usize > DIMENSION_MAX
            || rows as usize > ROWS_MAX
            || nodes > rows
            || degree > DEGREE_MAX
            || leading > dimension
            || !leading.is_multiple_of(2)
            || is_foreign
            || zeros.iter().any(|zero| *zero != [0; 4])
        {
            return malformed("a size in the header is out of range");
        }
        Ok(Self { kind, metric, dimension, rows, nodes, degree, entries, effort, leading })
    }

    /// The length of the whole file. Cannot overflow: rows and dimension are bounded.
    fn file_bytes(&self) -> u64 {
        let [dimension, rows, nodes, degree, leading] =
            [self.dimension, self.rows, self.nodes, self.degree, self.leading].map(u64::from);
        let layout = match self.kind {
            IndexKind::Exact => 0,
            IndexKind::Ivf => nodes * dimension + (nodes + 1) + rows,
            IndexKind::Graph => (nodes + 1) + rows + nodes * degree,
        };
        HEADER_BYTES as u64 + 4 * (rows * dimension + leading * dimension / 2 + layout) + CHECKSUM_BYTES as u64
    }
}
