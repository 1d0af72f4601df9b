//! One partition as the consumer knows it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::{
    positions::{LastRecord, Position},
    topics::TopicKind,
};

const NONE: i64 = i64::MIN;

/// One partition as the consumer knows it.
#[derive(Debug)]
pub struct Partition {
    topic: String,
    partition: i32,
    kind: TopicKind,
    first_end: i64,
    committed_before: i64,
    start: AtomicI64,
    next: AtomicI64,
    last_offset: AtomicI64,
    last_fingerprint: AtomicU64,
    end: AtomicI64,
    verified: AtomicBool,
    caught_up: AtomicBool,
    newest_event_ms: AtomicI64,
    newest_append_ms: AtomicI64,
    oldest_append_ms: AtomicI64,
}

/// Where a partition begins and ends, and what is known of it from before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// First offset that the log has.
    pub(crate) start: i64,
    /// Offset after the last.
    pub(crate) end: i64,
    /// Position that the group has committed.
    pub(crate) committed: i64,
    /// Position to go on from.
    pub(crate) resume: Option<Position>,
}

impl Partition {
    pub(crate) fn new(topic: String, partition: i32, kind: TopicKind, known: Known) -> Self {
        let Known { start, end, committed, resume } = known;
        let position = resume.unwrap_or(Position { next: start, last: None });
        let made = Self {
            topic,
            partition,
            kind,
            first_end: end,
            // A committed position past the end is another topic's: this one was made anew.
            committed_before: if committed > end { 0 } else { committed },
            start: AtomicI64::new(start),
            next: AtomicI64::new(position.next),
            last_offset: AtomicI64::new(position.last.map_or(NONE, |last| last.offset)),
            last_fingerprint: AtomicU64::new(position.last.map_or(0, |last| last.fingerprint)),
            end: AtomicI64::new(end),
            verified: AtomicBool::new(resume.is_none()),
            caught_up: AtomicBool::new(false),
            newest_event_ms: AtomicI64::new(NONE),
            newest_append_ms: AtomicI64::new(NONE),
            oldest_append_ms: AtomicI64::new(i64::MAX),
        };
        made.note_caught_up();
        made
    }

    /// Topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Number inside the topic.
    #[must_use]
    pub const fn partition(&self) -> i32 {
        self.partition
    }

    /// What lies in it.
    #[must_use]
    pub const fn kind(&self) -> &TopicKind {
        &self.kind
    }

    /// Next offset to apply: everything before it is applied, and its dead letters are delivered.
    #[must_use]
    pub fn position(&self) -> i64 {
        // Records before the start of the log are gone; who never saw one need not wait for them.
        self.next.load(Relaxed).max(self.start.load(Relaxed))
    }

    /// First offset that the log has, as last seen: above 0 where it has lost its beginning.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.start.load(Relaxed)
    }

    /// End of the log as last seen.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end.load(Relaxed)
    }

    /// Records between position and end.
    #[must_use]
    pub fn lag(&self) -> i64 {
        (self.end() - self.position()).max(0)
    }

    /// Time of the newest event applied by this run, ms since 1970 UTC; `None` before the first.
    #[must_use]
    pub fn newest_event_ms(&self) -> Option<i64> {
        Some(self.newest_event_ms.load(Relaxed)).filter(|ms| *ms != NONE)
    }

    /// When the log took the newest record that this run read, ms since 1970 UTC; `None` before the first.
    #[must_use]
    pub fn newest_append_ms(&self) -> Option<i64> {
        Some(self.newest_append_ms.load(Relaxed)).filter(|ms| *ms != NONE)
    }

    /// When the log took the oldest record that this run read, ms since 1970 UTC; `None` before the first.
    #[must_use]
    pub fn oldest_append_ms(&self) -> Option<i64> {
        Some(self.oldest_append_ms.load(Relaxed)).filter(|ms| *ms != i64::MAX)
    }

    /// Position of the group when this run began: dead letters before it were delivered by an earlier run.
    pub(crate) const fn committed_before(&self) -> i64 {
        self.committed_before
    }

    /// Next offset to read, and the record before it. The two belong together only while no batch is under way.
    pub(crate) fn exact_position(&self) -> Position {
        let offset = self.last_offset.load(Relaxed);
        let last = (offset != NONE).then(|| LastRecord { offset, fingerprint: self.last_fingerprint.load(Relaxed) });
        Position { next: self.next.load(Relaxed), last }
    }

    pub(crate) fn set_position(&self, position: Position) {
        if let Some(last) = position.last {
            self.last_offset.store(last.offset, Relaxed);
            self.last_fingerprint.store(last.fingerprint, Relaxed);
        }
        self.next.store(position.next, Relaxed);
        self.note_caught_up();
    }

    /// The position that it began with is one of this very log.
    pub(crate) fn set_verified(&self) {
        self.verified.store(true, Relaxed);
        self.note_caught_up();
    }

    /// Whether it still is this very log is to be seen again.
    pub(crate) fn set_doubted(&self) {
        self.verified.store(false, Relaxed);
    }

    pub(crate) fn note_append(&self, oldest_ms: Option<i64>) {
        self.oldest_append_ms.fetch_min(oldest_ms.unwrap_or(i64::MAX), Relaxed);
    }

    pub(crate) fn set_newest(&self, event_ms: Option<i64>, append_ms: Option<i64>) {
        for (newest, seen) in [(&self.newest_event_ms, event_ms), (&self.newest_append_ms, append_ms)] {
            newest.fetch_max(seen.unwrap_or(NONE), Relaxed);
        }
    }

    pub(crate) fn set_bounds(&self, start: Option<i64>, end: i64) {
        if let Some(start) = start {
            self.start.store(start, Relaxed);
        }
        self.end.store(end, Relaxed);
        self.note_caught_up();
    }

    pub(crate) fn is_verified(&self) -> bool {
        self.verified.load(Relaxed)
    }

    pub(crate) fn is_caught_up(&self) -> bool {
        self.caught_up.load(Relaxed)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.verified.load(Relaxed) && self.position() >= self.end()
    }

    fn note_caught_up(&self) {
        if self.verified.load(Relaxed) && self.position() >= self.first_end {
            self.caught_up.store(true, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(known: Known) -> Partition {
        Partition::new("t".to_owned(), 0, TopicKind::Identity, known)
    }

    #[test]
    fn a_commit_past_the_end_belongs_to_another_topic() {
        assert_eq!(partition(Known { start: 0, end: 3, committed: 9, resume: None }).committed_before(), 0);
    }

    #[test]
    fn a_position_from_before_counts_once_it_is_verified() {
        let last = Some(LastRecord { offset: 2, fingerprint: 5 });
        let resumed = partition(Known { start: 0, end: 3, committed: 0, resume: Some(Position { next: 3, last }) });
        assert_eq!(resumed.exact_position(), Position { next: 3, last });
        assert!(!resumed.is_caught_up() && !resumed.is_at_end());
        resumed.set_verified();
        assert!(resumed.is_caught_up() && resumed.is_at_end());
        resumed.set_position(Position { next: 4, last: None });
        assert_eq!(resumed.exact_position(), Position { next: 4, last }, "offsets without records keep the last record");
        assert_eq!(resumed.newest_event_ms(), None);
        resumed.set_newest(Some(5), None);
        assert_eq!((resumed.newest_event_ms(), resumed.newest_append_ms()), (Some(5), None));
        assert_eq!(resumed.oldest_append_ms(), None);
        [Some(9), None, Some(7), Some(8)].into_iter().for_each(|ms| resumed.note_append(ms));
        assert_eq!(resumed.oldest_append_ms(), Some(7));
    }
}
