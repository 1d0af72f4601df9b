//! What all librdkafka clients of this crate share: basic properties, and their log lines in `tracing`.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::cluster::Cluster;

/// A client's basic properties; `extra` goes on top.
pub(crate) fn client_config(cluster: &Cluster, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &cluster.brokers)
        .set("client.id", client_id)
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.keepalive.enable", "true")
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    apply_extra(&mut config, cluster);
    config
}

/// Puts the operator's own properties on top of what is set so far.
pub(crate) fn apply_extra(config: &mut ClientConfig, cluster: &Cluster) {
    for (key, value) in &cluster.extra {
        config.set(key, value);
    }
}

/// Whether the brokers won't hear of an idempotent producer any more, which the client library does not always take as fatal: it may ask
/// for its next epoch after a record timed out, be refused, and repeat that for ever. A new producer is heard.
pub(crate) const fn is_disowned(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::ProducerFenced | Code::InvalidProducerEpoch | Code::InvalidProducerIdMapping | Code::UnknownProducerId)
}

/// Sends log lines and errors of a client to `tracing`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogContext;

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for LogContext {}

/// One log line of librdkafka. That a connection failed comes as an error event as well ([`log_error`]).
pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        _ if facility == "FAIL" => tracing::debug!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// One error event of librdkafka. It reconnects by itself, so this is a warning; every client repeats it many times a second while a
/// broker is away, so most are only for who debugs.
pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    static SAID: Mutex<Said> = Mutex::new(Said { all_down: None, unreachable: None });
    let warning = match error.rdkafka_error_code() {
        Some(code) => SAID.lock().warning(code, reason, Instant::now()),
        None => Some(reason.to_owned()),
    };
    match warning {
        Some(warning) => tracing::warn!(target: "librdkafka", %error, "{warning}"),
        None => tracing::debug!(target: "librdkafka", %error, "{reason}"),
    }
}

/// For how long a warning about brokers is not repeated.
const QUIET: Duration = Duration::from_secs(30);

/// When it was last said, by any client of this process, that no broker answers, or that one can't be reached.
#[derive(Debug, Default)]
struct Said {
    all_down: Option<Instant>,
    unreachable: Option<Instant>,
}

impl Said {
    /// What to say of an error at `now`: nothing where the same was said a moment ago.
    fn warning(&mut self, code: RDKafkaErrorCode, reason: &str, now: Instant) -> Option<String> {
        use RDKafkaErrorCode as Code;
        let (said, warning) = match code {
            Code::AllBrokersDown => {
                let way_out = "still trying. Does the broker run, and does `kafka.brokers` name it?";
                (&mut self.all_down, format!("no Kafka broker answers ({reason}); {way_out}"))
            }
            Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut => {
                (&mut self.unreachable, format!("a Kafka broker can't be reached: {reason}"))
            }
            _ => return Some(reason.to_owned()),
        };
        let is_news = said.is_none_or(|said| now.saturating_duration_since(said) >= QUIET);
        is_news.then(|| {
            *said = Some(now);
            warning
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_that_are_away_are_spoken_of_now_and_then() {
        use RDKafkaErrorCode as Code;
        let (mut said, start) = (Said::default(), Instant::now());
        let down = said.warning(Code::AllBrokersDown, "2/2 brokers are down", start).unwrap();
        assert!(down.contains("kafka.brokers") && down.contains("2/2"), "{down}");
        assert_eq!(said.warning(Code::AllBrokersDown, "again", start + QUIET / 2), None);
        let reason = "Connection refused";
        assert!(said.warning(Code::BrokerTransportFailure, reason, start).is_some_and(|warning| warning.contains(reason)));
        assert_eq!(said.warning(Code::Resolve, reason, start), None, "one sentence for brokers that can't be reached");
        for _ in 0..2 {
            let other = said.warning(Code::Authentication, "wrong password", start);
            assert_eq!(other.as_deref(), Some("wrong password"), "nothing else is kept back");
        }
        assert!(said.warning(Code::AllBrokersDown, "still", start + QUIET).is_some());
    }
}
