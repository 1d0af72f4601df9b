//! Best-first search over a flat graph (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search
//! using hierarchical navigable small world graphs", 2018, algorithm 2), filtered or not.

use crate::graph::Layout;
use crate::kernels::{AlignedRows, score_picked, score_range};
use crate::scratch::Scratch;
use crate::top::Key;

/// How many of the best entries a walk starts from.
const STARTS: usize = 8;

/// Leaves the best `effort` nodes that `allows` is true for in `scratch.best`, for the query in `scratch.query`. Nodes
/// that are not allowed are walked through, not answered. Fewer than `effort` nodes come back only if no more exist:
/// all nodes are reachable, and the walk ends early only once it holds `effort`.
pub(crate) fn walk(layout: &Layout, slab: &AlignedRows, effort: usize, allows: impl Fn(u32) -> bool, scratch: &mut Scratch) {
    let Scratch { query, picked, scores, best, sorted, frontier, visited } = scratch;
    visited.reset(layout.groups.len());
    frontier.clear();

    scores.clear();
    scores.resize(layout.entries, 0.0);
    score_range(query, slab.rows(), 0, scores);
    best.reset(STARTS);
    for (score, node) in scores.iter().zip(0..) {
        best.push(Key::new(*score, node));
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
        scores.clear();
        score_picked(query, slab.rows(), picked, scores);
        for (&score, &node) in scores.iter().zip(picked.iter()) {
            let key = Key::new(score, node);
            if best.admits(key) {
                frontier.push(key);
                if allows(node) {
                    best.push(key);
                }
            }
        }
    }
}
