//! Rows by item, or by whatever else is numbered from 0, that grow as numbers come and are readable while they do.
//!
//! Rows lie in blocks that never move, without a word beside each that says whether it is there: a row is its default until somebody
//! says otherwise. All blocks are of one size: where they double, a place is found by shifts that differ, and those are compiled (for
//! processors in general) in a way that has each look wait for the one before: looks at many rows took four times as long.

use std::sync::OnceLock;

use parking_lot::{RwLock, RwLockReadGuard};

use crate::ids::ItemId;

/// Rows of a block.
const ROWS: usize = 1 << 10;
/// Blocks of a shelf, and shelves.
const BLOCKS: usize = 1 << 11;

type Block<Row> = OnceLock<Box<[Row]>>;
type Shelf<Row> = OnceLock<Box<[Block<Row>]>>;

/// Rows numbered from 0 to 2³² − 1.
#[derive(Debug)]
pub(crate) struct Rows<Row> {
    shelves: Box<[Shelf<Row>]>,
}

impl<Row> Default for Rows<Row> {
    fn default() -> Self {
        Self { shelves: many(BLOCKS) }
    }
}

impl<Row: Default> Rows<Row> {
    /// A row, if its block is there. Cost: one look at memory.
    pub(crate) fn get(&self, position: usize) -> Option<&Row> {
        let shelf = self.shelves.get(position / ROWS / BLOCKS)?.get()?;
        shelf.get(position / ROWS % BLOCKS)?.get()?.get(position % ROWS)
    }

    /// A row, its block made if need be; `None` past the last.
    pub(crate) fn get_or_new(&self, position: usize) -> Option<&Row> {
        let shelf = self.shelves.get(position / ROWS / BLOCKS)?.get_or_init(|| many(BLOCKS));
        shelf.get(position / ROWS % BLOCKS)?.get_or_init(|| many(ROWS)).get(position % ROWS)
    }
}

impl<Row> Rows<RwLock<Row>>
where
    RwLock<Row>: Default,
{
    /// Has the rows of some items come from memory at once, for who is going to look at one after the other.
    pub(crate) fn fetch(&self, items: impl Iterator<Item = ItemId>) {
        let is_locked = |item: ItemId| self.get(item.position()).is_some_and(RwLock::is_locked_exclusive);
        std::hint::black_box(items.fold(false, |any, item| any | is_locked(item)));
    }

    /// Holds the rows of the next `N` items, so that looks at what they lead to can wait together, and says whether there may be more. For
    /// rows of which whoever writes holds one only: an item may come twice. Who reads so goes ahead of who waits to write, or two that read
    /// the same rows in other orders could wait for each other; so a row that some reader holds at every moment could not be written.
    pub(crate) fn read_next<const N: usize>(
        &self,
        items: &mut impl Iterator<Item = ItemId>,
    ) -> ([Option<RwLockReadGuard<'_, Row>>; N], bool) {
        let mut may_be_more = true;
        let rows = std::array::from_fn(|_| {
            let item = items.next();
            may_be_more &= item.is_some();
            item.and_then(|item| self.get(item.position())).map(RwLock::read_recursive)
        });
        (rows, may_be_more)
    }
}

fn many<T: Default>(count: usize) -> Box<[T]> {
    std::iter::repeat_with(T::default).take(count).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    #[test]
    fn every_row_has_a_place_of_its_own() {
        let rows = Rows::<AtomicU32>::default();
        let positions = || (0..5_000).chain((1 << 21) - 2..(1 << 21) + 2).chain([u32::MAX as usize]);
        assert!(rows.get(0).is_none());
        for position in positions() {
            rows.get_or_new(position).unwrap().store(position as u32, Relaxed);
        }
        for position in positions() {
            assert_eq!(rows.get(position).unwrap().load(Relaxed), position as u32);
        }
        assert!(rows.get(40_000).is_none() && rows.get_or_new(1 << 32).is_none());
    }
}
