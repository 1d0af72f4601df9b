//! Rows without their `f32` values: the int8 codes that are scanned anyway, and four more bits a value for re-scoring.
//!
//! A row, as the metric scales it and less the centre, is kept as w·s ÷ 16 with whole w of 12 bits: its upper eight, rounded,
//! are the code of the blocks, its lower four lie here. So a row of dimension d takes 1.5·d bytes and one scale. (Residual
//! coding as in Jégou et al., "Searching in one billion vectors: re-rank with source coding", ICASSP 2011, with scalar codes.)
//!
//! **The bound.** No value is off by more than half a step: m ÷ 4,064, where m is the row's largest magnitude less the centre.
//! So a row is off by at most e = √d·m ÷ 4,064 and a score by |q|·e, or 2·|q − x|·e + e² under L2. For values
//! spread like a normal distribution's that is about 2⁻¹¹·|q|·|x| at worst and 1/√d of it as a rule.
//!
//! **Exactness.** What is kept *is* the row from then on: scans prove their answers about it, and every kind scores it
//! alike, to the bit.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use super::{Blocks, Frame, ROUNDING, RowCode};
use crate::basis::Projected;
use crate::error::IndexError;
use crate::full::Full;
use crate::kernels::fine::{FINE_OFFSET, FINE_STEPS, fine_bytes, pick_lane, unpack};
use crate::kernels::int8::{BLOCK, Line, OFFSET, QUAD, prefetch};
use crate::kernels::{ROUNDER, Rows, VALUE_MIN, score_range};
use crate::metric::Metric;
use crate::norms::norm;
use crate::vectors::{DIMENSION_MAX, VALUE_MAX, is_sound};

/// Rows ahead for which memory is asked: their codes lie on a line for every four values.
const ROWS_AHEAD: usize = 2;

/// The largest scale: rows less their centre are within twice the largest value.
const SCALE_MAX: f32 = VALUE_MAX / 60.0;

/// Compact rows one after another, as compacting makes them and a file holds them.
pub(crate) struct Packed<'a> {
    pub(crate) frame: Frame,
    pub(crate) scales: Vec<f32>,
    pub(crate) codes: Cow<'a, [u8]>,
    pub(crate) fines: Cow<'a, [u8]>,
}

/// Compact rows beside the blocks that hold their codes. Memory a row, blocks included: 1.5·d + 4.75 bytes, and 4 where
/// blocks are in another order than rows.
pub(crate) struct Compact {
    blocks: Arc<Blocks>,
    fines: Vec<u8>,
    /// Where each row's codes lie; `None` is in its own place.
    slots: Option<Vec<u32>>,
}

impl Packed<'static> {
    /// Codes all rows. On all threads of the pool; the outcome does not depend on them.
    pub(crate) fn of(full: &Full) -> Self {
        let frame = Frame::plain(full);
        let dimension = full.dimension();
        let mut codes = vec![0; full.len() * dimension];
        let mut fines = vec![0; full.len() * fine_bytes(dimension)];
        let places = codes.par_chunks_exact_mut(dimension).zip(fines.par_chunks_exact_mut(fine_bytes(dimension)));
        let code = |values: &mut Vec<f32>, (row, (codes, fines)): (usize, (&mut [u8], &mut [u8]))| {
            full.fill_scaled(row as u32, values);
            for (value, centre) in values.iter_mut().zip(&frame.centre) {
                *value -= centre;
            }
            pack(values, codes, fines)
        };
        let scales = places.enumerate().map_init(|| vec![0.0; dimension], code).collect();
        Self { frame, scales, codes: codes.into(), fines: fines.into() }
    }
}

