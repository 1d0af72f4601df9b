//! Diversity: maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998) over item vectors.
//!
//! One place after the other goes to the candidate with the largest `(1 − λ) · relevance − λ · likeness`: relevance is the score, scaled
//! to [0, 1] over the candidates looked at; likeness the largest cosine to an item that stands above, at least 0. An item without a
//! vector is like nothing.

use crate::ranking::{candidate::Candidate, model::Model, rules::Share, sources::cosine};

/// Places that are given out in this way at most; the others keep their order.
const PLACES_MAX: usize = 50;
/// Candidates looked at for a place.
const LOOKED_AT: usize = 3;

struct Left {
    candidate: Candidate,
    relevance: f32,
    vector: Vec<f32>,
    likeness: f32,
}

/// Reorders the best of `candidates`, which are sorted best first. Cost: `wanted` times three `wanted` cosines, for 50 places at most:
/// some 100 µs with 64 dimensions.
pub(super) fn diversify(model: &dyn Model, lambda: Share, wanted: usize, candidates: &mut [Candidate]) {
    let places = wanted.min(PLACES_MAX);
    let looked_at = candidates.len().min(places * LOOKED_AT);
    let Some(head) = candidates.get_mut(..looked_at) else { return };
    let score = |candidate: Option<&Candidate>| candidate.map_or(0.0, |candidate| f64::from(candidate.score.value()));
    let (best, worst) = (score(head.first()), score(head.last()));
    let scaled = |candidate: &Candidate| ((score(Some(candidate)) - worst) / (best - worst).max(f64::MIN_POSITIVE)) as f32;
    let mut left: Vec<Left> = head
        .iter()
        .map(|candidate| {
            let mut vector = vec![0.0; model.dimension()];
            model.add_vector(candidate.item, 1.0, &mut vector);
            Left { candidate: *candidate, relevance: scaled(candidate), vector, likeness: 0.0 }
        })
        .collect();
    let worth = |left: &Left| (1.0 - lambda.value()) * left.relevance - lambda.value() * left.likeness;
    let mut order = Vec::with_capacity(head.len());
    for _ in 0..places {
        let best = left.iter().enumerate().map(|(n, of)| (n, worth(of))).reduce(|a, b| if b.1 > a.1 { b } else { a });
        let Some((n, _)) = best else { break };
        let taken = left.remove(n); // the others keep their order, which breaks ties
        for other in &mut left {
            other.likeness = other.likeness.max(cosine(&taken.vector, &other.vector));
        }
        order.push(taken.candidate);
    }
    order.extend(left.into_iter().map(|left| left.candidate));
    head.copy_from_slice(&order);
}
