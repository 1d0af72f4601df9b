//! Topics under a prefix of their own, and the events in them.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    error::RDKafkaErrorCode,
};

use super::{error::IngestError, events::Events, writer::Writer};
use crate::cli::IngestArgs;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const FLUSH_PATIENCE: Duration = Duration::from_secs(90);
const LINGER_MS: u32 = 50;
const TOLD_EVERY: u64 = 20_000;

/// Names of topics, as `faces.v1` has them.
#[derive(Clone, Debug)]
pub struct Names {
    /// First part of all.
    pub prefix: String,
    /// Business unit.
    pub bu: String,
}

impl Names {
    /// The topic of events.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{}.events.{}", self.prefix, self.bu)
    }

    /// The topics that all business units share.
    #[must_use]
    pub fn others(&self) -> [String; 3] {
        ["identity", "catalog", "dlq"].map(|what| format!("{}.{what}", self.prefix))
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Preloaded {
    /// Events that the broker acknowledged.
    pub events: u64,
    /// Payload bytes of these.
    pub bytes: u64,
    /// How long that took.
    pub seconds: f64,
}

/// Refuses brokers on other machines. No name but `localhost` is resolved to find out.
///
/// # Errors
/// [`IngestError::Brokers`] or [`IngestError::BrokerRemote`].
pub fn check_brokers(brokers: &str, allow_remote: bool) -> Result<(), IngestError> {
    for broker in brokers.split(',') {
        let broker = broker.trim();
        let (host, port) = broker.rsplit_once(':').ok_or_else(|| IngestError::Brokers(brokers.to_owned()))?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(IngestError::Brokers(brokers.to_owned()));
        }
        if !allow_remote && !is_loopback(host) {
            return Err(IngestError::BrokerRemote(broker.to_owned()));
        }
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    literal.parse::<IpAddr>().map_or_else(|_| literal.eq_ignore_ascii_case("localhost"), |ip| ip.to_canonical().is_loopback())
}

type Admin = AdminClient<DefaultClientContext>;

fn admin(brokers: &str) -> Result<Admin, IngestError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set_log_level(RDKafkaLogLevel::Emerg);
    config.create().map_err(IngestError::Client)
}

/// Makes the topics that a server reads: events with `partitions`, the others with up to 8.
///
/// # Errors
/// Brokers that don't answer or refuse; topics that are there already.
pub fn make_topics(brokers: &str, names: &Names, partitions: i32) -> Result<(), IngestError> {
    let unreachable = |source| IngestError::Unreachable { brokers: brokers.to_owned(), source };
    let admin = admin(brokers)?;
    admin.inner().fetch_metadata(None, REQUEST_TIMEOUT).map_err(unreachable)?;
    let few = partitions.min(8);
    let others = names.others().map(|name| (name, few));
    let wanted: Vec<(String, i32)> = others.into_iter().chain([(names.events(), partitions)]).collect();
    let new: Vec<NewTopic<'_>> =
        wanted.iter().map(|(name, partitions)| NewTopic::new(name, *partitions, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT));
    let made = tokio::runtime::Handle::current().block_on(admin.create_topics(&new, &options)).map_err(unreachable)?;
    for result in made {
        match result {
            Err((topic, code)) if code != RDKafkaErrorCode::NoError => return Err(IngestError::Topic { topic, code }),
            _ => {}
        }
    }
    Ok(())
}

/// Checks that the topic of events is there, with so many partitions.
///
/// # Errors
/// When it is not, or nobody answers.
pub fn check_topic(brokers: &str, names: &Names, partitions: i32) -> Result<(), IngestError> {
    let found = partitions_of(brokers, &names.events())?;
    let is_it = i32::try_from(found) == Ok(partitions);
    if is_it { Ok(()) } else { Err(IngestError::NotPreloaded { topic: names.events(), partitions }) }
}

/// Checks that the topic of events is there.
///
/// # Errors
/// When it is not, or nobody answers.
pub fn check_there(brokers: &str, names: &Names) -> Result<(), IngestError> {
    if partitions_of(brokers, &names.events())? == 0 { Err(IngestError::NoTopic { topic: names.events() }) } else { Ok(()) }
}

/// Partitions of a topic, 0 when there is none.
fn partitions_of(brokers: &str, topic: &str) -> Result<usize, IngestError> {
    let unreachable = |source| IngestError::Unreachable { brokers: brokers.to_owned(), source };
    // All topics: asking for one that is missing may make it.
    let metadata = admin(brokers)?.inner().fetch_metadata(None, REQUEST_TIMEOUT).map_err(unreachable)?;
    Ok(metadata.topics().iter().find(|found| found.name() == topic).map_or(0, |found| found.partitions().len()))
}

/// Writes all events. `progress` hears how many the broker has.
///
/// # Errors
/// When the broker did not take all of them, or `stop` was set.
pub fn write(
    arguments: &IngestArgs,
    names: &Names,
    mut events: Events,
    stop: &AtomicBool,
    mut progress: impl FnMut(u64),
) -> Result<Preloaded, IngestError> {
    let mut writer = Writer::new(&arguments.brokers, names.events(), arguments.compression, LINGER_MS)?;
    let deliveries = writer.deliveries();
    let (mut sent, mut bytes) = (0_u64, 0_u64);
    while let Some((key, payload)) = events.advance() {
        bytes += payload.len() as u64;
        writer.send(key, payload);
        sent += 1;
        if sent.is_multiple_of(TOLD_EVERY) {
            progress(deliveries.delivered());
            if stop.load(Ordering::Relaxed) {
                return Err(IngestError::Stopped);
            }
            if deliveries.failed() > 0 {
                break;
            }
        }
    }
    writer.flush(FLUSH_PATIENCE);
    let delivered = deliveries.delivered();
    if delivered != arguments.events {
        let why = deliveries.first_error().unwrap_or_else(|| "acknowledgements are missing".to_owned());
        return Err(IngestError::Lost { delivered, events: arguments.events, why });
    }
    Ok(Preloaded { events: delivered, bytes, seconds: 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_brokers_pass_unasked() {
        for (brokers, passes) in [
            ("127.0.0.1:9092", true),
            ("localhost:9092,[::1]:9093", true),
            ("10.0.0.1:9092", false),
            ("127.0.0.1:9092,kafka.example:9092", false),
        ] {
            assert_eq!(check_brokers(brokers, false).is_ok(), passes, "{brokers}");
            assert!(check_brokers(brokers, true).is_ok());
        }
        for wrong in ["", "127.0.0.1", "127.0.0.1:x", ":9092"] {
            assert!(matches!(check_brokers(wrong, true), Err(IngestError::Brokers(_))), "{wrong}");
        }
    }
}
