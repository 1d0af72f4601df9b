//! int8 codes of rows and queries, and how far a score made of them may be off.
//!
//! A row x is kept as c·s: codes c in −127..=127 and one scale s a row, so that lengths count in the score. (Normalising
//! rows before coding them is what makes int8 fail under inner product.) Under cosine and L2 the mean of all rows is taken off
//! first: it says nothing about which row is nearer, and costs digits.
//!
//! **The bound.** With x = x̂ + e and q = q̂ + f, where hats are what codes say, x·q − x̂·q̂ = x·f + e·q̂, so by Cauchy and
//! Schwarz a score is off by at most |x|·|f| + |e|·|q̂|: [`Rigour::Proven`], on which the exact kind rests. Rounding errors
//! point anywhere, so the true difference is rather about 1/√d of that; [`Rigour::Likely`] counts on four times as much, which
//! a row exceeds about once in 10,000.

mod compact;

use std::fmt;
use std::ops::Range;

use rayon::prelude::*;

use crate::kernels::int8::{BLOCK, BlockRows, Coded, LINE, Line, OFFSET, QUAD, Spread, prefetch};
use crate::metric::Metric;
use crate::norms::norm;
use crate::table::Table;
use crate::vectors::Vectors;

pub(crate) use compact::{Compact, Packed};

/// Vectors whose values are all smaller than this are coded as zeros.
const VALUE_MIN: f32 = 1e-30;

/// Adding it leaves a small float rounded to a whole number in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Standard deviations that [`Rigour::Likely`] allows for.
const DEVIATIONS: f64 = 4.0;

/// Covers rounding in `f32` of codes' and true scores, as a share of the product of lengths.
const ROUNDING: f32 = 1e-5;

/// Covers results so small that `f32` loses digits.
const SMALLEST: f32 = 1e-30;

/// How sure a bound on the error of a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rigour {
    /// Holds always.
    Proven,
    /// Holds nearly always.
    Likely,
}

/// What is done to a vector before it is coded, the same for all of an index.
#[derive(Clone)]
pub(crate) struct Frame {
    metric: Metric,
    dimension: usize,
    /// Taken off every row (and, under L2, query); empty is nothing.
    centre: Vec<f32>,
}

/// One coded row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RowCode {
    pub(crate) scale: f32,
    pub(crate) bias: f32,
    pub(crate) spread: Spread,
}

/// A query's codes; lives in a scratch.
#[derive(Debug, Default)]
pub(crate) struct QueryCode {
    words: Vec<i32>,
    moved: Vec<f32>,
    codes: Vec<u8>,
    start: i32,
    scale: f32,
    by_norm: f32,
    by_error: f32,
    by_nature: f32,
}

impl QueryCode {
    pub(crate) fn coded(&self) -> Coded<'_> {
        let Self { words, start, scale, by_norm, by_error, by_nature, .. } = self;
        Coded { words, start: *start, scale: *scale, by_norm: *by_norm, by_error: *by_error, by_nature: *by_nature }
    }
}

