//! From topics to state: four threads, a bounded queue between reading and applying, and a clean end.
//!
//! ```text
//!  scout ──(partitions found)──► poll ──(bounded queue of batches)──► apply ──► sink, dead letters
//!  looks for topics,             assigns, reads, decodes,             applies, delivers dead letters,
//!  asks for ends                 pauses, resumes                      then moves positions ──► commit: sends them to the group
//! ```
//!
//! - **Explicit assignment.** Every replica reads every partition from its beginning (the state is in memory), so nothing here depends on
//!   group membership. Committing positions to a group of one's own only serves the lag tools, and tells a later run which dead letters
//!   were delivered already.
//! - **Commit never runs ahead of apply**, nor ahead of the delivery of a batch's dead letters: positions move at the end of a batch.
//! - **Poison never stops the line**: a bad record becomes a dead letter, the batch goes on. A dead-letter topic that can't be written does
//!   stop the line, because going on would lose records: reading pauses until it can be written again.
//! - **Several appliers** later: `poll` splits a batch by source key, and positions move when all parts are done.

mod apply;
mod batch;
mod commit;
mod poll;
mod scout;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use faces_core::record::Apply;
use rdkafka::{ClientConfig, consumer::BaseConsumer, error::KafkaError};
use thiserror::Error;

use self::{apply::Applier, commit::Committer, poll::Poller, scout::Scout};
use crate::{
    client::{LogContext, apply_extra, client_config},
    config::{ConfigError, IngestConfig},
    dead_letter::DeadLetterWriter,
    progress::Progress,
};

type Consumer = BaseConsumer<LogContext>;

