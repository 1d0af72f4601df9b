//! Best-first search over a flat graph (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search
//! using hierarchical navigable small world graphs", 2018, algorithm 2), filtered or not.

use crate::codes::Slab;
use crate::graph::Layout;
use crate::kernels::int8::sum_picked;
use crate::scratch::Scratch;
use crate::top::Key;

/// How many of the best entries a walk starts from.
const STARTS: usize = 8;

/// Leaves the best `effort` nodes that `allows` is true for, by their codes' scores, in `scratch.best`, for the query in
/// `scratch.code`. Nodes that are not allowed are walked through, not answered. Fewer than `effort` nodes come back only if no
/// more exist: all nodes are reachable, and the walk ends early only once it holds `effort`.
pub(crate) fn walk(layout: &Layout, slab: &Slab, effort: usize, allows: impl Fn(u32) -> bool, scratch: &mut Scratch) {
    let Scratch { code, picked, sums, best, sorted, frontier, visited, work, .. } = scratch;
    let code = code.coded();
    visited.reset(layout.groups.len());
    frontier.clear();

    picked.clear();
    picked.extend(0..layout.entries as u32);
    sums.clear();
    sum_picked(&code, &slab.codes, slab.lines_per_row, picked, sums);
    work.scanned += picked.len() as u64;
    best.reset(STARTS);
    for (&sum, &node) in sums.iter().zip(picked.iter()) {
        best.push(Key::new(slab.score(&code, node, sum), node));
    }
    best.drain_into(sorted);

    best.reset(effort);
    for &start in sorted.iter() {
        visited.insert(start.id());
        frontier.push(start);
        if allows(start.id()) {
            best.push(start);
        }
    }
    while let Some(nearest) = frontier.pop() {
        if best.worst().is_some_and(|worst| nearest < worst) {
            return;
        }
        picked.clear();
        picked.extend(layout.links(nearest.id()).iter().filter(|link| visited.insert(**link)));
        sums.clear();
        sum_picked(&code, &slab.codes, slab.lines_per_row, picked, sums);
        work.walked += picked.len() as u64;
        for (&sum, &node) in sums.iter().zip(picked.iter()) {
            let key = Key::new(slab.score(&code, node, sum), node);
            if best.admits(key) {
                frontier.push(key);
                if allows(node) {
                    best.push(key);
                }
            }
        }
    }
}
