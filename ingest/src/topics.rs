//! Topic names, what lies in which, and making those that are missing.

use std::{fmt, time::Duration};

use faces_core::key::check_bu_name;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
};
use thiserror::Error;

use crate::{
    client::{LogContext, client_config},
    cluster::Cluster,
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const TOPIC_NAME_BYTES_MAX: usize = 249; // Kafka's own limit
const PREFIX_BYTES_MAX: usize = 128; // leaves room for ".events." and the longest name of a business unit

/// What lies in a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicKind {
    /// `v1::Event` of one business unit.
    Events {
        /// Name of the business unit.
        bu: String,
    },
    /// `v1::IdentityLink`.
    Identity,
    /// `v1::CatalogRecord`.
    Catalog,
    /// What was refused.
    DeadLetters,
}

impl TopicKind {
    /// Whether the consumer reads it.
    #[must_use]
    pub const fn is_source(&self) -> bool {
        !matches!(self, Self::DeadLetters)
    }

    /// Short name without the business unit, for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Events { .. } => "events",
            Self::Identity => "identity",
            Self::Catalog => "catalog",
            Self::DeadLetters => "dlq",
        }
    }
}

/// Why topics could not be named or made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TopicError {
    /// The prefix can't begin a topic's name.
    #[error("prefix {0:?} can't begin a topic's name: use 1 to 128 of a-z, A-Z, 0-9, '.', '_' and '-'")]
    Prefix(String),
    /// A business unit's name can't be part of a topic's name.
    #[error("business unit {0:?}: use 1 to 64 of a-z, 0-9, '_' and '-'")]
    Bu(String),
    /// The brokers did not answer.
    #[error("brokers {brokers} can't be asked for their topics: check that they run and can be reached")]
    Unreachable {
        /// The brokers asked.
        brokers: String,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// The brokers said which topics they have, but not that they made those that are missing.
    #[error(
        "topics {} are missing on brokers {brokers}, which answer but did not make them: make them beforehand, or allow this \
         client to make topics",
        topics.join(", ")
    )]
    NotMade {
        /// The brokers asked.
        brokers: String,
        /// Topics that are missing.
        topics: Box<[String]>,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// A topic could not be made.
    #[error("topic {topic} could not be made ({code}): make it by hand, or give this client the right to")]
    Create {
        /// Which one.
        topic: String,
        /// What the broker says.
        code: RDKafkaErrorCode,
    },
}

/// Topic names under one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self { prefix: "faces".to_owned() }
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.*", self.prefix)
    }
}

impl Topics {
    /// Names under `prefix`.
    ///
    /// # Errors
    /// When the prefix can't begin a topic's name.
    pub fn new(prefix: &str) -> Result<Self, TopicError> {
        const { assert!(PREFIX_BYTES_MAX + 8 + 64 <= TOPIC_NAME_BYTES_MAX) };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(allowed) {
            return Err(TopicError::Prefix(prefix.to_owned()));
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    /// What topics that are read are called, as a regular expression of librdkafka.
    pub(crate) fn pattern(&self) -> String {
        format!("^{}\\.(events\\.[a-z0-9_-]+|identity|catalog)$", self.prefix.replace('.', "\\."))
    }

    /// Topic of a business unit's events.
    #[must_use]
    pub fn events(&self, bu: &str) -> String {
        format!("{}.events.{bu}", self.prefix)
    }

    /// Topic of identity links.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}.identity", self.prefix)
    }

    /// Topic of catalogue changes.
    #[must_use]
    pub fn catalog(&self) -> String {
        format!("{}.catalog", self.prefix)
    }

    /// Topic of dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        format!("{}.dlq", self.prefix)
    }

    /// What lies in a topic; `None` when it is none of ours.
    #[must_use]
    pub fn kind(&self, topic: &str) -> Option<TopicKind> {
        match topic.strip_prefix(&self.prefix)?.strip_prefix('.')? {
            "identity" => Some(TopicKind::Identity),
            "catalog" => Some(TopicKind::Catalog),
            "dlq" => Some(TopicKind::DeadLetters),
            rest => {
                let bu = rest.strip_prefix("events.")?;
                check_bu_name(bu).ok().map(|()| TopicKind::Events { bu: bu.to_owned() })
            }
        }
    }
}

/// How topics are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Partitions of each topic of events; the other topics have as many, up to 8.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
}

/// Makes the topics that are missing (identity, catalogue, dead letters, events of each of `bus`) and names them. Idempotent.
///
/// Event topics stamp records with the broker's clock where the broker knows how, because the rule on future times rests on append time;
/// identity and catalogue are kept for ever, because a replica that starts reads them from their beginning.
///
/// # Errors
/// When a name is not allowed, the brokers don't answer, or one refuses.
pub async fn ensure(cluster: &Cluster, topics: &Topics, bus: &[&str], layout: Layout) -> Result<Vec<String>, TopicError> {
    ensure_within(cluster, topics, bus, layout, REQUEST_TIMEOUT).await
}

