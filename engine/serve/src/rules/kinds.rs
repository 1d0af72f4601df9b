//! Each kind of rule, from its keys to its checked form.

use std::num::NonZeroU16;

use faces_core::{
    key::check_bu_name,
    ranking::{
        Condition,
        rules::{Boost, Cap, CapBy, Change, Diversity, Explore, Matcher, Pin, Rule, Scope, Share},
    },
};

use super::{fields::Fields, problem::Place};
use crate::grpc::parse::{PAGE_SIZE_MAX, PLACEMENT_BYTES_MAX};

/// Longest time for which an item may count as new, days.
const DAYS_MAX: f64 = 365.0;
const DAYS_DEFAULT: f64 = 14.0;

/// A rule and where it stands.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// Where.
    pub place: Place,
    /// The rule.
    pub rule: Rule<T>,
    /// Ids of items that it names.
    pub ids: Vec<String>,
}

/// `[[pin]]`.
pub fn pin(mut of: Fields<'_>) -> Option<Read<Pin>> {
    let scope = scope(&mut of);
    if scope.bu.is_none() && !of.has("bu") {
        of.problem("bu", "bu is missing: an item is one of a business unit");
    }
    let item = of.text("item");
    let item = of.required("item", item);
    let position = of.number("position");
    let position = of.required("position", position);
    let sound = |position: &f64| position.fract() == 0.0 && (1.0..=f64::from(PAGE_SIZE_MAX)).contains(position);
    let position = position.and_then(|position| {
        let sound = Some(position).filter(sound).and_then(|position| NonZeroU16::new(position as u16));
        if sound.is_none() {
            of.problem("position", &format!("position is {position}; places are whole numbers from 1 to {PAGE_SIZE_MAX}"));
        }
        sound
    });
    let what = item.zip(position).map(|(item, position)| Pin { item: item.into(), position });
    read(of, scope, what, item.map(str::to_owned).into_iter().collect())
}

/// `[[boost]]`.
pub fn boost(mut of: Fields<'_>) -> Option<Read<Boost>> {
    let scope = scope(&mut of);
    let (items, ids) = matcher(&mut of, &scope);
    let (factor, add) = (of.number("factor"), of.number("add"));
    if !of.has("factor") && !of.has("add") {
        of.problem("factor", "give a factor (2 doubles the score, 0.5 halves it), a number to add, or both");
    }
    let change = Change::new(factor.unwrap_or(1.0) as f32, add.unwrap_or(0.0) as f32);
    if change.is_none() && (factor.is_some() || add.is_some()) {
        let key = if factor.is_some() { "factor" } else { "add" };
        of.problem(
            key,
            "factor and add change nothing or pull in two directions; a factor is above 0, lifts above 1 and sinks below",
        );
    }
    let what = items.zip(change).map(|(items, change)| Boost { items, change });
    read(of, scope, what, ids)
}

/// `[[bury]]` and `[[hide]]`.
pub fn items(mut of: Fields<'_>) -> Option<Read<Matcher>> {
    let scope = scope(&mut of);
    let (items, ids) = matcher(&mut of, &scope);
    read(of, scope, items, ids)
}

/// `[[cap]]`.
pub fn cap(mut of: Fields<'_>) -> Option<Read<Cap>> {
    let scope = scope(&mut of);
    let (by, ids) = match of.text("by") {
        Some("category") => (Some(CapBy::Category), Vec::new()),
        Some("brand") => (Some(CapBy::Brand), Vec::new()),
        Some(other) => {
            of.problem("by", &format!("by is {other:?}; it may be \"category\" or \"brand\""));
            (None, Vec::new())
        }
        None if of.has("by") => (None, Vec::new()),
        None => {
            let (items, ids) = matcher(&mut of, &scope);
            (items.map(CapBy::Items), ids)
        }
    };
    let share_max = of.number("share_max");
    let share_max = of.required("share_max", share_max).and_then(|share| {
        let sound = Share::new(share as f32);
        if sound.is_none() {
            of.problem(
                "share_max",
                &format!("share_max is {share}; it must be above 0 and at most 1 (to show none, write [[hide]])"),
            );
        }
        sound
    });
    let what = by.zip(share_max).map(|(by, share_max)| Cap { by, share_max });
    read(of, scope, what, ids)
}

