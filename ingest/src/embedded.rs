//! A broker inside this process, for demonstrations: librdkafka's mock cluster, a real TCP listener on loopback.
//!
//! Not for data that matters: everything is gone with the process, and beyond 100,000 records or 5 MiB a partition the oldest
//! are dropped silently.

use rdkafka::{error::KafkaResult, mocking::MockCluster, producer::DefaultProducerContext};

use crate::{cluster::Cluster, topics::Topics};

/// A one-broker cluster that lives as long as this value.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts the broker with the topics of a group of business units, `partitions` each.
    ///
    /// # Errors
    /// When librdkafka can't listen on loopback.
    pub fn start(topics: &Topics, bus: &[&str], partitions: i32) -> KafkaResult<Self> {
        let cluster = MockCluster::new(1)?;
        let events = bus.iter().map(|bu| topics.events(bu));
        for topic in events.chain([topics.identity(), topics.catalog(), topics.dead_letters()]) {
            cluster.create_topic(&topic, partitions, 1)?;
        }
        Ok(Self { cluster })
    }

    /// How to reach it.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        Cluster::at(&self.cluster.bootstrap_servers())
    }
}
