//! Writing the log: acknowledged means that the log has it, and a full buffer is an answer, not a wait.
//!
//! The producer is idempotent (a retry inside the client writes nothing twice) and its buffer bounded. Errors come in two sorts, because
//! callers do different things about them: [`WriteError::Unavailable`] may be tried again, [`WriteError::Rejected`] may not.

mod bulk;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::bulk::{BulkOptions, BulkReport};
use crate::{
    client::{LogContext, apply_extra, client_config, is_disowned},
    cluster::Cluster,
    decode::{CONTENT_TYPE, Format},
};

/// One record to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Where to.
    pub topic: String,
    /// What the partitioner hashes; may be empty.
    pub key: Vec<u8>,
    /// The message.
    pub payload: Vec<u8>,
    /// How it is written.
    pub format: Format,
}

/// What the writer may be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WriterConfig {
    /// Bootstrap brokers, `host:port,host:port`.
    pub brokers: String,
    /// How long records wait for company before they are sent.
    pub linger_ms: u32,
    /// Longest time until a record is acknowledged or given up.
    pub delivery_ms_max: u32,
    /// Most records in the buffer.
    pub buffer_records_max: u32,
    /// Most bytes in the buffer, KiB.
    pub buffer_kib_max: u32,
    /// Largest record.
    pub record_bytes_max: u32,
    /// Raw librdkafka properties; they win over what this crate sets.
    pub extra: BTreeMap<String, String>,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            linger_ms: 2,
            delivery_ms_max: 10_000,
            buffer_records_max: 100_000,
            buffer_kib_max: 262_144,
            record_bytes_max: 1_048_576,
            extra: BTreeMap::new(),
        }
    }
}

/// Why a record was not written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The brokers are away, too slow, or the buffer is full: the same record may be tried again later.
    #[error("the log is not available ({0}): try again later")]
    Unavailable(String),
    /// The record or its topic is at fault: trying again changes nothing.
    #[error("the log refuses the record ({0})")]
    Rejected(String),
}

impl WriteError {
    fn of(error: &KafkaError) -> Self {
        use RDKafkaErrorCode as Code;
        let Some(code) = error.rdkafka_error_code() else { return Self::Unavailable(error.to_string()) };
        match code {
            Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTopic
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::PolicyViolation => Self::Rejected(code.to_string()),
            _ => Self::Unavailable(code.to_string()),
        }
    }
}

/// Writes to the log. Cheap to share behind an `Arc`; one per process is enough.
pub struct LogWriter {
    client: ClientConfig,
    producer: RwLock<Arc<Producer>>,
}

type Producer = FutureProducer<LogContext>;

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter").field("brokers", &self.client.get("bootstrap.servers")).finish_non_exhaustive()
    }
}

impl LogWriter {
    /// A writer. Does not wait for the brokers.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(config: &WriterConfig) -> KafkaResult<Self> {
        let cluster = Cluster { brokers: config.brokers.clone(), extra: config.extra.clone() };
        let mut client = client_config(&cluster, "faces-writer");
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", config.linger_ms.to_string())
            .set("delivery.timeout.ms", config.delivery_ms_max.to_string())
            .set("queue.buffering.max.messages", config.buffer_records_max.to_string())
            .set("queue.buffering.max.kbytes", config.buffer_kib_max.to_string())
            .set("message.max.bytes", config.record_bytes_max.to_string())
            .set("topic.metadata.propagation.max.ms", "3000");
        apply_extra(&mut client, &cluster);
        let producer = Arc::new(client.create_with_context(LogContext)?);
        Ok(Self { client, producer: RwLock::new(producer) })
    }

    /// Writes records; returns when each is acknowledged (partition and offset) or given up, in the order given.
    pub async fn write(&self, records: Vec<LogRecord>) -> Vec<Result<(i32, i64), WriteError>> {
        let producer = self.producer();
        // All are enqueued before the first is waited for, so that they travel together.
        let sent: Vec<_> = records.iter().map(|record| enqueue(&producer, record)).collect();
        let mut results = Vec::with_capacity(sent.len());
        for delivery in sent {
            results.push(match delivery {
                Ok(delivery) => self.outcome(&producer, delivery).await,
                Err(error) => Err(WriteError::of(&error)),
            });
        }
        results
    }

    /// Records in the buffer or under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.producer().in_flight_count()).unwrap_or(0)
    }

    /// Waits until the buffer is empty, blocking the thread, but not longer than `patience`.
    ///
    /// # Errors
    /// When records are still under way.
    pub fn flush(&self, patience: Duration) -> Result<(), WriteError> {
        self.producer().flush(patience).map_err(|error| WriteError::of(&error))
    }

    /// What became of a record that `producer` was given.
    async fn outcome(&self, producer: &Arc<Producer>, delivery: DeliveryFuture) -> Result<(i32, i64), WriteError> {
        match delivery.await {
            Ok(Ok(delivery)) => Ok((delivery.partition, delivery.offset)),
            Ok(Err((error, _))) => {
                if error.rdkafka_error_code().is_some_and(is_disowned) {
                    self.renew(producer);
                }
                Err(WriteError::of(&error))
            }
            Err(_) => Err(WriteError::Unavailable("the producer was renewed".to_owned())),
        }
    }

    /// The producer; a new one if the old one lost its place in the log for good (a broker that came back without its data).
    fn producer(&self) -> Arc<Producer> {
        let held = self.held();
        if held.client().fatal_error().is_none() {
            return held;
        }
        self.renew(&held);
        self.held()
    }

    fn held(&self) -> Arc<Producer> {
        Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a new producer in the place of a broken one, unless somebody did so already.
    fn renew(&self, broken: &Arc<Producer>) {
        let mut slot = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&slot, broken) {
            return;
        }
        match self.client.create_with_context(LogContext) {
            Ok(renewed) => *slot = Arc::new(renewed),
            Err(error) => tracing::error!(%error, "the producer can't be renewed"),
        }
    }
}

fn enqueue(producer: &Producer, record: &LogRecord) -> KafkaResult<DeliveryFuture> {
    let mut message = FutureRecord::to(&record.topic).payload(&record.payload);
    if !record.key.is_empty() {
        message = message.key(&record.key);
    }
    if record.format != Format::default() {
        let header = Header { key: CONTENT_TYPE, value: Some(record.format.content_type()) };
        message = message.headers(OwnedHeaders::new_with_capacity(1).insert(header));
    }
    producer.send_result(message).map_err(|(error, _)| error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_what_can_be_done() {
        use RDKafkaErrorCode as Code;
        for (code, may_retry) in [
            (Code::QueueFull, true),
            (Code::MessageTimedOut, true),
            (Code::AllBrokersDown, true),
            (Code::NotEnoughReplicas, true),
            (Code::MessageSizeTooLarge, false),
            (Code::UnknownTopic, false),
            (Code::UnknownTopicOrPartition, false),
        ] {
            let error = WriteError::of(&KafkaError::MessageProduction(code));
            assert_eq!(matches!(error, WriteError::Unavailable(_)), may_retry, "{code:?}");
        }
    }
}
