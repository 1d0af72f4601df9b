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
        let answers = self.splits.map(|split| features.get(split.feature).is_some_and(|value| *value > split.above));
        self.leaf(answers)
    }

    /// Adds to the score of every candidate. Cost: some ten instructions a candidate; nothing where all stand in one leaf, as that orders
    /// nothing.
    pub(crate) fn add(&self, features: &Features, scores: &mut [f32]) {
        if self.splits.iter().all(|split| features.spoken(split.feature).is_none()) {
            return;
        }
        let [first, second, third] = self.splits;
        let row = |split: Split| features.row(split.feature);
        let rows = row(first).iter().zip(row(second)).zip(row(third));
        for (score, ((a, b), c)) in scores.iter_mut().zip(rows) {
            *score += self.leaf([*a > first.above, *b > second.above, *c > third.above]);
        }
    }

    fn leaf(&self, answers: [bool; TREE_DEPTH]) -> f32 {
        let [first, second, third] = answers.map(usize::from);
        self.leaves.get(first | second << 1 | third << 2).copied().unwrap_or_default()
    }
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
    }
}
