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
//!
//! **Leading columns.** Where a [`Basis`] is known, x and q are first projected on it, and only that is coded. With x_r and q_r for
//! what the projection leaves out, x·q = Bx·Bq + x_r·q_r, which adds |x_r|·|q_r| to the bound, and what rounding and skew of B may
//! do: |x·q − Bx·Bq − x_r·q_r| ≤ 1.1·skew·|Bx|·|Bq|. Under L2 and cosine the mean is taken off queries as well then, and what that
//! changes of a row's score is added back as a bias, exactly: so only the cross term is unknown.

mod compact;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::basis::{Basis, Projected};
use crate::full::Full;
use crate::kernels::encode;
use crate::kernels::int8::{BLOCK, BlockRows, Coded, LINE, Line, OFFSET, QUAD, Spread, prefetch};
use crate::metric::Metric;
use crate::norms::norm;

pub(crate) use compact::{Compact, Packed};

/// Standard deviations that [`Rigour::Likely`] allows for.
const DEVIATIONS: f64 = 4.0;

/// The share of |q_r|·|x_r| that [`Rigour::Likely`] counts on for what was not coded. That is not at random: what is left of near
/// rows points in like directions. Measured on 60,000 × 784 images, 128 columns coded, recall@10 of a walk with 64 candidates: 0.2
/// .985, 0.3 .9907, 0.4 .9917, 0.6 .9919.
const REST_LIKELY: f32 = 0.4;

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
    /// Taken off every row (and, under L2 or with a basis, query); empty is nothing.
    centre: Vec<f32>,
    /// What is coded, where that is not all.
    basis: Option<Arc<Basis>>,
}

/// One coded row.
struct RowCode {
    scale: f32,
    bias: f32,
    spread: Spread,
}

/// A query's codes; lives in a scratch.
#[derive(Debug, Default)]
pub(crate) struct QueryCode {
    words: Vec<i32>,
    moved: Vec<f32>,
    projected: Projected,
    codes: Vec<u8>,
    start: i32,
    scale: f32,
    by_norm: f32,
    by_error: f32,
    by_rest: f32,
    by_nature: f32,
    offset: f32,
}

impl QueryCode {
    /// What a code's score lacks to the true one, at most: it is the same for all rows.
    pub(crate) fn offset(&self) -> f32 {
        self.offset
    }

    pub(crate) fn coded(&self) -> Coded<'_> {
        let Self { words, start, scale, by_norm, by_error, by_rest, by_nature, .. } = self;
        Coded {
            words,
            start: *start,
            scale: *scale,
            by_norm: *by_norm,
            by_error: *by_error,
            by_rest: *by_rest,
            by_nature: *by_nature,
        }
    }
}

impl Frame {
    /// The frame for these rows. One pass over them, and what learning a basis takes.
    pub(crate) fn of(full: &Full) -> Self {
        let frame = Self::plain(full);
        let basis = Basis::learn(full, &frame.centre).map(Arc::new);
        Self { basis, ..frame }
    }

    /// The same frame, coding along these directions.
    pub(crate) fn led_by(self, basis: Basis) -> Self {
        Self { basis: Some(Arc::new(basis)), ..self }
    }

    pub(crate) fn basis(&self) -> Option<&Basis> {
        self.basis.as_deref()
    }

