//! Writing refused records back: the same key, payload and format, and a header that says where they came from.

use std::{collections::BTreeSet, time::Duration};

use rdkafka::{
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};

use super::{Letter, LettersError, REDRIVEN_FROM};
use crate::{
    client::{apply_extra, client_config},
    cluster::Cluster,
    decode::CONTENT_TYPE,
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes letters back.
pub struct Redriver {
    producer: FutureProducer<DefaultClientContext>,
    topics: BTreeSet<String>,
}

impl Redriver {
    /// Connects, and learns which topics there are. Blocks the thread.
    ///
    /// # Errors
    /// When the brokers don't answer.
    pub fn connect(cluster: &Cluster) -> Result<Self, LettersError> {
        let mut client = client_config(cluster, "faces-redrive");
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "5")
            .set("delivery.timeout.ms", "30000")
            .set("allow.auto.create.topics", "false")
            // The topic decides what is too large, not this client.
            .set("message.max.bytes", "100000000");
        apply_extra(&mut client, cluster);
        let producer: FutureProducer<DefaultClientContext> = client.create().map_err(LettersError::Client)?;
        let metadata = producer
            .client()
            .fetch_metadata(None, REQUEST_TIMEOUT)
            .map_err(|source| LettersError::Unreachable { brokers: cluster.brokers.clone(), source })?;
        let there = metadata.topics().iter().filter(|topic| !topic.partitions().is_empty());
        let topics = there.map(|topic| topic.name().to_owned()).collect();
        Ok(Self { producer, topics })
    }

    /// Whether there is such a topic.
    #[must_use]
    pub fn has_topic(&self, topic: &str) -> bool {
        self.topics.contains(topic)
    }

    /// Sends the record of `letter` to `topic`; what became of it is told by the delivery. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the client does not take it.
    pub fn send(&self, letter: &Letter, topic: &str) -> Result<Delivery, String> {
        let from = letter.address.to_string();
        let mut headers = OwnedHeaders::new_with_capacity(2).insert(Header { key: REDRIVEN_FROM, value: Some(&from) });
        if let Some(content_type) = &letter.content_type {
            headers = headers.insert(Header { key: CONTENT_TYPE, value: Some(content_type) });
        }
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).headers(headers);
        record.key = letter.key.as_deref();
        record.payload = letter.payload.as_deref();
        self.producer.send_result(record).map(Delivery).map_err(|(error, _)| error.to_string())
    }
}

/// A record on its way.
pub struct Delivery(DeliveryFuture);

impl Delivery {
    /// Partition and offset, once the brokers have it.
    ///
    /// # Errors
    /// What the broker or the client says. The record is then not written, unless an acknowledgement was lost.
    pub async fn outcome(self) -> Result<(i32, i64), String> {
        match self.0.await {
            Ok(Ok(delivery)) => Ok((delivery.partition, delivery.offset)),
            Ok(Err((error, _))) => Err(error.to_string()),
            Err(_) => Err("the producer has ended".to_owned()),
        }
    }
}
