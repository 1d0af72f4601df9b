//! Writes records as fast as the broker takes them: no future a record, only counters.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use super::error::IngestError;
use crate::cli::Compression;

/// Callbacks are served after so many records at the latest.
const POLL_EVERY: u64 = 512;

/// What became of the records so far.
#[derive(Debug, Default)]
pub struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl Deliveries {
    /// Acknowledged.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Given up.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Why the first one was given up.
    #[must_use]
    pub fn first_error(&self) -> Option<String> {
        self.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, error: &KafkaError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
    }
}

/// Hears of deliveries; shared with whoever counts.
struct Context(Arc<Deliveries>);

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {} // librdkafka reconnects; what it can't deliver is counted
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.0.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => self.0.fail(error),
        }
    }
}

/// A producer for one topic.
pub struct Writer {
    producer: BaseProducer<Context>,
    deliveries: Arc<Deliveries>,
    topic: String,
    sent: u64,
}

impl Writer {
    /// A writer with large batches: `linger_ms` is how long records wait for company.
    ///
    /// # Errors
    /// When the client can't be made.
    pub fn new(brokers: &str, topic: String, compression: Compression, linger_ms: u32) -> Result<Self, IngestError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "faces-loadtest")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", compression.name())
            .set("linger.ms", linger_ms.to_string())
            .set("batch.num.messages", "20000")
            .set("batch.size", "1000000")
            .set("queue.buffering.max.messages", "500000")
            .set("queue.buffering.max.kbytes", "524288")
            .set("delivery.timeout.ms", "60000")
            .set_log_level(RDKafkaLogLevel::Emerg);
        let deliveries = Arc::new(Deliveries::default());
        let context = Context(Arc::clone(&deliveries));
        let producer = BaseProducer::from_config_and_context(&config, context).map_err(IngestError::Client)?;
        Ok(Self { producer, deliveries, topic, sent: 0 })
    }

    /// The counters.
    #[must_use]
    pub fn deliveries(&self) -> Arc<Deliveries> {
        Arc::clone(&self.deliveries)
    }

    /// Hands a record on; waits while the buffer is full.
    pub fn send(&mut self, key: &str, payload: &[u8]) {
        let mut record = BaseRecord::to(&self.topic).key(key).payload(payload);
        self.sent += 1;
        if self.sent.is_multiple_of(POLL_EVERY) {
            self.poll();
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return self.deliveries.fail(&error),
            }
        }
    }

    /// Hears of what was delivered meanwhile.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until nothing is under way, at most `patience`.
    pub fn flush(&self, patience: Duration) {
        self.producer.flush(patience).ok(); // the counters tell
    }
}
