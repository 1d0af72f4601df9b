//! Filter expressions over an item's attributes.

use crate::{catalogue::ItemAttributes, ids::ItemId};

/// Deepest nesting of an expression.
pub const DEPTH_MAX: usize = 8;
/// Most parts of one `AllOf` or `AnyOf`.
pub const PARTS_MAX: usize = 16;

/// A condition on items.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All hold.
    AllOf(Vec<Condition>),
    /// At least one holds.
    AnyOf(Vec<Condition>),
    /// The inner one does not hold.
    Not(Box<Condition>),
    /// The item has the category at any level.
    Category(String),
    /// The item's brand.
    Brand(String),
    /// The item's price lies in the range, both ends included; no price does not match.
    Price {
        /// Lowest price.
        min: f64,
        /// Highest price.
        max: f64,
    },
    /// The item may be shown in the region (an item without regions may be shown everywhere).
    Region(String),
    /// The item has the tag.
    Tag(String),
    /// One of these, sorted.
    Items(Vec<ItemId>),
}

impl Condition {
    /// Whether an item meets the condition.
    #[must_use]
    pub fn holds(&self, item: ItemId, of: &ItemAttributes) -> bool {
        match self {
            Self::AllOf(parts) => parts.iter().all(|part| part.holds(item, of)),
            Self::AnyOf(parts) => parts.iter().any(|part| part.holds(item, of)),
            Self::Not(inner) => !inner.holds(item, of),
            Self::Category(name) => of.categories.contains(name),
            Self::Brand(name) => of.brand == *name,
            Self::Price { min, max } => of.price.is_some_and(|price| (*min..=*max).contains(&price)),
            Self::Region(name) => of.regions.is_empty() || of.regions.contains(name),
            Self::Tag(name) => of.tags.contains(name),
            Self::Items(items) => items.binary_search(&item).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_for_what_they_say() {
        let item = ItemAttributes {
            categories: vec!["kitchen".into(), "knives".into()],
            brand: "Sakai".into(),
            price: Some(120.0),
            tags: vec!["gift".into()],
            ..ItemAttributes::default()
        };
        let (category, brand) = (Condition::Category("kitchen".into()), Condition::Brand("Other".into()));
        let price = |min, max| Condition::Price { min, max };
        for (condition, expected) in [
            (category.clone(), true),
            (brand.clone(), false),
            (price(120.0, 120.0), true),
            (price(121.0, f64::INFINITY), false),
            (Condition::Region("tokyo".into()), true),
            (Condition::Tag("gift".into()), true),
            (Condition::Items(vec![ItemId::new(3), ItemId::new(7)]), true),
            (Condition::Items(vec![ItemId::new(3)]), false),
            (Condition::AllOf(vec![category.clone(), brand.clone()]), false),
            (Condition::AnyOf(vec![category, brand.clone()]), true),
            (Condition::Not(Box::new(brand)), true),
        ] {
            assert_eq!(condition.holds(ItemId::new(7), &item), expected, "{condition:?}");
        }
        let bare = ItemAttributes { regions: vec!["osaka".into()], ..ItemAttributes::default() };
        assert!(!price(0.0, 1e9).holds(ItemId::new(7), &bare), "no price matches no range");
        assert!(!Condition::Region("tokyo".into()).holds(ItemId::new(7), &bare));
    }
}