    /// The frame for these rows that codes all of them.
    pub(crate) fn plain(full: &Full) -> Self {
        let (metric, dimension) = (full.metric(), full.dimension());
        let centre = match metric {
            Metric::InnerProduct => Vec::new(),
            Metric::Cosine | Metric::L2 => mean(full),
        };
        Self { metric, dimension, centre, basis: None }
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

    /// The same frame, coding all of every row; `None` where it does already.
    pub(crate) fn whole(&self) -> Option<Self> {
        self.basis.is_some().then(|| Self { basis: None, ..self.clone() })
    }

    /// The same frame for distances.
    pub(crate) fn by_distance(&self) -> Self {
        Self { metric: Metric::L2, ..self.clone() }
    }

    /// Values in a code.
    pub(crate) fn leading(&self) -> usize {
        self.basis.as_ref().map_or(self.dimension, |basis| basis.leading())
    }

    /// Whether scores carry a bias: under L2 the rows' lengths; under cosine, where the mean is taken off queries too, their
    /// products with it.
    fn is_biased(&self) -> bool {
        self.metric == Metric::L2 || self.moves_query()
    }

    fn moves_query(&self) -> bool {
        self.metric == Metric::L2 || (self.basis.is_some() && !self.centre.is_empty())
    }

    /// Codes a row's scaled values, which are moved in place, into `codes` (stored form, at least as many as a code has).
    fn encode_row(&self, values: &mut [f32], projected: &mut Projected, codes: &mut [u8]) -> RowCode {
        let raw_norm = norm(values) as f32;
        for (value, centre) in values.iter_mut().zip(&self.centre) {
            *value -= centre;
        }
        let whole = norm(values) as f32;
        let of_centre: f64 = self.centre.iter().zip(&*values).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let Leading { values, length, error, rest } = self.lead(values, whole, projected);
        let (scale, code_error) = encode(values, codes);
        let RowCode { mut bias, spread: Spread { mut slack, error: off, .. }, .. } =
            self.row_code(scale, code_error, raw_norm, whole);
        if self.metric == Metric::Cosine && self.moves_query() {
            bias = of_centre as f32;
            slack = ROUNDING * norm(&self.centre) as f32 * (raw_norm + whole);
        }
        let spread = Spread { norm: length * (1.0 + ROUNDING) + error, error: off + error, rest, slack };
        RowCode { scale, bias, spread }
    }

    /// What a scan needs to know of a row that is coded whole, `norm` being its length less the centre and `error` how far off its
    /// codes are.
    fn row_code(&self, scale: f32, error: f32, raw_norm: f32, norm: f32) -> RowCode {
        let moving = if self.centre.is_empty() { 0.0 } else { ROUNDING * (raw_norm + norm) };
        let (bias, slack) = match self.metric {
            Metric::L2 => (-norm * norm, ROUNDING * norm * norm),
            Metric::InnerProduct | Metric::Cosine => (0.0, 0.0),
        };
        RowCode { scale, bias, spread: Spread { norm: norm * (1.0 + ROUNDING), error: error + moving, rest: 0.0, slack } }
    }

    /// The part of a vector that is coded.
    fn lead<'a>(&self, values: &'a [f32], whole: f32, projected: &'a mut Projected) -> Leading<'a> {
        let Some(basis) = &self.basis else {
            return Leading { values, length: whole, error: 0.0, rest: 0.0 };
        };
        basis.project(values, whole, projected);
        let Projected { values, error, rest, .. } = projected;
        Leading { values, length: norm(values) as f32, error: *error, rest: *rest }
    }

    /// Codes a query that was prepared for the metric.
    pub(crate) fn encode_query(&self, query: &[f32], rigour: Rigour, code: &mut QueryCode) {
        let QueryCode { words, moved, projected, codes, .. } = code;
        moved.clear();
        moved.extend_from_slice(query.get(..self.dimension).unwrap_or(query));
        let mut moving = 0.0;
        let of_centre: f64 = match self.metric {
            Metric::Cosine => self.centre.iter().zip(&*moved).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum(),
            Metric::InnerProduct | Metric::L2 => 0.0,
        };
        if self.moves_query() {
            moving = norm(moved) as f32;
            for (value, centre) in moved.iter_mut().zip(&self.centre) {
                *value -= centre;
            }
        }
        let whole = norm(moved) as f32;
        if self.moves_query() {
            moving = ROUNDING * (moving + whole);
        }
        let Leading { values, length, error: off, rest } = self.lead(moved, whole, projected);
        codes.clear();
        codes.resize(self.leading().next_multiple_of(LINE), OFFSET as u8);
        let (scale, error) = encode(values, codes);
        let signed = |stored: u8| (i32::from(stored) - OFFSET) as i8;
        words.clear();
        words.extend(codes.as_chunks::<QUAD>().0.iter().map(|quad| i32::from_le_bytes(quad.map(|code| signed(code) as u8))));
        let factor = if self.metric == Metric::L2 { 2.0 } else { 1.0 };
        let share = |columns: usize| match rigour {
            Rigour::Proven => 1.0,
            Rigour::Likely => (DEVIATIONS / (columns.max(1) as f64).sqrt()).min(1.0) as f32,
        };
        let share_coded = share(self.leading());
        let share_rest = if rigour == Rigour::Proven { 1.0 } else { REST_LIKELY };
        let skew = self.basis.as_ref().map_or(0.0, |basis| 1.1 * basis.skew());
        code.start = -OFFSET * codes.iter().map(|stored| i32::from(signed(*stored))).sum::<i32>();
        code.scale = factor * scale;
        code.by_norm = factor * (share_coded * (error + off + skew * length) + moving + ROUNDING * length);
        code.by_error = factor * share_coded * (length + error);
        code.by_rest = factor * share_rest * rest;
        code.offset = match self.metric {
            Metric::L2 => -whole * whole,
            Metric::Cosine => of_centre as f32,
            Metric::InnerProduct => 0.0,
        };
        code.by_nature = SMALLEST
            + match self.metric {
                Metric::L2 => 2.0 * ROUNDING * whole * whole,
                Metric::Cosine => ROUNDING * (whole + 1.0),
                Metric::InnerProduct => 0.0,
            };
    }
}

/// The part of a vector that is coded.
struct Leading<'a> {
    values: &'a [f32],
    /// Its length.
    length: f32,
    /// How far it may be from the true one.
    error: f32,
    /// The length of the other part.
    rest: f32,
}

