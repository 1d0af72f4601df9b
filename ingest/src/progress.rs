//! How far the consumer got: read by health checks, metrics and every answer's freshness, so reading is cheap and takes no lock that
//! the consumer holds for long.
//!
//! **The view's age.** Every `watermark_ms` the ends of all partitions are asked for. Once every position has reached the ends asked for
//! at time *t*, the state holds everything that the log had taken by *t*. So the view is at most `now − t` old, and while that stays
//! within two rounds of asking, nothing more is known to exist than what was applied: the age is reported as 0. When the brokers are
//! away, no round succeeds and the age grows, which an end-of-partition signal from the client library would hide.

mod counts;
mod freshness;
mod partition;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::{Mutex, RwLock};

pub(crate) use self::partition::Known;
pub use self::{
    counts::{Counts, KindCounts, RecordKind},
    freshness::{Freshness, Lags},
    partition::Partition,
};
use crate::{
    positions::{Position, Positions},
    topics::TopicKind,
};

type Partitions = Arc<[Arc<Partition>]>;

/// How far the events of a business unit are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// Time of the newest event applied, ms since 1970 UTC; `None` when this run applied none.
    pub newest_event_ms: Option<i64>,
    /// Of the partitions that have more to read: when the log took the newest record read from the one that is furthest behind, ms since
    /// 1970 UTC. Everything taken before is applied. `None` when nothing is left to read.
    pub behind_append_ms: Option<i64>,
    /// Whether a partition has more to read of which this run has read nothing yet: how far behind that is can't be told.
    pub is_unknown: bool,
}

/// What a batch, or all of them, came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: KindCounts,
    pub(crate) freshness: Freshness,
    pub(crate) hot_key_events: u64,
    pub(crate) skipped_offsets: u64,
}

