//! ANN over one interest vector: the weighted mean of the vectors of the person's items, made at read time in the vector space of
//! the generation that serves the request. Cost: one vector sum a signal and one index search.

use crate::ranking::{
    candidate::CandidateSet,
    query::{Query, Scratch},
    stage::{Source, SourceKind},
};

/// Retrieval near the person's interest.
#[derive(Debug)]
pub struct Interest {
    /// Neighbours taken.
    pub neighbours: usize,
}

impl Source for Interest {
    fn kind(&self) -> SourceKind {
        SourceKind::Interest
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let Some(model) = query.model else { return };
        if !interest_vector(query, &mut scratch.vector) {
            return;
        }
        // What other sources found gets its cosine too, so that the blend compares like with like.
        for candidate in into.as_mut_slice() {
            if let Some(vector) = model.vector(candidate.item) {
                candidate.set_part(SourceKind::Interest, dot(vector, &scratch.vector));
            }
        }
        model.nearest(query.bu, &scratch.vector, self.neighbours, &mut |item, cosine| {
            into.add(item, SourceKind::Interest, cosine)
        });
    }
}

/// Fills `vector` with the unit-length interest; false when no item of the person has a vector.
fn interest_vector(query: &Query<'_>, vector: &mut Vec<f32>) -> bool {
    let Some(model) = query.model else { return false };
    vector.clear();
    vector.resize(model.dimension(), 0.0);
    for signal in query.signals {
        if let Some(item_vector) = model.vector(signal.item) {
            for (sum, value) in vector.iter_mut().zip(item_vector) {
                *sum += signal.weight * value;
            }
        }
    }
    let length = dot(vector, vector).sqrt();
    if !(length.is_finite() && length > 1e-9) {
        return false;
    }
    vector.iter_mut().for_each(|value| *value /= length);
    true
}

/// Dot product in eight running sums, which the compiler turns into vector instructions; the order of addition is fixed.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_eights, a_rest) = a.as_chunks::<8>();
    let (b_eights, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (x, y) in a_eights.iter().zip(b_eights) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}
