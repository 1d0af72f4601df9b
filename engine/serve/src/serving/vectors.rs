//! Vectors of all items in whole numbers of 16 bits, by item: what requests compare candidates with.
//!
//! Two cache lines an item of 64 columns and no handle to look up, where the index has four and a handle. A value is off by 1.5 · 10⁻⁵ of the largest
//! at most, a cosine by some 10⁻⁵: what it is asked with is coded as well, so that products are whole numbers, of which any processor adds eight at
//! a time. Items of all units have one scale, so that nothing lies beside a row. Holds what the index was built
//! over: whoever has changed vectors since asks the index.

use faces_core::ids::ItemId;

/// Columns of one cache line.
const COLUMNS: usize = 32;
const CODE_MAX: f32 = 32_767.0;
/// Largest product of lengths of codes: no sum of their products runs over (Cauchy–Schwarz).
const PRODUCT_MAX: f32 = (1 << 30) as f32;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([i16; COLUMNS]);

/// The vectors; 0 for an item without one.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    lines: Vec<Line>,
    lines_per_item: usize,
    scale: f32,
    length_max: f32, // of an item's codes
}

impl Vectors {
    /// Room for items from 0 to `items`. `largest` is the largest magnitude of all values.
    pub(super) fn new(items: usize, dimension: usize, largest: f32) -> Self {
        let lines_per_item = dimension.div_ceil(COLUMNS);
        let lines = vec![Line([0; COLUMNS]); items * lines_per_item];
        Self { lines, lines_per_item, scale: largest / CODE_MAX, length_max: 0.0 }
    }

    /// Sets the vector of an item.
    pub(super) fn set(&mut self, item: ItemId, vector: &[f32]) {
        let start = item.position() * self.lines_per_item;
        let lines = self.lines.get_mut(start..start + self.lines_per_item).unwrap_or_default();
        let scale = self.scale.max(f32::MIN_POSITIVE);
        for (line, values) in lines.iter_mut().zip(vector.chunks(COLUMNS)) {
            line.0.iter_mut().zip(values).for_each(|(code, value)| *code = (value / scale).round() as i16);
        }
        let square = lines.iter().flat_map(|line| line.0).map(|code| f32::from(code).powi(2)).sum::<f32>();
        self.length_max = self.length_max.max(square.sqrt());
    }

    fn of(&self, item: ItemId) -> &[Line] {
        let start = item.position() * self.lines_per_item;
        self.lines.get(start..start + self.lines_per_item).unwrap_or_default()
    }

    /// Has the vectors of some items come from memory at once: loads that don't hang on each other wait together.
    fn fetch(&self, items: impl Iterator<Item = ItemId>) {
        let first = |line: &Line| line.0.first().copied().unwrap_or_default();
        std::hint::black_box(items.flat_map(|item| self.of(item)).fold(0, |sum, line| sum ^ first(line)));
    }

    /// Sets `cosines` to those between `vector` and the items' vectors, in their order.
    pub(super) fn cosines(&self, vector: &[f32], items: &[ItemId], cosines: &mut Vec<f32>) {
        self.fetch(items.iter().copied());
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let finer = (CODE_MAX / largest).min(PRODUCT_MAX / (length * self.length_max));
        let finer = if finer.is_finite() { finer } else { 0.0 };
        let scale = if finer > 0.0 { self.scale / (finer * length) } else { 0.0 };
        let asked: Vec<Line> = vector.chunks(COLUMNS).map(|values| coded(values, finer)).collect();
        cosines.clear();
        cosines.extend(items.iter().map(|item| dot(&asked, self.of(*item)) as f32 * scale));
    }

    /// Adds the vectors of items, each times its weight, to `sum`, in their order.
    pub(super) fn add(&self, weighed: &[(ItemId, f32)], sum: &mut [f32]) {
        self.fetch(weighed.iter().map(|(item, _)| *item));
        for (item, weight) in weighed {
            let weight = weight * self.scale;
            for (sums, line) in sum.chunks_mut(COLUMNS).zip(self.of(*item)) {
                sums.iter_mut().zip(&line.0).for_each(|(sum, code)| *sum += weight * f32::from(*code));
            }
        }
    }
}

/// Values times `finer`, in whole numbers.
fn coded(values: &[f32], finer: f32) -> Line {
    let mut line = Line([0; COLUMNS]);
    line.0.iter_mut().zip(values).for_each(|(code, value)| *code = (value * finer) as i16); // towards 0, so that no length grows
    line
}

/// Product in eight running sums, which the compiler turns into one instruction for eight products and four sums.
fn dot(a: &[Line], b: &[Line]) -> i32 {
    let mut sums = [0_i32; 8];
    for (a, b) in a.iter().zip(b) {
        for (a, b) in a.0.as_chunks::<8>().0.iter().zip(b.0.as_chunks::<8>().0) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += i32::from(*a) * i32::from(*b);
            }
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn near_the_vectors_they_were_made_of() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        for dimension in [1, 7, 32, 64, 75, 300] {
            let mut unit = || {
                let vector: Vec<f32> = (0..dimension).map(|_| random.random_range(-1.0..1.0)).collect();
                let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
                vector.into_iter().map(|value| value / length).collect::<Vec<f32>>()
            };
            let (given, asked) = ((0..20).map(|_| unit()).collect::<Vec<_>>(), unit());
            let mut vectors = Vectors::new(21, dimension, 1.0);
            let item = |n: usize| ItemId::new(n as u32);
            given.iter().enumerate().for_each(|(n, vector)| vectors.set(item(n), vector));
            let mut cosines = Vec::new();
            vectors.cosines(&asked, &(0..22).map(item).collect::<Vec<_>>(), &mut cosines);
            for (vector, cosine) in given.iter().zip(&cosines) {
                let exact: f32 = vector.iter().zip(&asked).map(|(a, b)| a * b).sum();
                assert!((exact - cosine).abs() < 1e-4, "{dimension}: {exact} {cosine}");
            }
            assert_eq!(cosines[20..], [0.0, 0.0], "one without a vector, one that is not known");
            let mut sum = vec![0.0; dimension];
            vectors.add(&[(item(3), 2.0), (item(20), 5.0), (item(4), 0.5)], &mut sum);
            for ((sum, a), b) in sum.iter().zip(&given[3]).zip(&given[4]) {
                assert!((sum - (2.0 * a + 0.5 * b)).abs() < 1e-4);
            }
        }
    }
}
