//! The int8 kernels: sums of products of a query's signed codes with rows' unsigned ones, by the best instructions that the processor has.

use std::ops::Range;

pub(crate) use super::coded::{Ask, BLOCK, BlockRows, Coded, Hit, LINE, Line, OFFSET, QUAD, Spread, prefetch};
use super::coded::{GROUP, scan_by, sum_picked_by};
#[cfg(target_arch = "x86_64")]
use super::{int8_x86, x86};

/// Appends every row of `blocks` whose score, give or take its block's margin, reaches `floor`, in order. Stops after the
/// group of four blocks that makes it `hits_max` or more; returns the first block not looked at.
#[inline]
pub(crate) fn scan(
    query: &Coded<'_>,
    rows: &BlockRows<'_>,
    blocks: Range<usize>,
    floor: f32,
    hits_max: usize,
    hits: &mut Vec<Hit>,
) -> usize {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    {
        if x86::has_vnni() {
            // SAFETY: the function demands AVX-512 F, BW and VNNI, which this processor has.
            return unsafe { int8_x86::scan_vnni(query, rows, blocks, floor, hits_max, hits) };
        }
        if x86::has_avx2() {
            // SAFETY: the function demands AVX2, which this processor has.
            return unsafe { int8_x86::scan_avx2(query, rows, blocks, floor, hits_max, hits) };
        }
    }
    scan_by(query, rows, blocks, floor, hits_max, hits, Portable::sums)
}

/// As [`scan`], for several queries while their codes are at hand. Stops after the group of four blocks that makes any query's
/// hits `hits_max` or more.
#[inline]
pub(crate) fn scan_together<const QUERIES: usize>(
    asks: &mut [Ask<'_>; QUERIES],
    rows: &BlockRows<'_>,
    blocks: Range<usize>,
    hits_max: usize,
) -> usize {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    {
        if x86::has_vnni() {
            // SAFETY: the function demands AVX-512 F, BW and VNNI, which this processor has.
            return unsafe { int8_x86::scan_together_vnni(asks, rows, blocks, hits_max) };
        }
    }
    scan_in_turn(asks, rows, blocks, hits_max)
}

/// A group of blocks for one query after another: the oracle of [`scan_together`], and what processors without VNNI do.
pub(super) fn scan_in_turn<const QUERIES: usize>(
    asks: &mut [Ask<'_>; QUERIES],
    rows: &BlockRows<'_>,
    blocks: Range<usize>,
    hits_max: usize,
) -> usize {
    let mut block = blocks.start;
    while block < blocks.end {
        let end = (block + GROUP).min(blocks.end);
        for Ask { query, floor, hits } in asks.iter_mut() {
            scan(query, rows, block..end, *floor, usize::MAX, hits);
        }
        block = end;
        if asks.iter().any(|ask| ask.hits.len() >= hits_max) {
            break;
        }
    }
    block
}

/// Σ of products of the query's codes with those of each picked row of `lines_per_row` lines, in that order, appended to
/// `sums`, started at the query's start. A row past the end sums to that start.
#[inline]
pub(crate) fn sum_picked(query: &Coded<'_>, rows: &[Line], lines_per_row: usize, picked: &[u32], sums: &mut Vec<i32>) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    {
        if x86::has_vnni() {
            // SAFETY: the function demands AVX-512 F, BW and VNNI, which this processor has.
            return unsafe { int8_x86::sum_picked_vnni(query, rows, lines_per_row, picked, sums) };
        }
        if x86::has_avx2() {
            // SAFETY: the function demands AVX2, which this processor has.
            return unsafe { int8_x86::sum_picked_avx2(query, rows, lines_per_row, picked, sums) };
        }
    }
    sum_picked_by(query, rows, lines_per_row, picked, sums, Portable::row_sum);
}

/// Any processor; the oracle of the other versions.
pub(super) struct Portable;

impl Portable {
    /// The sums of a block's 16 rows: `words` and lines go together.
    pub(super) fn sums(words: &[i32], start: i32, codes: &[Line]) -> [i32; BLOCK] {
        let mut sums = [start; BLOCK];
        for (word, line) in words.iter().zip(codes) {
            for (sum, quad) in sums.iter_mut().zip(line.0.as_chunks::<QUAD>().0) {
                *sum += Self::quad(*word, quad);
            }
        }
        sums
    }

    /// The sum of one row that lies in one piece.
    pub(super) fn row_sum(words: &[i32], start: i32, row: &[Line]) -> i32 {
        let quads = row.iter().flat_map(|line| line.0.as_chunks::<QUAD>().0);
        words.iter().zip(quads).fold(start, |sum, (word, quad)| sum + Self::quad(*word, quad))
    }

    fn quad(word: i32, quad: &[u8; QUAD]) -> i32 {
        let codes = word.to_le_bytes().map(|byte| i32::from(byte as i8));
        codes.iter().zip(quad).map(|(code, stored)| code * i32::from(*stored)).sum()
    }
}

#[cfg(test)]
#[path = "int8_tests.rs"]
mod tests;
