//! Item embeddings: one short vector per item, near where the same people took both up.
//!
//! **Method: PPMI + randomized SVD.** The matrix of positive pointwise mutual information between items, from
//! in-person co-occurrence weighed by closeness in time ([`crate::cooccurrence`]),
//!
//! ```text
//! M_ij = max(0, ln(c_ij / (r_i · q_j))),    r_i = Σ_j c_ij,    q_j = r_j^0.75 / Σ r^0.75
//! ```
//!
//! is factored as U Σ Vᵀ to `dimension` columns, and an item's vector is its row of U √Σ scaled to length 1, to be
//! compared by cosine. This is what skip-gram with negative sampling (item2vec, Barkan & Koenigstein 2016) factors
//! implicitly, context smoothing included (Levy & Goldberg, NIPS 2014; Levy, Goldberg & Dagan, TACL 2015).
//!
//! **Why this one.** On the real sets iALS-64 and PPMI-SVD-64 are near each other and both far above no embedding
//! (FACTS, "Quality on real people"). This one sees time, which ALS does not; needs neither epochs nor a learning rate;
//! gives unit vectors, on which graph indexes do not stall as they do on ALS factors of unequal length (FACTS, "ANN");
//! and is the same to the bit on every run of one machine for one seed, on any number of threads.
//!
//! **The SVD** is Halko, Martinsson & Tropp (SIAM Review 2011), algorithms 4.4 and 5.1: a random block, a few power
//! iterations with re-orthonormalisation in between, then a small dense problem. Sparse times dense is ours
//! (`sparse`); the dense eigenproblems are nalgebra's (`basis`).
//!
//! Items without a positive association get **no vector**: a zero row has no direction and must not be searched. If `cold_items` asks for it,
//! they get one from what the catalogue says of them (`content`).
//!
//! Cost: O(nonzeros · (dimension + oversampling) · 2 (iterations + 1)); 12 bytes a nonzero, twice.

mod basis;
mod content;
mod sparse;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    cooccurrence::{Cooccurrence, Count, PairParams},
    embeddings::Embeddings,
    training::Log,
};
use basis::Block;
pub(crate) use content::with_cold_items;
use sparse::Sparse;

/// Where item vectors come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingSource {
    /// From what people took together.
    #[default]
    Behaviour,
    /// The catalogue brings its own ([`crate::tables::ItemRow::embedding`]). Items upserted while serving bring theirs too.
    Catalogue,
}

/// How embeddings are trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingParams {
    /// Where they come from; all else here is about those from behaviour.
    pub source: EmbeddingSource,
    /// Numbers in a vector.
    pub dimension: usize,
    /// How interactions of one person pair up.
    pub pairs: PairParams,
    /// Exponent that smooths the frequency of contexts: below 1, rare contexts win less.
    pub context_smoothing: f64,
    /// Exponent of the singular values: 0 weighs all directions alike, 1 by their full strength.
    pub spectrum_exponent: f64,
    /// Associations kept for one item, the strongest: bounds memory on hot items.
    pub contexts_max: usize,
    /// Columns of the random block beyond `dimension`.
    pub oversampling: usize,
    /// Power iterations.
    pub iterations: usize,
    /// Seed of the random block.
    pub seed: u64,
    /// Whether items that nobody took together with others get a vector by their category, brand, price, tags and title. Newcomers are then
    /// found by interest and have similar items; in replayed logs they take places from what people went on to take (benches/RESULTS.md).
    pub cold_items: bool,
}

impl Default for EmbeddingParams {
    fn default() -> Self {
        Self {
            source: EmbeddingSource::Behaviour,
            dimension: 64,
            pairs: PairParams::default(),
            context_smoothing: 0.75,
            spectrum_exponent: 0.5,
            contexts_max: 4_096,
            oversampling: 10,
            iterations: 4,
            seed: 0,
            cold_items: false,
        }
    }
}

impl EmbeddingParams {
    /// The first thing wrong with the parameters, with the way out.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        self.pairs.check()?;
        if !(2..=faces_index::DIMENSION_MAX).contains(&self.dimension) {
            return Err("dimension must lie between 2 and 1024");
        }
        if !(0.0..=1.0).contains(&self.context_smoothing) {
            return Err("context_smoothing must lie between 0 and 1");
        }
        if !(0.0..=1.0).contains(&self.spectrum_exponent) {
            return Err("spectrum_exponent must lie between 0 and 1");
        }
        if self.contexts_max == 0 {
            return Err("contexts_max must be 1 or above");
        }
        if self.oversampling > 256 || self.iterations > 32 {
            return Err("oversampling is at most 256 and iterations at most 32");
        }
        Ok(())
    }
}

