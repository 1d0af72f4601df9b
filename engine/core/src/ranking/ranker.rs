//! The learned ranker: a linear score over [`features`](super::features), one set of weights for each kind of person, and a few small
//! [trees](super::trees) for what it leaves.
//!
//! Linear first because that learns from few examples and costs a multiplication a feature; what makes it strong is that features are
//! logarithms of shares, so that it weighs products of sources. Trained as a conditional logit: the score's exponential is how
//! likely a candidate is to be taken, of those that stand for choice. The trees are boosted from there, by the same likelihood.

use crate::ranking::{
    candidate::{Candidate, Score},
    features::{COUNT, Features},
    regime::{Regime, Segment},
    trees::Tree,
};

/// Weights by regime, and what else was learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranker {
    /// By [`Regime::position`], then by feature; nothing where too little was seen to learn from.
    pub weights: [Option<[f32; COUNT]>; Regime::COUNT],
    /// What is added to the linear score.
    pub trees: Vec<Tree>,
    /// By [`Regime::position`]: whether it is.
    pub has_trees: [bool; Regime::COUNT],
    /// Units where people take the same item again.
    pub repeat_units: Vec<String>,
}

impl Ranker {
    /// Sets the score of every candidate; false, with nothing done, where it has learnt nothing for such a request. Cost: a
    /// multiplication and an addition a feature and candidate, some ten instructions a tree and candidate.
    pub fn score(&self, segment: Segment, features: &Features, candidates: &mut [Candidate], scores: &mut Vec<f32>) -> bool {
        let regime = Regime::of(segment, features).position();
        let Some(Some(weights)) = self.weights.get(regime) else { return false };
        scores.clear();
        scores.resize(candidates.len(), 0.0);
        for (feature, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
            let Some(row) = features.spoken(feature) else { continue };
            scores.iter_mut().zip(row).for_each(|(score, value)| *score += weight * value);
        }
        if self.has_trees.get(regime).is_some_and(|has_trees| *has_trees) {
            self.trees.iter().for_each(|tree| tree.add(features, scores));
        }
        candidates.iter_mut().zip(scores).for_each(|(candidate, score)| candidate.score = Score::new(*score));
        true
    }
}
