//! A set of rows as a bitmap: how callers say which rows a search may return.
//!
//! A plain bitmap of one bit a row is chosen because it is asked once for every row that a search touches; the
//! set algebra of filters belongs to the caller.

use std::fmt;

const WORD_BITS: usize = u64::BITS as usize;

/// Which rows of an index are allowed. Covers the rows `0..len()`; a row past the end is never in the set. The
/// default covers none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    rows: usize,
    count: usize,
}

/// Says how many rows, not which.
impl fmt::Debug for RowSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RowSet").field("rows", &self.rows).field("count", &self.count).finish_non_exhaustive()
    }
}

impl RowSet {
    /// The set that holds none of `rows` rows.
    #[must_use]
    pub fn empty(rows: usize) -> Self {
        Self { words: vec![0; rows.div_ceil(WORD_BITS)], rows, count: 0 }
    }

    /// The set that holds all of `rows` rows.
    #[must_use]
    pub fn full(rows: usize) -> Self {
        Self::from_fn(rows, |_| true)
    }

    /// The set of those of `rows` rows that `allows` is true for, asked once each, in order.
    #[must_use]
    pub fn from_fn(rows: usize, mut allows: impl FnMut(u32) -> bool) -> Self {
        let mut set = Self::empty(rows);
        for (word, start) in set.words.iter_mut().zip((0..rows).step_by(WORD_BITS)) {
            for bit in 0..WORD_BITS.min(rows - start) {
                *word |= u64::from(allows((start + bit) as u32)) << bit;
            }
        }
        set.recount();
        set
    }

    /// The number of rows that the set covers, allowed or not: the number of rows of its index.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether the set holds no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many rows the set holds. Costs nothing.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the set holds `row`.
    #[inline]
    #[must_use]
    pub fn contains(&self, row: u32) -> bool {
        let word = self.words.get(row as usize / WORD_BITS);
        word.is_some_and(|word| word >> (row as usize % WORD_BITS) & 1 == 1)
    }

    /// Adds `row`; true when it is new. A row past the end is not added.
    pub fn insert(&mut self, row: u32) -> bool {
        let is_new = (row as usize) < self.rows && !self.contains(row);
        if let Some(word) = self.words.get_mut(row as usize / WORD_BITS).filter(|_| is_new) {
            *word |= 1 << (row as usize % WORD_BITS);
            self.count += 1;
        }
        is_new
    }

    /// Adds what `mark` marks, by setting bits: quicker than asking of each row whether it is new. Rows past the end are not added.
    pub(crate) fn extend_by(&mut self, mark: impl FnOnce(&mut Marks<'_>)) {
        mark(&mut Marks(&mut self.words));
        self.trim();
        self.recount();
    }

    /// Takes `row` out; true when it was there.
    pub fn remove(&mut self, row: u32) -> bool {
        let was_there = self.contains(row);
        if let Some(word) = self.words.get_mut(row as usize / WORD_BITS).filter(|_| was_there) {
            *word &= !(1 << (row as usize % WORD_BITS));
            self.count -= 1;
        }
        was_there
    }

    /// Takes every row out, and covers `rows` rows from now on. Memory is reused.
    pub fn reset(&mut self, rows: usize) {
        self.words.clear();
        self.words.resize(rows.div_ceil(WORD_BITS), 0);
        (self.rows, self.count) = (rows, 0);
    }

    /// Becomes the rows that both sets hold, covering `rows` rows. Memory is reused.
    pub fn assign_both(&mut self, left: &Self, right: &Self, rows: usize) {
        self.words.clear();
        self.words.extend(left.words.iter().zip(&right.words).map(|(left, right)| left & right));
        self.cover(rows);
    }

    /// Becomes a copy of `other` that covers `rows` rows. Memory is reused.
    pub fn assign(&mut self, other: &Self, rows: usize) {
        self.words.clone_from(&other.words);
        self.cover(rows);
    }

    /// Covers `rows` rows from now on; rows past that are taken out, new ones are not in the set.
    pub fn cover(&mut self, rows: usize) {
        self.words.resize(rows.div_ceil(WORD_BITS), 0);
        self.rows = rows;
        self.trim();
        self.recount();
    }

    /// Adds the rows that `other` holds, as far as this set covers them.
    pub fn unite(&mut self, other: &Self) {
        self.extend_by(|marks| marks.mark_all(other));
    }

    /// Holds from now on exactly the rows it did not hold.
    pub fn invert(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.trim();
        self.count = self.rows - self.count;
    }

    /// Takes out the bits past the last row.
    fn trim(&mut self) {
        let rest = self.rows % WORD_BITS;
        if let Some(last) = self.words.last_mut().filter(|_| rest > 0) {
            *last &= (1 << rest) - 1;
        }
    }

    /// Keeps only the rows that `other` holds too.
    pub fn intersect(&mut self, other: &Self) {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        for (word, other_word) in self.words.iter_mut().zip(others) {
            *word &= other_word;
        }
        self.recount();
    }

    /// Takes out the rows that `other` holds.
    pub fn subtract(&mut self, other: &Self) {
        for (word, other_word) in self.words.iter_mut().zip(&other.words) {
            *word &= !other_word;
        }
        self.recount();
    }

    /// The rows of the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().zip(0u32..).flat_map(|(&word, index)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(index * u64::BITS + bit)
            })
        })
    }

    fn recount(&mut self) {
        self.count = self.words.iter().map(|word| word.count_ones() as usize).sum();
    }
}