/// The log's embeddings by the parameters' source: trained, or as the catalogue has them. `progress` hears the share done. May be
/// none at all: for a log without a person that has two items, or a catalogue without embeddings.
pub fn embeddings(log: &Log, params: &EmbeddingParams, progress: &dyn Fn(f64)) -> Embeddings {
    match params.source {
        EmbeddingSource::Behaviour => embed(log, params, progress),
        EmbeddingSource::Catalogue => log.embeddings().cloned().unwrap_or_else(|| Embeddings::new(params.dimension)),
    }
}

/// Trains embeddings. `progress` hears the share done. May return no vectors at all, for a log without a person that
/// has two items.
pub fn embed(log: &Log, params: &EmbeddingParams, progress: &dyn Fn(f64)) -> Embeddings {
    let rows = contexts(log, params, &|share| progress(SHARE_OF_COUNTING * share));
    embed_contexts(rows, params, progress)
}

fn contexts(log: &Log, params: &EmbeddingParams, progress: &dyn Fn(f64)) -> Vec<Contexts> {
    Cooccurrence::new(log, params.pairs, None).map_rows(|_, row| Contexts::of(row, params.contexts_max), progress)
}

/// What part of the work counting is.
pub(crate) const SHARE_OF_COUNTING: f64 = 0.3;

/// What goes together with an item: all of it in sum, and the strongest by item.
#[derive(Debug)]
pub(crate) struct Contexts {
    sum: f64,
    kept: Vec<(u32, f32)>,
}

impl Contexts {
    /// Cuts a whole row of counts.
    pub(crate) fn of(row: &[Count], contexts_max: usize) -> Self {
        Self::of_sum(row.iter().map(|count| count.value).sum(), row, contexts_max)
    }

    /// Cuts a row whose sum is known, as it may have been cut before.
    pub(crate) fn of_sum(sum: f64, row: &[Count], contexts_max: usize) -> Self {
        let by_item = |count: &Count| (count.item, count.value as f32);
        if row.len() <= contexts_max {
            return Self { sum, kept: row.iter().map(by_item).collect() };
        }
        let mut kept = row.to_vec();
        kept.sort_unstable_by(|left, right| right.value.total_cmp(&left.value).then(left.item.cmp(&right.item)));
        kept.truncate(contexts_max);
        kept.sort_unstable_by_key(|count| count.item);
        Self { sum, kept: kept.iter().map(by_item).collect() }
    }
}

/// Trains embeddings on counts, one row an item.
pub(crate) fn embed_contexts(rows: Vec<Contexts>, params: &EmbeddingParams, progress: &dyn Fn(f64)) -> Embeddings {
    let items = rows.len();
    let matrix = ppmi(rows, params);
    let left = left_factors(&matrix, params, &|share| {
        progress(SHARE_OF_COUNTING + (1.0 - SHARE_OF_COUNTING) * share);
    });
    let mut embeddings = Embeddings::new(params.dimension);
    for row in (0..items).filter(|row| matrix.row_length(*row) > 0) {
        embeddings.push(row as u32, left.row(row)); // fewer columns than asked for when there are fewer items
    }
    embeddings
}

/// The sparse matrix of positive pointwise mutual information. Gives every row's memory back as it goes.
fn ppmi(mut rows: Vec<Contexts>, params: &EmbeddingParams) -> Sparse {
    let smoothed: Vec<f64> = rows.iter().map(|row| row.sum.powf(params.context_smoothing)).collect();
    let smoothed_total: f64 = smoothed.iter().sum();
    rows.par_iter_mut().for_each(|Contexts { sum, kept }| {
        kept.retain_mut(|(item, value)| {
            let expected = *sum * smoothed[*item as usize] / smoothed_total;
            *value = (f64::from(*value) / expected).ln() as f32;
            *value > 0.0
        });
    });
    let mut matrix = Sparse::with_rows(rows.len());
    for Contexts { kept, .. } in rows {
        matrix.push_row(kept);
    }
    matrix
}

/// U Σ^exponent of the matrix, with at most `dimension` columns.
fn left_factors(matrix: &Sparse, params: &EmbeddingParams, progress: &dyn Fn(f64)) -> Block {
    let size = matrix.row_count();
    let width = (params.dimension + params.oversampling).min(size);
    let transposed = matrix.transposed();
    let steps = (2 * params.iterations + 2) as f64;
    let mut range = matrix.times(&random_block(size, width, params.seed));
    for iteration in 0..params.iterations {
        range.orthonormalise(1);
        range = transposed.times(&range);
        progress((2 * iteration + 1) as f64 / steps);
        range.orthonormalise(1);
        range = matrix.times(&range);
        progress((2 * iteration + 2) as f64 / steps);
    }
    // Twice, so that the columns are orthogonal to working precision (the argument of CholeskyQR2).
    range.orthonormalise(2);
    // With Q the range, QᵀM is B; the eigenvectors of B Bᵀ are its left singular vectors W, and U = Q W.
    let projected = transposed.times(&range);
    let factors = range.times_scaled_eigenvectors(&projected, params.dimension, params.spectrum_exponent);
    progress(1.0);
    factors
}

