//! What may enter: validated records, and the port through which ingest hands them over.

use crate::{
    catalogue::ItemChange,
    event::EventKind,
    identity::Statement,
    ids::{EventId, EventTime},
    key::SourceKey,
};

/// An event that passed validation.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Who did it.
    pub source: SourceKey,
    /// Business unit where it happened.
    pub bu: String,
    /// The item concerned; `None` only for a search in words.
    pub item_id: Option<String>,
    /// What was done.
    pub kind: EventKind,
    /// When.
    pub time: EventTime,
    /// Which event it is.
    pub id: EventId,
    /// Money or stars.
    pub value: Option<f64>,
}

/// One record of the log, decoded and validated.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Somebody did something.
    Event(Event),
    /// Two keys are, or are not, one person.
    Link(Statement),
    /// An item changed.
    Item(ItemChange),
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It changed the state.
    Applied,
    /// The state already held it.
    Duplicate,
    /// The state keeps newer things only.
    Expired,
    /// Valid, but it leaves nothing in the state (a search in words).
    Ignored,
}

/// Where records go. Implementations are idempotent and indifferent to order: applying a record again changes nothing.
pub trait Apply: Send + Sync {
    /// Applies one record.
    fn apply(&self, record: &Record) -> Outcome;
}