/// The bits of a set whose count is behind.
pub(crate) struct Marks<'a>(&'a mut [u64]);

impl Marks<'_> {
    pub(crate) fn mark(&mut self, row: u32) {
        if let Some(word) = self.0.get_mut(row as usize / WORD_BITS) {
            *word |= 1 << (row as usize % WORD_BITS);
        }
    }

    pub(crate) fn mark_all(&mut self, rows: &RowSet) {
        for (word, other_word) in self.0.iter_mut().zip(&rows.words) {
            *word |= other_word;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_of_words() {
        for rows in [0, 1, 63, 64, 65, 128, 130] {
            let full = RowSet::full(rows);
            assert_eq!((full.len(), full.count()), (rows, rows));
            assert_eq!(full.iter().count(), rows);
            assert!(!full.contains(rows as u32), "{rows}");
            assert!(RowSet::empty(rows).is_empty());
        }
    }

    #[test]
    fn rows_past_the_end_stay_out() {
        let mut set = RowSet::empty(65);
        assert!(!set.insert(65) && !set.insert(127) && !set.insert(u32::MAX));
        assert!(!set.remove(65) && !set.contains(100));
        assert!(set.is_empty());
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(rows in 0usize..300, steps in prop::collection::vec((0u32..320, any::<bool>()), 0..200)) {
            let mut set = RowSet::empty(rows);
            let mut model = BTreeSet::new();
            for (row, add) in steps {
                let changed = match (add, (row as usize) < rows) {
                    (true, true) => model.insert(row),
                    (true, false) => false,
                    (false, _) => model.remove(&row),
                };
                prop_assert_eq!(if add { set.insert(row) } else { set.remove(row) }, changed);
            }
            prop_assert_eq!(set.count(), model.len());
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert_eq!(&RowSet::from_fn(rows, |row| model.contains(&row)), &set);
        }

        #[test]
        fn algebra(
            left in prop::collection::btree_set(0u32..200, 0..100),
            right in prop::collection::btree_set(0u32..200, 0..100),
            right_rows in 0usize..200,
        ) {
            let other = RowSet::from_fn(right_rows, |row| right.contains(&row));
            let mut both = RowSet::from_fn(200, |row| left.contains(&row));
            let mut rest = both.clone();
            both.intersect(&other);
            rest.subtract(&other);
            prop_assert!(both.iter().eq(left.iter().copied().filter(|row| other.contains(*row))));
            prop_assert!(rest.iter().eq(left.iter().copied().filter(|row| !other.contains(*row))));
            prop_assert_eq!(both.count() + rest.count(), left.len());

            let all = RowSet::from_fn(200, |row| left.contains(&row));
            let mut made = RowSet::full(3);
            made.unite(&other);
            made.assign_both(&all, &other, 200);
            prop_assert_eq!(&made, &both);
            made.unite(&all);
            prop_assert_eq!(&made, &all);
            made.unite(&other);
            prop_assert!(made.iter().eq(left.union(&right).copied().filter(|row| left.contains(row) || other.contains(*row))));
            made.assign(&all, right_rows);
            prop_assert!(made.iter().eq(left.iter().copied().filter(|row| (*row as usize) < right_rows)));
            made.invert();
            prop_assert_eq!(made.count(), made.iter().count());
            prop_assert!(made.iter().eq((0..right_rows as u32).filter(|row| !left.contains(row))));
            made.cover(200);
            prop_assert_eq!((made.len(), made.count()), (200, made.iter().count()));
            made.extend_by(|marks| right.iter().chain(&[200, u32::MAX]).for_each(|row| marks.mark(*row)));
            prop_assert_eq!(made.count(), made.iter().count());
            prop_assert!(right.iter().all(|row| made.contains(*row)));
            made.reset(70);
            prop_assert_eq!(&made, &RowSet::empty(70));
        }
    }
}
