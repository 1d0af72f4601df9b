//! The learned ranker: a linear score over [`features`](super::features), one set of weights for each kind of person, and a few small
//! [trees](super::trees) for what it leaves.
//!
//! Linear first because that learns from few examples and costs a multiplication a feature; what makes it strong is that features are
//! logarithms of shares, so that it weighs products of sources. Trained as a conditional logit: the score's exponential is how
//! likely a candidate is to be taken, of those that stand for choice. The trees are boosted from there, by the same likelihood.

use crate::ranking::{
    candidate::{Candidate, Score},
    features::{COUNT, Features},
    query::Query,
    trees::Tree,
};

/// Kinds of person, by what is known of them in the asked unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Segment {
    /// Nothing, anywhere.
    Stranger,
    /// Nothing here, something in another unit.
    Cold,
    /// One to four behaviours here.
    Thin,
    /// More.
    Warm,
}

/// Behaviours in the unit from which a person counts as warm.
const WARM_MIN: usize = 5;

impl Segment {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stranger, Self::Cold, Self::Thin, Self::Warm];

    /// The person's, for this request.
    #[must_use]
    pub fn of(query: &Query<'_>) -> Self {
        let catalogue = query.state.catalogue();
        let here = query.profile.taste.iter().filter(|b| catalogue.bu_of(b.item) == Some(query.bu)).take(WARM_MIN).count();
        match here {
            0 if query.profile.taste.is_empty() => Self::Stranger,
            0 => Self::Cold,
            WARM_MIN => Self::Warm,
            _ => Self::Thin,
        }
    }

    /// What to call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Cold => "cold",
            Self::Thin => "thin",
            Self::Warm => "warm",
        }
    }
}

/// Share of the unit's hottest item that the hottest candidate must have, for the head of demand to count as present.
const HEAD_SHARE_MIN: f32 = 0.8;

/// Which weights are for a request: the segment, and whether the unit's hottest items stand for choice. Under a filter, or on a
/// later page, they don't, and what is left is ordered differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Regime {
    /// Who asks.
    pub segment: Segment,
    /// Whether the hottest items are missing.
    pub is_tail: bool,
}

impl Regime {
    /// How many there are.
    pub const COUNT: usize = 2 * Segment::ALL.len();

    /// Of a request and its candidates.
    #[must_use]
    pub fn of(query: &Query<'_>, features: &Features) -> Self {
        Self { segment: Segment::of(query), is_tail: features.hottest() < HEAD_SHARE_MIN }
    }

    /// All of them, in order of [`Self::position`].
    #[must_use]
    pub fn all() -> [Self; Self::COUNT] {
        std::array::from_fn(|n| Self { segment: *Segment::ALL.get(n / 2).unwrap_or(&Segment::Stranger), is_tail: n % 2 == 1 })
    }

    /// Place among all.
    #[must_use]
    pub const fn position(self) -> usize {
        self.segment as usize * 2 + self.is_tail as usize
    }
}

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
    pub fn score(&self, query: &Query<'_>, features: &Features, candidates: &mut [Candidate], scores: &mut Vec<f32>) -> bool {
        let regime = Regime::of(query, features).position();
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