impl<'a> Packed<'a> {
    /// Takes rows from a file. An empty `centre` is none.
    ///
    /// # Errors
    /// [`IndexError::Malformed`] for scales or a centre that no finite rows have.
    pub(crate) fn new(
        metric: Metric,
        dimension: usize,
        centre: Vec<f32>,
        scales: Vec<f32>,
        codes: &'a [u8],
        fines: &'a [u8],
    ) -> Result<Self, IndexError> {
        let malformed = |reason| Err(IndexError::Malformed { reason });
        if !centre.iter().all(|value| is_sound(*value)) {
            return malformed("the centre of the rows is not finite");
        }
        if !scales.iter().all(|scale| (0.0..=SCALE_MAX).contains(scale)) {
            return malformed("a row's scale is out of range");
        }
        if !(1..=DIMENSION_MAX).contains(&dimension)
            || codes.len() != scales.len() * dimension
            || fines.len() != scales.len() * fine_bytes(dimension)
        {
            return malformed("the codes do not fill the rows");
        }
        Ok(Self { frame: Frame { metric, dimension, centre, basis: None }, scales, codes: codes.into(), fines: fines.into() })
    }

    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    fn parts(&self, row: u32) -> (&[u8], &[u8], f32) {
        let (row, dimension) = (row as usize, self.frame.dimension);
        let fine = fine_bytes(dimension);
        (
            self.codes.get(row * dimension..(row + 1) * dimension).unwrap_or_default(),
            self.fines.get(row * fine..(row + 1) * fine).unwrap_or_default(),
            self.scales.get(row).copied().unwrap_or_default(),
        )
    }

    /// Lengths of the rows.
    pub(crate) fn norms(&self) -> Vec<f32> {
        let length = |values: &mut Vec<f32>, row| {
            let (codes, fines, scale) = self.parts(row);
            unpack(codes, fines, step_of(scale), &self.frame.centre, values);
            norm(values) as f32
        };
        (0..self.len() as u32).into_par_iter().map_init(|| vec![0.0; self.frame.dimension], length).collect()
    }

    /// What a scan needs to know of a row, whose codes are written to `stored`.
    fn code_row(&self, row: u32, values: &mut [f32], stored: &mut [u8]) -> RowCode {
        let (codes, fines, scale) = self.parts(row);
        for (place, code) in stored.iter_mut().zip(codes) {
            *place = *code;
        }
        let off = |half: u8| (i64::from(half) - i64::from(FINE_OFFSET)).pow(2);
        let last = self.frame.dimension / 2;
        let squares = |(at, byte): (usize, &u8)| off(byte & 15) + if at < last { off(byte >> 4) } else { 0 };
        let squares: i64 = fines.iter().enumerate().map(squares).sum();
        let error = (squares as f64).sqrt() as f32 * step_of(scale) * (1.0 + ROUNDING);
        unpack(codes, fines, step_of(scale), &self.frame.centre, values);
        let raw_norm = norm(values) as f32;
        unpack(codes, fines, step_of(scale), &[], values);
        self.frame.row_code(scale, error, raw_norm, norm(values) as f32)
    }
}

impl Compact {
    /// Puts the codes of rows into blocks, in which slot `i` is row `order[i]`, or row `i`.
    pub(crate) fn place(packed: Packed<'_>, order: Option<&[u32]>) -> Self {
        let row_of = |slot: u32| order.map_or(slot, |order| order.get(slot as usize).copied().unwrap_or(slot));
        let code_row =
            |slot: u32, values: &mut [f32], _: &mut Projected, stored: &mut [u8]| packed.code_row(row_of(slot), values, stored);
        let blocks = Arc::new(Blocks::made(&packed.frame, packed.len(), code_row));
        let slots = order.map(|order| {
            let mut slots = vec![0; packed.len()];
            for (slot, row) in (0..).zip(order) {
                if let Some(place) = slots.get_mut(*row as usize) {
                    *place = slot;
                }
            }
            slots
        });
        Self { blocks, fines: packed.fines.into_owned(), slots }
    }

    pub(crate) fn blocks(&self) -> &Arc<Blocks> {
        &self.blocks
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.blocks.frame
    }

    pub(crate) fn fines(&self) -> &[u8] {
        &self.fines
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.slots
    }