/// How far the consumer got, shared by its threads and everybody who asks.
#[derive(Debug)]
pub struct Progress {
    origin: Instant,
    view_slack_ms: i64,
    partitions: RwLock<Partitions>,
    resumable: Mutex<Positions>, // positions of partitions that were not found yet
    leaderless: Mutex<Option<(String, i32)>>,
    tally: Mutex<Tally>,
    discovered: AtomicBool,
    was_caught_up: AtomicBool,
    brokers_answer: AtomicBool,
    asked_at_ms: AtomicI64,  // last round of asking for ends that succeeded, ms since `origin`; -1 for none
    at_end_as_of: AtomicI64, // last such round whose ends were all reached; -1 for none
    held: AtomicUsize,       // readers that wait for dead letters to be written
    commits: AtomicU64,
    commit_failures: AtomicU64,
    dead_letter_retries: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Progress {
    pub(crate) fn new(watermark_ms: u64, resume: Positions) -> Self {
        Self {
            origin: Instant::now(),
            view_slack_ms: i64::try_from(watermark_ms.saturating_mul(2)).unwrap_or(i64::MAX),
            partitions: RwLock::new(Arc::from([])),
            resumable: Mutex::new(resume),
            leaderless: Mutex::default(),
            tally: Mutex::default(),
            discovered: AtomicBool::new(false),
            was_caught_up: AtomicBool::new(false),
            brokers_answer: AtomicBool::new(false),
            asked_at_ms: AtomicI64::new(-1),
            at_end_as_of: AtomicI64::new(-1),
            held: AtomicUsize::new(0),
            commits: AtomicU64::new(0),
            commit_failures: AtomicU64::new(0),
            dead_letter_retries: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// What became of all records so far. The counts belong together: a batch is in all of them or in none.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.lock().counts.total()
    }

    /// The same by kind of record.
    #[must_use]
    pub fn counts_by_kind(&self) -> KindCounts {
        self.tally.lock().counts
    }

    /// How long records were under way until they were applied, since the start.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.tally.lock().freshness
    }

    /// Events that a key had beyond `hot_key_events_per_second`. They are applied like all others.
    #[must_use]
    pub fn hot_key_events(&self) -> u64 {
        self.tally.lock().hot_key_events
    }

    /// Offsets passed over since the start because no record came for them: transaction markers, and what was compacted away or deleted.
    /// In a topic that knows neither, a broker that keeps records back.
    #[must_use]
    pub fn skipped_offsets(&self) -> u64 {
        self.tally.lock().skipped_offsets
    }

    /// How far the events of each business unit are.
    #[must_use]
    pub fn watermarks(&self) -> BTreeMap<String, Watermark> {
        let mut of_bus: BTreeMap<String, Watermark> = BTreeMap::new();
        for partition in self.partitions().iter() {
            let TopicKind::Events { bu } = partition.kind() else { continue };
            let of_bu = of_bus.entry(bu.clone()).or_default();
            of_bu.newest_event_ms = of_bu.newest_event_ms.max(partition.newest_event_ms());
            if partition.lag() > 0 {
                let behind = partition.newest_append_ms();
                of_bu.behind_append_ms = of_bu.behind_append_ms.into_iter().chain(behind).min();
                of_bu.is_unknown |= behind.is_none();
            }
        }
        of_bus
    }

    /// Every partition that is read, in no order.
    #[must_use]
    pub fn partitions(&self) -> Arc<[Arc<Partition>]> {
        Arc::clone(&self.partitions.read())
    }

    /// Whether topics were looked for at least once, every partition of an earlier run was found and verified, and each was read up to the
    /// end it had when it was first seen. Never after a [failure](Self::failure).
    #[must_use]
    pub fn caught_up(&self) -> bool {
        let all_there = self.discovered.load(Relaxed) && self.resumable.lock().is_empty() && self.failure.lock().is_none();
        let caught_up = all_there && self.partitions().iter().all(|partition| partition.is_caught_up());
        if caught_up {
            self.was_caught_up.store(true, Relaxed);
        }
        caught_up
    }

    /// Whether it has caught up at some time: what was read is worth answering from, even if the log can't be read on.
    #[must_use]
    pub fn was_caught_up(&self) -> bool {
        self.caught_up() || self.was_caught_up.load(Relaxed)
    }

    /// Records that wait to be applied, by business unit; units without any are left out.
    #[must_use]
    pub fn lags(&self) -> BTreeMap<String, i64> {
        let mut lags = BTreeMap::new();
        for partition in self.partitions().iter() {
            if let (TopicKind::Events { bu }, lag @ 1..) = (partition.kind(), partition.lag()) {
                *lags.entry(bu.clone()).or_default() += lag;
            }
        }
        lags
    }

    /// Whether the brokers answered when they were last asked for the ends of the log.
    #[must_use]
    pub fn brokers_answer(&self) -> bool {
        self.brokers_answer.load(Relaxed)
    }

    /// The first partition that brokers name and that can't be read yet, for want of a leader.
    #[must_use]
    pub fn leaderless(&self) -> Option<(String, i32)> {
        self.leaderless.lock().clone()
    }

    pub(crate) fn set_leaderless(&self, partition: Option<(String, i32)>) {
        *self.leaderless.lock() = partition;
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

    /// Whether reading waits because dead letters can't be written.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.load(Relaxed) > 0
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

    /// Attempts to write dead letters that had to be repeated. Reading waits meanwhile.
    #[must_use]
    pub fn dead_letter_retries(&self) -> u64 {
        self.dead_letter_retries.load(Relaxed)
    }

    /// Why reading ended by itself, if it did, and the way out.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    pub(crate) fn set_partitions(&self, partitions: Vec<Arc<Partition>>) {
        let mut resumable = self.resumable.lock();
        for partition in &partitions {
            resumable.take(&(partition.topic().to_owned(), partition.partition()));
        }
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
        let is_news = asked_at_ms > self.at_end_as_of.load(Relaxed) && self.resumable.lock().is_empty() && !self.has_failed();
        if is_news && self.partitions.read().iter().all(|partition| partition.is_at_end()) {
            self.at_end_as_of.fetch_max(asked_at_ms, Relaxed);
        }
    }

    pub(crate) fn add(&self, batch: &Tally) {
        let mut tally = self.tally.lock();
        tally.counts.add(&batch.counts);
        tally.freshness.add(&batch.freshness);
        tally.hot_key_events += batch.hot_key_events;
        tally.skipped_offsets += batch.skipped_offsets;
    }

    pub(crate) fn set_held(&self, held: bool) {
        if held {
            self.held.fetch_add(1, Relaxed);
        } else {
            self.held.fetch_sub(1, Relaxed);
        }
    }

    /// The position of every partition, whether it was found yet or not. They belong together only while no batch is under way.
    pub(crate) fn positions(&self) -> Positions {
        let mut positions = self.resumable.lock().clone();
        for partition in self.partitions.read().iter() {
            positions.set(partition.topic(), partition.partition(), partition.exact_position());
        }
        positions
    }

    /// The position to go on from in a partition that was found just now.
    pub(crate) fn resume_of(&self, address: &(String, i32)) -> Option<Position> {
        self.resumable.lock().get(&address.0, address.1)
    }

    /// The first partition of an earlier run that no broker names.
    pub(crate) fn first_missing(&self, named: &BTreeSet<(String, i32)>) -> Option<(String, i32)> {
        let resumable = self.resumable.lock();
        let mut not_found = resumable.iter().map(|(topic, partition, _)| (topic.to_owned(), partition));
        not_found.find(|address| !named.contains(address))
    }

    pub(crate) fn note_commit(&self, succeeded: bool) {
        let count = if succeeded { &self.commits } else { &self.commit_failures };
        count.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_dead_letter_retry(&self) {
        self.dead_letter_retries.fetch_add(1, Relaxed);
    }

    /// Reading ends (the first reason counts): of all readers, because what is served must not fall behind in one part.
    pub(crate) fn set_failure(&self, why: String) {
        if !self.failed.swap(true, Relaxed) {
            tracing::error!("{why}");
            *self.failure.lock() = Some(why);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(start: i64, end: i64) -> Arc<Partition> {
        Arc::new(Partition::new(
            "faces.identity".to_owned(),
            0,
            TopicKind::Identity,
            Known { start, end, committed: 0, resume: None },
        ))
    }

    #[test]
    fn caught_up_means_discovered_and_every_first_end_reached() {
        let progress = Progress::new(100, Positions::default());
        assert!(!progress.caught_up(), "nothing was looked for yet");
        progress.note_discovered();
        assert!(progress.caught_up(), "there is nothing to read");
        let (empty, full) = (partition(7, 7), partition(0, 3));
        progress.set_partitions(vec![empty, Arc::clone(&full)]);
        assert!(!progress.caught_up());
        full.set_bounds(None, 10);
        full.set_position(Position { next: 3, last: None });
        assert!(progress.caught_up(), "the end it had at first counts, not what came later");
        full.set_position(Position { next: 0, last: None });
        assert!(progress.caught_up(), "a truncated log does not undo it");
    }

    #[test]
    fn the_view_ages_from_the_last_round_whose_ends_were_reached() {
        let progress = Progress::new(100, Positions::default());
        assert_eq!(progress.view_age_at(50), 50, "never at the end: since the start");
        let only = partition(0, 3);
        progress.set_partitions(vec![Arc::clone(&only)]);
        progress.note_ends(60);
        assert_eq!(progress.view_age_at(70), 70, "three records are missing");
        only.set_position(Position { next: 3, last: None });
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
    fn how_far_it_is_can_not_be_told_before_anything_was_read() {
        let progress = Progress::new(100, Positions::default());
        let known = Known { start: 0, end: 3, committed: 0, resume: Some(Position { next: 1, last: None }) };
        let only =
            Arc::new(Partition::new("faces.events.video".to_owned(), 0, TopicKind::Events { bu: "video".to_owned() }, known));
        progress.set_partitions(vec![Arc::clone(&only)]);
        let watermark = || progress.watermarks()["video"];
        assert_eq!((watermark().behind_append_ms, watermark().is_unknown), (None, true));
        only.set_newest(None, Some(7));
        assert_eq!((watermark().behind_append_ms, watermark().is_unknown), (Some(7), false));
        only.set_position(Position { next: 3, last: None });
        assert_eq!((watermark().behind_append_ms, watermark().is_unknown), (None, false));
    }

    #[test]
    fn what_an_earlier_run_read_must_be_found_again() {
        let mut resume = Positions::default();
        resume.set("faces.identity", 0, Position { next: 3, last: None });
        let progress = Progress::new(100, resume.clone());
        progress.note_discovered();
        assert!(!progress.caught_up());
        assert_eq!(progress.positions(), resume, "nothing is forgotten while brokers are away");
        progress.set_partitions(vec![partition(0, 0)]);
        assert!(progress.caught_up());
        progress.set_failure("why".to_owned());
        assert!(!progress.caught_up());
    }
}
