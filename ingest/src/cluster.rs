//! How to reach a Kafka cluster.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// How to reach a Kafka cluster.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Bootstrap brokers, `host:port,host:port`.
    pub brokers: String,
    /// Raw librdkafka properties (TLS, SASL, tuning); they win over what this crate sets.
    pub extra: BTreeMap<String, String>,
}

impl Cluster {
    /// A cluster without further properties.
    #[must_use]
    pub fn at(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned(), extra: BTreeMap::new() }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("brokers", &self.brokers).field("extra", &Redacted(&self.extra)).finish()
    }
}

/// Shows properties without what must not be in a log.
pub(crate) struct Redacted<'a>(pub(crate) &'a BTreeMap<String, String>);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_secret =
            |key: &str| ["password", "secret", "key.pem", "jaas", "oauthbearer"].iter().any(|part| key.contains(part));
        f.debug_map().entries(self.0.iter().map(|(k, v)| (k, if is_secret(k) { "***" } else { v.as_str() }))).finish()
    }
}