/// As [`ensure`], giving up after `patience` with making topics.
async fn ensure_within(
    cluster: &Cluster,
    topics: &Topics,
    bus: &[&str],
    layout: Layout,
    patience: Duration,
) -> Result<Vec<String>, TopicError> {
    if let Some(bu) = bus.iter().find(|bu| check_bu_name(bu).is_err()) {
        return Err(TopicError::Bu((*bu).to_owned()));
    }
    let unreachable = |source| TopicError::Unreachable { brokers: cluster.brokers.clone(), source };
    let admin: AdminClient<LogContext> =
        client_config(cluster, "faces-topics").create_with_context(LogContext).map_err(unreachable)?;
    let (admin, metadata) = tokio::task::spawn_blocking(move || {
        let metadata = admin.inner().fetch_metadata(None, REQUEST_TIMEOUT);
        (admin, metadata)
    })
    .await
    .map_err(|_| unreachable(KafkaError::Canceled))?;
    let metadata = metadata.map_err(unreachable)?;

    let few = layout.partitions.min(8);
    const FOREVER: &[(&str, &str)] = &[("retention.ms", "-1")];
    const STAMPED: &[(&str, &str)] = &[("message.timestamp.type", "LogAppendTime")];
    let mut wanted = vec![(topics.identity(), few, FOREVER), (topics.catalog(), few, FOREVER), (topics.dead_letters(), few, &[])];
    wanted.extend(bus.iter().map(|bu| (topics.events(bu), layout.partitions, STAMPED)));
    wanted.retain(|(name, ..)| !metadata.topics().iter().any(|topic| topic.name() == name && !topic.partitions().is_empty()));
    drop(metadata);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }

    let new: Vec<NewTopic<'_>> = wanted
        .iter()
        .map(|(name, partitions, settings)| {
            let bare = NewTopic::new(name, *partitions, TopicReplication::Fixed(layout.replication));
            settings.iter().fold(bare, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(patience)).operation_timeout(Some(patience));
    let results = admin.create_topics(&new, &options).await.map_err(|source| TopicError::NotMade {
        brokers: cluster.brokers.clone(),
        topics: wanted.iter().map(|(name, ..)| name.clone()).collect(),
        source,
    })?;
    let mut made = Vec::new();
    for result in results {
        match result {
            Ok(topic) => made.push(topic),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(TopicError::Create { topic, code }),
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn names_parse_back_to_kinds() {
        let topics = Topics::new("faces").unwrap();
        let events = |bu: &str| Some(TopicKind::Events { bu: bu.to_owned() });
        for (name, expected) in [
            (topics.events("video"), events("video")),
            (topics.identity(), Some(TopicKind::Identity)),
            (topics.catalog(), Some(TopicKind::Catalog)),
            (topics.dead_letters(), Some(TopicKind::DeadLetters)),
            ("faces.events.".to_owned(), None),
            ("faces.events.Video".to_owned(), None),
            ("faces2.identity".to_owned(), None),
            ("faces".to_owned(), None),
            ("other.events.video".to_owned(), None),
        ] {
            assert_eq!(topics.kind(&name), expected, "{name}");
        }
    }

    /// librdkafka's mock cluster has no way to make topics; who asks it learns so by waiting in vain.
    #[tokio::test]
    async fn brokers_that_make_no_topics_are_told_from_brokers_that_do_not_answer() {
        let brokers = MockCluster::new(1).unwrap();
        brokers.create_topic("faces.catalog", 1, 1).unwrap();
        let cluster = Cluster::at(&brokers.bootstrap_servers());
        let layout = Layout { partitions: 1, replication: 1 };
        let patience = Duration::from_millis(500);
        let error = ensure_within(&cluster, &Topics::default(), &["video"], layout, patience).await.unwrap_err();
        let TopicError::NotMade { topics, .. } = &error else { panic!("{error:?}") };
        assert_eq!(**topics, ["faces.identity", "faces.dlq", "faces.events.video"]);
        let told = error.to_string();
        for part in [cluster.brokers.as_str(), "faces.identity, faces.dlq, faces.events.video", "make them beforehand"] {
            assert!(told.contains(part), "no {part} in {told}");
        }
    }

    #[test]
    fn prefixes_are_checked() {
        for (prefix, sound) in [("faces", true), ("a.b-c_D", true), ("", false), ("a b", false), (&"x".repeat(200), false)] {
            assert_eq!(Topics::new(prefix).is_ok(), sound, "{prefix:?}");
        }
    }
}
