//! Item vectors, wherever they come from: unit length, by item row.

/// Shorter vectors have no direction worth the name.
const LENGTH_MIN: f32 = 1e-6;

/// A vector scaled to length 1; `None` for one without direction (zero, or not finite).
#[must_use]
pub fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    (length.is_finite() && length > LENGTH_MIN).then(|| vector.iter().map(|value| value / length).collect())
}

/// Unit vectors of the items that have one.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    dimension: usize,
    rows: Vec<u32>,
    values: Vec<f32>,
}

impl Embeddings {
    /// No vectors yet, of `dimension` numbers each.
    pub(crate) const fn new(dimension: usize) -> Self {
        Self { dimension, rows: Vec::new(), values: Vec::new() }
    }

    /// Adds the vector of a row beyond all rows so far, scaled to length 1; a shorter list of numbers ends in zeros. A vector without
    /// direction is left out.
    pub(crate) fn push(&mut self, row: u32, vector: &[f32]) {
        if let Some(unit) = unit(vector) {
            self.rows.push(row);
            self.values.extend(unit);
            self.values.resize(self.rows.len() * self.dimension, 0.0);
        }
    }

    /// These and others of other rows.
    pub(crate) fn and(&self, others: &Self) -> Self {
        let mut all: Vec<(u32, &[f32])> = self.iter().chain(others.iter()).collect();
        all.sort_unstable_by_key(|(row, _)| *row);
        let rows = all.iter().map(|(row, _)| *row).collect();
        let values = all.into_iter().flat_map(|(_, vector)| vector.iter().copied()).collect();
        Self { dimension: self.dimension, rows, values }
    }

    /// Numbers in a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The item rows that have a vector, ascending.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// All vectors in the order of [`Embeddings::rows`], one after another.
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    /// The vector of an item row; `None` for an item without one.
    pub fn get(&self, row: u32) -> Option<&[f32]> {
        let place = self.rows.binary_search(&row).ok()?;
        self.values.get(place * self.dimension..(place + 1) * self.dimension)
    }

    /// Item rows with their vectors, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, &[f32])> {
        self.rows.iter().copied().zip(self.values.chunks_exact(self.dimension))
    }
}
