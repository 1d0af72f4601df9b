//! Committing positions to the group, for the lag tools, and never ahead of what is applied.
//!
//! It has a thread of its own: the client library reports the result only to a caller that waits for it (its callback for asynchronous
//! commits is never called), and waiting can take long when the group's coordinator is away.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
};

use super::{Consumer, Stop};
use crate::progress::Progress;

/// The thread that commits.
pub(super) struct Committer {
    consumer: Arc<Consumer>,
    progress: Arc<Progress>,
    stop: Arc<Stop>,
    interval: Duration,
    applied: mpsc::Receiver<()>, // closed when everything that was read is applied
    committed: HashMap<(String, i32), i64>,
    failing: bool,
}

impl Committer {
    pub(super) fn new(
        consumer: Arc<Consumer>,
        progress: Arc<Progress>,
        stop: Arc<Stop>,
        interval: Duration,
        applied: mpsc::Receiver<()>,
    ) -> Self {
        Self { consumer, progress, stop, interval, applied, committed: HashMap::new(), failing: false }
    }

    pub(super) fn run(mut self) {
        loop {
            self.stop.sleep(self.interval);
            if self.stop.is_requested() {
                break;
            }
            self.commit();
        }
        let deadline = Instant::now() + self.stop.patience();
        let left = deadline.saturating_duration_since(Instant::now());
        if self.applied.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("stopping before everything read was applied; the next run reads it again");
        }
        self.commit();
    }

    /// Sends the positions that moved since the last success, and waits for the answer.
    fn commit(&mut self) {
        // With the brokers away it would only wait, and hold up the end.
        if !self.progress.brokers_answer() {
            return;
        }
        let mut list = TopicPartitionList::new();
        let mut moved = Vec::new();
        for partition in self.progress.partitions().iter() {
            let address = (partition.topic().to_owned(), partition.partition());
            let position = partition.position();
            let is_news = self.committed.get(&address).map_or(position > 0, |committed| *committed != position);
            if is_news && list.add_partition_offset(&address.0, address.1, Offset::Offset(position)).is_ok() {
                moved.push((address, position));
            }
        }
        if moved.is_empty() {
            return;
        }
        let result = self.consumer.commit(&list, CommitMode::Sync);
        self.progress.note_commit(result.is_ok());
        match result {
            Ok(()) => {
                self.committed.extend(moved);
                self.failing = false;
            }
            // Once is enough until it works again: positions serve the lag tools, and nothing is lost without them.
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!(%error, "positions can't be committed; reading goes on, but the group's lag is not visible");
            }
            Err(_) => {}
        }
    }
}
