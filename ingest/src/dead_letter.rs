//! The dead-letter topic: where refused records go, whole, with their address and the reason.
//!
//! Header `faces-truncated` (the payload's full size) marks a letter that was cut, because the topic takes no records of its size: of
//! payload, key and the record's own headers no more than the beginning is left, so that no record is too large to be refused.
//! Letters are addressed by (topic, partition, offset): each replica writes its own copy, told apart by `faces-group`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, Message,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use crate::{
    client::{apply_extra, client_config, is_disowned, log_error, log_line},
    cluster::Cluster,
    config::IngestConfig,
    consumer::stop::Stop,
    decode::{CONTENT_TYPE, Rejection},
    letters::REDRIVEN_FROM,
    progress::Progress,
    topics::Topics,
};

const DETAIL_BYTES_MAX: usize = 512;
const TRUNCATED_BYTES: usize = 65_536;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// A refused record.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) content_type: Option<Vec<u8>>,
    /// Where the record was written back from, if it was a letter before.
    pub(crate) redriven_from: Option<Vec<u8>>,
    pub(crate) rejection: Rejection,
}

impl DeadLetter {
    /// Whether something of it is left out where it is cut.
    fn is_long(&self) -> bool {
        let parts = [&self.key, &self.payload, &self.content_type, &self.redriven_from];
        parts.into_iter().flatten().any(|part| part.len() > TRUNCATED_BYTES)
    }
}

/// Writes dead letters and waits until the brokers have them.
pub(crate) struct DeadLetterWriter {
    topic: String,
    group_id: String,
    client: ClientConfig,
    producer: BaseProducer<Deliveries>,
    is_disowned: bool,
    backoff_max: Duration,
}

impl DeadLetterWriter {
    pub(crate) fn new(config: &IngestConfig, topics: &Topics) -> KafkaResult<Self> {
        let client = producer_config(&config.cluster());
        Ok(Self {
            topic: topics.dead_letters(),
            group_id: config.group_id.clone(),
            producer: make(&client)?,
            client,
            is_disowned: false,
            backoff_max: Duration::from_millis(config.dead_letter_backoff_ms_max),
        })
    }

    /// Returns when the brokers have all letters: `true`. `false`: a stop was requested before.
    pub(crate) fn deliver(&mut self, letters: &[DeadLetter], progress: &Progress, stop: &Stop) -> bool {
        let whole: Vec<(&DeadLetter, bool)> = letters.iter().map(|letter| (letter, false)).collect();
        let left = self.attempt_each(&whole, stop);
        if left.is_empty() {
            return true;
        }
        progress.set_held(true);
        let delivered = self.insist(left, progress, stop);
        progress.set_held(false);
        delivered
    }

    /// Tries until the brokers have all, or a stop is requested.
    fn insist(&mut self, mut left: Vec<(&DeadLetter, bool)>, progress: &Progress, stop: &Stop) -> bool {
        let mut backoff = BACKOFF_FIRST;
        while !left.is_empty() {
            if stop.is_requested() {
                return false;
            }
            progress.note_dead_letter_retry();
            tracing::warn!(
                topic = self.topic,
                letters = left.len(),
                retry_ms = backoff.as_millis(),
                "dead letters can't be written, so reading waits: check that the topic exists and takes writes"
            );
            stop.sleep(backoff);
            backoff = (backoff * 2).min(self.backoff_max);
            self.renew_if_broken();
            left = self.attempt_each(&left, stop);
        }
        true
    }

    /// Tries once. Gives the letters that failed, cut where they were too large.
    fn attempt_each<'l>(&mut self, letters: &[(&'l DeadLetter, bool)], stop: &Stop) -> Vec<(&'l DeadLetter, bool)> {
        let failed = self.attempt(letters, stop);
        self.is_disowned = failed.iter().any(|(_, code)| is_disowned(*code));
        let still = failed.into_iter().filter_map(|(index, code)| {
            let (letter, truncate) = *letters.get(index)?;
            Some((letter, truncate || code == RDKafkaErrorCode::MessageSizeTooLarge))
        });
        still.collect()
    }

    /// Tries once. Gives the letters that failed, by index.
    fn attempt(&self, letters: &[(&DeadLetter, bool)], stop: &Stop) -> Vec<(usize, RDKafkaErrorCode)> {
        let deliveries = Arc::clone(self.producer.context());
        let first = deliveries.begin(letters.len());
        for (number, (letter, truncate)) in (first..).zip(letters) {
            self.send(number, letter, *truncate, &deliveries);
        }
        let deadline = Instant::now() + ATTEMPT_TIMEOUT + Duration::from_secs(1);
        while deliveries.are_pending() && Instant::now() < deadline && !stop.is_requested() {
            self.producer.poll(Duration::from_millis(5));
        }
        if deliveries.are_pending() {
            // One last chance on the way out.
            self.producer.poll(Duration::from_millis(500));
        }
        deliveries.failures()
    }

    fn send(&self, number: usize, letter: &DeadLetter, truncate: bool, deliveries: &Deliveries) {
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.topic, number).headers(self.headers(letter, truncate));
        record.key = letter.key.as_deref().map(|key| part(key, truncate));
        record.payload = letter.payload.as_deref().map(|payload| part(payload, truncate));
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => {
                    return deliveries.note(number, Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)));
                }
            }
        }
    }

    fn headers(&self, letter: &DeadLetter, truncate: bool) -> OwnedHeaders {
        let (partition, offset) = (letter.partition.to_string(), letter.offset.to_string());
        let detail = head_of_text(&letter.rejection.detail, DETAIL_BYTES_MAX);
        let text = |headers: OwnedHeaders, key, value: &str| headers.insert(Header { key, value: Some(value) });
        let mut headers = OwnedHeaders::new_with_capacity(9);
        headers = text(headers, "faces-topic", &letter.topic);
        headers = text(headers, "faces-partition", &partition);
        headers = text(headers, "faces-offset", &offset);
        headers = text(headers, "faces-reason", letter.rejection.reason.code());
        headers = text(headers, "faces-detail", detail);
        headers = text(headers, "faces-group", &self.group_id);
        if let Some(content_type) = &letter.content_type {
            headers = headers.insert(Header { key: CONTENT_TYPE, value: Some(part(content_type, truncate)) });
        }
        if let Some(from) = &letter.redriven_from {
            headers = headers.insert(Header { key: REDRIVEN_FROM, value: Some(part(from, truncate)) });
        }
        if truncate && letter.is_long() {
            let bytes = letter.payload.as_ref().map_or(0, Vec::len).to_string();
            headers = text(headers, "faces-truncated", &bytes);
        }
        headers
    }

    /// An idempotent producer that lost its place in the log is of no more use; a new one begins a new place.
    fn renew_if_broken(&mut self) {
        if !self.is_disowned && self.producer.client().fatal_error().is_none() {
            return;
        }
        match make(&self.client) {
            Ok(producer) => self.producer = producer,
            Err(error) => tracing::error!(%error, "the producer of dead letters can't be renewed"),
        }
    }
}