    /// Beside the blocks.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.fines.len() + self.slots.as_ref().map_or(0, |slots| size_of_val(slots.as_slice()))
    }

    /// Block and lane of a row.
    fn place_of(&self, row: u32) -> (usize, usize) {
        let slot = self.slots.as_ref().map_or(row, |slots| slots.get(row as usize).copied().unwrap_or_default()) as usize;
        (slot / BLOCK, slot % BLOCK)
    }

    fn lines(&self, block: usize) -> &[Line] {
        let lines = self.blocks.lines;
        self.blocks.codes.get(block * lines..(block + 1) * lines).unwrap_or_default()
    }

    /// A row's scale, and its codes in stored form in `codes`, whose length is that of whole lines.
    pub(crate) fn codes_of(&self, row: u32, codes: &mut [u8]) -> f32 {
        let (block, lane) = self.place_of(row);
        pick_lane(self.lines(block), lane, codes);
        self.blocks.scales.get(block).and_then(|scales| scales.get(lane)).copied().unwrap_or_default()
    }

    /// Writes a row to `values`, of the rows' dimension.
    pub(crate) fn fill(&self, row: u32, values: &mut [f32]) {
        let (dimension, fine) = (self.frame().dimension, fine_bytes(self.frame().dimension));
        let mut codes = [0u8; DIMENSION_MAX];
        let scale = self.codes_of(row, codes.get_mut(..self.blocks.lines * QUAD).unwrap_or_default());
        let fines = self.fines.get(row as usize * fine..(row as usize + 1) * fine).unwrap_or_default();
        unpack(codes.get(..dimension).unwrap_or_default(), fines, step_of(scale), &self.frame().centre, values);
    }

    fn prefetch(&self, row: u32) {
        let (block, lane) = self.place_of(row);
        for line in self.lines(block) {
            prefetch(line.0.get(lane * QUAD..lane * QUAD + 1).unwrap_or_default());
        }
        let fine = fine_bytes(self.frame().dimension);
        prefetch(self.fines.get(row as usize * fine..(row as usize + 1) * fine).unwrap_or_default());
    }

    /// The scores of `picked` rows for a query that was prepared, appended to `scores`.
    pub(crate) fn score(&self, query: &[f32], picked: &[u32], scores: &mut Vec<f32>) {
        let dimension = self.frame().dimension;
        let mut buffer = [0.0f32; DIMENSION_MAX];
        let values = buffer.get_mut(..dimension).unwrap_or_default();
        for (at, row) in picked.iter().enumerate() {
            if let Some(ahead) = picked.get(at + ROWS_AHEAD) {
                self.prefetch(*ahead);
            }
            self.fill(*row, values);
            let by_distance = self.frame().metric == Metric::L2;
            let mut score = [0.0];
            score_range(query, Rows { values, stride: dimension, scales: None, by_distance }, 0, &mut score);
            scores.extend(score);
        }
    }
}

/// What one of the 12 bits counts.
#[inline]
fn step_of(scale: f32) -> f32 {
    scale / FINE_STEPS as f32
}

/// Writes stored codes of a row less its centre; its scale.
fn pack(values: &[f32], codes: &mut [u8], fines: &mut [u8]) -> f32 {
    let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let (scale, inverse) = if largest < VALUE_MIN { (0.0, 0.0) } else { (largest / 127.0, 127.0 * FINE_STEPS as f32 / largest) };
    let half = fines.len();
    for ((at, value), code) in values.iter().enumerate().zip(codes) {
        let wide = (value * inverse + ROUNDER).to_bits() as i32 - ROUNDER.to_bits() as i32;
        let coarse = (wide + FINE_OFFSET) >> FINE_STEPS.trailing_zeros();
        *code = (coarse + OFFSET) as u8;
        let fine = (wide - coarse * FINE_STEPS + FINE_OFFSET) as u8;
        match fines.get_mut(at % half) {
            Some(byte) if at < half => *byte = fine,
            Some(byte) => *byte |= fine << 4,
            None => {}
        }
    }
    scale
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packed_values_are_half_a_step_off_at_most(
            values in prop::collection::vec(prop_oneof![-100.0f32..100.0, Just(0.0), Just(100.0), Just(-100.0)], 1..70),
            size in prop::sample::select(vec![1e-28f32, 1e-3, 1.0, 1e13]),
        ) {
            let values: Vec<f32> = values.iter().map(|value| value * size).collect();
            let (mut codes, mut fines) = (vec![0; values.len()], vec![0; fine_bytes(values.len())]);
            let scale = pack(&values, &mut codes, &mut fines);
            let mut back = vec![f32::NAN; values.len()];
            unpack(&codes, &fines, step_of(scale), &[], &mut back);
            let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            for (value, back) in values.iter().zip(&back) {
                prop_assert!((value - back).abs() <= largest / 4064.0 * 1.001, "{} {}", value, back);
                prop_assert!(*value != 0.0 || *back == 0.0);
            }
        }
    }
}
