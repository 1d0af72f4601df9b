//! Rows by item, or by whatever else is numbered from 0, that grow as numbers come and are readable while they do.
//!
//! Rows lie in blocks that never move, without a word beside each that says whether it is there: a row is its default until somebody
//! says otherwise. An octave of numbers is sixteen blocks, so that at most a sixteenth is made in advance.

use std::sync::OnceLock;

/// Rows of the first octave, as a power of two.
const FIRST: u32 = 10;
/// Blocks of an octave, as a power of two.
const SPLIT: u32 = 4;
const BLOCKS: usize = ((u32::BITS - FIRST + 1) << SPLIT) as usize;

/// Rows numbered from 0 to 2³² − 1.
#[derive(Debug)]
pub(crate) struct Rows<Row> {
    blocks: [OnceLock<Box<[Row]>>; BLOCKS],
}

impl<Row> Default for Rows<Row> {
    fn default() -> Self {
        Self { blocks: [const { OnceLock::new() }; BLOCKS] }
    }
}

impl<Row: Default> Rows<Row> {
    /// The block of a row, its place there, and how many rows that block has.
    const fn place(position: usize) -> (usize, usize, usize) {
        let number = position + (1 << FIRST);
        let octave = number.ilog2();
        let rows = 1 << (octave - SPLIT);
        let block = ((octave - FIRST) << SPLIT) as usize + (number >> (octave - SPLIT)) % (1 << SPLIT);
        (block, number % rows, rows)
    }

    /// A row, if its block is there. Cost: one look at memory.
    pub(crate) fn get(&self, position: usize) -> Option<&Row> {
        let (block, place, _) = Self::place(position);
        self.blocks.get(block)?.get()?.get(place)
    }

    /// A row, its block made if need be; `None` past the last.
    pub(crate) fn get_or_new(&self, position: usize) -> Option<&Row> {
        let (block, place, rows) = Self::place(position);
        self.blocks.get(block)?.get_or_init(|| (0..rows).map(|_| Row::default()).collect()).get(place)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    #[test]
    fn every_row_has_a_place_of_its_own() {
        let rows = Rows::<AtomicU32>::default();
        assert!(rows.get(0).is_none());
        for position in 0..20_000 {
            rows.get_or_new(position).unwrap().store(position as u32, Relaxed);
        }
        for position in 0..20_000 {
            assert_eq!(rows.get(position).unwrap().load(Relaxed), position as u32);
        }
        assert!(rows.get(40_000).is_none());
    }

    #[test]
    fn blocks_follow_each_other_without_a_gap_up_to_the_last_number() {
        let mut position = 0;
        for expected in 0..BLOCKS {
            let (block, place, rows) = Rows::<u8>::place(position);
            assert_eq!((block, place), (expected, 0), "row {position}");
            assert_eq!(Rows::<u8>::place(position + rows - 1), (expected, rows - 1, rows));
            assert!(rows <= (position + (1 << FIRST)) >> SPLIT, "{rows} at {position}");
            position += rows;
        }
        assert!(position > u32::MAX as usize);
    }
}
