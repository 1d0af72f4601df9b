//! What all librdkafka clients of this crate share: basic properties, and their log lines in `tracing`.

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::config::Cluster;

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

/// One log line of librdkafka.
pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// One error event of librdkafka. It reconnects by itself, so this is a warning.
pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    tracing::warn!(target: "librdkafka", %error, "{reason}");
}
