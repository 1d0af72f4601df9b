//! What may enter: validated records, and the port through which ingest hands them over.

use crate::{
    catalogue::ItemChange,
    event::EventKind,
    identity::Statement,
    ids::{EventId, EventTime, RegionId},
    key::{KeyHash, KeyKind, SourceKey},
};

/// An event that passed validation, for those who keep events; what is applied is its [`EventView`].
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
    /// Where the person was.
    pub region: Option<RegionId>,
}

impl Event {
    /// The event without its texts' ownership.
    #[must_use]
    pub fn view(&self) -> EventView<'_> {
        EventView {
            source: self.source.hash(),
            source_kind: self.source.kind(),
            bu: &self.bu,
            item_id: self.item_id.as_deref(),
            kind: self.kind,
            time: self.time,
            id: self.id,
            value: self.value,
            region: self.region,
        }
    }
}

/// An event that passed validation, its texts where they were read: nothing is copied on the way from the log to a fragment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventView<'a> {
    /// Who did it.
    pub source: KeyHash,
    /// What sort of key that is.
    pub source_kind: KeyKind,
    /// Business unit where it happened.
    pub bu: &'a str,
    /// The item concerned; `None` only for a search in words.
    pub item_id: Option<&'a str>,
    /// What was done.
    pub kind: EventKind,
    /// When.
    pub time: EventTime,
    /// Which event it is.
    pub id: EventId,
    /// Money or stars.
    pub value: Option<f64>,
    /// Where the person was.
    pub region: Option<RegionId>,
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
    /// A writer for one thread. Any number of them may write at once.
    fn writer(&self) -> Box<dyn Writer + '_>;

    /// Brings what is read in order (the heads of trends) up to date with what writers have flushed. To be called now and then, by
    /// whoever applies in bulk: it costs more than applying a record.
    fn settle(&self) {}

    /// Applies one record on the spot.
    fn apply(&self, record: &Record) -> Outcome {
        let mut writer = self.writer();
        let outcome = writer.record(record);
        writer.flush();
        drop(writer);
        self.settle();
        outcome
    }
}

/// One thread's way of applying records. What is applied shows in profiles at once; what is derived of it (trends), after [`Self::flush`].
pub trait Writer {
    /// Applies an event.
    fn event(&mut self, event: &EventView<'_>) -> Outcome;

    /// Applies a statement on identity.
    fn link(&mut self, statement: &Statement) -> Outcome;

    /// Applies a change of an item.
    fn item(&mut self, change: &ItemChange) -> Outcome;

    /// Applies a record of any sort.
    fn record(&mut self, record: &Record) -> Outcome {
        match record {
            Record::Event(event) => self.event(&event.view()),
            Record::Link(statement) => self.link(statement),
            Record::Item(change) => self.item(change),
        }
    }

    /// Brings what is derived up to date. To be called at the end of every batch, before its positions count as applied.
    fn flush(&mut self);
}
