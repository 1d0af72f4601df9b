//! From candidates to answers: by codes of all columns where the first codes held only the leading ones, then in `f32`, in each
//! case the most promising first and only as long as they may still be among the best `k`.
//!
//! Every bound is a whole one: a candidate's upper end against the `k`-th best lower end, or true score. So with proven margins
//! nothing is missed, ties included.

use crate::codes::{QueryCode, Slab};
use crate::kernels::int8::sum_picked;
use crate::scratch::{Scratch, Work};
use crate::table::Table;
use crate::top::{Key, Top};

/// Candidates whose codes are read between two looks at the floor.
const CODES_PER_TURN: usize = 16;

/// Candidates scored in `f32` between two looks at the floor, past the first `k`.
const SCORES_PER_TURN: usize = 4;

/// Working memory of a refinement.
#[derive(Debug, Default)]
pub(crate) struct Refinement {
    /// Upper ends of scores, by slot of the codes: what is to be refined.
    pub(crate) candidates: Vec<Key>,
    /// The query by all columns.
    pub(crate) code: QueryCode,
    finer: Vec<Key>,
    lower: Top,
    sums: Vec<i32>,
    picked: Vec<u32>,
}

impl Refinement {
    /// Reads the codes in `slab` of the candidates that may be among the best `k`.
    pub(crate) fn by_codes(&mut self, slab: &Slab, k: usize, work: &mut Work) {
        let Self { candidates, code, finer, lower, sums, picked } = self;
        let code = code.coded();
        candidates.sort_unstable_by(|left, right| right.cmp(left));
        finer.clear();
        lower.reset(k);
        for turn in candidates.chunks(CODES_PER_TURN) {
            let floor = lower.worst().map_or(f32::NEG_INFINITY, Key::score);
            let turn = turn.get(..turn.partition_point(|key| key.score() >= floor)).unwrap_or(turn);
            if turn.is_empty() {
                break;
            }
            picked.clear();
            picked.extend(turn.iter().map(|key| key.id()));
            slab.prefetch_marks(picked);
            sums.clear();
            sum_picked(&code, &slab.codes, slab.lines_per_row, picked, sums);
            work.refined += picked.len() as u64;
            for ((key, &slot), &sum) in turn.iter().zip(picked.iter()).zip(sums.iter()) {
                let (score, margin) = (slab.score(&code, slot, sum), slab.margin(&code, slot));
                lower.push(Key::new(score - margin, key.id()));
                finer.push(Key::new(score + margin, key.id()));
            }
        }
        let floor = lower.worst().map_or(f32::NEG_INFINITY, Key::score);
        finer.retain(|key| key.score() >= floor);
        std::mem::swap(candidates, finer);
    }
}

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
