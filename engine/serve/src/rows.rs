//! Rows of tables as records of the domain: what `faces eval` replays.

use std::cmp::Ordering;

use faces_core::{
    catalogue::ItemChange,
    event::EventKind,
    identity::{Operation, Statement},
    ids::{EventId, EventTime},
    key::{KeyKind, SourceKey},
    record::{Event, Record},
};
use faces_rebuild::tables::{EventRow, ItemRow, LinkRow};
use thiserror::Error;

/// Why a row is no record.
#[derive(Debug, Error)]
pub enum RowError {
    /// A name of a unit or an id that is not allowed.
    #[error("{field} {value:?} {reason}")]
    Name {
        /// The column.
        field: &'static str,
        /// Its content.
        value: String,
        /// What is wrong with it.
        reason: faces_core::key::NameError,
    },
    /// An event type that nobody knows.
    #[error("event_type {0:?} is unknown; known are {known}", known = known_types())]
    EventType(String),
    /// A link from an account to itself.
    #[error("a link joins {0} with itself")]
    SelfLink(SourceKey),
}

fn known_types() -> String {
    EventKind::NAMES.iter().flat_map(|(_, names)| names.iter().copied()).collect::<Vec<_>>().join(", ")
}

/// The account of a row.
///
/// # Errors
/// [`RowError::Name`].
pub fn account(bu: &str, local_user_id: &str) -> Result<SourceKey, RowError> {
    SourceKey::new(bu, KeyKind::Account, local_user_id).map_err(|(part, reason)| match part {
        "bu" => RowError::Name { field: "bu", value: bu.into(), reason },
        _ => RowError::Name { field: "local_user_id", value: local_user_id.into(), reason },
    })
}

/// The kind of event a row names.
///
/// # Errors
/// [`RowError::EventType`].
pub fn event_kind(name: &str) -> Result<EventKind, RowError> {
    EventKind::from_name(name).ok_or_else(|| RowError::EventType(name.into()))
}

/// The order of rows of one time: none that hangs on how they lie in a file.
#[must_use]
pub fn by_content(a: &EventRow, b: &EventRow) -> Ordering {
    fn names(row: &EventRow) -> [&str; 4] {
        [&row.bu, &row.local_user_id, &row.item_id, &row.event_type]
    }
    let value = |row: &EventRow| row.value.unwrap_or_default();
    names(a).cmp(&names(b)).then_with(|| value(a).total_cmp(&value(b)))
}

/// An event row as a record.
///
/// # Errors
/// [`RowError`].
pub fn event(row: &EventRow) -> Result<Record, RowError> {
    let (kind, time) = (event_kind(&row.event_type)?, EventTime::from_millis(row.ts_ms));
    Ok(Record::Event(Event {
        source: account(&row.bu, &row.local_user_id)?,
        bu: row.bu.clone(),
        item_id: (!row.item_id.is_empty()).then(|| row.item_id.clone()),
        kind,
        time,
        id: EventId::from_content(time, &row.bu, &row.item_id, kind as u8, row.value),
        value: row.value,
        region: None,
    }))
}

/// An item row as a record; items of a table were there from the beginning.
#[must_use]
pub fn item(row: &ItemRow) -> Record {
    Record::Item(ItemChange {
        bu: row.bu.clone(),
        item_id: row.item_id.clone(),
        time: EventTime::from_millis(0),
        attributes: Some(row.attributes()),
    })
}

/// A link row as a record.
///
/// # Errors
/// [`RowError`].
pub fn link(row: &LinkRow) -> Result<Record, RowError> {
    let (a, b) = (account(&row.bu_a, &row.local_user_a)?, account(&row.bu_b, &row.local_user_b)?);
    let time = EventTime::from_millis(row.ts_ms);
    let operation = if row.is_unlink { Operation::Unlink } else { Operation::Link };
    let statement = Statement::new(a.clone(), b, row.evidence, operation, row.confidence, time);
    statement.map(Record::Link).ok_or(RowError::SelfLink(a))
}
