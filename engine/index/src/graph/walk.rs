//! Best-first search over a flat graph (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search
//! using hierarchical navigable small world graphs", 2018, algorithm 2), filtered or not.

use crate::codes::Slab;
use crate::graph::layout::Layout;
use crate::kernels::int8::{Coded, sum_picked};
use crate::scratch::{Met, Scratch, Visited};
use crate::top::{Key, Top};

/// How many of the best entries a walk starts from.
const STARTS: usize = 8;

/// Leaves the best `kept` nodes met, best first, in `scratch.sorted` for the query in `scratch.code`, having looked at the neighbours of
/// the best `effort`, by their codes' scores. Fewer than `effort` may come back: all
/// nodes are reachable from the entries, but not from each of them.
///
/// One sorted list is both what is kept and what is to be looked at: up to some hundred nodes that is quicker than heaps.
pub(crate) fn walk(layout: &Layout, slab: &Slab, effort: usize, kept: usize, scratch: &mut Scratch) {
    let Scratch { code, picked, sums, best, sorted, met, visited, work, .. } = scratch;
    let code = code.coded();
    let kept = kept.max(effort);
    visited.reset(layout.groups.len());
    work.scanned += layout.entries as u64;
    score_entries(layout, slab, &code, picked, sums, best, sorted);
    met.clear();
    for &start in sorted.iter() {
        visited.insert(start.id());
        met.push(Met { key: start, is_open: true });
    }
    let mut at = 0;
    while at < effort {
        let Some(next) = met.get_mut(at) else { break };
        if !std::mem::take(&mut next.is_open) {
            at += 1;
            continue;
        }
        unvisited(layout.links(next.key.id()), visited, picked);
        // What is likely to come next; better nodes may yet be found.
        if let Some(after) = met.get(at + 1) {
            layout.prefetch(after.key.id());
        }
        slab.prefetch_marks(picked);
        sums.clear();
        sum_picked(&code, &slab.codes, slab.lines_per_row, picked, sums);
        work.walked += picked.len() as u64;
        for (&sum, &node) in sums.iter().zip(picked.iter()) {
            let key = Key::new(slab.score(&code, node, sum), node);
            if met.len() >= kept {
                if met.last().is_some_and(|last| last.key >= key) {
                    continue;
                }
                met.pop();
            }
            let place = met.partition_point(|better| better.key > key);
            if place <= at {
                layout.prefetch(node);
                at = place;
            }
            met.insert(place, Met { key, is_open: true });
        }
    }
    sorted.clear();
    sorted.extend(met.iter().map(|met| met.key));
}

/// Leaves the best `effort` nodes that `allows` is true for, by their codes' scores, in `scratch.sorted`, best first, for the query in
/// `scratch.code`. Nodes that are not allowed are walked through, not answered. Fewer than `effort` nodes may come
/// back: all nodes are reachable from the entries, but not from each of them. Gives up, and is false, once the codes
/// of more than `budget` nodes were read.
pub(crate) fn walk_allowed(
    layout: &Layout,
    slab: &Slab,
    effort: usize,
    budget: usize,
    allows: impl Fn(u32) -> bool,
    scratch: &mut Scratch,
) -> bool {
    let Scratch { code, picked, sums, best, sorted, frontier, visited, work, .. } = scratch;
    let code = code.coded();
    visited.reset(layout.groups.len());
    frontier.clear();
    work.scanned += layout.entries as u64;
    score_entries(layout, slab, &code, picked, sums, best, sorted);
    best.reset(effort);
    for &start in sorted.iter() {
        visited.insert(start.id());
        frontier.push(start);
        if allows(start.id()) {
            best.push(start);
        }
    }
    let mut walked = 0;
    while let Some(nearest) = frontier.pop() {
        if best.worst().is_some_and(|worst| nearest < worst) {
            break;
        }
        if walked > budget {
            return false;
        }
        unvisited(layout.links(nearest.id()), visited, picked);
        if let Some(next) = frontier.peek() {
            layout.prefetch(next.id());
        }
        slab.prefetch_marks(picked);
        sums.clear();
        sum_picked(&code, &slab.codes, slab.lines_per_row, picked, sums);
        walked += picked.len();
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
    work.walked += walked as u64;
    best.drain_into(sorted);
    true
}

/// Leaves the best entries in `sorted`.
fn score_entries(
    layout: &Layout,
    slab: &Slab,
    code: &Coded<'_>,
    picked: &mut Vec<u32>,
    sums: &mut Vec<i32>,
    best: &mut Top,
    sorted: &mut Vec<Key>,
) {
    picked.clear();
    picked.extend(0..layout.entries as u32);
    sums.clear();
    sum_picked(code, &slab.codes, slab.lines_per_row, picked, sums);
    best.reset(STARTS);
    for (&sum, &node) in sums.iter().zip(picked.iter()) {
        best.push(Key::new(slab.score(code, node, sum), node));
    }
    best.drain_into(sorted);
}

/// Writes the nodes that are marked now for the first time to `picked`. Which those are cannot be foreseen, so no branch depends on
/// it: with one, the wrong guesses took a sixth of a walk.
#[inline]
fn unvisited(links: &[u32], visited: &mut Visited, picked: &mut Vec<u32>) {
    picked.clear();
    picked.resize(links.len(), 0);
    let mut count = 0;
    for &link in links {
        if let Some(place) = picked.get_mut(count) {
            *place = link;
        }
        count += usize::from(visited.insert(link));
    }
    picked.truncate(count);
}
