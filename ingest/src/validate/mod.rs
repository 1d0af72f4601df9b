//! From wire messages to domain records: every limit that the comments in `faces/v1/*.proto` state, checked once, here.
//!
//! The consumer and the gRPC server call the same functions: the one turns a [`Violation`] into a dead letter, the other into the
//! field path of a `google.rpc.BadRequest`. Nothing here knows of a clock: the rule on future times is in [`crate::decode`].

mod event;
mod item;
mod link;

use faces_core::{
    ids::EventTime,
    key::{KeyHash, KeyKind, NameError, SourceKey, check_bu_name, check_local_id},
};
use faces_proto::v1;
use thiserror::Error;

pub(crate) use self::event::event_fields;
pub use self::{
    event::{REGION_BYTES_MAX, event, event_kind},
    item::{attributes, item, item_change},
    link::link,
};
use crate::{
    reason::{Reason, Rejection},
    wire::KeyFields,
};

/// A field that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {description}")]
pub struct Violation {
    /// Path of the field from the message's root, e.g. `source.id`.
    pub field: String,
    /// Why, as a code.
    pub reason: Reason,
    /// Why, for people: what is wrong and what is allowed.
    pub description: String,
}

impl From<Violation> for Rejection {
    fn from(violation: Violation) -> Self {
        Self { reason: violation.reason, detail: violation.to_string() }
    }
}

impl Violation {
    /// A violation of one field.
    #[must_use]
    pub fn new(field: &str, reason: Reason, description: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason, description: description.into() }
    }

    /// The same violation seen from further out: `id` under `source` is `source.id`.
    #[must_use]
    pub fn under(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }

    fn missing(field: &str) -> Self {
        Self::new(field, Reason::MissingField, "is required")
    }

    fn name(field: &str, error: &NameError) -> Self {
        let reason = match error {
            NameError::Empty => Reason::MissingField,
            NameError::TooLong { .. } => Reason::TooLong,
            NameError::Character => Reason::InvalidField,
        };
        Self::new(field, reason, error.to_string())
    }
}

/// Checks a source key.
///
/// # Errors
/// The field at fault, from the key's root.
pub fn source_key(key: &v1::SourceKey) -> Result<SourceKey, Violation> {
    SourceKey::new(&key.bu, key_kind(key.kind)?, &key.id).map_err(|(field, error)| Violation::name(field, &error))
}

/// The same where its hash and sort are enough: nothing is copied.
///
/// # Errors
/// The field at fault, from the key's root.
fn source_hash(key: KeyFields<'_>) -> Result<(KeyHash, KeyKind), Violation> {
    let kind = key_kind(key.kind)?;
    bu(key.bu)?;
    check_local_id(key.id).map_err(|error| Violation::name("id", &error))?;
    Ok((KeyHash::of(key.bu, kind, key.id), kind))
}

fn key_kind(number: i32) -> Result<KeyKind, Violation> {
    Ok(match v1::KeyKind::try_from(number) {
        Ok(v1::KeyKind::Account) => KeyKind::Account,
        Ok(v1::KeyKind::Device) => KeyKind::Device,
        Ok(v1::KeyKind::Session) => KeyKind::Session,
        Ok(v1::KeyKind::HashedPhone) => KeyKind::HashedPhone,
        Ok(v1::KeyKind::HashedEmail) => KeyKind::HashedEmail,
        Ok(v1::KeyKind::Unspecified) => return Err(Violation::missing("kind")),
        Err(_) => return Err(Violation::new("kind", Reason::InvalidField, format!("{number} is no KeyKind"))),
    })
}

/// Checks the name of an item; gives business unit and id.
///
/// # Errors
/// The field at fault, from the reference's root.
pub fn item_ref(item: &v1::ItemRef) -> Result<(&str, &str), Violation> {
    let bu = bu(&item.bu)?;
    check_local_id(&item.item_id).map_err(|error| Violation::name("item_id", &error))?;
    Ok((bu, &item.item_id))
}

/// Checks the name of a business unit, field `bu`.
///
/// # Errors
/// What is wrong with it.
pub fn bu(name: &str) -> Result<&str, Violation> {
    check_bu_name(name).map_err(|error| Violation::name("bu", &error))?;
    Ok(name)
}

