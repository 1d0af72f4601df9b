//! Parts of requests that several calls share, from wire to domain. Limits are those of the comments in the `.proto` files.

use faces_core::{
    event::EventKind,
    ids::{BuId, ItemId},
    key::SourceKey,
    ranking::{
        Condition,
        condition::{DEPTH_MAX, PARTS_MAX},
    },
    state::State,
};
use faces_ingest::{
    Reason,
    validate::{self, REGION_BYTES_MAX, Violation},
};
use faces_proto::v1;

use super::refusal::Refusal;

const KEYS_MAX: usize = 8;
const CONTEXT_MAX: usize = 32;
const UNSPECIFIED: i32 = v1::EventType::Unspecified as i32;
const FILTER_ITEMS_MAX: usize = 1_000;
pub const PLACEMENT_BYTES_MAX: usize = 64;
const PAGE_SIZE_DEFAULT: usize = 20;
pub const PAGE_SIZE_MAX: i32 = 200;

/// A violation, in one line.
pub fn refused(field: &str, reason: Reason, description: impl Into<String>) -> Violation {
    Violation::new(field, reason, description)
}

/// A list of bounded length.
pub fn bounded<T>(field: &str, list: &[T], least: usize, most: usize) -> Result<(), Violation> {
    if (least..=most).contains(&list.len()) {
        return Ok(());
    }
    let reason = if list.is_empty() { Reason::MissingField } else { Reason::TooLong };
    Err(refused(field, reason, format!("holds {}; {least} to {most} are allowed", list.len())))
}

/// Who asks: 0 (or `least`) to 8 keys.
pub fn keys(keys: &[v1::SourceKey], least: usize) -> Result<Vec<SourceKey>, Violation> {
    bounded("keys", keys, least, KEYS_MAX)?;
    let each = keys.iter().enumerate();
    each.map(|(n, key)| validate::source_key(key).map_err(|v| v.under(&format!("keys[{n}]")))).collect()
}

/// A business unit that something has named.
pub fn known_bu(state: &State, name: &str) -> Result<BuId, Refusal> {
    validate::bu(name)?;
    state.catalogue().bu(name).ok_or_else(|| Refusal::UnknownUnit(name.into()))
}

/// Items wanted.
pub fn page_size(asked: i32) -> Result<usize, Violation> {
    match asked {
        0 => Ok(PAGE_SIZE_DEFAULT),
        1..=PAGE_SIZE_MAX => Ok(asked as usize),
        _ => Err(refused("page_size", Reason::InvalidField, format!("is {asked}; 0 (for 20) to {PAGE_SIZE_MAX} are allowed"))),
    }
}

/// Where the slate is shown.
pub fn placement(text: &str) -> Result<&str, Violation> {
    if text.len() <= PLACEMENT_BYTES_MAX {
        return Ok(text);
    }
    Err(refused("placement", Reason::TooLong, format!("has {} bytes; at most {PLACEMENT_BYTES_MAX} are allowed", text.len())))
}

/// Where the person is; `None` where the request does not say.
pub fn region(text: &str) -> Result<Option<&str>, Violation> {
    if text.len() <= REGION_BYTES_MAX {
        return Ok(Some(text).filter(|text| !text.is_empty()));
    }
    Err(refused("region", Reason::TooLong, format!("has {} bytes; at most {REGION_BYTES_MAX} are allowed", text.len())))
}

/// What the person just did, newest first; unknown items are skipped.
pub fn context(state: &State, context: &[v1::ContextItem]) -> Result<Vec<(ItemId, EventKind)>, Violation> {
    bounded("context", context, 0, CONTEXT_MAX)?;
    let mut known = Vec::with_capacity(context.len());
    for (n, entry) in context.iter().enumerate() {
        let field = format!("context[{n}]");
        let Some(item) = &entry.r#ref else {
            return Err(refused(&format!("{field}.ref"), Reason::MissingField, "is required"));
        };
        let (bu, id) = validate::item_ref(item).map_err(|v| v.under("ref").under(&field))?;
        let kind = match entry.r#type {
            UNSPECIFIED => EventKind::View,
            number => validate::event_kind(number).map_err(|v| v.under(&field))?,
        };
        let catalogue = state.catalogue();
        known.extend(catalogue.bu(bu).and_then(|bu| catalogue.item(bu, id)).map(|item| (item, kind)));
    }
    Ok(known)
}

/// A filter expression.
pub fn filter(state: &State, bu: BuId, filter: Option<&v1::Filter>) -> Result<Option<Condition>, Violation> {
    filter.map(|filter| condition(state, bu, filter, "filter", DEPTH_MAX)).transpose()
}

fn condition(state: &State, bu: BuId, filter: &v1::Filter, field: &str, depth: usize) -> Result<Condition, Violation> {
    use v1::filter::Condition as Wire;
    if depth == 0 {
        return Err(refused(field, Reason::InvalidField, format!("is nested deeper than {DEPTH_MAX}")));
    }
    let Some(wire) = &filter.condition else {
        return Err(refused(field, Reason::MissingField, "has no condition set"));
    };
    let parts = |list: &v1::FilterList, name: &str| {
        let field = format!("{field}.{name}.filters");
        bounded(&field, &list.filters, 1, PARTS_MAX)?;
        let each = list.filters.iter().enumerate();
        each.map(|(n, part)| condition(state, bu, part, &format!("{field}[{n}]"), depth - 1)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match wire {
        Wire::AllOf(list) => Condition::AllOf(parts(list, "all_of")?),
        Wire::AnyOf(list) => Condition::AnyOf(parts(list, "any_of")?),
        Wire::Not(inner) => Condition::Not(Box::new(condition(state, bu, inner, &format!("{field}.not"), depth - 1)?)),
        Wire::Category(name) => Condition::Category(name.clone()),
        Wire::Brand(name) => Condition::Brand(name.clone()),
        Wire::Price(range) => price(range, field)?,
        Wire::Region(name) => Condition::Region(name.clone()),
        Wire::Tag(name) => Condition::Tag(name.clone()),
        Wire::ItemIds(list) => {
            bounded(&format!("{field}.item_ids.item_ids"), &list.item_ids, 1, FILTER_ITEMS_MAX)?;
            let mut items: Vec<ItemId> = list.item_ids.iter().filter_map(|id| state.catalogue().item(bu, id)).collect();
            items.sort_unstable();
            Condition::Items(items)
        }
    })
}

fn price(range: &v1::PriceRange, field: &str) -> Result<Condition, Violation> {
    let (min, max) = (range.min.unwrap_or(f64::NEG_INFINITY), range.max.unwrap_or(f64::INFINITY));
    if min.is_nan() || max.is_nan() || min > max {
        return Err(refused(
            &format!("{field}.price"),
            Reason::BadValue,
            format!("runs from {min} to {max}; min may not exceed max"),
        ));
    }
    Ok(Condition::Price { min, max })
}