impl Frame {
    /// The frame for these rows; the one they were coded in where they are compact. One pass over them.
    pub(crate) fn of(table: &Table) -> Self {
        if let Some(compact) = table.compact() {
            return compact.frame().clone();
        }
        let (metric, dimension) = (table.metric(), table.dimension());
        let centre = match metric {
            Metric::InnerProduct => Vec::new(),
            Metric::Cosine | Metric::L2 => mean(table),
        };
        Self { metric, dimension, centre }
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    /// Taken off every row; empty is nothing.
    pub(crate) fn centre(&self) -> &[f32] {
        &self.centre
    }

    /// Codes a row's scaled values, which are moved in place, into `codes` (same length, stored form).
    fn encode_row(&self, values: &mut [f32], codes: &mut [u8]) -> RowCode {
        let raw_norm = norm(values) as f32;
        for (value, centre) in values.iter_mut().zip(&self.centre) {
            *value -= centre;
        }
        let (scale, error) = encode(values, codes);
        self.row_code(scale, error, raw_norm, norm(values) as f32)
    }

    /// What a scan needs to know of a row, `norm` being its length less the centre and `error` how far off its codes are.
    fn row_code(&self, scale: f32, error: f32, raw_norm: f32, norm: f32) -> RowCode {
        let moving = if self.centre.is_empty() { 0.0 } else { ROUNDING * (raw_norm + norm) };
        let (bias, slack) = match self.metric {
            Metric::L2 => (-norm * norm, ROUNDING * norm * norm),
            Metric::InnerProduct | Metric::Cosine => (0.0, 0.0),
        };
        RowCode { scale, bias, spread: Spread { norm: norm * (1.0 + ROUNDING), error: error + moving, slack } }
    }

    /// Codes a query that was prepared for the metric.
    pub(crate) fn encode_query(&self, query: &[f32], rigour: Rigour, code: &mut QueryCode) {
        let QueryCode { words, moved, codes, .. } = code;
        moved.clear();
        moved.extend_from_slice(query.get(..self.dimension).unwrap_or(query));
        let raw_norm = norm(moved) as f32;
        if self.metric == Metric::L2 {
            for (value, centre) in moved.iter_mut().zip(&self.centre) {
                *value -= centre;
            }
        }
        codes.clear();
        codes.resize(self.dimension.next_multiple_of(LINE), OFFSET as u8);
        let (scale, error) = encode(moved, codes);
        let signed = |stored: u8| (i32::from(stored) - OFFSET) as i8;
        words.clear();
        words.extend(codes.as_chunks::<QUAD>().0.iter().map(|quad| i32::from_le_bytes(quad.map(|code| signed(code) as u8))));
        let length = norm(moved) as f32;
        let factor = if self.metric == Metric::L2 { 2.0 } else { 1.0 };
        let share = match rigour {
            Rigour::Proven => 1.0,
            Rigour::Likely => (DEVIATIONS / (self.dimension as f64).sqrt()).min(1.0) as f32,
        };
        let moving = if self.metric == Metric::L2 { ROUNDING * (raw_norm + length) } else { 0.0 };
        code.start = -OFFSET * codes.iter().map(|stored| i32::from(signed(*stored))).sum::<i32>();
        code.scale = factor * scale;
        code.by_norm = factor * (share * error + moving + ROUNDING * length);
        code.by_error = factor * share * (length + error);
        code.by_nature = SMALLEST
            + match self.metric {
                Metric::L2 => ROUNDING * length * length,
                Metric::Cosine => ROUNDING * length,
                Metric::InnerProduct => 0.0,
            };
    }
}

/// Mean of the scaled rows, added up in one order.
fn mean(table: &Table) -> Vec<f32> {
    let mut sums = vec![0.0f64; table.dimension()];
    for (row, values) in (0u32..).zip(table.vectors().into_iter().flat_map(Vectors::iter)) {
        let scale = f64::from(table.scale(row));
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += f64::from(*value) * scale;
        }
    }
    let count = table.len().max(1) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// Writes stored codes; the scale, and the distance between the values and what the codes say.
fn encode(values: &[f32], codes: &mut [u8]) -> (f32, f32) {
    let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    if largest < VALUE_MIN {
        for (code, _) in codes.iter_mut().zip(values) {
            *code = OFFSET as u8;
        }
        return (0.0, norm(values) as f32);
    }
    let (scale, inverse) = (largest / 127.0, 127.0 / largest);
    let mut lanes = [0.0f64; 8];
    for (values, codes) in values.chunks(8).zip(codes.chunks_mut(8)) {
        for ((value, code), lane) in values.iter().zip(codes).zip(&mut lanes) {
            let rounded = value * inverse + ROUNDER;
            *code = (rounded.to_bits() as u8).wrapping_add(OFFSET as u8);
            let off = f64::from(*value) - f64::from(rounded - ROUNDER) * f64::from(scale);
            *lane += off * off;
        }
    }
    (scale, lanes.iter().sum::<f64>().sqrt() as f32 * (1.0 + ROUNDING))
}

/// Coded rows in interleaved blocks of 16, in any order. Memory a row: its dimension (rounded up to four) + 4.75 bytes, and 4
/// more under L2.
pub(crate) struct Blocks {
    pub(crate) frame: Frame,
    lines: usize,
    slots: usize,
    codes: Vec<Line>,
    scales: Vec<[f32; BLOCK]>,
    biases: Vec<[f32; BLOCK]>,
    spreads: Vec<Spread>,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Blocks").field("slots", &self.slots).field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl Blocks {
    /// Codes `slots` rows, `row_of` naming the row of each slot. On all threads of the pool; the outcome does not depend on
    /// them. 1 M × 64 take some 0.3 s of one core.
    pub(crate) fn of(table: &Table, slots: usize, row_of: impl Fn(u32) -> u32 + Sync) -> Self {
        let frame = Frame::of(table);
        Self::made(&frame, slots, |slot, values, stored| {
            table.fill_scaled(row_of(slot), values);
            frame.encode_row(values, stored)
        })
    }

