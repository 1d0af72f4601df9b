//! Items by number, so that what was recommended is kept in few bytes.

use std::collections::HashMap;

/// An item of some unit, dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemNumber(u32);

impl ItemNumber {
    /// From a number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }
}

/// Numbers of names, unit by unit.
#[derive(Debug, Default)]
pub struct Items<'a> {
    units: HashMap<&'a str, HashMap<&'a str, ItemNumber>>,
    next: u32,
}

impl<'a> Items<'a> {
    /// The number of an item, a new one for a new name.
    pub fn number_or_new(&mut self, bu: &'a str, name: &'a str) -> ItemNumber {
        let Self { units, next } = self;
        *units.entry(bu).or_default().entry(name).or_insert_with(|| {
            *next += 1;
            ItemNumber(*next - 1)
        })
    }

    /// The number of an item, if it is known.
    #[must_use]
    pub fn number(&self, bu: &str, name: &str) -> Option<ItemNumber> {
        self.units.get(bu)?.get(name).copied()
    }

    /// How many items of a unit are known.
    #[must_use]
    pub fn len_of(&self, bu: &str) -> usize {
        self.units.get(bu).map_or(0, HashMap::len)
    }

    /// Units and how many items of each are known.
    pub fn sizes(&self) -> impl Iterator<Item = (&'a str, usize)> + '_ {
        self.units.iter().map(|(bu, names)| (*bu, names.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_in_each_unit() {
        let mut items = Items::default();
        let (one, other) = (items.number_or_new("shop", "a"), items.number_or_new("films", "a"));
        assert_ne!(one, other);
        assert_eq!(items.number_or_new("shop", "a"), one);
        assert_eq!((items.number("shop", "a"), items.number("shop", "b"), items.number("none", "a")), (Some(one), None, None));
        assert_eq!((items.len_of("shop"), items.len_of("none")), (1, 0));
    }
}