/// `[diversity]`; nothing if it is switched off.
pub fn diversity(mut of: Fields<'_>) -> Option<Read<Diversity>> {
    let scope = scope(&mut of);
    let lambda = share_or_off(&mut of, "lambda");
    read(of, scope, lambda.map(|lambda| Diversity { lambda }), Vec::new())
}

/// `[explore]`; nothing if it is switched off.
pub fn explore(mut of: Fields<'_>) -> Option<Read<Explore>> {
    let scope = scope(&mut of);
    let share = share_or_off(&mut of, "share");
    let days = of.number("days").unwrap_or(DAYS_DEFAULT);
    if !(days > 0.0 && days <= DAYS_MAX) {
        of.problem("days", &format!("days is {days}; it must be above 0 and at most {DAYS_MAX}"));
    }
    read(of, scope, share.map(|share| Explore { share, days }), Vec::new())
}

fn share_or_off(of: &mut Fields<'_>, key: &'static str) -> Option<Share> {
    let share = of.number(key);
    let share = of.required(key, share)?;
    if !(0.0..=1.0).contains(&share) {
        of.problem(key, &format!("{key} is {share}; it must be from 0 (off) to 1"));
    }
    Share::new(share as f32)
}

fn read<T>(of: Fields<'_>, scope: Scope, what: Option<T>, ids: Vec<String>) -> Option<Read<T>> {
    let place = of.finish()?;
    Some(Read { rule: Rule { name: place.rule_name(), scope, what: what? }, place, ids })
}

fn scope(of: &mut Fields<'_>) -> Scope {
    let bu = of.text("bu");
    if let Some(Err(error)) = bu.map(check_bu_name) {
        of.problem("bu", &format!("bu is {:?}: {error}", bu.unwrap_or_default()));
    }
    let placement = of.text("placement");
    if placement.is_some_and(|placement| placement.len() > PLACEMENT_BYTES_MAX) {
        of.problem("placement", &format!("placement has more than {PLACEMENT_BYTES_MAX} bytes, which no request may name"));
    }
    let (from, until) = (of.time("from"), of.time("until"));
    if from.zip(until).is_some_and(|(from, until)| until <= from) {
        of.problem("until", "until is not after from, so the rule never holds; exchange them or mend one");
    }
    Scope { bu: bu.map(Into::into), placement: placement.map(Into::into), from, until }
}

/// Which items a rule speaks of, and the ids among that.
fn matcher(of: &mut Fields<'_>, scope: &Scope) -> (Option<Matcher>, Vec<String>) {
    let mut parts = Vec::new();
    parts.extend(of.text("category").map(|name| Condition::Category(name.into())));
    parts.extend(of.text("brand").map(|name| Condition::Brand(name.into())));
    parts.extend(of.text("tag").map(|name| Condition::Tag(name.into())));
    let (min, max) = (of.number("price_min"), of.number("price_max"));
    if min.is_some() || max.is_some() {
        let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
        if min > max {
            of.problem("price_max", "price_max is below price_min, so no item matches; exchange them or mend one");
        }
        parts.push(Condition::Price { min, max });
    }
    let ids = of.ids("items");
    if of.has("items") && scope.bu.is_none() && !of.has("bu") {
        of.problem("items", "items need bu: ids are those of one business unit");
    }
    if parts.is_empty()
        && ids.is_none()
        && !["category", "brand", "tag", "price_min", "price_max", "items"].iter().any(|key| of.has(key))
    {
        of.problem("items", "say which items: category, brand, tag, price_min, price_max, items; those given must all hold");
        return (None, Vec::new());
    }
    let condition = if parts.len() > 1 { Some(Condition::AllOf(parts)) } else { parts.pop() };
    (Some(Matcher::new(condition, ids.as_deref())), ids.unwrap_or_default())
}
