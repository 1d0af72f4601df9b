//! What the consumer may be told: read from a file by whoever runs it, checked once in [`crate::Ingest::start`].

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    cluster::{Cluster, Redacted},
    decode::Limits,
    topics::Topics,
};

/// Everything the consumer may be told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// Bootstrap brokers, `host:port,host:port`.
    pub brokers: String,
    /// First part of every topic's name.
    pub topic_prefix: String,
    /// Group under which positions are committed, so that the usual lag tools see them. One per replica: positions are not shared.
    pub group_id: String,
    /// How often new topics and partitions are looked for.
    pub discovery_ms: u64,
    /// How often the ends of all partitions are asked for: the resolution of the view's age.
    pub watermark_ms: u64,
    /// How often positions are committed.
    pub commit_ms: u64,
    /// How far ahead of its append time a record may claim to be.
    pub future_tolerance_ms: u64,
    /// Longest time a broker holds a fetch for want of data. More than 10 is felt as stale slates.
    pub fetch_wait_ms_max: u32,
    /// Most records in one batch.
    pub batch_records_max: usize,
    /// Threads that read and apply, each with a connection and a share of the partitions of its own; 0 for one per core, at most 4.
    pub readers: usize,
    /// Most bytes that librdkafka holds ahead of reading, over all readers, KiB.
    pub prefetch_kib_max: u32,
    /// Largest payload taken; larger ones go to the dead letters.
    pub record_bytes_max: usize,
    /// How many events of one key in one second are ordinary; what is more is counted as a hot key's (and applied).
    pub hot_key_events_per_second: u32,
    /// Longest wait between two attempts to write a dead letter.
    pub dead_letter_backoff_ms_max: u64,
    /// How long a topic or a record that an earlier run has read may be missing after the start; then that is an error.
    pub resume_ms_max: u64,
    /// Longest wait for an answer of the brokers to a question of ours (metadata, ends).
    pub request_ms_max: u64,
    /// Longest time that stopping may take.
    pub stop_ms_max: u64,
    /// Raw librdkafka properties (TLS, SASL, tuning); they win over what this crate sets, except for those its promises rest on.
    #[serde(deserialize_with = "properties")]
    pub extra: BTreeMap<String, String>,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            topic_prefix: "faces".to_owned(),
            group_id: "faces-0".to_owned(),
            discovery_ms: 2_000,
            watermark_ms: 250,
            commit_ms: 1_000,
            future_tolerance_ms: 300_000,
            fetch_wait_ms_max: 10,
            batch_records_max: 1_024,
            readers: 0,
            prefetch_kib_max: 65_536,
            record_bytes_max: 1_048_576,
            hot_key_events_per_second: 100,
            dead_letter_backoff_ms_max: 5_000,
            resume_ms_max: 30_000,
            request_ms_max: 3_000,
            stop_ms_max: 10_000,
            extra: BTreeMap::new(),
        }
    }
}

/// Reads properties by their dotted names, also where each dot begins a table, as it does in `--set`, in the environment, and in TOML without
/// quotes. These win: a file's quoted names are what the others are laid over.
fn properties<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Property {
        Flag(bool),
        Whole(i64),
        Fraction(f64),
        Text(String),
        Table(BTreeMap<String, Property>),
    }
    fn put(name: String, property: Property, into: &mut BTreeMap<String, String>) {
        let text = match property {
            Property::Flag(value) => value.to_string(),
            Property::Whole(value) => value.to_string(),
            Property::Fraction(value) => value.to_string(),
            Property::Text(text) => text,
            Property::Table(table) => {
                return table.into_iter().for_each(|(key, inner)| put(format!("{name}.{key}"), inner, into));
            }
        };
        into.insert(name, text);
    }
    let (tables, plain): (Vec<_>, Vec<_>) = BTreeMap::<String, Property>::deserialize(from)?
        .into_iter()
        .partition(|(_, property)| matches!(property, Property::Table(_)));
    let mut read = BTreeMap::new();
    plain.into_iter().chain(tables).for_each(|(name, property)| put(name, property, &mut read));
    Ok(read)
}

