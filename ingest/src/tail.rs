//! The log for whoever copies it elsewhere: records as their producers wrote them, read by a consumer group from where the copy ends.
//!
//! Members of the group share the partitions among themselves. Where to go on is not the group's to say but the copy's own
//! ([`Resume`]): committed positions are for those who watch how far behind it is, and nothing rests on them.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use faces_core::ids::EventTime;
use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use thiserror::Error;

use crate::{
    Reason, Topics,
    client::{apply_extra, client_config, log_error, log_line},
    cluster::Cluster,
    decode::{Decoder, Limits, Rejection, Written},
    message::{append_time, format, now_ms},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A partition of a topic.
pub type Place = (String, i32);

/// Where a copy of the log ends.
pub trait Resume: Send + Sync {
    /// The next offset that each place lacks, in the order of `places`; `None` where nothing is copied yet.
    ///
    /// # Errors
    /// Why that can't be told, for people.
    fn resume(&self, places: &[Place]) -> Result<Vec<Option<i64>>, String>;
}

/// A record of the log.
#[derive(Debug)]
pub struct TailRecord {
    /// Where it lies.
    pub place: Place,
    /// Its offset.
    pub offset: i64,
    /// When the log took it.
    pub append_time: EventTime,
    /// The record as it was written, or why it is none.
    pub written: Result<Written, Rejection>,
}

/// What reading came upon.
#[derive(Debug)]
pub enum Tailed {
    /// A record.
    Record(Box<TailRecord>),
    /// What this member reads from now on, from where the copy ends; what was read of any place and is not copied yet comes again, here
    /// or elsewhere.
    Assigned(Vec<Assigned>),
    /// The log no longer has what was to come next: what was read is to be copied, then [`Tail::resume_in_range`] finds out more.
    OutOfRange,
}

/// A place that a member reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Which.
    pub place: Place,
    /// The next offset that comes.
    pub next: i64,
    /// Where the log ended when the place was assigned: some brokers name the first offset of the last batch, so more may follow.
    pub end: i64,
}

/// Why the log can't be read.
#[derive(Debug, Error)]
pub enum TailError {
    /// The client refuses its configuration, or the group its subscription.
    #[error("the log at {brokers} can't be subscribed to: {source}; check kafka.brokers and kafka.extra")]
    Subscribe {
        /// The brokers.
        brokers: String,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// The brokers don't say where a partition begins and ends, or refuse the assignment.
    #[error("{topic}[{partition}] can't be read: {source}; check that the brokers can be reached")]
    Assign {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// Where the copy ends can't be told.
    #[error("where the copy of the log ends can't be told: {0}")]
    Resume(String),
    /// The log no longer has what the copy lacks.
    #[error("{topic}[{partition}] begins at {low} and the copy ends before {next}: {} records are gone; pass --accept-gaps to go on without them", low - next)]
    Gap {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// First offset of the log.
        low: i64,
        /// Next offset that the copy lacks.
        next: i64,
    },
    /// The log ends before the copy does.
    #[error(
        "{topic}[{partition}] ends at {end} and the copy before {next}: the topic was made anew; archive it to another place"
    )]
    Behind {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Offset after the log's last.
        end: i64,
        /// Next offset that the copy lacks.
        next: i64,
    },
}

/// Reads the topics of events, identity and catalogue.
pub struct Tail {
    consumer: BaseConsumer<Context>,
    assigned: Receiver<Result<Vec<Assigned>, TailError>>,
    topics: Topics,
    decoder: Decoder,
}