/// Mean of the scaled rows, added up in one order.
fn mean(full: &Full) -> Vec<f32> {
    let mut sums = vec![0.0f64; full.dimension()];
    for (row, values) in (0u32..).zip(full.vectors().iter()) {
        let scale = f64::from(full.scale(row));
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += f64::from(*value) * scale;
        }
    }
    let count = full.len().max(1) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
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
    /// Codes `slots` rows, `fill` writing that of a slot, scaled. On all threads of the pool; the outcome does not depend on
    /// them. 1 M × 64 take some 0.3 s of one core.
    pub(crate) fn of(frame: Frame, slots: usize, fill: impl Fn(u32, &mut [f32]) + Sync) -> Self {
        Self::made(&frame, slots, |slot, values, projected, stored| {
            fill(slot, values);
            frame.encode_row(values, projected, stored)
        })
    }

    /// Blocks of `slots` rows, which `code_row` writes in stored form; it may use the values it is given as it likes.
    fn made(
        frame: &Frame,
        slots: usize,
        code_row: impl Fn(u32, &mut [f32], &mut Projected, &mut [u8]) -> RowCode + Sync,
    ) -> Self {
        let dimension = frame.dimension;
        let (lines, blocks) = (frame.leading().div_ceil(QUAD), slots.div_ceil(BLOCK));
        let mut codes = vec![Line([OFFSET as u8; LINE]); blocks * lines];
        let mut scales = vec![[0.0; BLOCK]; blocks];
        let mut biases = vec![[0.0; BLOCK]; if frame.is_biased() { blocks } else { 0 }];
        let code_block = |(block, (lines, scales)): (usize, (&mut [Line], &mut [f32; BLOCK]))| {
            let (mut values, mut stored) = (vec![0.0; dimension], vec![0u8; lines.len() * QUAD]);
            let (mut spread, mut biases, mut projected) = (Spread::default(), [0.0; BLOCK], Projected::default());
            for (lane, slot) in (block * BLOCK..slots).take(BLOCK).enumerate() {
                let code = code_row(slot as u32, &mut values, &mut projected, &mut stored);
                spread = spread.max(code.spread);
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

/// Coded rows one after another, each padded to whole cache lines: for reading rows anywhere. Memory a row: its codes and 9
/// bytes.
pub(crate) struct Slab {
    pub(crate) frame: Frame,
    pub(crate) lines_per_row: usize,
    pub(crate) codes: Vec<Line>,
    marks: Vec<Mark>,
    /// One for every 16 rows.
    spreads: Vec<Spread>,
}

/// What a row's sum is multiplied by, and what is added to that.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    scale: f32,
    bias: f32,
}

impl fmt::Debug for Slab {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Slab").field("rows", &self.marks.len()).finish_non_exhaustive()
    }
}

impl Slab {
    /// Codes `slots` rows, `fill` writing that of a slot, scaled. On all threads of the pool; the outcome does not depend on
    /// them.
    pub(crate) fn of(frame: Frame, slots: usize, fill: impl Fn(u32, &mut [f32]) + Sync) -> Self {
        let lines_per_row = frame.leading().div_ceil(LINE);
        let mut codes = vec![Line([OFFSET as u8; LINE]); slots * lines_per_row];
        let code_block = |(block, lines): (usize, &mut [Line])| {
            let (mut values, mut projected) = (vec![0.0; frame.dimension], Projected::default());
            let (mut spread, mut marks) = (Spread::default(), [Mark::default(); BLOCK]);
            let rows = (block * BLOCK..slots).zip(lines.chunks_exact_mut(lines_per_row));
            for ((slot, lines), mark) in rows.zip(&mut marks) {
                fill(slot as u32, &mut values);
                let RowCode { scale, bias, spread: of_row } =
                    frame.encode_row(&mut values, &mut projected, bytemuck::cast_slice_mut(lines));
                spread = spread.max(of_row);
                *mark = Mark { scale, bias };
            }
            (spread, marks)
        };
        let made: Vec<(Spread, [Mark; BLOCK])> =
            codes.par_chunks_mut(lines_per_row * BLOCK).enumerate().map(code_block).collect();
        let spreads = made.iter().map(|(spread, _)| *spread).collect();
        let marks = made.into_iter().flat_map(|(_, marks)| marks).take(slots).collect();
        Self { frame, lines_per_row, codes, marks, spreads }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let Self { codes, marks, spreads, .. } = self;
        size_of_val(codes.as_slice()) + size_of_val(marks.as_slice()) + size_of_val(spreads.as_slice())
    }

    /// The score of a row by its sum.
    #[inline]
    pub(crate) fn score(&self, query: &Coded<'_>, slot: u32, sum: i32) -> f32 {
        let mark = self.marks.get(slot as usize).copied().unwrap_or_default();
        sum as f32 * (mark.scale * query.scale) + mark.bias
    }

    /// How far that may be off.
    #[inline]
    pub(crate) fn margin(&self, query: &Coded<'_>, slot: u32) -> f32 {
        query.margin(&self.spreads.get(slot as usize / BLOCK).copied().unwrap_or_default())
    }

    /// Asks early for what scores of these rows take beside their codes.
    #[inline]
    pub(crate) fn prefetch_marks(&self, slots: &[u32]) {
        for &slot in slots {
            prefetch(self.marks.get(slot as usize..slot as usize + 1).unwrap_or_default());
        }
    }
}