fn random_block(rows: usize, width: usize, seed: u64) -> Block {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Uniform in [-1, 1): as good as Gaussian here, and the same bits everywhere.
    let uniform = |bits: u32| (bits >> 8) as f32 * (2.0 / (1 << 24) as f32) - 1.0;
    let values = (0..rows * width).map(|_| uniform(random.next_u32())).collect();
    Block::new(width, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::{Interaction, TrainingItem};

    const CLUSTERS: u32 = 6;
    const ITEMS: u32 = 60;

    /// People stay inside one cluster of items but for one visit in ten; items alternate between two units.
    fn planted() -> Log {
        let item = |id: u32| TrainingItem { bu: format!("u{}", (id / CLUSTERS) % 2), item_id: id.to_string() };
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let mut acts = Vec::new();
        for person in 0..400 {
            for visit in 0..8 {
                let home = person % CLUSTERS;
                let cluster = if random.next_u32() % 10 == 0 { random.next_u32() % CLUSTERS } else { home };
                let item = random.next_u32() % (ITEMS / CLUSTERS) * CLUSTERS + cluster;
                acts.push(Interaction { person, item, ts_ms: visit * 86_400_000, weight: 1.0 });
            }
        }
        let mut items: Vec<_> = (0..ITEMS).map(item).collect();
        items.push(TrainingItem { bu: "u0".into(), item_id: "nobody's".into() });
        Log::new(items, acts).unwrap()
    }

    fn small() -> EmbeddingParams {
        EmbeddingParams { dimension: 8, ..EmbeddingParams::default() }
    }

    fn cosine(left: &[f32], right: &[f32]) -> f32 {
        left.iter().zip(right).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn planted_clusters_come_out_nearest() {
        let embeddings = embed(&planted(), &small(), &|_| ());
        assert_eq!(embeddings.rows().len(), ITEMS as usize);
        assert_eq!(embeddings.get(ITEMS), None, "an item nobody took up has no vector");
        let mut right = 0;
        for item in 0..ITEMS {
            let query = embeddings.get(item).unwrap();
            assert!((cosine(query, query) - 1.0).abs() < 1e-5);
            let mut others: Vec<_> = (0..ITEMS).filter(|&other| other != item).collect();
            let score = |other: u32| cosine(query, embeddings.get(other).unwrap());
            others.sort_by(|&left, &right| score(right).total_cmp(&score(left)));
            right += others[..9].iter().filter(|&&other| other % CLUSTERS == item % CLUSTERS).count();
        }
        assert!(right as u32 >= ITEMS * 9 * 95 / 100, "{right} of {} neighbours are right", ITEMS * 9);
    }

    #[test]
    fn equals_an_exact_svd() {
        let log = planted();
        let params = EmbeddingParams { spectrum_exponent: 1.0, iterations: 12, ..small() };
        let matrix = ppmi(contexts(&log, &params, &|_| ()), &params);
        let size = matrix.row_count();
        let dense = nalgebra::DMatrix::from_fn(size, size, |row, column| f64::from(matrix.get(row, column)));
        let found = left_factors(&matrix, &params, &|_| ());
        let mut singular = dense.clone().svd(false, false).singular_values.as_slice().to_vec();
        singular.sort_by(|left, right| right.total_cmp(left));
        for (column, singular) in singular.iter().enumerate().take(params.dimension) {
            let length = (0..size).map(|row| f64::from(found.row(row)[column]).powi(2)).sum::<f64>().sqrt();
            assert!((length / singular - 1.0).abs() < 0.01, "{length} is not {singular}");
        }
    }

    #[test]
    fn is_bit_equal_for_a_seed_on_any_number_of_threads() {
        let log = planted();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| embed(&log, &small(), &|_| ()))
        };
        let bits = |embeddings: Embeddings| embeddings.as_slice().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let first = bits(on(1));
        assert_eq!(first, bits(on(1)));
        assert_eq!(first, bits(on(3)));
    }

    #[test]
    fn fewer_items_than_dimensions_are_padded() {
        let items = ["a", "b", "c"].map(|id| TrainingItem { bu: "u".into(), item_id: id.into() });
        let act = |person, item| Interaction { person, item, ts_ms: 0, weight: 1.0 };
        let log = Log::new(items.into(), vec![act(0, 0), act(0, 1), act(1, 1), act(1, 2)]).unwrap();
        let embeddings = embed(&log, &EmbeddingParams::default(), &|_| ());
        assert!(!embeddings.rows().is_empty());
        assert!(embeddings.iter().all(|(_, vector)| vector.len() == 64));
        assert!(embeddings.as_slice().iter().all(|value| value.is_finite()));
        let alone = embed(&log.before(0), &EmbeddingParams::default(), &|_| ());
        assert!(alone.rows().is_empty());
    }
}
