//! The port through which ranking asks a model of the user's own.
//!
//! It comes before the learned ranker and the fixed blend, and they stand behind it: whatever becomes of it, there is a slate. It sees
//! features and nothing else, so it knows no person and no item by name. What kind of model it is, and who loads it, is not known here.

use std::{fmt::Debug, time::Instant};

use thiserror::Error;

use crate::ranking::{
    candidate::{Candidate, Score},
    features::Features,
};

/// Why a model gave no scores. The caller of ranking never sees it: the slate is ordered by what stands behind the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoScores {
    /// It was not done in its time, or the request is due.
    #[error("not done in time")]
    Late,
    /// A score is NaN or infinite.
    #[error("a score that is not finite")]
    NotFinite,
    /// It could not be evaluated.
    #[error("the model failed")]
    Failed,
    /// It was not asked, because it lately answered in vain.
    #[error("the model rests")]
    Resting,
}

/// A model that scores candidates by their features.
pub trait OwnModel: Debug + Send + Sync {
    /// Sets `scores` to one a candidate, in the order of `features`; higher is better, on any scale. To be done by `deadline`, and within
    /// the budget that the model has besides.
    ///
    /// # Errors
    /// [`NoScores`] says why there are none; `scores` holds anything then.
    fn score(&self, features: &Features, deadline: Option<Instant>, scores: &mut Vec<f32>) -> Result<(), NoScores>;
}

/// Sets the score of every candidate, or of none. What the model says is checked: a score for each, all finite.
pub(crate) fn score(
    model: &dyn OwnModel,
    features: &Features,
    deadline: Option<Instant>,
    candidates: &mut [Candidate],
    scores: &mut Vec<f32>,
) -> Result<(), NoScores> {
    scores.clear();
    model.score(features, deadline, scores)?;
    if scores.len() != candidates.len() {
        return Err(NoScores::Failed);
    }
    if !scores.iter().all(|score| score.is_finite()) {
        return Err(NoScores::NotFinite);
    }
    candidates.iter_mut().zip(scores).for_each(|(candidate, score)| candidate.score = Score::new(*score));
    Ok(())
}
