//! ANN over one interest vector: the weighted mean of the vectors of the person's items, made at read time in the vector space of
//! the generation that serves the request. Cost: one vector sum a signal and one index search, which the requests of a batch share.

use crate::ranking::{
    candidate::CandidateSet,
    model::Near,
    query::{Ahead, Query, Scratch},
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

    fn retrieve_ahead(&self, queries: &[Query<'_>], scratch: &mut Scratch) {
        let Ahead { vectors, found, .. } = &mut scratch.ahead;
        vectors.resize_with(queries.len(), Vec::new);
        found.resize_with(queries.len(), Vec::new);
        found.iter_mut().for_each(Vec::clear);
        for (query, vector) in queries.iter().zip(vectors.iter_mut()) {
            if !interest_vector(query, vector) {
                vector.clear();
            }
        }
        // Requests of one moment see one model.
        let Some(model) = queries.iter().find_map(|query| query.model) else { return };
        let asking = queries.iter().zip(&*vectors).enumerate().filter(|(_, (_, vector))| !vector.is_empty());
        let (places, questions): (Vec<usize>, Vec<Near<'_>>) =
            asking.map(|(place, (query, vector))| (place, self.near(query, vector))).unzip();
        model.nearest_of_each(&questions, &mut |question, item, cosine| {
            let found = places.get(question).and_then(|place| found.get_mut(*place));
            found.into_iter().for_each(|found| found.push((item, cosine)));
        });
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let Some(model) = query.model else { return };
        let Scratch { vector, items, cosines, ahead, .. } = scratch;
        match ahead.vector() {
            Some(of_ahead) => vector.clone_from(of_ahead),
            None if !interest_vector(query, vector) => return,
            None => {}
        }
        if vector.is_empty() {
            return;
        }
        // What other sources found gets its cosine too, so that the blend compares like with like.
        items.clear();
        items.extend(into.as_slice().iter().map(|candidate| candidate.item));
        model.cosines(query.bu, vector, items, cosines);
        for (candidate, cosine) in into.as_mut_slice().iter_mut().zip(cosines) {
            candidate.set_part(SourceKind::Interest, *cosine);
        }
        match ahead.found() {
            Some(found) => found.iter().for_each(|(item, cosine)| into.add(*item, SourceKind::Interest, *cosine)),
            None => model.nearest(&self.near(query, vector), &mut |item, cosine| into.add(item, SourceKind::Interest, cosine)),
        }
    }
}

impl Interest {
    fn near<'a>(&self, query: &Query<'a>, vector: &'a [f32]) -> Near<'a> {
        Near { bu: query.bu, vector, count: self.neighbours, condition: query.condition }
    }
}

/// Fills `vector` with the unit-length interest; false when no item of the person has a vector.
fn interest_vector(query: &Query<'_>, vector: &mut Vec<f32>) -> bool {
    let Some(model) = query.model else { return false };
    vector.clear();
    vector.resize(model.dimension(), 0.0);
    for signal in query.signals {
        model.add_vector(signal.item, signal.weight, vector);
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
