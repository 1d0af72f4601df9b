//! ANN over one to a few interest vectors, made at read time in the vector space of the generation that serves the request
//! ([`crate::ranking::tastes`]). Cost: one vector sum a signal and one index search a vector, which the requests of a batch share.

use crate::{
    ids::ItemId,
    ranking::{
        candidate::CandidateSet,
        filters::{Excluded, Owned},
        model::{Model, Near},
        query::Query,
        scratch::{Ahead, Scratch},
        source_kind::SourceKind,
        stage::{Filter, Source},
    },
};

/// Items that may not come again for which a question makes up: a walk over ten pages. More would cost more, and few need it.
const RULED_OUT_MAX: usize = 200;

/// Retrieval near the person's interests.
#[derive(Debug)]
pub struct Interest {
    /// Neighbours taken, over all vectors.
    pub neighbours: usize,
    /// Interest vectors of a person, at most; above [`crate::ranking::tastes::VECTORS_MAX`] counts as that.
    pub vectors_max: usize,
}

impl Source for Interest {
    fn kind(&self) -> SourceKind {
        SourceKind::Interest
    }

    fn retrieve_ahead(&self, queries: &[Query<'_>], scratch: &mut Scratch) {
        let Scratch { tastes, ahead: Ahead { vectors, found, .. }, .. } = scratch;
        vectors.resize_with(queries.len(), Vec::new);
        found.resize_with(queries.len(), Vec::new);
        found.iter_mut().for_each(Vec::clear);
        for (query, vectors) in queries.iter().zip(vectors.iter_mut()) {
            tastes.interests(query, self.vectors_max, vectors);
        }
        // Requests of one moment see one model.
        let Some(model) = queries.iter().find_map(|query| query.model) else { return };
        let (mut asked, mut questions) = (Vec::with_capacity(queries.len()), Vec::with_capacity(queries.len()));
        for (place, (query, vectors)) in queries.iter().zip(&*vectors).enumerate() {
            for (near, offered) in self.questions(query, model, vectors) {
                asked.push((place, offered));
                questions.push(near);
            }
        }
        model.nearest_of_each(&questions, &mut |question, item| {
            let Some((place, offered)) = asked.get_mut(question) else { return };
            if let Some(found) = found.get_mut(*place).filter(|_| offered.takes(item)) {
                found.push(item);
            }
        });
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        let Some(model) = query.model else { return };
        let Scratch { vector: vectors, items, cosines, ahead, tastes, .. } = scratch;
        match ahead.vectors() {
            Some(of_ahead) => vectors.clone_from(of_ahead),
            None => tastes.interests(query, self.vectors_max, vectors),
        }
        match ahead.found() {
            Some(found) => found.iter().for_each(|item| _ = into.entry(*item)),
            None => {
                for (near, mut offered) in self.questions(query, model, vectors) {
                    model.nearest(&near, &mut |item| {
                        if offered.takes(item) {
                            into.entry(item);
                        }
                    });
                }
            }
        }
        // What other sources found gets its cosine too, so that the blend compares like with like.
        set_cosines(query, model, vectors, items, cosines, into);
    }
}

impl Interest {
    /// The neighbours are shared out evenly, so that several vectors bring no more candidates than one. As many more are asked for as
    /// earlier pages and what the person has may hold of them.
    fn questions<'a>(
        &self,
        query: &'a Query<'a>,
        model: &dyn Model,
        vectors: &'a [f32],
    ) -> impl Iterator<Item = (Near<'a>, Offered<'a>)> {
        let each = vectors.chunks_exact(model.dimension().max(1));
        let left = self.neighbours.div_ceil(each.len().max(1));
        let owned = if Owned.applies(query) { query.profile.owned.len() } else { 0 };
        let count = left + (query.served.len() + query.excluded.len() + owned).min(RULED_OUT_MAX);
        let (bu, condition) = (query.bu, query.condition);
        each.map(move |vector| (Near { bu, vector, count, condition }, Offered { query, left }))
    }
}

/// What a question may still bring.
struct Offered<'a> {
    query: &'a Query<'a>,
    left: usize,
}

impl Offered<'_> {
    fn takes(&mut self, item: ItemId) -> bool {
        let keeps = |filter: &dyn Filter| !filter.applies(self.query) || filter.keeps(self.query, item);
        let takes = self.left > 0 && keeps(&Owned) && keeps(&Excluded);
        self.left -= usize::from(takes);
        takes
    }
}

/// Sets what interest says of the candidates: the largest of the cosines.
fn set_cosines(
    query: &Query<'_>,
    model: &dyn Model,
    vectors: &[f32],
    items: &mut Vec<ItemId>,
    cosines: &mut Vec<f32>,
    into: &mut CandidateSet,
) {
    items.clear();
    items.extend(into.as_slice().iter().map(|candidate| candidate.item));
    for (n, vector) in vectors.chunks_exact(model.dimension().max(1)).enumerate() {
        model.cosines(query.bu, vector, items, cosines);
        for (candidate, cosine) in into.as_mut_slice().iter_mut().zip(&*cosines) {
            let held = if n == 0 { f32::MIN } else { candidate.part(SourceKind::Interest) };
            candidate.set_part(SourceKind::Interest, cosine.max(held));
        }
    }
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