impl Tail {
    /// Subscribes. With `accepts_gaps` reading goes on where the log no longer has what the copy lacks.
    ///
    /// # Errors
    /// [`TailError::Subscribe`].
    pub fn open(
        cluster: &Cluster,
        topics: &Topics,
        group: &str,
        limits: Limits,
        resume: Arc<dyn Resume>,
        accepts_gaps: bool,
    ) -> Result<Self, TailError> {
        let failed = |source| TailError::Subscribe { brokers: cluster.brokers.clone(), source };
        let (sender, assigned) = channel();
        let mut config = client_config(cluster, "faces-archive");
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error") // what is gone is not jumped over
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "range") // an assignment is always whole
            .set("session.timeout.ms", "10000") // a dead member's partitions are somebody else's after so long
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", "65536");
        apply_extra(&mut config, cluster);
        config.set("group.id", group);
        let context = Context { brokers: cluster.brokers.clone(), resume, sender, accepts_gaps };
        let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(failed)?;
        consumer.subscribe(&[&topics.pattern()]).map_err(failed)?;
        Ok(Self { consumer, assigned, topics: topics.clone(), decoder: Decoder::new(limits) })
    }

    /// What comes next; `None` if nothing does within `patience`.
    ///
    /// # Errors
    /// [`TailError`]: reading can't go on.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Tailed>, TailError> {
        if let Ok(assigned) = self.assigned.try_recv() {
            return assigned.map(|places| Some(Tailed::Assigned(places)));
        }
        let message = match self.consumer.poll(patience) {
            None => return Ok(None),
            Some(Ok(message)) => message,
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => return Ok(Some(Tailed::OutOfRange)),
            Some(Err(error)) => {
                tracing::debug!(%error, "poll"); // librdkafka reconnects by itself
                return Ok(None);
            }
        };
        let append_time = append_time(message.timestamp(), now_ms());
        let written = match (self.topics.kind(message.topic()), format(&message)) {
            (Some(kind), Ok(format)) => self.decoder.written(&kind, format, message.payload().unwrap_or_default(), append_time),
            (None, _) => Err(Rejection::new(Reason::UnknownTopic, "not a topic of ours")),
            (_, Err((rejection, _))) => Err(rejection),
        };
        let place = (message.topic().to_owned(), message.partition());
        Ok(Some(Tailed::Record(Box::new(TailRecord { place, offset: message.offset(), append_time, written }))))
    }

    /// The next offset to come of each place from which something came: past the last record, and past what holds none (transaction
    /// markers, aborted or compacted records).
    pub fn positions(&self) -> Vec<(Place, i64)> {
        let Ok(positions) = self.consumer.position() else { return Vec::new() };
        let elements = positions.elements();
        let known = elements.iter().filter_map(|of| match of.offset() {
            Offset::Offset(next) => Some(((of.topic().to_owned(), of.partition()), next)),
            _ => None,
        });
        known.collect()
    }

    /// Goes on from where the copy ends now: somebody else has written to it. [`Tailed::Assigned`] follows.
    ///
    /// # Errors
    /// [`TailError`].
    pub fn resume_again(&self) -> Result<(), TailError> {
        self.assign_again(|_| true)
    }

    /// The same after [`Tailed::OutOfRange`], once what was read is copied.
    ///
    /// # Errors
    /// [`TailError`]: among others, the log does not have what is to come next.
    pub fn resume_in_range(&self) -> Result<(), TailError> {
        self.assign_again(|Assigned { next, end, .. }| next <= end)
    }

    fn assign_again(&self, is_sound: impl Fn(&Assigned) -> bool) -> Result<(), TailError> {
        let context = self.consumer.context();
        let failed = |source| TailError::Subscribe { brokers: context.brokers.clone(), source };
        let places = self.consumer.assignment().map_err(failed)?;
        let assigned = context.assign(&self.consumer, &places)?;
        if let Some(Assigned { place: (topic, partition), next, end }) = assigned.iter().find(|of| !is_sound(of)).cloned() {
            return Err(TailError::Behind { topic, partition, end, next });
        }
        _ = context.sender.send(Ok(assigned)); // the receiver is our own
        Ok(())
    }

    /// Tells the group how far the copy is: for those who watch.
    pub fn commit(&self, (topic, partition): &Place, next: i64) {
        let mut list = TopicPartitionList::new();
        let committed = list
            .add_partition_offset(topic, *partition, Offset::Offset(next))
            .and_then(|()| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = committed {
            tracing::debug!(%error, topic, partition, "position not committed");
        }
    }
}

/// Assigns places from where the copy ends.
struct Context {
    brokers: String,
    resume: Arc<dyn Resume>,
    sender: Sender<Result<Vec<Assigned>, TailError>>,
    accepts_gaps: bool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Context {
    /// Called inside of a poll, by the thread that polls.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, places: &mut TopicPartitionList) {
        let assigned = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, places)
        } else {
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "partitions can't be given up");
            }
            Ok(Vec::new())
        };
        _ = self.sender.send(assigned); // the receiver lives as long as the consumer
    }
}

impl Context {
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<Vec<Assigned>, TailError> {
        let places: Vec<Place> = list.elements().iter().map(|of| (of.topic().to_owned(), of.partition())).collect();
        let resumed = self.resume.resume(&places).map_err(TailError::Resume)?;
        let mut assigned = Vec::with_capacity(places.len());
        let mut from = TopicPartitionList::new();
        for (place, copied) in places.into_iter().zip(resumed) {
            let (topic, partition) = (&place.0, place.1);
            let failed = |source| TailError::Assign { topic: topic.clone(), partition, source };
            let (low, end) = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT).map_err(failed)?;
            let next = copied.unwrap_or(low);
            if next < low && !self.accepts_gaps {
                return Err(TailError::Gap { topic: topic.clone(), partition, low, next });
            }
            let next = next.max(low);
            from.add_partition_offset(topic, partition, Offset::Offset(next)).map_err(failed)?;
            assigned.push(Assigned { place, next, end });
        }
        let failed = |source| TailError::Subscribe { brokers: self.brokers.clone(), source };
        consumer.assign(&from).map_err(failed)?;
        Ok(assigned)
    }
}
