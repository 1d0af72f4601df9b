//! The int8 inner loops around any way to sum products: what they read, and what they find.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes, so a row's code in −127..=127 is stored as code + 128, and a query
//! starts its sums at −128·Σ codes. Sums are whole numbers below 2²⁴ (1,024 × 127 × 127), so they are exact, also as
//! `f32`, and the few float operations after them are never fused: every version returns the same bits.
//!
//! Blocks of 16 rows are interleaved: four codes of row 0, four of row 1, … make one 64-byte line; the next line holds
//! the next four columns. One instruction advances 16 rows by four columns, and no sum across a register is needed.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

/// Rows in a block.
pub(crate) const BLOCK: usize = 16;

/// Columns that a query word holds and one line of a block covers.
pub(crate) const QUAD: usize = 4;

/// Bytes in a cache line, and the unit in which rows of codes are padded.
pub(crate) const LINE: usize = 64;

/// What a row's code is stored as more than.
pub(crate) const OFFSET: i32 = 128;

/// Blocks looked at before the number of hits is.
pub(super) const GROUP: usize = 4;

/// Codes on whole cache lines.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; LINE]);

/// How far the scores of a block's rows may be off: `norm`·a + `error`·b + `rest`·c + `slack`, by the query's a, b and c.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spread {
    /// The length of the longest row.
    pub(crate) norm: f32,
    /// The largest distance between a row and what its codes say.
    pub(crate) error: f32,
    /// The length of the longest part that is not coded.
    pub(crate) rest: f32,
    /// Rounding of what is added to a score.
    pub(crate) slack: f32,
}

impl Spread {
    /// What holds for both.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            norm: self.norm.max(other.norm),
            error: self.error.max(other.error),
            rest: self.rest.max(other.rest),
            slack: self.slack.max(other.slack),
        }
    }

    /// The length of the longest row, at most.
    pub(crate) fn length(&self) -> f32 {
        self.norm.hypot(self.rest)
    }
}

/// Interleaved rows. Scales and biases are 16 a block, spreads one a block, `lines` lines a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockRows<'a> {
    pub(crate) codes: &'a [Line],
    pub(crate) lines: usize,
    pub(crate) scales: &'a [[f32; BLOCK]],
    /// Added to scores; empty is zero for all.
    pub(crate) biases: &'a [[f32; BLOCK]],
    pub(crate) spreads: &'a [Spread],
}

/// A query in codes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coded<'a> {
    /// Four signed codes a word, padded with zeros to whole cache lines.
    pub(crate) words: &'a [i32],
    /// What sums start at: −128·Σ codes.
    pub(crate) start: i32,
    /// What sums are multiplied by, beside the row's scale.
    pub(crate) scale: f32,
    /// The share of a spread's norm that scores may be off.
    pub(crate) by_norm: f32,
    /// The share of a spread's error that scores may be off.
    pub(crate) by_error: f32,
    /// The share of a spread's rest that scores may be off.
    pub(crate) by_rest: f32,
    /// What scores may be off in any case.
    pub(crate) by_nature: f32,
}

impl Coded<'_> {
    /// How far the scores of rows of this spread may be off.
    #[inline(always)]
    pub(crate) fn margin(&self, spread: &Spread) -> f32 {
        spread.norm * self.by_norm + spread.error * self.by_error + spread.rest * self.by_rest + (spread.slack + self.by_nature)
    }
}

/// A row whose score may reach the floor of a scan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hit {
    pub(crate) slot: u32,
    pub(crate) score: f32,
}

/// One of several queries that are scanned for together.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) query: Coded<'a>,
    pub(crate) floor: f32,
    pub(crate) hits: &'a mut Vec<Hit>,
}

/// The scan around any way to sum one block; used where groups of blocks are not summed together.
#[inline(always)]
pub(super) fn scan_by(
    query: &Coded<'_>,
    rows: &BlockRows<'_>,
    blocks: Range<usize>,
    floor: f32,
    hits_max: usize,
    hits: &mut Vec<Hit>,
    sums_of: impl Fn(&[i32], i32, &[Line]) -> [i32; BLOCK],
) -> usize {
    let words = query.words.get(..rows.lines).unwrap_or(query.words);
    let mut block = blocks.start;
    while block < blocks.end {
        for at in block..(block + GROUP).min(blocks.end) {
            let codes = rows.codes.get(at * rows.lines..(at + 1) * rows.lines).unwrap_or_default();
            let sums = sums_of(words, query.start, codes);
            collect(query, rows, at, &sums, floor, hits);
        }
        block = (block + GROUP).min(blocks.end);
        if hits.len() >= hits_max {
            break;
        }
    }
    block
}

/// From the sums of a block to its hits.
#[inline(always)]
fn collect(query: &Coded<'_>, rows: &BlockRows<'_>, block: usize, sums: &[i32; BLOCK], floor: f32, hits: &mut Vec<Hit>) {
    let (Some(scales), Some(spread)) = (rows.scales.get(block), rows.spreads.get(block)) else {
        return;
    };
    let biases = rows.biases.get(block).unwrap_or(&[0.0; BLOCK]);
    let least = floor - query.margin(spread);
    let slots = (block * BLOCK) as u32..;
    for (((&sum, &scale), &bias), slot) in sums.iter().zip(scales).zip(biases).zip(slots) {
        let score = sum as f32 * (scale * query.scale) + bias;
        if score >= least {
            hits.push(Hit { slot, score });
        }
    }
}

#[inline(always)]
pub(super) fn sum_picked_by(
    query: &Coded<'_>,
    rows: &[Line],
    lines_per_row: usize,
    picked: &[u32],
    sums: &mut Vec<i32>,
    sum_of: impl Fn(&[i32], i32, &[Line]) -> i32,
) {
    /// Lines ahead for which memory is asked, at least one row: more would wait for the line buffers.
    const LINES_AHEAD: usize = 16;
    let ahead = (LINES_AHEAD / lines_per_row.max(1)).clamp(1, 8);
    let row_of = |row: u32| {
        let start = row as usize * lines_per_row;
        rows.get(start..start + lines_per_row).unwrap_or_default()
    };
    for &row in picked.iter().take(ahead) {
        prefetch(row_of(row));
    }
    for (at, &row) in picked.iter().enumerate() {
        if let Some(&next) = picked.get(at + ahead) {
            prefetch(row_of(next));
        }
        sums.push(sum_of(query.words, query.start, row_of(row)));
    }
}

/// Asks for values early, a cache line at least.
#[inline(always)]
pub(crate) fn prefetch<T>(values: &[T]) {
    for value in values.iter().step_by((LINE / size_of::<T>()).max(1)) {
        super::prefetch_line(std::ptr::from_ref(value).cast());
    }
}
