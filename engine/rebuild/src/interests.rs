//! What shoppers would ask of the indexes: the interests of some of them, as serving makes them, so that tuning sees queries of
//! the kind that will come rather than made-up ones.

use faces_index::{IndexError, Vectors};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    embeddings::Embeddings,
    training::{Interaction, Log},
};

/// Latest interactions that make an interest.
const INTERACTIONS_MAX: usize = 64;

/// What an interaction weighs against the next later one.
const FADING: f32 = 0.95;

/// The unit-length interests of up to `count` random persons, by seed; fewer where people have nothing with a vector. They
/// serve for every unit, as any interest is asked in any unit. One pass over the log.
pub(crate) fn interests(log: &Log, embeddings: &Embeddings, count: usize, seed: u64) -> Result<Vectors, IndexError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let of_persons = log.interactions().chunk_by(|left, right| left.person == right.person);
    let mut drawn: Vec<(u64, &[Interaction])> = of_persons.map(|of_person| (random.next_u64(), of_person)).collect();
    drawn.sort_unstable_by_key(|(lot, _)| *lot);
    let found = drawn.into_iter().filter_map(|(_, of_person)| interest(of_person, embeddings)).take(count);
    Vectors::new(embeddings.dimension(), found.flatten().collect())
}

fn interest(of_person: &[Interaction], embeddings: &Embeddings) -> Option<Vec<f32>> {
    let mut sum = vec![0.0; embeddings.dimension()];
    let mut faded = 1.0;
    for interaction in of_person.iter().rev().take(INTERACTIONS_MAX) {
        for (sum, value) in sum.iter_mut().zip(embeddings.get(interaction.item).unwrap_or_default()) {
            *sum += interaction.weight * faded * value;
        }
        faded *= FADING;
    }
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    sum.iter_mut().for_each(|value| *value /= length);
    (length > 1e-6).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        embedding::{EmbeddingParams, embed},
        training::TrainingItem,
    };

    #[test]
    fn interests_are_near_what_people_took() {
        let item = |id: u32| TrainingItem { bu: format!("u{}", id % 2), item_id: id.to_string() };
        // Even persons take from the first ten items, odd ones from the last ten.
        let act = |n: u32| Interaction {
            person: n % 40,
            item: n % 2 * 10 + (n / 40 * 3 + n % 7) % 10,
            ts_ms: i64::from(n),
            weight: 1.0,
        };
        let log = Log::new((0..21).map(item).collect(), (0..800).map(act).collect()).unwrap();
        let params = EmbeddingParams { dimension: 4, ..EmbeddingParams::default() };
        let embeddings = embed(&log, &params, &|_| ());
        let found = interests(&log, &embeddings, 30, 5).unwrap();
        assert_eq!((found.len(), found.dimension()), (30, 4));
        let cosine = |query: &[f32], row: u32| query.iter().zip(embeddings.get(row).unwrap()).map(|(a, b)| a * b).sum::<f32>();
        for query in found.iter() {
            assert!((query.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-4);
            let of_half = |first: u32| (first..first + 10).map(|row| cosine(query, row)).sum::<f32>() / 10.0;
            assert!((of_half(0) - of_half(10)).abs() > 0.5, "{} {}", of_half(0), of_half(10));
        }
        assert_eq!(interests(&log, &embeddings, 30, 5).unwrap(), found);
        assert_ne!(interests(&log, &embeddings, 30, 6).unwrap(), found);
        assert_eq!(interests(&log, &embeddings, 99, 5).unwrap().len(), 40);
    }
}
