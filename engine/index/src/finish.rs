//! From candidates to answers: in `f32`, or by what their codes say, the most promising first and only as long as they may still be
//! among the best `k`.
//!
//! A candidate's upper end is held against the `k`-th best true score. So with proven margins nothing is missed, ties included.

use crate::scratch::Scratch;
use crate::table::Table;
use crate::top::Key;

/// Candidates scored in `f32` between two looks at the floor, past the first `k`.
const SCORES_PER_TURN: usize = 4;

/// Leaves the best `k` by codes in `scratch.best`, `row_of` naming a candidate's row.
pub(crate) fn skip(k: usize, row_of: impl Fn(u32) -> u32, scratch: &mut Scratch) {
    let Scratch { shortlist, code, best, .. } = scratch;
    best.reset(k);
    shortlist.best().for_each(|key| best.push(Key::new(key.score() + code.offset(), row_of(key.id()))));
}

/// Leaves the best `k` of the rows in `scratch.best` and of the candidates by true score there, `row_of` naming a candidate's row.
pub(crate) fn score(table: &Table, k: usize, row_of: impl Fn(u32) -> u32, scratch: &mut Scratch) {
    let mut candidates = std::mem::take(&mut scratch.refinement.candidates);
    candidates.sort_unstable_by(|left, right| right.cmp(left));
    let mut rest = candidates.as_slice();
    let mut count = k;
    let offset = scratch.code.offset();
    while !rest.is_empty() {
        let (turn, later) = rest.split_at(count.clamp(1, rest.len()));
        let floor = scratch.best.worst().map_or(f32::NEG_INFINITY, Key::score);
        let turn = turn.get(..turn.partition_point(|key| key.score() + offset >= floor)).unwrap_or(turn);
        if turn.is_empty() {
            break;
        }
        scratch.picked.clear();
        scratch.picked.extend(turn.iter().map(|key| row_of(key.id())));
        later.iter().take(SCORES_PER_TURN).for_each(|key| table.prefetch(row_of(key.id())));
        table.push_picked(scratch);
        (rest, count) = (later, SCORES_PER_TURN);
    }
    scratch.refinement.candidates = candidates;
}
