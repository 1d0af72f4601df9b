//! Committing positions to the group, for the lag tools: asynchronously, and never ahead of what is applied.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
};

use super::Consumer;
use crate::{
    client::{log_error, log_line},
    progress::{Partition, Progress},
};

/// Hears what became of commits.
#[derive(Debug)]
pub(super) struct CommitContext {
    progress: Arc<Progress>,
    in_flight: AtomicUsize,
    failed: AtomicBool,
    told: AtomicBool,
}

impl CommitContext {
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        Self { progress, in_flight: AtomicUsize::new(0), failed: AtomicBool::new(false), told: AtomicBool::new(false) }
    }

    fn note(&self, result: &KafkaResult<()>) {
        self.progress.note_commit(result.is_ok());
        match result {
            Ok(()) => self.told.store(false, Relaxed),
            Err(error) => {
                self.failed.store(true, Relaxed);
                // Once is enough until it works again: positions only serve the lag tools.
                if !self.told.swap(true, Relaxed) {
                    tracing::warn!(%error, "positions can't be committed; reading goes on, but the group's lag is not visible");
                }
            }
        }
    }
}

impl ClientContext for CommitContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for CommitContext {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.in_flight.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).ok();
        self.note(&result);
    }
}

/// Remembers what was committed, so that only news is sent.
#[derive(Debug, Default)]
pub(super) struct Committer {
    sent: Vec<(Arc<Partition>, i64)>,
}

impl Committer {
    /// Sends the positions that moved since the last time. Does not wait.
    pub(super) fn commit(&mut self, consumer: &Consumer, progress: &Progress) {
        let context = consumer.context();
        if context.in_flight.load(Relaxed) > 0 {
            return;
        }
        if context.failed.swap(false, Relaxed) {
            self.sent.clear();
        }
        let mut list = TopicPartitionList::new();
        let mut moved = Vec::new();
        for partition in progress.partitions().iter() {
            let position = partition.position();
            let sent = self.sent.iter().find(|(of, _)| Arc::ptr_eq(of, partition)).map(|(_, sent)| *sent);
            let is_news = sent.map_or(position > 0, |sent| sent != position);
            if is_news && list.add_partition_offset(partition.topic(), partition.partition(), Offset::Offset(position)).is_ok() {
                moved.push((Arc::clone(partition), position));
            }
        }
        if moved.is_empty() {
            return;
        }
        context.in_flight.fetch_add(1, Relaxed);
        match consumer.commit(&list, CommitMode::Async) {
            Ok(()) => {
                self.sent.retain(|(of, _)| !moved.iter().any(|(partition, _)| Arc::ptr_eq(of, partition)));
                self.sent.append(&mut moved);
            }
            Err(error) => {
                context.in_flight.store(0, Relaxed);
                context.note(&Err(error));
            }
        }
    }

    /// Sends the last positions and waits for the answer, but not longer than `patience`.
    pub(super) fn finish(&mut self, consumer: &Consumer, progress: &Progress, patience: Duration) {
        let deadline = Instant::now() + patience;
        let wait = || {
            while consumer.context().in_flight.load(Relaxed) > 0 && Instant::now() < deadline {
                drop(consumer.poll(Duration::from_millis(10)));
            }
        };
        wait();
        self.commit(consumer, progress);
        wait();
    }
}
