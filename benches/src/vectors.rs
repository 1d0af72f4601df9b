//! Item vectors as a trained model makes them: clustered by topic, of unit length.

use faces_index::Vectors;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::SEED;

/// Length of item vectors.
pub const DIMENSION: usize = 64;
/// Topics that items and tastes come from.
pub const TOPICS: usize = 64;
/// Spread of the items of a topic around its centre: neighbours are near, and topics overlap.
const SPREAD: f32 = 0.9;

/// Topics in one vector space.
#[derive(Clone, Debug)]
pub struct Topics {
    centres: Vec<[f32; DIMENSION]>,
}

impl Default for Topics {
    fn default() -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        Self { centres: (0..TOPICS).map(|_| unit(gaussian(&mut random))).collect() }
    }
}

impl Topics {
    /// A vector of unit length near a topic's centre.
    #[must_use]
    pub fn near(&self, topic: usize, random: &mut impl Rng) -> [f32; DIMENSION] {
        let noise = gaussian(random);
        let centre = self.centres.get(topic % TOPICS).copied().unwrap_or([0.0; DIMENSION]);
        let scale = SPREAD / (DIMENSION as f32).sqrt();
        unit(std::array::from_fn(|n| centre.get(n).copied().unwrap_or(0.0) + scale * noise.get(n).copied().unwrap_or(0.0)))
    }
}

/// `rows` vectors of random topics, from a stream of its own.
#[must_use]
pub fn matrix(rows: usize, stream: u64) -> Vectors {
    let (topics, mut random) = (Topics::default(), ChaCha8Rng::seed_from_u64(SEED));
    random.set_stream(stream);
    let values = (0..rows).flat_map(|_| {
        let topic = random.random_range(0..TOPICS);
        topics.near(topic, &mut random)
    });
    Vectors::new(DIMENSION, values.collect()).expect("whole finite rows")
}

/// The sum of a few uniforms: normal enough, the same on every platform.
fn gaussian(random: &mut impl Rng) -> [f32; DIMENSION] {
    std::array::from_fn(|_| (0..4).map(|_| random.random_range(-1.0..1.0_f32)).sum::<f32>() * 0.866)
}

fn unit(vector: [f32; DIMENSION]) -> [f32; DIMENSION] {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-6);
    vector.map(|value| value / length)
}
