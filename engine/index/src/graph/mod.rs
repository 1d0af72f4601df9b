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
//! **Codes.** Walking reads int8 codes alone, one row after another in layout order; what may be among the best `k` of the
//! candidates is re-scored in `f32`.
//!
//! Memory a vector, dimension d: what the exact kind takes (the graph holds one, for filters and long rows), d rounded up to 64
//! for the codes in layout order, 8·m for links and 24 bytes.

mod distinct;
mod freeze;
mod grow;
mod reduce;
mod walk;

use std::fmt;

use crate::build::GraphSpec;
use crate::codes::{Rigour, Slab};
use crate::error::IndexError;
use crate::exact::Exact;
use crate::file::Parts;
use crate::metric::Metric;
use crate::query::{Direction, prepare};
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{Effort, IndexKind, Neighbour, RowStorage, Search, VectorIndex};
use crate::table::Table;
use crate::top::Key;

pub(crate) use distinct::Groups;

/// A filtered walk touches some `effort ÷ share` nodes' neighbourhoods, an exact scan `share × rows` rows; the two cost
/// the same where `allowed² = FILTER_SCAN_FACTOR × effort × rows`. Measured on 50,000 × 64 (release, AVX-512), see
/// `examples/measure.rs`.
const FILTER_SCAN_FACTOR: usize = 16;

/// How many of the longest rows are scanned before a walk by inner product, per candidate of effort: about as many as
/// the walk itself scores.
const LONGEST_PER_EFFORT: usize = 16;

/// A graph without its vectors: what freezing makes and a file holds. Nodes are numbered in layout order.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The rows of each node; more than one where rows are duplicates.
    pub(crate) groups: Groups,
    /// How many nodes, from node 0, every search starts with.
    pub(crate) entries: usize,
    /// Neighbours per node, at least 1.
    pub(crate) degree: usize,
    /// `degree` neighbours per node; a node with fewer repeats its own number, which a walk has always visited.
    pub(crate) links: Vec<u32>,
}

impl fmt::Debug for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut summary = formatter.debug_struct("Layout");
        summary.field("nodes", &self.groups.len()).field("degree", &self.degree).finish_non_exhaustive()
    }
}

/// A [`Layout`] over its vectors, ready to search.
#[derive(Debug)]
pub(crate) struct Graph {
    exact: Exact,
    layout: Layout,
    /// The nodes' codes in layout order.
    slab: Slab,
    effort: Effort,
}

impl Graph {
    /// Builds and freezes. Cost: see [`BuildSpec`](crate::BuildSpec).
    pub(crate) fn build(exact: Exact, spec: &GraphSpec, effort: Effort) -> Result<Self, IndexError> {
        let groups = Groups::of(exact.table());
        let points = reduce::Points::of(exact.table(), &groups);
        let grown = grow::grow(&points, spec);
        let layout = freeze::freeze(grown, groups, &points, 2 * spec.m);
        Self::new(exact, layout, effort)
    }

    /// The same over rows that are kept so.
    pub(crate) fn storing(self, rows: RowStorage) -> Result<Self, IndexError> {
        if rows == self.storage() { Ok(self) } else { Self::new(self.exact.storing(rows), self.layout, self.effort) }
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
    pub(crate) fn new(exact: Exact, layout: Layout, effort: Effort) -> Result<Self, IndexError> {
        layout.check(exact.table())?;
        let row_of = |node| layout.groups.rows(node).first().copied().unwrap_or_default();
        let slab = Slab::of(exact.table(), layout.groups.len(), row_of);
        Ok(Self { exact, layout, slab, effort })
    }

    /// Whether scanning the allowed rows is cheaper than walking among them.
    fn scans(&self, allowed: &RowSet, effort: usize) -> bool {
        let count = allowed.count();
        let balance = FILTER_SCAN_FACTOR.saturating_mul(effort).saturating_mul(allowed.len());
        count <= effort || count.saturating_mul(count) <= balance
    }

    /// Under inner product, scans the longest rows first; whether their best, in `scratch.best` then, are the exact answer.
    fn scan_longest(&self, search: &Search<'_>, effort: usize, scratch: &mut Scratch) -> bool {
        if self.exact.rows_passed() == self.exact.table().len() {
            return false; // no order by length
        }
        self.exact.start(search.k, scratch);
        let scan = self.exact.scan(search.allowed, effort.saturating_mul(LONGEST_PER_EFFORT), scratch);
        self.exact.settle(search.k, scratch);
        scan.is_exact
    }

    /// Re-scores the rows of the best nodes walked: all that may be among the best `k`, by the walk's scores give or take
    /// their error. The rows already in `found` stay in play.
    fn answer_walked(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) {
        let Scratch { query, code, picked, scores, best, sorted, lower, work, .. } = scratch;
        let code = code.coded();
        best.drain_into(sorted);
        let margin = |node: u32| code.margin(&self.slab.rows.get(node as usize).copied().unwrap_or_default().spread);
        let is_allowed = |row: &u32| search.allowed.is_none_or(|set| set.contains(*row));
        lower.reset(search.k);
        for key in sorted.iter() {
            let allowed = self.layout.groups.rows(key.id()).iter().copied().filter(is_allowed);
            for row in allowed.take(search.k) {
                lower.push(Key::new(key.score() - margin(key.id()), row));
            }
        }
        let floor = lower.worst().map_or(f32::NEG_INFINITY, Key::score);
        picked.clear();
        for key in sorted.iter().filter(|key| key.score() + margin(key.id()) >= floor) {
            let allowed = self.layout.groups.rows(key.id()).iter().copied().filter(is_allowed);
            picked.extend(allowed.take(search.k));
        }
        work.scored += picked.len() as u64;
        scores.clear();
        self.exact.table().score_prepared(query, picked, scores);
        found.extend(picked.iter().zip(scores.iter()).map(|(&row, &score)| Neighbour { row, score }));
        found.sort_unstable_by(|left, right| right.score.total_cmp(&left.score).then(left.row.cmp(&right.row)));
        // A row found twice has the same bits both times: every kernel adds in the same order.
        found.dedup_by_key(|neighbour| neighbour.row);
        found.truncate(search.k);
    }
}

impl VectorIndex for Graph {
    fn kind(&self) -> IndexKind {
        IndexKind::Graph
    }

