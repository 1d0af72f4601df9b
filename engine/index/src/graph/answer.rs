//! From a query to the nodes worth a look, with a filter or without, and from those to the answer.
//!
//! **Filters.** Where few rows are allowed their codes are read, wherever they lie; where many are, the graph is walked, through nodes
//! that are not allowed as well, until enough allowed ones are found. A walk that meets far fewer of them than their share leads to
//! expect, because the filter shuts out the very region that the query is in, is given up for reading all.

use crate::codes::Rigour;
use crate::finish;
use crate::graph::{Base, Graph, walk};
use crate::kernels::int8::sum_picked;
use crate::rows::RowSet;
use crate::scratch::Scratch;
use crate::search::{Neighbour, Search};
use crate::top::Key;

/// A walk that keeps e candidates reads the codes of about `WALKED`·e^`WALKED_POWER` nodes: 203 at 10, 378 at 32, 880 at 128 on
/// 60,000 × 784 images, 32 neighbours a node.
const WALKED: f64 = 45.0;
const WALKED_POWER: f64 = 0.62;

/// Reading a row's code in a walk costs as much as reading so many in a row.
const WALK_COST: usize = 2;

/// Of e candidates a filtered walk keeps e·share^`KEPT_POWER`: it is the best `k` of the allowed that are wanted, and it sees
/// 1 ÷ share times as many nodes.
const KEPT_POWER: f64 = 0.4;

/// The fewest it keeps, as a multiple of `k`.
const KEPT_MIN: f64 = 1.5;

/// A filtered walk is given up once it has read so many times the nodes that were expected.
const PATIENCE: usize = 4;

/// Rows read between two looks at the floor.
const ROWS_PER_TURN: usize = 256;

impl Graph {
    /// What a filtered walk keeps, and how many nodes it will read.
    fn walk_plan(&self, allowed: &RowSet, effort: usize) -> (f64, usize) {
        let share = allowed.count() as f64 / allowed.len().max(1) as f64;
        let kept = effort as f64 * share.powf(KEPT_POWER);
        (kept, (WALKED * (kept / share).powf(WALKED_POWER)) as usize)
    }

    /// Whether reading the codes of all allowed rows is cheaper than walking among them.
    pub(super) fn gathers(&self, allowed: &RowSet, effort: usize) -> bool {
        let (kept, walked) = self.walk_plan(allowed, effort);
        allowed.count() <= walked.saturating_mul(WALK_COST).max(kept as usize)
    }

    /// Codes the query that was prepared.
    pub(super) fn start(&self, k: usize, scratch: &mut Scratch) {
        let Scratch { query, code, refinement, shortlist, .. } = scratch;
        self.slab.frame.encode_query(query, Rigour::Likely, code);
        if let Some(fine) = &self.fine {
            fine.frame.encode_query(query, Rigour::Likely, &mut refinement.code);
        }
        shortlist.reset(k);
    }

    /// Leaves what may be among the best allowed rows in the shortlist.
    pub(super) fn find_allowed(&self, allowed: &RowSet, k: usize, effort: usize, scratch: &mut Scratch) {
        let can_gather = matches!(self.base, Base::Rows(_));
        if can_gather && self.gathers(allowed, effort) {
            return self.gather(allowed, scratch);
        }
        let (kept, walked) = self.walk_plan(allowed, effort);
        let kept = kept.max(KEPT_MIN * k as f64) as usize;
        let budget = if can_gather { (allowed.count() / WALK_COST).min(walked.saturating_mul(PATIENCE)) } else { usize::MAX };
        let groups = &self.layout.groups;
        let allows = |node| groups.rows(node).iter().any(|row| allowed.contains(*row));
        if walk::walk_allowed(&self.layout, &self.slab, kept, budget, allows, scratch) {
            self.shortlist_walked(scratch);
        } else {
            self.gather(allowed, scratch);
        }
    }

    /// Reads the codes of all allowed rows.
    fn gather(&self, allowed: &RowSet, scratch: &mut Scratch) {
        let Scratch { code, picked, sums, shortlist, refinement, visited, work, .. } = scratch;
        let code = code.coded();
        let is_distinct = self.layout.groups.len() == self.nodes.len();
        visited.reset(if is_distinct { 0 } else { self.layout.groups.len() });
        let mut rows = allowed.iter();
        let mut turns = 0u32;
        loop {
            picked.clear();
            let nodes = rows.by_ref().filter_map(|row| self.nodes.get(row as usize).copied());
            picked.extend(nodes.filter(|node| is_distinct || visited.insert(*node)).take(ROWS_PER_TURN));
            if picked.is_empty() {
                return;
            }
            sums.clear();
            sum_picked(&code, &self.slab.codes, self.slab.lines_per_row, picked, sums);
            work.gathered += picked.len() as u64;
            for (&node, &sum) in picked.iter().zip(sums.iter()) {
                shortlist.offer(self.slab.score(&code, node, sum), self.slab.margin(&code, node), node);
            }
            if let Some(fine) = self.fine.as_ref().filter(|_| turns.is_power_of_two() || turns == 0) {
                shortlist.sharpen(&refinement.code, fine, work);
            }
            turns += 1;
        }
    }

    /// From the nodes that a walk left in `scratch.sorted` to the shortlist.
    pub(super) fn shortlist_walked(&self, scratch: &mut Scratch) {
        let Scratch { code, shortlist, sorted, .. } = scratch;
        let code = code.coded();
        for key in sorted.iter() {
            shortlist.offer(key.score(), self.slab.margin(&code, key.id()), key.id());
        }
    }

    /// Refines the shortlist. The rows already in `found` stay in play.
    pub(super) fn answer(&self, search: &Search<'_>, scratch: &mut Scratch, found: &mut Vec<Neighbour>) {
        let Scratch { shortlist, refinement, best, sorted, work, .. } = &mut *scratch;
        shortlist.finish(&mut refinement.candidates);
        if let Some(fine) = &self.fine {
            refinement.by_codes(fine, search.k, work);
        }
        // From nodes to rows. A node has a row at least, so none was missed.
        sorted.clear();
        let is_allowed = |row: &u32| search.allowed.is_none_or(|set| set.contains(*row));
        let is_new = |row: &u32| found.iter().all(|known| known.row != *row);
        for key in &refinement.candidates {
            let rows = self.layout.groups.rows(key.id()).iter().copied().filter(is_allowed).take(search.k);
            sorted.extend(rows.filter(is_new).map(|row| Key::new(key.score(), row)));
        }
        std::mem::swap(&mut refinement.candidates, sorted);
        best.reset(search.k);
        for known in found.iter() {
            best.push(Key::new(known.score, known.row));
        }
        finish::score(self.base.table(), search.k, |row| row, scratch);
        scratch.answer(found);
    }
}