    /// Blocks of `slots` rows, which `code_row` writes in stored form; it may use the values it is given as it likes.
    fn made(frame: &Frame, slots: usize, code_row: impl Fn(u32, &mut [f32], &mut [u8]) -> RowCode + Sync) -> Self {
        let dimension = frame.dimension;
        let (lines, blocks) = (dimension.div_ceil(QUAD), slots.div_ceil(BLOCK));
        let mut codes = vec![Line([OFFSET as u8; LINE]); blocks * lines];
        let mut scales = vec![[0.0; BLOCK]; blocks];
        let mut biases = vec![[0.0; BLOCK]; if frame.metric == Metric::L2 { blocks } else { 0 }];
        let code_block = |(block, (lines, scales)): (usize, (&mut [Line], &mut [f32; BLOCK]))| {
            let (mut values, mut stored) = (vec![0.0; dimension], vec![0u8; lines.len() * QUAD]);
            let (mut spread, mut biases) = (Spread::default(), [0.0; BLOCK]);
            for (lane, slot) in (block * BLOCK..slots).take(BLOCK).enumerate() {
                let code = code_row(slot as u32, &mut values, &mut stored);
                spread = Spread {
                    norm: spread.norm.max(code.spread.norm),
                    error: spread.error.max(code.spread.error),
                    slack: spread.slack.max(code.spread.slack),
                };
                for (line, quad) in lines.iter_mut().zip(stored.as_chunks::<QUAD>().0) {
                    if let Some(place) = line.0.as_chunks_mut::<QUAD>().0.get_mut(lane) {
                        *place = *quad;
                    }
                }
                if let (Some(scale), Some(bias)) = (scales.get_mut(lane), biases.get_mut(lane)) {
                    (*scale, *bias) = (code.scale, code.bias);
                }
            }
            (spread, biases)
        };
        let places = codes.par_chunks_mut(lines).zip(&mut scales).enumerate();
        let made: Vec<(Spread, [f32; BLOCK])> = places.map(code_block).collect();
        let (spreads, made_biases): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        if !biases.is_empty() {
            biases = made_biases;
        }
        Self { frame: frame.clone(), lines, slots, codes, scales, biases, spreads }
    }

    pub(crate) fn rows(&self) -> BlockRows<'_> {
        let Self { codes, lines, scales, biases, spreads, .. } = self;
        BlockRows { codes, lines: *lines, scales, biases, spreads }
    }

    pub(crate) fn len(&self) -> usize {
        self.spreads.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let Self { codes, scales, biases, spreads, .. } = self;
        let rows = size_of_val(scales.as_slice()) + size_of_val(biases.as_slice());
        size_of_val(codes.as_slice()) + rows + size_of_val(spreads.as_slice())
    }

    /// Asks early for what a scan of these slots reads first.
    pub(crate) fn prefetch(&self, slots: Range<usize>) {
        /// The processor foresees what comes after.
        const LINES: usize = 64;
        let (first, end) = (slots.start / BLOCK, slots.end.div_ceil(BLOCK));
        let codes = first * self.lines..(end * self.lines).min(first * self.lines + LINES);
        prefetch(self.codes.get(codes).unwrap_or_default());
        prefetch(self.scales.get(first..end.min(first + 8)).unwrap_or_default());
        prefetch(self.biases.get(first..end.min(first + 8)).unwrap_or_default());
        prefetch(self.spreads.get(first..end.min(first + 8)).unwrap_or_default());
    }

    pub(crate) fn spread(&self, slot: u32) -> Spread {
        self.spreads.get(slot as usize / BLOCK).copied().unwrap_or_default()
    }
}

/// Coded rows one after another, each padded to whole cache lines: for reading rows anywhere.
pub(crate) struct Slab {
    pub(crate) frame: Frame,
    pub(crate) lines_per_row: usize,
    pub(crate) codes: Vec<Line>,
    pub(crate) rows: Vec<RowCode>,
}

impl fmt::Debug for Slab {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Slab").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl Slab {
    pub(crate) fn of(table: &Table, slots: usize, row_of: impl Fn(u32) -> u32) -> Self {
        let frame = Frame::of(table);
        let lines_per_row = table.dimension().div_ceil(LINE);
        let mut codes = vec![Line([OFFSET as u8; LINE]); slots * lines_per_row];
        let mut values = vec![0.0; table.dimension()];
        let rows = (0..slots as u32).zip(codes.chunks_exact_mut(lines_per_row)).map(|(slot, lines)| {
            table.fill_scaled(row_of(slot), &mut values);
            frame.encode_row(&mut values, bytemuck::cast_slice_mut(lines))
        });
        let rows = rows.collect();
        Self { frame, lines_per_row, codes, rows }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(self.codes.as_slice()) + size_of_val(self.rows.as_slice())
    }

    /// The score of a node by its sum.
    #[inline]
    pub(crate) fn score(&self, query: &Coded<'_>, node: u32, sum: i32) -> f32 {
        let code = self.rows.get(node as usize).copied().unwrap_or_default();
        sum as f32 * (code.scale * query.scale) + code.bias
    }
}
