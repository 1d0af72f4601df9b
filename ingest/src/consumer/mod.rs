//! From topics to state: readers that apply what they read at once, side by side, and a clean end.
//!
//! ```text
//!  scout ──(partitions, shared out)──► readers ──► sink, dead letters, then positions ──► commit: sends them to the group
//!  looks for topics,                   each with a connection and a writer of its own:
//!  asks for ends                       read, decode, check, apply in place
//! ```
//!
//! - **Nothing between reading and applying**: no queue, no copy, no pause. When applying is slow, the client library's bounded buffer
//!   fills, and it stops fetching.
//! - **Explicit assignment.** Every replica reads every partition, so nothing here depends on group membership. Committing positions to a
//!   group of one's own only serves the lag tools, and tells a later run which dead letters were delivered already.
//! - **Positions move at the end of a batch**, when it is applied and its dead letters are delivered. Between batches ([`Boundary`]) state
//!   and positions belong together; a later run goes on from there, after it has seen that the log is still the same (`verify.rs`).
//! - **Poison never stops the line**: a bad record becomes a dead letter, the batch goes on. A dead-letter topic that can't be written does
//!   stop the line, because going on would lose records: reading waits until it can be written again.
//! - **A log that is not what it was stops everything**: an offset out of range is a failure that an operator decides on, not a jump.

mod batch;
mod commit;
mod gate;
mod hot_keys;
mod reader;
mod scout;
mod slots;
pub(crate) mod stop;
mod verify;

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use faces_core::record::Apply;
use parking_lot::Mutex;
use rdkafka::{ClientConfig, consumer::BaseConsumer, error::KafkaError};
use thiserror::Error;

pub use self::gate::Boundary;
use self::{
    commit::Committer,
    gate::Gate,
    reader::{Reader, Shared},
    scout::Scout,
    stop::Stop,
};
use crate::{
    client::{LogContext, apply_extra, client_config},
    config::{ConfigError, IngestConfig},
    dead_letter::DeadLetterWriter,
    positions::Positions,
    progress::Progress,
};

/// Largest answer asked for, bytes: the least and most that is worth it.
const FETCH_BYTES_MIN: usize = 1 << 20;
const FETCH_BYTES_MAX: usize = 50 << 20;

type Consumer = BaseConsumer<LogContext>;

/// Why ingest could not start or did not stop in time.
#[derive(Debug, Error)]
pub enum IngestError {
    /// A setting is unsound.
    #[error("ingest can't start with its settings")]
    Config(#[from] ConfigError),
    /// librdkafka refuses a property.
    #[error(
        "the kafka client can't be made: check the properties under `extra` (TLS and SCRAM need a build with `--features kafka-tls`)"
    )]
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
    gate: Arc<Gate>,
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
    ended: mpsc::Receiver<()>,
    stop_ms_max: u64,
}

impl Ingest {
    /// Starts to read, from `resume` on; partitions that it does not name are read from their beginning. Returns at once; brokers that
    /// are away are waited for in the background.
    ///
    /// Where the log is not the one that `resume` was taken from, reading ends with a [`Progress::failure`] that says what to do.
    ///
    /// # Errors
    /// When a setting is unsound or the operating system gives no thread.
    pub fn start(config: IngestConfig, sink: Arc<dyn Apply>, resume: Positions) -> Result<Self, IngestError> {
        config.check()?;
        let config = Arc::new(config);
        let topics = config.topics()?;
        let progress = Arc::new(Progress::new(config.watermark_ms, resume));
        let stop = Arc::new(Stop::new(Duration::from_millis(config.stop_ms_max)));
        let control: Arc<Consumer> = Arc::new(consumer_config(&config).create_with_context(LogContext)?);
        let shared = Shared {
            sink,
            letters: Arc::new(Mutex::new(DeadLetterWriter::new(&config, &topics)?)),
            gate: Arc::default(),
            progress: Arc::clone(&progress),
            stop: Arc::clone(&stop),
            config: Arc::clone(&config),
        };
        let (mut readers, mut found) = (Vec::new(), Vec::new());
        for _ in 0..config.reader_count() {
            let (found_in, found_out) = mpsc::channel();
            readers.push(Reader::new(shared.clone(), consumer_config(&config).create_with_context(LogContext)?, found_out));
            found.push(found_in);
        }
        let (applied_in, applied) = mpsc::channel::<()>();
        let committer = Committer::new(
            Arc::clone(&control),
            Arc::clone(&progress),
            Arc::clone(&stop),
            Duration::from_millis(config.commit_ms),
            applied,
        );
        let scout = Scout::new(Arc::clone(&config), topics, control, Arc::clone(&progress), Arc::clone(&stop), found);

        let (ended_in, ended) = mpsc::channel::<()>();
        let mut ingest = Self { progress, gate: shared.gate, stop, threads: Vec::new(), ended, stop_ms_max: config.stop_ms_max };
        for (n, reader) in readers.into_iter().enumerate() {
            let (applied_in, guard) = (applied_in.clone(), Unfinished(Some(Arc::clone(&ingest.progress))));
            ingest.spawn(&format!("faces-read-{n}"), ended_in.clone(), move || {
                reader.run();
                guard.finished();
                drop(applied_in);
            })?;
        }
        drop(applied_in);
        ingest.spawn("faces-commit", ended_in.clone(), move || committer.run())?;
        ingest.spawn("faces-scout", ended_in, move || scout.run())?;
        Ok(ingest)
    }

