//! The partitions that one reader reads, and how far it is in each.

use std::{collections::HashMap, sync::Arc};

use crate::{
    positions::{LastRecord, Position},
    progress::{Partition, RecordKind},
};

/// One partition that is read.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) partition: Arc<Partition>,
    pub(super) kind: RecordKind,
    /// Offset after the last record taken.
    pub(super) next: i64,
    /// The last record taken in this batch.
    pub(super) last: Option<LastRecord>,
    /// The record to see once more before anything is taken.
    pub(super) compare: Option<LastRecord>,
    pub(super) newest_event_ms: Option<i64>,
    pub(super) newest_append_ms: Option<i64>,
    pub(super) oldest_append_ms: Option<i64>,
    touched: bool,
}

impl Slot {
    fn new(partition: Arc<Partition>, compare: Option<LastRecord>) -> Self {
        Self {
            kind: RecordKind::of_topic(partition.kind()),
            next: partition.exact_position().next,
            partition,
            last: None,
            compare,
            newest_event_ms: None,
            newest_append_ms: None,
            oldest_append_ms: None,
            touched: false,
        }
    }

    /// Offsets between the last record taken and `offset`: those without a record.
    pub(super) fn skipped_before(&self, offset: i64) -> u64 {
        offset.saturating_sub(self.next).max(0).cast_unsigned()
    }

    /// Moves on to an offset, when the batch is done.
    pub(super) const fn move_to(&mut self, next: i64, last: Option<LastRecord>) {
        self.next = next;
        if last.is_some() {
            self.last = last;
        }
        self.touched = true;
    }

    fn publish(&mut self) {
        self.touched = false;
        self.partition.note_append(self.oldest_append_ms.take());
        self.partition.set_newest(self.newest_event_ms.take(), self.newest_append_ms.take());
        self.partition.set_position(Position { next: self.next, last: self.last.take() });
    }
}

/// All partitions of one reader.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    by_address: HashMap<String, HashMap<i32, usize>>,
    latest: usize,
}

impl Slots {
    pub(super) fn add(&mut self, partition: Arc<Partition>, compare: Option<LastRecord>) {
        let of_topic = self.by_address.entry(partition.topic().to_owned()).or_default();
        of_topic.insert(partition.partition(), self.slots.len());
        self.slots.push(Slot::new(partition, compare));
    }

    pub(super) fn remove(&mut self, partition: &Partition) {
        if let Some(of_topic) = self.by_address.get_mut(partition.topic()) {
            of_topic.remove(&partition.partition());
        }
        self.latest = usize::MAX; // it may be this one
    }

    /// A partition's slot. Records come in runs of one partition, so the latest one is tried first.
    pub(super) fn of(&mut self, topic: &str, partition: i32) -> Option<&mut Slot> {
        let is_it = |slot: &Slot| slot.partition.partition() == partition && slot.partition.topic() == topic;
        if !self.slots.get(self.latest).is_some_and(is_it) {
            self.latest = *self.by_address.get(topic)?.get(&partition)?;
        }
        self.slots.get_mut(self.latest)
    }

    /// The partitions that are read.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        let indexes = self.by_address.values().flat_map(HashMap::values);
        indexes.filter_map(|index| self.slots.get(*index)).map(|slot| &slot.partition)
    }

    /// Makes known where reading stands now.
    pub(super) fn publish(&mut self) {
        self.slots.iter_mut().filter(|slot| slot.touched).for_each(Slot::publish);
    }
}