/// What a setting must be for the consumer to work at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nothing where something is needed.
    #[error("`{0}` is empty: set it")]
    Empty(&'static str),
    /// Zero where at least one is needed.
    #[error("`{0}` is 0: give at least 1")]
    Zero(&'static str),
    /// A property that the crate's promises rest on.
    #[error("`extra` may not set {0}: counting every event once rests on it; remove it")]
    Reserved(String),
    /// The prefix can't begin a topic's name.
    #[error("`topic_prefix`: {0}")]
    Prefix(#[from] crate::topics::TopicError),
}

const READERS_MAX_BY_DEFAULT: usize = 4;

const RESERVED: [&str; 5] =
    ["group.id", "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset", "allow.auto.create.topics"];

impl IngestConfig {
    /// How to reach the cluster.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        Cluster { brokers: self.brokers.clone(), extra: self.extra.clone() }
    }

    /// Topic names.
    ///
    /// # Errors
    /// When the prefix can't begin a topic's name.
    pub fn topics(&self) -> Result<Topics, ConfigError> {
        Ok(Topics::new(&self.topic_prefix)?)
    }

    /// Limits on records.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits { record_bytes_max: self.record_bytes_max, future_tolerance_ms: self.future_tolerance_ms }
    }

    /// Checks what can be checked without a broker.
    ///
    /// # Errors
    /// The first setting at fault.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (name, text) in [("brokers", &self.brokers), ("group_id", &self.group_id)] {
            if text.is_empty() {
                return Err(ConfigError::Empty(name));
            }
        }
        let numbers = [
            ("discovery_ms", self.discovery_ms),
            ("watermark_ms", self.watermark_ms),
            ("commit_ms", self.commit_ms),
            ("batch_records_max", self.batch_records_max as u64),
            ("prefetch_kib_max", u64::from(self.prefetch_kib_max)),
            ("record_bytes_max", self.record_bytes_max as u64),
            ("dead_letter_backoff_ms_max", self.dead_letter_backoff_ms_max),
            ("request_ms_max", self.request_ms_max),
        ];
        if let Some((name, _)) = numbers.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Zero(name));
        }
        if let Some(key) = self.extra.keys().find(|key| RESERVED.contains(&key.as_str())) {
            return Err(ConfigError::Reserved(key.clone()));
        }
        self.topics().map(|_| ())
    }

    /// How many readers there are to be.
    pub(crate) fn reader_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        if self.readers == 0 { cores().min(READERS_MAX_BY_DEFAULT) } else { self.readers }
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_ms_max)
    }
}

impl fmt::Debug for IngestConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestConfig")
            .field("brokers", &self.brokers)
            .field("topic_prefix", &self.topic_prefix)
            .field("group_id", &self.group_id)
            .field("extra", &Redacted(&self.extra))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_faults_are_named() {
        let sound = IngestConfig::default();
        assert_eq!(sound.check(), Ok(()));
        let extra = |key: &str| BTreeMap::from([(key.to_owned(), "x".to_owned())]);
        for (config, expected) in [
            (IngestConfig { brokers: String::new(), ..sound.clone() }, "`brokers`"),
            (IngestConfig { commit_ms: 0, ..sound.clone() }, "`commit_ms`"),
            (IngestConfig { extra: extra("enable.auto.commit"), ..sound.clone() }, "enable.auto.commit"),
            (IngestConfig { topic_prefix: "a b".to_owned(), ..sound.clone() }, "`topic_prefix`"),
        ] {
            let message = config.check().map_err(|error| error.to_string()).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let extra = BTreeMap::from([("sasl.password".to_owned(), "hunter2".to_owned())]);
        let shown = format!("{:?}", IngestConfig { extra, ..IngestConfig::default() });
        assert!(!shown.contains("hunter2") && shown.contains("sasl.password"), "{shown}");
    }
}
