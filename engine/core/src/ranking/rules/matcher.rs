//! Which items a rule speaks of.

use std::{cell::OnceCell, sync::Arc};

use crate::{
    catalogue::{Catalogue, ItemAttributes},
    ids::ItemId,
    ranking::condition::Condition,
};

/// Items that meet a condition, are among those named, or both.
///
/// Items are named by a hash of their external id, so that a rule may speak of one that nothing has named yet, and means the same in
/// every process. The ids are those of one business unit: that of the rule's scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matcher {
    condition: Option<Condition>,
    names: Option<Vec<u64>>, // sorted
}

/// An item as matchers look at it: what the catalogue says is fetched once, if anybody asks.
pub(crate) struct Seen<'a> {
    catalogue: &'a Catalogue,
    item: ItemId,
    attributes: OnceCell<Arc<ItemAttributes>>,
}

impl<'a> Seen<'a> {
    pub(crate) const fn new(catalogue: &'a Catalogue, item: ItemId) -> Self {
        Self { catalogue, item, attributes: OnceCell::new() }
    }

    pub(crate) fn attributes(&self) -> &ItemAttributes {
        self.attributes.get_or_init(|| self.catalogue.attributes(self.item))
    }
}

impl Matcher {
    /// Items that meet `condition` and, where `ids` are given, are among them. With neither, every item matches.
    #[must_use]
    pub fn new(condition: Option<Condition>, ids: Option<&[String]>) -> Self {
        let names = ids.map(|ids| {
            let mut names: Vec<u64> = ids.iter().map(|id| Catalogue::hash_of_name(id)).collect();
            names.sort_unstable();
            names.dedup();
            names
        });
        Self { condition, names }
    }

    /// Whether an item with this id is one of those named, and no condition has a say besides.
    #[must_use]
    pub fn names(&self, id: &str) -> bool {
        self.condition.is_none() && self.names.as_ref().is_some_and(|n| n.binary_search(&Catalogue::hash_of_name(id)).is_ok())
    }

    pub(crate) fn holds(&self, seen: &Seen<'_>) -> bool {
        let is_named = |names: &Vec<u64>| names.binary_search(&seen.catalogue.name_hash(seen.item)).is_ok();
        self.names.as_ref().is_none_or(is_named)
            && self.condition.as_ref().is_none_or(|condition| condition.holds(seen.item, seen.attributes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue::ItemChange, ids::EventTime};

    #[test]
    fn an_item_must_be_named_and_meet_the_condition() {
        let catalogue = Catalogue::default();
        let bu = catalogue.bu_or_new("shop").unwrap();
        let attributes = Some(ItemAttributes { brand: "acme".into(), ..ItemAttributes::default() });
        let change = ItemChange { bu: "shop".into(), item_id: "a".into(), time: EventTime::from_millis(0), attributes };
        catalogue.apply(&change).unwrap();
        let items = ["a", "b"].map(|id| catalogue.item_or_new(bu, id).unwrap());
        let brand = |name: &str| Some(Condition::Brand(name.into()));
        let ids = ["b".to_owned(), "a".to_owned(), "never-heard-of".to_owned()];
        for (matcher, expected) in [
            (Matcher::new(None, None), [true, true]),
            (Matcher::new(brand("acme"), None), [true, false]),
            (Matcher::new(brand("acme"), Some(&ids)), [true, false]),
            (Matcher::new(brand("acme"), Some(&ids[..1])), [false, false]),
            (Matcher::new(None, Some(&ids)), [true, true]),
            (Matcher::new(None, Some(&ids[2..])), [false, false]),
            (Matcher::new(None, Some(&[])), [false, false]),
        ] {
            assert_eq!(items.map(|item| matcher.holds(&Seen::new(&catalogue, item))), expected, "{matcher:?}");
        }
        assert!(Matcher::new(None, Some(&ids)).names("a") && !Matcher::new(None, Some(&ids)).names("c"));
        assert!(!Matcher::new(brand("acme"), Some(&ids)).names("a"), "not all of the named need be meant");
        let turned = [ids[1].clone(), ids[2].clone(), ids[0].clone(), ids[0].clone()];
        assert_eq!(Matcher::new(None, Some(&ids)), Matcher::new(None, Some(&turned)), "order and repeats don't matter");
    }
}
