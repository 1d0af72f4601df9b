//! A broker for measurements beside which its own cost is small: librdkafka's mock cluster, a real listener on loopback.
//!
//! It holds 100,000 records or 5 MiB a partition and then drops the oldest, silently: enough for a server that keeps up, useless for
//! one that is to read a full log ([`crate::ingest`] wants another broker).

use std::{future::Future, time::Duration};

use rdkafka::{error::KafkaError, mocking::MockCluster, producer::DefaultProducerContext};

use crate::{cli::BrokerArgs, ingest::preload::Names};

/// A broker that runs; it ends when this is dropped.
pub struct Broker(MockCluster<'static, DefaultProducerContext>);

impl Broker {
    /// Starts it, with the topics of all business units.
    ///
    /// # Errors
    /// When the client library can't listen on loopback, or refuses a topic's name.
    pub fn start(arguments: &BrokerArgs) -> Result<Self, KafkaError> {
        let cluster = MockCluster::new(1)?;
        let names = |bu: &String| Names { prefix: arguments.prefix.clone(), bu: bu.clone() };
        for (place, names) in arguments.bus.iter().map(names).enumerate() {
            let others = names.others().into_iter().filter(|_| place == 0);
            for topic in others.chain([names.events()]) {
                cluster.create_topic(&topic, arguments.partitions, 1)?;
            }
        }
        Ok(Self(cluster))
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// Goes on for `length`, or until `stop`.
    pub async fn serve(self, length: Duration, stop: impl Future<Output = ()>) {
        tokio::time::timeout(length, stop).await.ok(); // either way it ends
    }
}
