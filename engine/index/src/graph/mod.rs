//! The frozen graph: a neighbour graph that `hnsw_rs` built, laid out flat so that it can be served.
//!
//! `hnsw_rs` is used as a builder only (`grow`). Its graph is copied at once into a [`Layout`] (`freeze`): one node per
//! *distinct* vector (`distinct`), in breadth-first order so that nodes met together lie together, with a fixed number of
//! neighbours in one slab of `u32`, every node reachable. `walk` searches that. There are no upper layers: the nodes
//! inserted first are the entries (they come first in the layout), all of them are scored, and the walk starts from
//! the best. They are a random sample, so every larger cluster holds one; a descent through layers finds only one.
//!
//! **Inner product.** The graph is built on directions and walked by inner product (`reduce` says why). Before the walk
//! the longest rows are scanned: either that proves to be the exact answer, or it contributes the rows that walks miss.
//!
//! **Codes.** Walking reads int8 codes alone, one row after another in layout order, of the leading h columns where rows are long
//! (`basis`); what may be among the best `k` of the candidates is refined by codes of all columns then, and re-scored in `f32`.
//!
//! Memory a vector, dimension d: the vector, h (or d, where all is coded) rounded up to 64 for the codes in layout order, 9.25
//! bytes for what they are multiplied by and how far they are off, 8·m for links and 12 for numbers: 470 bytes at d = 64 with 32
//! links. Where h < d, d rounded up to 64 and 9.25 more; under inner product, where lengths differ, what the exact kind takes more.

mod answer;
pub(crate) mod distinct;
mod freeze;
mod grow;
pub(crate) mod layout;
mod reduce;
mod walk;

use crate::codes::{Frame, Packed, Slab};
use crate::error::IndexError;
use crate::exact::Exact;
use crate::full::Full;
use crate::graph::distinct::Groups;
use crate::graph::layout::Layout;
use crate::metric::Metric;
use crate::parts::Parts;
use crate::query::{Direction, prepare};
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{Effort, IndexKind, Neighbour, RowStorage, Search};
use crate::spec::GraphSpec;
use crate::table::{Given, Table};
use crate::vector_index::VectorIndex;

/// Where codes are of leading columns, at least so many times `k` candidates are kept for a closer look.
const KEPT_PER_K: usize = 2;

/// Up to so many allowed rows are scored in `f32` at once.
const ROWS_PLAIN: usize = 24;

/// How many of the longest rows are scanned before a walk by inner product, per candidate of effort: about as many as
/// the walk itself scores.
const LONGEST_PER_EFFORT: usize = 16;

/// A [`Layout`] over its vectors, ready to search.
#[derive(Debug)]
pub(crate) struct Graph {
    base: Base,
    layout: Layout,
    /// The nodes' codes in layout order.
    slab: Slab,
    /// Codes of all columns, where those are of leading ones.
    fine: Option<Slab>,
    /// The node of each row; empty where the base reads filtered rows.
    nodes: Vec<u32>,
    effort: Effort,
}

/// What a graph lies over.
#[derive(Debug)]
enum Base {
    Rows(Table),
    /// Under inner product, where lengths differ.
    Longest(Box<Exact>),
}

impl Base {
    /// Over these rows; and the frame to code them in.
    fn of(rows: Given<'_>) -> (Self, Frame) {
        if rows.metric() != Metric::InnerProduct {
            let (table, frame) = rows.rows();
            return (Self::Rows(table), frame);
        }
        let exact = Exact::of(rows);
        let frame = exact.frame().clone();
        if exact.is_ordered() { (Self::Longest(Box::new(exact)), frame) } else { (Self::Rows(exact.into_table()), frame) }
    }

    fn table(&self) -> &Table {
        match self {
            Self::Rows(table) => table,
            Self::Longest(exact) => exact.table(),
        }
    }
}

impl Graph {
    /// Builds and freezes. Cost: see [`BuildSpec`](crate::BuildSpec).
    pub(crate) fn build(full: Full, frame: Frame, spec: &GraphSpec, effort: Effort) -> Result<Self, IndexError> {
        let groups = Groups::of(&full);
        let points = reduce::Points::of(&full, &groups);
        let grown = grow::grow(&points, spec);
        let layout = freeze::freeze(grown, groups, &points, 2 * spec.m, frame.leading());
        Self::new(Given::Full(full, frame), layout, effort)
    }

    /// The same over rows that are kept so.
    pub(crate) fn storing(self, rows: RowStorage) -> Result<Self, IndexError> {
        let Table::Full(full) = self.base.table() else { return Ok(self) };
        if rows == RowStorage::Full {
            return Ok(self);
        }
        let packed = Packed::of(full);
        Self::new(Given::Compact(packed), self.layout, self.effort)
    }

    /// The same with another effort of its own.
    pub(crate) fn with_effort(self, effort: Effort) -> Self {
        Self { effort, ..self }
    }