/// 1990-01-01, ms since 1970 UTC: nothing here is older; what claims to be has a unit wrong or no clock.
pub const EVENT_TIME_MS_MIN: i64 = 631_152_000_000;
/// 2200-01-01, ms since 1970 UTC: what claims to be later has a unit wrong.
pub const EVENT_TIME_MS_MAX: i64 = 7_258_118_400_000;

/// Checks that a time is one at which something can have happened, whatever the clock says.
///
/// # Errors
/// When it is unset, before the year 1990 or after the year 2199.
pub fn time(field: &str, millis: i64) -> Result<EventTime, Violation> {
    if millis == 0 {
        return Err(Violation::new(field, Reason::BadTime, "is not set; give milliseconds since 1970 UTC"));
    }
    if !(EVENT_TIME_MS_MIN..EVENT_TIME_MS_MAX).contains(&millis) {
        let description = format!("{millis} is not between the years 1990 and 2200; give milliseconds since 1970 UTC");
        return Err(Violation::new(field, Reason::BadTime, description));
    }
    Ok(EventTime::from_millis(millis))
}

/// Checks a number that must be finite and not negative. Gives no negative zero, so that equal values have equal bits.
fn amount(field: &str, value: Option<f64>) -> Result<Option<f64>, Violation> {
    match value {
        Some(number) if !number.is_finite() => Err(Violation::new(field, Reason::BadValue, "is not a finite number")),
        Some(number) if number < 0.0 => Err(Violation::new(field, Reason::BadValue, "is negative")),
        Some(number) => Ok(Some(number + 0.0)),
        None => Ok(None),
    }
}

fn text_within(field: &str, text: &str, bytes_max: usize) -> Result<(), Violation> {
    if text.len() > bytes_max {
        let description = format!("has {} bytes; at most {bytes_max} are allowed", text.len());
        return Err(Violation::new(field, Reason::TooLong, description));
    }
    Ok(())
}

fn currency(text: &str) -> Result<(), Violation> {
    let is_code = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
    if text.is_empty() || is_code {
        return Ok(());
    }
    Err(Violation::new("currency", Reason::InvalidField, "is no ISO 4217 code; give three capital letters or nothing"))
}

#[cfg(test)]
pub(crate) mod tests {
    use faces_core::key::LOCAL_ID_BYTES_MAX;

    use super::*;

    pub(crate) fn key(bu: &str, id: &str) -> v1::SourceKey {
        v1::SourceKey { bu: bu.into(), kind: v1::KeyKind::Account.into(), id: id.into() }
    }

    /// Field and reason, or "ok".
    pub(crate) fn verdict<T>(result: Result<T, Violation>) -> String {
        result.map_or_else(|violation| format!("{} {}", violation.field, violation.reason), |_| "ok".to_owned())
    }

    #[test]
    fn keys() {
        let long = "x".repeat(LOCAL_ID_BYTES_MAX + 1);
        for (found, expected) in [
            (key("shop", "u1"), "ok"),
            (key("shop", &long[1..]), "ok"),
            (key("shop", &long), "id too_long"),
            (key("shop", ""), "id missing_field"),
            (key("", "u1"), "bu missing_field"),
            (key("Shop", "u1"), "bu invalid_field"),
            (v1::SourceKey { kind: 0, ..key("shop", "u1") }, "kind missing_field"),
            (v1::SourceKey { kind: 99, ..key("shop", "u1") }, "kind invalid_field"),
        ] {
            assert_eq!(verdict(source_key(&found)), expected, "{found:?}");
            let short = source_hash(KeyFields::from(&found));
            assert_eq!(short, source_key(&found).map(|key| (key.hash(), key.kind())), "{found:?}");
        }
    }

    #[test]
    fn times() {
        for (millis, expected) in [
            (1_700_000_000_000, "ok"),
            (EVENT_TIME_MS_MIN, "ok"),
            (EVENT_TIME_MS_MIN - 1, "t bad_time"),
            (0, "t bad_time"),
            (-1, "t bad_time"),
            (1_700_000_000, "t bad_time"),         // seconds
            (1_700_000_000_000_000, "t bad_time"), // microseconds
            (i64::MAX, "t bad_time"),
            (i64::MIN, "t bad_time"),
        ] {
            assert_eq!(verdict(time("t", millis)), expected, "{millis}");
        }
    }

    #[test]
    fn paths_grow_outwards() {
        let violation = source_key(&key("shop", "")).unwrap_err().under("source").under("events[3]");
        assert_eq!(violation.to_string(), "events[3].source.id: is empty");
    }
}