    /// Sees the state between batches; outlives the consumer.
    #[must_use]
    pub fn boundary(&self) -> Boundary {
        Boundary::new(Arc::clone(&self.gate), Arc::clone(&self.progress))
    }

    /// [`Boundary::at`] of this consumer.
    pub fn at_boundary<R>(&self, patience: Duration, f: impl FnOnce(&Positions) -> R) -> Option<R> {
        self.boundary().at(patience, f)
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

/// A reader that has not come to its end. Dropped by a panic, it says so, and the others end too.
struct Unfinished(Option<Arc<Progress>>);

impl Unfinished {
    fn finished(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(progress) = self.0.take() {
            progress.set_failure("a reader panicked (its message is in the log): restart the process".to_owned());
        }
    }
}

/// Properties of a reader's client. What is set for speed was measured with `examples/throughput.rs`: 2 M events of 113 bytes of 1 M
/// people in 64 partitions, applied to the state, 2 cores shared with the broker and, in this run, with a compiler.
///
/// | setting | events/s | CPU µs/event, all threads of ours |
/// |---|---|---|
/// | as below, 2 readers | 489,000, 502,000 | 1.9 (librdkafka's threads 0.2 of it) |
/// | as below, 2 readers, nothing else running | 730,000 | 1.96 |
/// | 1 reader; 4 readers | 428,000; 425,000 | 1.85 |
/// | `fetch.queue.backoff.ms` at its default of 1,000: a full buffer stops fetching for a second | 254,000 | 1.9 |
/// | `fetch.queue.backoff.ms` 1; 50, nothing else running | 641,000; 744,000 | 2.06; 1.93 |
/// | `queued.min.messages` 10,000; 1,000,000 instead of 100,000 | 533,000; 448,000 | 1.84; 1.81 |
/// | `fetch.message.max.bytes` 128 KiB; 4 MiB instead of 1 MiB | 358,000; 536,000 | 1.92; 1.97 |
/// | `queued.max.messages.kbytes` 4 MiB a reader instead of 32 | 467,000 | 1.93 |
/// | without `check.crcs` | 476,000 | 1.91 |
/// | one person does every second event | 506,000 | 1.67 |
/// | records decoded but not applied | 1,031,000 | 0.83 |
///
/// Taking messages from the client in bulk (`rd_kafka_consume_batch_queue`) would save 0.18 µs, at the price of `unsafe`.
fn consumer_config(config: &IngestConfig) -> ClientConfig {
    let prefetch_kib = prefetch_kib_of_reader(config);
    let mut client = client_config(&config.cluster(), "faces-ingest");
    client
        .set("group.id", &config.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        // No membership rests on it; it bounds how long a commit waits for a coordinator that is away.
        .set("session.timeout.ms", "2000")
        .set("heartbeat.interval.ms", "500")
        // A reader may wait for its dead letters to be written, for as long as it takes.
        .set("max.poll.interval.ms", "86400000")
        // An offset that is out of range (retention overtook us, or the topic was made anew) is not jumped over.
        .set("auto.offset.reset", "error")
        // The client library's signal for the end of a partition comes without the topic's name; `progress` asks for ends instead.
        .set("enable.partition.eof", "false")
        .set("fetch.wait.max.ms", config.fetch_wait_ms_max.to_string())
        .set("fetch.error.backoff.ms", "50")
        .set("fetch.queue.backoff.ms", "10")
        .set("check.crcs", "true")
        // The client stops asking when so much is held, and an answer on the way may hold as much again.
        .set("queued.max.messages.kbytes", prefetch_kib.to_string())
        .set("fetch.max.bytes", (prefetch_kib * 1_024).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX).to_string())
        .set("queued.min.messages", "100000")
        .set("fetch.message.max.bytes", "1048576")
        .set("topic.metadata.refresh.interval.ms", "30000");
    apply_extra(&mut client, &config.cluster());
    client
}

/// All readers together hold what is allowed.
fn prefetch_kib_of_reader(config: &IngestConfig) -> usize {
    (config.prefetch_kib_max as usize / config.reader_count().max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_the_room_for_what_is_read_ahead() {
        let config = IngestConfig { readers: 4, prefetch_kib_max: 100, ..IngestConfig::default() };
        assert_eq!(consumer_config(&config).get("queued.max.messages.kbytes"), Some("25"));
        let config = IngestConfig { readers: 9, prefetch_kib_max: 2, ..config };
        assert_eq!(prefetch_kib_of_reader(&config), 1);
    }
}
