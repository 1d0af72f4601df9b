//! A graph as it is searched: nodes in the order a walk meets them, each with a fixed number of neighbours.

use std::fmt;

use crate::error::IndexError;
use crate::graph::distinct::Groups;
use crate::kernels::int8::prefetch;
use crate::table::Table;

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

impl Layout {
    /// Asks early for the neighbours of a node.
    #[inline]
    pub(crate) fn prefetch(&self, node: u32) {
        prefetch(self.links(node));
    }

    /// The neighbours of a node, itself where it has fewer than the degree.
    #[inline]
    pub(crate) fn links(&self, node: u32) -> &[u32] {
        let start = node as usize * self.degree;
        self.links.get(start..start + self.degree).unwrap_or_default()
    }

    /// What searching relies on: every row in exactly one node with its duplicates, every link a node, every node reachable from the
    /// entries.
    pub(crate) fn check(&self, table: &Table) -> Result<(), IndexError> {
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
