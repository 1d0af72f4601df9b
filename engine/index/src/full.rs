//! Rows as they were given, and what each is multiplied by under the metric.

use crate::kernels::Rows;
use crate::metric::Metric;
use crate::query::row_scales;
use crate::vectors::Vectors;

/// Rows that are kept in `f32`. Memory: the vectors, and 4 bytes a row under cosine.
pub(crate) struct Full {
    metric: Metric,
    vectors: Vectors,
    /// What each row is multiplied by; `None` is 1 for all.
    scales: Option<Vec<f32>>,
}

impl Full {
    pub(crate) fn new(vectors: Vectors, metric: Metric) -> Self {
        let scales = row_scales(metric, &vectors);
        Self { metric, vectors, scales }
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn len(&self) -> usize {
        self.vectors.len()
    }

    pub(crate) fn dimension(&self) -> usize {
        self.vectors.dimension()
    }

    pub(crate) fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    /// The rows as the kernels take them.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows {
            values: self.vectors.as_slice(),
            stride: self.vectors.dimension(),
            scales: self.scales.as_deref(),
            by_distance: self.metric == Metric::L2,
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(self.vectors.as_slice()) + self.scales.as_ref().map_or(0, |scales| size_of_val(scales.as_slice()))
    }

    /// A row as it was given; nothing past the end.
    pub(crate) fn row(&self, row: u32) -> &[f32] {
        self.vectors.row(row).unwrap_or_default()
    }

    /// What a row is multiplied by.
    pub(crate) fn scale(&self, row: u32) -> f32 {
        self.scales.as_ref().map_or(1.0, |scales| scales.get(row as usize).copied().unwrap_or(0.0))
    }

    /// Writes a row to `place`, of the rows' dimension, as it was given.
    pub(crate) fn fill(&self, row: u32, place: &mut [f32]) {
        for (value, given) in place.iter_mut().zip(self.row(row)) {
            *value = *given;
        }
    }

    /// The same as the kernels see it (normalised under cosine).
    pub(crate) fn fill_scaled(&self, row: u32, place: &mut [f32]) {
        self.fill(row, place);
        if self.scales.is_some() {
            let scale = self.scale(row);
            place.iter_mut().for_each(|value| *value *= scale);
        }
    }
}
