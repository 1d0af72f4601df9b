//! From a condition on items to the set of handles that meet it: unions and intersections of postings, no look at an item.
//!
//! What carries a value is posted as the catalogue says it ([`facets`](crate::serving::space)), and [`Condition::holds`] stays the
//! judge of what is on a slate; a property holds the two against each other.

use faces_core::{catalogue::ItemAttributes, ids::ItemId, ranking::Condition};
use faces_index::{Facets, RowSet, Term};

const CATEGORY: u8 = 0;
const BRAND: u8 = 1;
const TAG: u8 = 2;
const REGION: u8 = 3;
/// Of items without regions, which may be shown in any.
const EVERYWHERE: Term<'static> = (4, "");

/// Posts what the catalogue says of an item. Its number is the price.
pub(super) fn post(facets: &mut Facets, handle: u32, of: &ItemAttributes) {
    let terms = named(CATEGORY, &of.categories).chain(named(TAG, &of.tags)).chain(named(REGION, &of.regions));
    let everywhere = of.regions.is_empty().then_some(EVERYWHERE);
    facets.set(handle, terms.chain(everywhere).chain([(BRAND, of.brand.as_str())]), of.price);
}

fn named(field: u8, names: &[String]) -> impl Iterator<Item = Term<'_>> {
    names.iter().map(move |name| (field, name.as_str()))
}

/// Memory for compiling, kept between requests.
#[derive(Debug, Default)]
pub(super) struct Spare(Vec<RowSet>);

/// Sets `rows` to the handles that meet the condition. Cost: some `handles ÷ 64` steps for each part of it.
pub(super) fn compile(
    condition: &Condition,
    facets: &Facets,
    handle_of: &dyn Fn(ItemId) -> Option<u32>,
    rows: &mut RowSet,
    spare: &mut Spare,
) {
    rows.reset(facets.len());
    let mut fold = |parts: &[Condition], join: fn(&mut RowSet, &RowSet)| {
        for (n, part) in parts.iter().enumerate() {
            if n == 0 {
                compile(part, facets, handle_of, rows, spare);
                continue;
            }
            let mut of_part = spare.0.pop().unwrap_or_default();
            compile(part, facets, handle_of, &mut of_part, spare);
            join(rows, &of_part);
            spare.0.push(of_part);
        }
    };
    match condition {
        Condition::AllOf(parts) if parts.is_empty() => rows.invert(),
        Condition::AllOf(parts) => fold(parts, RowSet::intersect),
        Condition::AnyOf(parts) => fold(parts, RowSet::unite),
        Condition::Not(inner) => {
            compile(inner, facets, handle_of, rows, spare);
            rows.invert();
        }
        Condition::Category(name) => facets.unite_term((CATEGORY, name), rows),
        Condition::Brand(name) => facets.unite_term((BRAND, name), rows),
        Condition::Tag(name) => facets.unite_term((TAG, name), rows),
        Condition::Region(name) => {
            facets.unite_term((REGION, name), rows);
            facets.unite_term(EVERYWHERE, rows);
        }
        Condition::Price { min, max } => facets.unite_range(*min, *max, rows),
        Condition::Items(items) => items.iter().filter_map(|item| handle_of(*item)).for_each(|handle| _ = rows.insert(handle)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn names() -> impl Strategy<Value = Vec<String>> {
        vec(select(vec!["a", "b", "c", ""]).prop_map(String::from), 0..3)
    }

    fn price() -> impl Strategy<Value = f64> {
        prop_oneof![(0..8_u8).prop_map(|n| f64::from(n) / 4.0), 0.0..2.0, Just(0.0), Just(-0.0)]
    }

    fn attributes() -> impl Strategy<Value = ItemAttributes> {
        (names(), names(), names(), names(), prop::option::of(price())).prop_map(|(categories, brand, tags, regions, price)| {
            let brand = brand.into_iter().next().unwrap_or_default();
            ItemAttributes { categories, brand, tags, regions, price, ..ItemAttributes::default() }
        })
    }

    fn condition() -> impl Strategy<Value = Condition> {
        let name = || select(vec!["a", "b", "c", "d", ""]).prop_map(String::from);
        let leaf = prop_oneof![
            name().prop_map(Condition::Category),
            name().prop_map(Condition::Brand),
            name().prop_map(Condition::Tag),
            name().prop_map(Condition::Region),
            (price(), price()).prop_map(|(min, max)| Condition::Price { min, max }),
            price().prop_map(|min| Condition::Price { min, max: f64::INFINITY }),
            prop::collection::btree_set(0..120_u32, 0..40)
                .prop_map(|ids| Condition::Items(ids.into_iter().map(ItemId::new).collect())),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..3).prop_map(Condition::AllOf),
                vec(inner.clone(), 0..3).prop_map(Condition::AnyOf),
                inner.prop_map(|inner| Condition::Not(Box::new(inner))),
            ]
        })
    }

    proptest! {
        #[test]
        fn postings_and_the_condition_itself_agree(
            first in vec(attributes(), 1..100),
            changes in vec((any::<prop::sample::Index>(), attributes()), 0..60),
            conditions in vec(condition(), 1..6),
        ) {
            let (mut facets, mut items) = (Facets::new(), first);
            for (handle, of) in (0..).zip(&items) {
                post(&mut facets, handle, of);
            }
            for (index, of) in changes {
                let handle = index.index(items.len());
                post(&mut facets, handle as u32, &of);
                items[handle] = of;
            }
            // Item 3·h + 1 has handle h.
            let item_of = |handle: u32| ItemId::new(3 * handle + 1);
            let handle_of = |item: ItemId| {
                let handle = (item.position() as u32).checked_sub(1).filter(|n| n % 3 == 0)? / 3;
                ((handle as usize) < items.len()).then_some(handle)
            };
            let (mut rows, mut spare) = (RowSet::default(), Spare::default());
            for condition in &conditions {
                compile(condition, &facets, &handle_of, &mut rows, &mut spare);
                let meet = (0..).zip(&items).filter(|(handle, of)| condition.holds(item_of(*handle), of));
                prop_assert_eq!(rows.iter().collect::<Vec<_>>(), meet.map(|(handle, _)| handle).collect::<Vec<_>>(), "{:?}", condition);
            }
        }
    }
}