/// Why ingest could not start or did not stop in time.
#[derive(Debug, Error)]
pub enum IngestError {
    /// A setting is unsound.
    #[error("ingest can't start with its settings")]
    Config(#[from] ConfigError),
    /// librdkafka refuses a property.
    #[error("the kafka client can't be made: check the properties under `extra`")]
    Client(#[from] KafkaError),
    /// The operating system gives no thread.
    #[error("a thread can't be started: check the limits on threads and memory")]
    Thread(#[from] std::io::Error),
    /// The threads did not end in time; they are left behind.
    #[error("ingest did not stop within {stop_ms_max} ms: raise `stop_ms_max` if applying a batch takes so long")]
    StopTimeout {
        /// How long it was waited for.
        stop_ms_max: u64,
    },
}

/// A running consumer. Dropping it stops it, like [`Ingest::stop`].
#[derive(Debug)]
pub struct Ingest {
    progress: Arc<Progress>,
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
    ended: mpsc::Receiver<()>,
    stop_ms_max: u64,
}

impl Ingest {
    /// Starts to read. Returns at once; brokers that are away are waited for in the background.
    ///
    /// # Errors
    /// When a setting is unsound or the operating system gives no thread.
    pub fn start(config: IngestConfig, sink: Arc<dyn Apply>) -> Result<Self, IngestError> {
        config.check()?;
        let config = Arc::new(config);
        let topics = config.topics()?;
        let progress = Arc::new(Progress::new(config.watermark_ms));
        let stop = Arc::new(Stop::new(Duration::from_millis(config.stop_ms_max)));
        let consumer: Arc<Consumer> = Arc::new(consumer_config(&config).create_with_context(LogContext)?);
        let letters = DeadLetterWriter::new(&config, &topics)?;

        let (batches_in, batches_out) = mpsc::sync_channel(config.batch_queue_max);
        let (found_in, found_out) = mpsc::channel();
        let (ended_in, ended) = mpsc::channel::<()>();
        let (applied_in, applied_out) = mpsc::channel::<()>();
        let applier = Applier::new(sink, letters, Arc::clone(&progress), Arc::clone(&stop), batches_out);
        let poller = Poller::new(
            Arc::clone(&config),
            Arc::clone(&consumer),
            Arc::clone(&progress),
            Arc::clone(&stop),
            found_out,
            batches_in,
        );
        let committer = Committer::new(
            Arc::clone(&consumer),
            Arc::clone(&progress),
            Arc::clone(&stop),
            Duration::from_millis(config.commit_ms),
            applied_out,
        );
        let scout = Scout::new(Arc::clone(&config), topics, consumer, Arc::clone(&progress), Arc::clone(&stop), found_in);

        let mut ingest = Self { progress, stop, threads: Vec::new(), ended, stop_ms_max: config.stop_ms_max };
        ingest.spawn("faces-apply", ended_in.clone(), move || {
            applier.run();
            drop(applied_in);
        })?;
        ingest.spawn("faces-poll", ended_in.clone(), move || poller.run())?;
        ingest.spawn("faces-commit", ended_in.clone(), move || committer.run())?;
        ingest.spawn("faces-scout", ended_in, move || scout.run())?;
        Ok(ingest)
    }

    /// How far it got. The progress outlives the consumer.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Ends cleanly: stops reading, applies what was read, commits, and ends the threads.
    ///
    /// # Errors
    /// When that takes longer than `stop_ms_max`. Nothing is lost: what was not committed is read again by the next run.
    pub fn stop(mut self) -> Result<(), IngestError> {
        self.end()
    }

    fn spawn(&mut self, name: &str, ended: mpsc::Sender<()>, body: impl FnOnce() + Send + 'static) -> Result<(), IngestError> {
        let whole = move || {
            body();
            drop(ended);
        };
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(whole)?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), IngestError> {
        if self.threads.is_empty() {
            return Ok(());
        }
        self.stop.request();
        self.threads.iter().for_each(|handle| handle.thread().unpark());
        // The channel is closed when the last thread has dropped its end of it.
        let timed_out = self.ended.recv_timeout(self.stop.patience()) == Err(mpsc::RecvTimeoutError::Timeout);
        let threads = std::mem::take(&mut self.threads);
        if timed_out {
            return Err(IngestError::StopTimeout { stop_ms_max: self.stop_ms_max });
        }
        for handle in threads {
            if handle.join().is_err() {
                self.progress.set_failure("an ingest thread panicked; its message is in the log".to_owned());
            }
        }
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "ingest was dropped");
        }
    }
}

/// The wish to stop, and how long it may take to come true.
#[derive(Debug)]
pub(crate) struct Stop {
    requested: AtomicBool,
    patience: Duration,
}

impl Stop {
    fn new(patience: Duration) -> Self {
        Self { requested: AtomicBool::new(false), patience }
    }

    fn request(&self) {
        self.requested.store(true, Relaxed);
    }

    /// How long stopping may take.
    const fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Relaxed)
    }

    /// Waits, but not past a request to stop.
    pub(crate) fn sleep(&self, duration: Duration) {
        let until = Instant::now() + duration;
        while !self.is_requested() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left.min(Duration::from_millis(200)));
        }
    }
}

fn consumer_config(config: &IngestConfig) -> ClientConfig {
    let mut client = client_config(&config.cluster(), "faces-ingest");
    client
        .set("group.id", &config.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        // No membership rests on it; it bounds how long a commit waits for a coordinator that is away.
        .set("session.timeout.ms", "2000")
        .set("heartbeat.interval.ms", "500")
        // An offset that is out of range (retention overtook us, or the topic was made anew) leads to the oldest record there is:
        // reading a record twice changes nothing.
        .set("auto.offset.reset", "earliest")
        // The client library's signal for the end of a partition comes without the topic's name; `progress` asks for ends instead.
        .set("enable.partition.eof", "false")
        .set("fetch.wait.max.ms", config.fetch_wait_ms_max.to_string())
        .set("fetch.error.backoff.ms", "50")
        .set("queued.max.messages.kbytes", config.prefetch_kib_max.to_string())
        .set("queued.min.messages", "100000")
        .set("fetch.message.max.bytes", "1048576")
        .set("topic.metadata.refresh.interval.ms", "30000");
    apply_extra(&mut client, &config.cluster());
    client
}
