//! Which rows carry which values: an inverted index of terms and numbers, from which filters are made.
//!
//! A term is a text in a field ("the brand is Sakai"); a field and a text name a *posting*, the set of rows that carry it. Rare
//! postings are roaring bitmaps, common ones plain bitmaps, whichever is smaller: so a posting joins a [`RowSet`] in at most
//! `rows ÷ 32` steps. Numbers are posted by sixteenths of their octave, so that a range is the union of the steps inside it
//! and a look at the rows of the two at its ends.
//!
//! It takes changes at any time. What a row means, and how terms make an expression, is the caller's affair.

use std::collections::BTreeMap;
use std::collections::HashMap;

use roaring::RoaringBitmap;

use crate::rows::{Marks, RowSet};

/// A posting of more than one row in this many is kept as a plain bitmap, which is smaller then and quicker.
const DENSE_SHARE: usize = 32;

/// What says how two numbers are ordered, less their last 19 bits: 16 steps an octave.
const STEP_SHIFT: u32 = 19;

/// A term: a field, and the text it has.
pub type Term<'a> = (u8, &'a str);

/// Rows by what they carry. Memory: 8 bytes a row, 4 for each term it carries, and the postings.
#[derive(Debug, Default)]
pub struct Facets {
    numbers_of_fields: Vec<HashMap<Box<str>, u32>>,
    postings: Vec<Posting>,
    steps: BTreeMap<u32, Posting>,
    /// By row: what it is posted under.
    terms: Vec<Box<[u32]>>,
    /// By row; NaN is none.
    numbers: Vec<f64>,
}

impl Facets {
    /// Knows no row yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of rows: one more than the largest that was ever set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether no row was ever set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Says what a row carries from now on; what it carried before is forgotten. A number that is NaN counts as none.
    pub fn set<'a>(&mut self, row: u32, terms: impl IntoIterator<Item = Term<'a>>, number: Option<f64>) {
        let at = row as usize;
        if at >= self.numbers.len() {
            self.numbers.resize(at + 1, f64::NAN);
            self.terms.resize_with(at + 1, Box::default);
        }
        let rows = self.numbers.len();
        let mut named: Vec<u32> = terms.into_iter().map(|(field, text)| self.number_of(field, text)).collect();
        named.sort_unstable();
        named.dedup();
        let before = self.terms.get_mut(at).map(|terms| std::mem::replace(terms, named.clone().into())).unwrap_or_default();
        for posting in before.iter().filter(|posting| named.binary_search(posting).is_err()) {
            self.postings.get_mut(*posting as usize).into_iter().for_each(|posting| posting.remove(row, rows));
        }
        for posting in named.iter().filter(|posting| before.binary_search(posting).is_err()) {
            self.postings.get_mut(*posting as usize).into_iter().for_each(|posting| posting.insert(row, rows));
        }
        let number = number.unwrap_or(f64::NAN);
        let before = self.numbers.get_mut(at).map_or(f64::NAN, |place| std::mem::replace(place, number));
        if before.is_nan() && number.is_nan() || step(before) == step(number) && before.is_nan() == number.is_nan() {
            return;
        }
        if !before.is_nan() {
            self.steps.entry(step(before)).or_default().remove(row, rows);
        }
        if !number.is_nan() {
            self.steps.entry(step(number)).or_default().insert(row, rows);
        }
    }

    fn number_of(&mut self, field: u8, text: &str) -> u32 {
        let field = usize::from(field);
        if self.numbers_of_fields.len() <= field {
            self.numbers_of_fields.resize_with(field + 1, HashMap::new);
        }
        let next = self.postings.len() as u32;
        let Some(numbers) = self.numbers_of_fields.get_mut(field) else { return next };
        if let Some(number) = numbers.get(text) {
            return *number;
        }
        numbers.insert(text.into(), next);
        self.postings.push(Posting::default());
        next
    }

    fn posting(&self, (field, text): Term<'_>) -> Option<&Posting> {
        let number = self.numbers_of_fields.get(usize::from(field))?.get(text)?;
        self.postings.get(*number as usize)
    }

    /// How many rows carry a term. Costs a look-up.
    #[must_use]
    pub fn count(&self, term: Term<'_>) -> usize {
        self.posting(term).map_or(0, Posting::len)
    }

    /// Adds the rows that carry a term to `rows`, as far as it covers them.
    pub fn unite_term(&self, term: Term<'_>, rows: &mut RowSet) {
        if let Some(posting) = self.posting(term) {
            rows.extend_by(|marks| posting.mark_in(marks));
        }
    }

    /// Adds the rows whose number lies in the range, both ends included, to `rows`, as far as it covers them. An end that is
    /// NaN makes the range empty.
    pub fn unite_range(&self, min: f64, max: f64, rows: &mut RowSet) {
        if min.is_nan() || max.is_nan() || min > max {
            return;
        }
        let (first, last) = (step(min), step(max));
        let is_inside = |row: u32| self.numbers.get(row as usize).is_some_and(|number| (min..=max).contains(number));
        rows.extend_by(|marks| {
            for (step, posting) in self.steps.range(first..=last) {
                if *step == first || *step == last {
                    posting.for_each(|row| {
                        if is_inside(row) {
                            marks.mark(row)
                        }
                    });
                } else {
                    posting.mark_in(marks);
                }
            }
        });
    }
}