fn producer_config(cluster: &Cluster) -> ClientConfig {
    let mut client = client_config(cluster, "faces-dead-letters");
    client
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("message.timeout.ms", ATTEMPT_TIMEOUT.as_millis().to_string())
        // What a topic takes is counted by batch: letters that are small by themselves must not be too large together.
        .set("batch.size", TRUNCATED_BYTES.to_string())
        // The topic decides what is too large, not this client: letters are as large as the records that were read.
        .set("message.max.bytes", "100000000");
    apply_extra(&mut client, cluster);
    client
}

fn make(client: &ClientConfig) -> KafkaResult<BaseProducer<Deliveries>> {
    BaseProducer::from_config_and_context(client, Deliveries::default())
}

/// The whole, or no more than its beginning.
fn part(bytes: &[u8], truncate: bool) -> &[u8] {
    bytes.get(..TRUNCATED_BYTES).filter(|_| truncate).unwrap_or(bytes)
}

fn head_of_text(text: &str, bytes_max: usize) -> &str {
    let cut = (0..=bytes_max).rev().find_map(|end| text.get(..end));
    if text.len() <= bytes_max { text } else { cut.unwrap_or_default() }
}

/// Collects what became of the letters of one attempt. Letters have numbers that no other attempt has: a report that comes late is of
/// none that is waited for.
#[derive(Debug, Default)]
struct Deliveries(Mutex<Attempt>);

#[derive(Debug, Default)]
struct Attempt {
    first: usize,
    /// From `first` on; `None` while it is not known.
    results: Vec<Option<Result<(), RDKafkaErrorCode>>>,
}

impl Deliveries {
    /// Gives the number of the first letter; the others' follow.
    fn begin(&self, letters: usize) -> usize {
        let Attempt { first, results } = &mut *self.0.lock();
        *first += results.len();
        results.clear();
        results.resize(letters, None);
        *first
    }

    fn note(&self, number: usize, result: Result<(), RDKafkaErrorCode>) {
        let Attempt { first, results } = &mut *self.0.lock();
        if let Some(slot) = number.checked_sub(*first).and_then(|index| results.get_mut(index)) {
            *slot = Some(result);
        }
    }

    fn are_pending(&self) -> bool {
        self.0.lock().results.iter().any(Option::is_none)
    }

    /// By index, not by number.
    fn failures(&self) -> Vec<(usize, RDKafkaErrorCode)> {
        let failure = |result: &Option<Result<(), RDKafkaErrorCode>>| match result {
            Some(Ok(())) => None,
            Some(Err(code)) => Some(*code),
            None => Some(RDKafkaErrorCode::MessageTimedOut),
        };
        self.0.lock().results.iter().enumerate().filter_map(|(index, result)| Some((index, failure(result)?))).collect()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, message)) => {
                tracing::debug!(%error, topic = message.topic(), "dead letter");
                Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))
            }
        };
        self.note(number, result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_not_larger_together_than_one_that_was_cut() {
        assert_eq!(producer_config(&Cluster::at("127.0.0.1:1")).get("batch.size"), Some("65536"));
    }

    #[test]
    fn details_are_cut_between_characters() {
        for (text, bytes_max, expected) in [("abc", 5, "abc"), ("abc", 2, "ab"), ("aé", 2, "a"), ("", 3, "")] {
            assert_eq!(head_of_text(text, bytes_max), expected);
        }
    }

    #[test]
    fn an_attempt_fails_where_no_delivery_was_heard_of() {
        let deliveries = Deliveries::default();
        deliveries.begin(3);
        deliveries.note(0, Ok(()));
        deliveries.note(1, Err(RDKafkaErrorCode::MessageSizeTooLarge));
        assert!(deliveries.are_pending());
        let expected = vec![(1, RDKafkaErrorCode::MessageSizeTooLarge), (2, RDKafkaErrorCode::MessageTimedOut)];
        assert_eq!(deliveries.failures(), expected);

        let first = deliveries.begin(2);
        deliveries.note(2, Ok(())); // of the attempt before
        deliveries.note(first + 1, Ok(()));
        assert_eq!(deliveries.failures(), [(0, RDKafkaErrorCode::MessageTimedOut)]);
    }
}
