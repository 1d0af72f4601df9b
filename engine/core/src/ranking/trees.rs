//! Decision trees that a ranker adds to its linear score: what a sum of features can't say, such as *had, but not just now*.
//!
//! Oblivious trees (Prokhorenkova et al., NeurIPS 2018): all nodes of a level ask the same question, so that a candidate's leaf is a
//! number whose bits are the answers, found without a branch for all candidates alike.

use crate::ranking::features::Features;

/// Questions of a tree.
pub const TREE_DEPTH: usize = 3;
/// Leaves of a tree.
pub const TREE_LEAVES: usize = 1 << TREE_DEPTH;

/// A question: whether a feature lies above a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Place of the feature in [`features::NAMES`](crate::ranking::features::NAMES).
    pub feature: usize,
    /// The value.
    pub above: f32,
}

/// Three questions, and what to add to a score by the answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tree {
    /// The questions; the first one's answer is the lowest bit of the leaf.
    pub splits: [Split; TREE_DEPTH],
    /// What to add, by leaf.
    pub leaves: [f32; TREE_LEAVES],
}

impl Tree {
    /// What it adds to a candidate's score, from all features of the candidate.
    #[must_use]
    pub fn value(&self, features: &[f32]) -> f32 {
        let mut score = [0.0];
        let values = self.splits.map(|split| [features.get(split.feature).copied().unwrap_or(f32::NAN)]);
        self.add_to(&mut score, values.each_ref());
        score[0]
    }

    /// Adds to the score of every candidate. Cost: some twenty vector instructions for every four candidates; nothing where all stand in
    /// one leaf, as that orders nothing.
    pub(crate) fn add(&self, features: &Features, scores: &mut [f32]) {
        if self.splits.iter().all(|split| features.spoken(split.feature).is_none()) {
            return;
        }
        let rows = self.splits.map(|split| features.row(split.feature));
        let [first, second, third] = rows.map(|row| row.as_chunks::<LANES>());
        let (scores, rest) = scores.as_chunks_mut::<LANES>();
        for (((scores, a), b), c) in scores.iter_mut().zip(first.0).zip(second.0).zip(third.0) {
            self.add_to(scores, [a, b, c]);
        }
        for (((score, a), b), c) in rest.iter_mut().zip(first.1).zip(second.1).zip(third.1) {
            self.add_to(std::array::from_mut(score), [*a, *b, *c].each_ref().map(std::array::from_ref));
        }
    }

    /// Selects between leaves by one answer after the other: what becomes vector instructions, as no look-up does.
    fn add_to<const N: usize>(&self, scores: &mut [f32; N], values: [&[f32; N]; TREE_DEPTH]) {
        let ([first, second, third], [a, b, c]) = (self.splits.map(|split| split.above), values);
        let [l0, l1, l2, l3, l4, l5, l6, l7] = self.leaves;
        for (((score, a), b), c) in scores.iter_mut().zip(a).zip(b).zip(c) {
            let is_above = *a > first;
            let by_first =
                [select(is_above, l1, l0), select(is_above, l3, l2), select(is_above, l5, l4), select(is_above, l7, l6)];
            let is_above = *b > second;
            let [x0, x1, x2, x3] = by_first;
            *score += select(*c > third, select(is_above, x3, x2), select(is_above, x1, x0));
        }
    }
}

/// Candidates that are looked at together.
const LANES: usize = 8;

const fn select(condition: bool, yes: f32, no: f32) -> f32 {
    if condition { yes } else { no }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_the_leaf() {
        let split = |feature, above| Split { feature, above };
        let tree =
            Tree { splits: [split(0, 0.5), split(2, -1.0), split(1, 3.0)], leaves: std::array::from_fn(|leaf| leaf as f32) };
        let found = [[0.0, 0.0, -2.0], [1.0, 0.0, -2.0], [0.0, 4.0, -1.0], [0.6, 4.0, 0.0], [0.5, 3.0, -1.0]];
        assert_eq!(found.map(|features| tree.value(&features)), [0.0, 1.0, 4.0, 7.0, 0.0]);
        assert_eq!(tree.value(&[0.6]), 1.0, "a feature that is not there lies above nothing");

        let columns: [[f32; LANES]; TREE_DEPTH] =
            std::array::from_fn(|n| std::array::from_fn(|at| (at * 3 % 5 + n) as f32 - 1.0));
        let mut scores = [2.0; LANES];
        tree.add_to(&mut scores, [&columns[0], &columns[2], &columns[1]]);
        let alone: [f32; LANES] = std::array::from_fn(|at| 2.0 + tree.value(&columns.map(|column| column[at])));
        assert_eq!(scores, alone, "many at once as one by one");
    }
}
