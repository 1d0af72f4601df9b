//! How far the consumer got: read by health checks, metrics and every answer's freshness, so reading is cheap and takes no lock that
//! the consumer holds for long.
//!
//! **The view's age.** Every `watermark_ms` the ends of all partitions are asked for. Once every position has reached the ends asked for
//! at time *t*, the state holds everything that the log had taken by *t*. So the view is at most `now − t` old, and while that stays
//! within two rounds of asking, nothing more is known to exist than what was applied: the age is reported as 0. When the brokers are
//! away, no round succeeds and the age grows, which an end-of-partition signal from the client library would hide.

mod counts;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::{Mutex, RwLock};

pub use self::counts::{Counts, KindCounts, RecordKind};
use crate::topics::TopicKind;

/// One partition as the consumer knows it.
#[derive(Debug)]
pub struct Partition {
    topic: String,
    partition: i32,
    kind: TopicKind,
    first_end: i64,
    committed_before: i64,
    start: AtomicI64,
    position: AtomicI64,
    end: AtomicI64,
    caught_up: AtomicBool,
}

impl Partition {
    pub(crate) fn new(topic: String, partition: i32, kind: TopicKind, start: i64, end: i64, committed_before: i64) -> Self {
        Self {
            topic,
            partition,
            kind,
            first_end: end,
            // A committed position past the end is another topic's: this one was made anew.
            committed_before: if committed_before > end { 0 } else { committed_before },
            start: AtomicI64::new(start),
            position: AtomicI64::new(start),
            end: AtomicI64::new(end),
            caught_up: AtomicBool::new(start >= end),
        }
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
        self.position.load(Relaxed).max(self.start.load(Relaxed))
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

    /// Position of the group when this run began: dead letters before it were delivered by an earlier run.
    pub(crate) const fn committed_before(&self) -> i64 {
        self.committed_before
    }

    pub(crate) fn set_position(&self, next_offset: i64) {
        self.position.store(next_offset, Relaxed);
        self.note_caught_up();
    }

    pub(crate) fn set_bounds(&self, start: Option<i64>, end: i64) {
        if let Some(start) = start {
            self.start.store(start, Relaxed);
        }
        self.end.store(end, Relaxed);
        self.note_caught_up();
    }

    fn note_caught_up(&self) {
        if self.position() >= self.first_end {
            self.caught_up.store(true, Relaxed);
        }
    }

    fn is_at_end(&self) -> bool {
        self.position() >= self.end()
    }
}

type Partitions = Arc<[Arc<Partition>]>;

/// How far the consumer got, shared by its threads and everybody who asks.
#[derive(Debug)]
pub struct Progress {
    origin: Instant,
    view_slack_ms: i64,
    partitions: RwLock<Partitions>,
    counts: Mutex<KindCounts>,
    discovered: AtomicBool,
    brokers_answer: AtomicBool,
    asked_at_ms: AtomicI64,  // last round of asking for ends that succeeded, ms since `origin`; -1 for none
    at_end_as_of: AtomicI64, // last such round whose ends were all reached; -1 for none
    apply_lag_ms: AtomicI64, // -1 before the first batch
    queued_batches: AtomicUsize,
    paused: AtomicBool,
    pauses: AtomicU64,
    commits: AtomicU64,
    commit_failures: AtomicU64,
    dead_letter_retries: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Progress {
    pub(crate) fn new(watermark_ms: u64) -> Self {
        Self {
            origin: Instant::now(),
            view_slack_ms: i64::try_from(watermark_ms.saturating_mul(2)).unwrap_or(i64::MAX),
            partitions: RwLock::new(Arc::from([])),
            counts: Mutex::default(),
            discovered: AtomicBool::new(false),
            brokers_answer: AtomicBool::new(false),
            asked_at_ms: AtomicI64::new(-1),
            at_end_as_of: AtomicI64::new(-1),
            apply_lag_ms: AtomicI64::new(-1),
            queued_batches: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            pauses: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            commit_failures: AtomicU64::new(0),
            dead_letter_retries: AtomicU64::new(0),
            failure: Mutex::new(None),
        }
    }

    /// What became of all records so far. The counts belong together: a batch is in all of them or in none.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.lock().total()
    }

    /// The same by kind of record.
    #[must_use]
    pub fn counts_by_kind(&self) -> KindCounts {
        *self.counts.lock()
    }

    /// Every partition that is read, in no order.
    #[must_use]
    pub fn partitions(&self) -> Arc<[Arc<Partition>]> {
        Arc::clone(&self.partitions.read())
    }

    /// Whether topics were looked for at least once and every partition was read up to the end it had when it was first seen.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.discovered.load(Relaxed) && self.partitions().iter().all(|partition| partition.caught_up.load(Relaxed))
    }

    /// Whether the brokers answered when they were last asked for the ends of the log.
    #[must_use]
    pub fn brokers_answer(&self) -> bool {
        self.brokers_answer.load(Relaxed)
    }

    /// How long ago the consumer was last known to be at the end of every partition; 0 when it is there now, to within two rounds of
    /// asking (`watermark_ms`). Before the first time: since the start.
    #[must_use]
    pub fn view_age_ms(&self) -> u64 {
        self.view_age_at(self.now_ms())
    }

    fn view_age_at(&self, now_ms: i64) -> u64 {
        let as_of = self.at_end_as_of.load(Relaxed);
        let age_ms = now_ms - as_of.max(0);
        let is_current = as_of >= 0 && age_ms <= self.view_slack_ms;
        if is_current { 0 } else { u64::try_from(age_ms).unwrap_or(0) }
    }