/// Where a number stands among 2¹³ steps; equal or larger numbers have equal or larger steps.
fn step(number: f64) -> u32 {
    let bits = (number as f32 + 0.0).to_bits(); // −0 is 0
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    ordered >> STEP_SHIFT
}

/// A set of rows that takes little room.
#[derive(Debug)]
enum Posting {
    Sparse(RoaringBitmap),
    Dense(RowSet),
}

impl Default for Posting {
    fn default() -> Self {
        Self::Sparse(RoaringBitmap::new())
    }
}

impl Posting {
    fn len(&self) -> usize {
        match self {
            Self::Sparse(rows) => rows.len() as usize,
            Self::Dense(rows) => rows.count(),
        }
    }

    /// Adds a row, one of `rows`.
    fn insert(&mut self, row: u32, rows: usize) {
        match self {
            Self::Sparse(sparse) => {
                sparse.insert(row);
                if sparse.len() as usize * DENSE_SHARE > rows.next_multiple_of(1 << 10) {
                    let mut dense = RowSet::empty(rows);
                    sparse.iter().for_each(|row| _ = dense.insert(row));
                    *self = Self::Dense(dense);
                }
            }
            Self::Dense(dense) if dense.len() <= row as usize => {
                // Seldom, for it makes room ahead. Of many more rows it may no longer be common.
                dense.cover(rows.next_power_of_two());
                dense.insert(row);
                self.thin_out(rows);
            }
            Self::Dense(dense) => _ = dense.insert(row),
        }
    }

    /// Takes a row out, one of `rows`.
    fn remove(&mut self, row: u32, rows: usize) {
        match self {
            Self::Sparse(sparse) => _ = sparse.remove(row),
            Self::Dense(dense) => {
                dense.remove(row);
                self.thin_out(rows);
            }
        }
    }

    /// Becomes sparse once it holds far fewer rows than what made it dense.
    fn thin_out(&mut self, rows: usize) {
        if let Self::Dense(dense) = self
            && dense.count() * DENSE_SHARE * 4 < rows
        {
            *self = Self::Sparse(dense.iter().collect());
        }
    }

    fn mark_in(&self, marks: &mut Marks<'_>) {
        match self {
            Self::Sparse(sparse) => sparse.iter().for_each(|row| marks.mark(row)),
            Self::Dense(dense) => marks.mark_all(dense),
        }
    }

