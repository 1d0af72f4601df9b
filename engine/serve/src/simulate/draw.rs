//! Draws from the distributions that shopping follows.

use rand::{Rng, RngExt, distr::weighted::WeightedIndex, prelude::Distribution};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// What a stream of random numbers is for: streams are independent, so that one more item or shopper changes no other's luck.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Assortment,
    Shopper(usize),
    NewInterest(usize),
}

/// The random numbers of one stream.
pub(super) fn stream(seed: u64, stream: Stream) -> ChaCha8Rng {
    let number = match stream {
        Stream::Assortment => 0,
        Stream::Shopper(shopper) => 2 * shopper as u64 + 1,
        Stream::NewInterest(shopper) => 2 * shopper as u64 + 2,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// A rank below `count` with density about 1 / rank: how attention falls in a whole shop.
pub(super) fn rank_steep(rng: &mut impl Rng, count: usize) -> usize {
    let rank = (count as f64 + 1.0).powf(rng.random::<f64>()) - 1.0;
    (rank as usize).min(count.saturating_sub(1))
}

/// A rank below `count` with density about 1 / √rank: how attention falls on one shelf.
pub(super) fn rank_gentle(rng: &mut impl Rng, count: usize) -> usize {
    let root = 1.0 + rng.random::<f64>() * ((count as f64 + 1.0).sqrt() - 1.0);
    ((root * root - 1.0) as usize).min(count.saturating_sub(1))
}

/// A position drawn by weight; 0 when no weight is positive.
pub(super) fn weighted(rng: &mut impl Rng, weights: impl IntoIterator<Item = f32>) -> usize {
    WeightedIndex::new(weights).map_or(0, |index| index.sample(rng))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_stay_in_bounds_and_fall() {
        let mut rng = stream(1, Stream::Assortment);
        let mut steep = [0_u32; 10];
        let mut gentle = [0_u32; 10];
        for _ in 0..20_000 {
            steep[rank_steep(&mut rng, 10)] += 1;
            gentle[rank_gentle(&mut rng, 10)] += 1;
        }
        assert!(steep.is_sorted_by(|a, b| a > b), "{steep:?}");
        assert!(gentle.is_sorted_by(|a, b| a > b), "{gentle:?}");
        assert!(steep[0] > gentle[0]);
        assert_eq!((rank_steep(&mut rng, 1), rank_gentle(&mut rng, 0)), (0, 0));
    }

    #[test]
    fn weights_decide() {
        let mut rng = stream(1, Stream::Assortment);
        assert_eq!(weighted(&mut rng, [0.0, 1.0, 0.0]), 1);
        assert_eq!(weighted(&mut rng, []), 0);
    }
}