    /// Time between the append of the newest record of the last batch and the end of its applying; `None` before the first batch.
    #[must_use]
    pub fn last_apply_lag_ms(&self) -> Option<u64> {
        u64::try_from(self.apply_lag_ms.load(Relaxed)).ok()
    }

    /// Batches read but not yet applied.
    #[must_use]
    pub fn queued_batches(&self) -> usize {
        self.queued_batches.load(Relaxed)
    }

    /// Whether reading rests because applying is behind.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    /// How often reading was paused.
    #[must_use]
    pub fn pauses(&self) -> u64 {
        self.pauses.load(Relaxed)
    }

    /// Commits that the brokers took.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Relaxed)
    }

    /// Commits that failed. Nothing is lost by it: positions are for the lag tools, and the next commit makes up for it.
    #[must_use]
    pub fn commit_failures(&self) -> u64 {
        self.commit_failures.load(Relaxed)
    }

    /// Attempts to write dead letters that had to be repeated. Applying waits meanwhile.
    #[must_use]
    pub fn dead_letter_retries(&self) -> u64 {
        self.dead_letter_retries.load(Relaxed)
    }

    /// Why reading ended by itself, if it did: the process should be restarted.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    pub(crate) fn set_partitions(&self, partitions: Vec<Arc<Partition>>) {
        *self.partitions.write() = partitions.into();
    }

    pub(crate) fn set_brokers_answer(&self, answer: bool) {
        self.brokers_answer.store(answer, Relaxed);
    }

    pub(crate) fn note_discovered(&self) {
        self.discovered.store(true, Relaxed);
    }

    /// The ends of all partitions, as stored in them, were asked for at `asked_at_ms`.
    pub(crate) fn note_ends(&self, asked_at_ms: i64) {
        self.asked_at_ms.store(asked_at_ms, Relaxed);
        self.note_positions();
    }

    /// Positions or ends have changed: see whether all ends of the last round are reached.
    pub(crate) fn note_positions(&self) {
        let asked_at_ms = self.asked_at_ms.load(Relaxed);
        let is_news = asked_at_ms > self.at_end_as_of.load(Relaxed);
        if is_news && self.partitions.read().iter().all(|partition| partition.is_at_end()) {
            self.at_end_as_of.fetch_max(asked_at_ms, Relaxed);
        }
    }

    pub(crate) fn add_counts(&self, batch: &KindCounts) {
        self.counts.lock().add(batch);
    }

    pub(crate) fn set_apply_lag_ms(&self, lag_ms: i64) {
        self.apply_lag_ms.store(lag_ms.max(0), Relaxed);
    }

    pub(crate) fn note_queued(&self) {
        self.queued_batches.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_dequeued(&self) {
        self.queued_batches.fetch_sub(1, Relaxed);
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
        self.pauses.fetch_add(u64::from(paused), Relaxed);
    }

    pub(crate) fn note_commit(&self, succeeded: bool) {
        let count = if succeeded { &self.commits } else { &self.commit_failures };
        count.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_dead_letter_retry(&self) {
        self.dead_letter_retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn set_failure(&self, why: String) {
        self.failure.lock().get_or_insert(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(start: i64, end: i64) -> Arc<Partition> {
        Arc::new(Partition::new("faces.identity".to_owned(), 0, TopicKind::Identity, start, end, 0))
    }

    #[test]
    fn caught_up_means_discovered_and_every_first_end_reached() {
        let progress = Progress::new(100);
        assert!(!progress.caught_up(), "nothing was looked for yet");
        progress.note_discovered();
        assert!(progress.caught_up(), "there is nothing to read");
        let (empty, full) = (partition(7, 7), partition(0, 3));
        progress.set_partitions(vec![empty, Arc::clone(&full)]);
        assert!(!progress.caught_up());
        full.set_bounds(None, 10);
        full.set_position(3);
        assert!(progress.caught_up(), "the end it had at first counts, not what came later");
        full.set_position(0);
        assert!(progress.caught_up(), "a truncated log does not undo it");
    }

    #[test]
    fn the_view_ages_from_the_last_round_whose_ends_were_reached() {
        let progress = Progress::new(100);
        assert_eq!(progress.view_age_at(50), 50, "never at the end: since the start");
        let only = partition(0, 3);
        progress.set_partitions(vec![Arc::clone(&only)]);
        progress.note_ends(60);
        assert_eq!(progress.view_age_at(70), 70, "three records are missing");
        only.set_position(3);
        progress.note_positions();
        assert_eq!(progress.view_age_at(70), 0);
        assert_eq!(progress.view_age_at(260), 0, "within two rounds");
        assert_eq!(progress.view_age_at(261), 201, "the brokers don't answer any more");
        only.set_bounds(None, 5);
        progress.note_ends(300);
        assert_eq!(progress.view_age_at(310), 250, "behind again");
        only.set_bounds(Some(5), 5);
        progress.note_ends(400);
        assert_eq!(progress.view_age_at(410), 0, "what is gone from the log need not be waited for");
    }

    #[test]
    fn a_commit_past_the_end_belongs_to_another_topic() {
        let made_anew = Partition::new("t".to_owned(), 0, TopicKind::Identity, 0, 3, 9);
        assert_eq!(made_anew.committed_before(), 0);
    }
}