    fn for_each(&self, visit: impl FnMut(u32)) {
        match self {
            Self::Sparse(sparse) => sparse.iter().for_each(visit),
            Self::Dense(dense) => dense.iter().for_each(visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_are_ordered_as_numbers_are() {
        let numbers =
            [f64::NEG_INFINITY, -1e300, -5.0, -1e-9, -0.0, 0.0, 1e-300, 1e-9, 0.99, 1.0, 1.5, 1e9, 1e300, f64::INFINITY];
        assert!(numbers.map(step).is_sorted());
        assert_eq!(step(-0.0), step(0.0));
        assert!(step(1.0) < step(1.07) && step(1.0) == step(1.01));
    }

    type Carried = (Vec<(u8, u8)>, Option<f64>);

    fn carried() -> impl Strategy<Value = Carried> {
        let number = prop_oneof![Just(f64::NAN), (0..40_i32).prop_map(|n| f64::from(n) / 7.0 - 1.0), -1e6..1e6];
        (prop::collection::vec((0..3_u8, 0..4_u8), 0..5), prop::option::of(number))
    }

    proptest! {
        #[test]
        fn postings_say_what_was_set_last(
            changes in prop::collection::vec((0_u32..3_000, carried()), 1..250),
            ranges in prop::collection::vec((-2e6..2e6, -2e6..2e6), 8),
            covered in 0_usize..4_000,
        ) {
            let (mut facets, mut model) = (Facets::new(), BTreeMap::new());
            for (row, (terms, number)) in changes {
                let named: Vec<_> = terms.iter().map(|(field, text)| (*field, text.to_string())).collect();
                facets.set(row, named.iter().map(|(field, text)| (*field, text.as_str())), number);
                model.insert(row, (named, number));
            }
            prop_assert_eq!(facets.len(), model.keys().max().map_or(0, |row| *row as usize + 1));
            let covers = |row: &u32| (*row as usize) < covered;
            for field in 0..4 {
                for text in 0..5 {
                    let wanted = (field, text.to_string());
                    let carry: Vec<u32> = model.iter().filter(|(_, (terms, _))| terms.contains(&wanted)).map(|(row, _)| *row).collect();
                    let mut rows = RowSet::empty(covered);
                    facets.unite_term((field, wanted.1.as_str()), &mut rows);
                    prop_assert_eq!(facets.count((field, wanted.1.as_str())), carry.len());
                    prop_assert!(rows.iter().eq(carry.into_iter().filter(covers)));
                    prop_assert_eq!(rows.count(), rows.iter().count());
                }
            }
            let near = [(0.0, 1.0), (1.0, 1.0), (-1.0, 3.0), (2.0, 1.0), (f64::NAN, 1.0), (f64::NEG_INFINITY, f64::INFINITY)];
            for (min, max) in ranges.into_iter().chain(near) {
                let mut rows = RowSet::empty(covered);
                facets.unite_range(min, max, &mut rows);
                let inside = model.iter().filter(|(_, (_, number))| number.is_some_and(|number| (min..=max).contains(&number)));
                prop_assert!(rows.iter().eq(inside.map(|(row, _)| *row).filter(covers)), "{min}..={max}");
            }
        }
    }

    #[test]
    fn common_postings_become_plain_bitmaps_and_back() {
        let mut facets = Facets::new();
        for row in 0..5_000 {
            let rare = (row % 100 == 0).then_some((1, "rare"));
            facets.set(row, [(0, "common")].into_iter().chain(rare), Some(f64::from(row)));
        }
        assert!(matches!(facets.posting((0, "common")), Some(Posting::Dense(_))));
        assert!(matches!(facets.posting((1, "rare")), Some(Posting::Sparse(_))));
        for row in 0..5_000 {
            facets.set(row, (row % 1_000 == 0).then_some((0, "common")), None);
        }
        assert!(matches!(facets.posting((0, "common")), Some(Posting::Sparse(_))));
        let mut rows = RowSet::empty(5_000);
        facets.unite_term((0, "common"), &mut rows);
        assert!(rows.iter().eq((0..5_000).step_by(1_000)));
        assert_eq!(facets.count((1, "rare")), 0);
        facets.unite_range(0.0, f64::INFINITY, &mut rows);
        assert_eq!(rows.count(), 5);
        for row in 0..100 {
            facets.set(row, [(2, "first of all")], None);
        }
        for row in [6_000, 200_000] {
            facets.set(row, [(2, "first of all")], None);
        }
        assert!(matches!(facets.posting((2, "first of all")), Some(Posting::Sparse(_))), "101 of 200,000 are rare");
    }
}