    fn metric(&self) -> Metric {
        self.exact.metric()
    }

    fn effort(&self) -> Effort {
        self.effort
    }

    fn search(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) -> Result<(), IndexError> {
        found.clear();
        self.exact.table().check_filter(search.allowed)?;
        let effort = (search.effort.unwrap_or(self.effort).0 as usize).max(search.k);
        if search.allowed.is_some_and(|allowed| self.scans(allowed, effort)) {
            return self.exact.search(search, scratch, found);
        }
        if prepare(self.metric(), search.query, self.exact.table().dimension(), &mut scratch.query)? == Direction::None {
            self.exact.table().answer_first(search.k, search.allowed, found);
            return Ok(());
        }
        if search.k == 0 {
            return Ok(());
        }
        if self.scan_longest(search, effort, scratch) {
            scratch.answer(found);
            return Ok(());
        }
        scratch.answer(found);
        self.slab.frame.encode_query(&scratch.query, Rigour::Likely, &mut scratch.code);
        match search.allowed {
            None => walk::walk(&self.layout, &self.slab, effort, |_| true, scratch),
            Some(allowed) => {
                let groups = &self.layout.groups;
                let allows = |node| groups.rows(node).iter().any(|row| allowed.contains(*row));
                walk::walk(&self.layout, &self.slab, effort, allows, scratch);
            }
        }
        self.answer_walked(search, scratch, found);
        let wanted = search.allowed.map_or(self.exact.table().len(), RowSet::count).min(search.k);
        if found.len() < wanted {
            // Every node is reached from the entries, but perhaps not from those few that a walk starts from.
            return self.exact.search(search, scratch, found);
        }
        Ok(())
    }

    fn score(&self, query: &[f32], rows: &[u32], scratch: &mut Scratch, scores: &mut Vec<f32>) -> Result<(), IndexError> {
        self.exact.score(query, rows, scratch, scores)
    }

    fn memory_bytes(&self) -> usize {
        let Layout { groups, links, .. } = &self.layout;
        let numbers = groups.starts.len() + groups.rows.len() + links.len();
        self.exact.memory_bytes() + self.slab.memory_bytes() + numbers * size_of::<u32>()
    }

    fn parts(&self) -> Parts<'_> {
        Parts::graph(self.exact.table(), &self.layout)
    }
}

impl Layout {
    /// The neighbours of a node, itself where it has fewer than the degree.
    #[inline]
    pub(crate) fn links(&self, node: u32) -> &[u32] {
        let start = node as usize * self.degree;
        self.links.get(start..start + self.degree).unwrap_or_default()
    }

    fn check(&self, table: &Table) -> Result<(), IndexError> {
        let nodes = self.groups.len();
        let malformed = |reason| Err(IndexError::Malformed { reason });
        self.groups.check(table)?;
        if self.degree == 0 || nodes.checked_mul(self.degree) != Some(self.links.len()) {
            return malformed("the links do not fill the slab");
        }
        if self.links.iter().any(|link| *link as usize >= nodes) {
            return malformed("a link leads nowhere");
        }
        if self.entries > nodes || (self.entries == 0 && nodes > 0) {
            return malformed("the entries are not among the nodes");
        }
        let mut reached: Vec<bool> = (0..nodes).map(|node| node < self.entries).collect();
        let mut queue: Vec<u32> = (0..self.entries as u32).collect();
        while let Some(node) = queue.pop() {
            for &link in self.links(node) {
                if let Some(seen @ false) = reached.get_mut(link as usize) {
                    *seen = true;
                    queue.push(link);
                }
            }
        }
        if reached.contains(&false) {
            return malformed("a node cannot be reached");
        }
        Ok(())
    }
}
