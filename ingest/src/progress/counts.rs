//! What became of records, by kind.

use faces_core::record::Outcome;

use crate::topics::TopicKind;

/// Sorts of record, for counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// Events.
    Event,
    /// Identity links.
    Link,
    /// Catalogue changes.
    Item,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Event, Self::Link, Self::Item];

    /// Stable name, for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Link => "link",
            Self::Item => "item",
        }
    }

    pub(crate) const fn of_topic(topic: &TopicKind) -> Self {
        match topic {
            TopicKind::Identity => Self::Link,
            TopicKind::Catalog => Self::Item,
            TopicKind::Events { .. } | TopicKind::DeadLetters => Self::Event,
        }
    }
}

/// What became of records: consumed = applied + duplicates + expired + ignored + dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that changed the state.
    pub applied: u64,
    /// Records that the state already held.
    pub duplicates: u64,
    /// Records older than what the state keeps.
    pub expired: u64,
    /// Valid records that leave nothing in the state.
    pub ignored: u64,
    /// Records whose place is the dead-letter topic. Those that an earlier run of the same group wrote there are not written again.
    pub dead: u64,
}

impl Counts {
    /// Records read and done with.
    #[must_use]
    pub const fn consumed(&self) -> u64 {
        self.applied + self.duplicates + self.expired + self.ignored + self.dead
    }

    pub(crate) const fn add_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Applied => self.applied += 1,
            Outcome::Duplicate => self.duplicates += 1,
            Outcome::Expired => self.expired += 1,
            Outcome::Ignored => self.ignored += 1,
        }
    }

    pub(crate) const fn add(&mut self, other: &Self) {
        self.applied += other.applied;
        self.duplicates += other.duplicates;
        self.expired += other.expired;
        self.ignored += other.ignored;
        self.dead += other.dead;
    }
}

/// Counts by kind of record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts {
    /// Events.
    pub events: Counts,
    /// Identity links.
    pub links: Counts,
    /// Catalogue changes.
    pub items: Counts,
}

impl KindCounts {
    /// Counts of one kind.
    #[must_use]
    pub const fn of(&self, kind: RecordKind) -> &Counts {
        match kind {
            RecordKind::Event => &self.events,
            RecordKind::Link => &self.links,
            RecordKind::Item => &self.items,
        }
    }

    /// All kinds together.
    #[must_use]
    pub const fn total(&self) -> Counts {
        let mut total = self.events;
        total.add(&self.links);
        total.add(&self.items);
        total
    }

    pub(crate) const fn of_mut(&mut self, kind: RecordKind) -> &mut Counts {
        match kind {
            RecordKind::Event => &mut self.events,
            RecordKind::Link => &mut self.links,
            RecordKind::Item => &mut self.items,
        }
    }

    pub(super) const fn add(&mut self, other: &Self) {
        self.events.add(&other.events);
        self.links.add(&other.links);
        self.items.add(&other.items);
    }
}