    /// Puts a layout over its vectors.
    ///
    /// # Errors
    /// [`IndexError::Malformed`] unless every row is in exactly one node with its duplicates, every link names a
    /// node, and every node can be reached from the entries: what the search relies on.
    pub(crate) fn new(rows: Given<'_>, layout: Layout, effort: Effort) -> Result<Self, IndexError> {
        let (base, frame) = Base::of(rows);
        let table = base.table();
        layout.check(table)?;
        let fill = |node: u32, values: &mut [f32]| {
            table.fill_scaled(layout.groups.rows(node).first().copied().unwrap_or_default(), values);
        };
        let slab = Slab::of(frame.clone(), layout.groups.len(), fill);
        let fine = frame.whole().map(|whole| Slab::of(whole, layout.groups.len(), fill));
        let mut nodes = Vec::new();
        if let Base::Rows(table) = &base {
            nodes.resize(table.len(), 0);
            for node in 0..layout.groups.len() as u32 {
                for &row in layout.groups.rows(node) {
                    if let Some(place) = nodes.get_mut(row as usize) {
                        *place = node;
                    }
                }
            }
        }
        Ok(Self { base, layout, slab, fine, nodes, effort })
    }

    /// Under inner product, scans the longest rows first; whether their best, in `scratch.best` then, are the exact answer.
    fn scan_longest(&self, search: &Search<'_>, effort: usize, scratch: &mut Scratch) -> bool {
        scratch.best.reset(search.k);
        let Base::Longest(exact) = &self.base else {
            return false;
        };
        exact.start(search.k, scratch);
        let scan = exact.scan(search.allowed, effort.saturating_mul(LONGEST_PER_EFFORT), scratch);
        exact.settle(search.k, false, scratch);
        scan.is_exact
    }
}

impl VectorIndex for Graph {
    fn kind(&self) -> IndexKind {
        IndexKind::Graph
    }

    fn metric(&self) -> Metric {
        self.base.table().metric()
    }

    fn effort(&self) -> Effort {
        self.effort
    }

    fn search(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) -> Result<(), IndexError> {
        found.clear();
        let table = self.base.table();
        table.check_filter(search.allowed)?;
        if prepare(self.metric(), search.query, table.dimension(), &mut scratch.query)? == Direction::None {
            table.answer_first(search.k, search.allowed, found);
            return Ok(());
        }
        let wanted = search.allowed.map_or(table.len(), RowSet::count);
        if search.k == 0 || wanted == 0 {
            return Ok(());
        }
        let effort = (search.effort.unwrap_or(self.effort).0 as usize).max(search.k);
        match (&self.base, search.allowed) {
            (Base::Longest(exact), Some(allowed)) if self.gathers(allowed, effort) => {
                return exact.search(search, scratch, found);
            }
            (Base::Rows(table), _) if wanted <= ROWS_PLAIN || search.k >= wanted => {
                table.scan(search.k, search.allowed, scratch);
                scratch.answer(found);
                return Ok(());
            }
            _ => {}
        }
        if self.scan_longest(search, effort, scratch) {
            scratch.answer(found);
            return Ok(());
        }
        scratch.answer(found);
        self.start(search.k, scratch);
        match search.allowed {
            None => {
                let kept = if self.fine.is_some() { effort.max(KEPT_PER_K * search.k) } else { effort };
                walk::walk(&self.layout, &self.slab, effort, kept, scratch);
                self.shortlist_walked(scratch);
            }
            Some(allowed) => self.find_allowed(allowed, search.k, effort, scratch),
        }
        self.answer(search, scratch, found);
        if found.len() < wanted.min(search.k) {
            // Every node is reached from the entries, but perhaps not from those few that a walk starts from.
            self.base.table().scan(search.k, search.allowed, scratch);
            scratch.answer(found);
        }
        Ok(())
    }

    fn score(&self, query: &[f32], rows: &[u32], scratch: &mut Scratch, scores: &mut Vec<f32>) -> Result<(), IndexError> {
        self.base.table().score(query, rows, scratch, scores)
    }

    fn memory_bytes(&self) -> usize {
        let Layout { groups, links, .. } = &self.layout;
        let numbers = groups.starts.len() + groups.rows.len() + links.len() + self.nodes.len();
        let rows = match &self.base {
            Base::Rows(table) => table.memory_bytes() + table.compact().map_or(0, |compact| compact.blocks().memory_bytes()),
            Base::Longest(exact) => exact.memory_bytes(),
        };
        let fine = self.fine.as_ref().map_or(0, Slab::memory_bytes);
        rows + self.slab.memory_bytes() + fine + numbers * size_of::<u32>()
    }

    fn parts(&self) -> Parts<'_> {
        Parts::graph(self.base.table(), &self.layout, self.slab.frame.basis())
    }
}
