//! Candidates looked at again, by codes of all columns where the first codes held only the leading ones: the most promising first and
//! only as long as they may still be among the best `k`.
//!
//! Every bound is a whole one: a candidate's upper end against the `k`-th best lower end. So with proven margins nothing is missed,
//! ties included.

use crate::codes::{QueryCode, Slab};
use crate::kernels::int8::sum_picked;
use crate::top::{Key, Top};
use crate::work::Work;

/// Candidates whose codes are read between two looks at the floor.
const CODES_PER_TURN: usize = 16;

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
