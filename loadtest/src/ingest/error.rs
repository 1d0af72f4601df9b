//! What can stop a measurement before it has a report.

use std::path::PathBuf;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

use crate::error::LoadError;

/// Why a measurement could not start or go on.
#[derive(Debug, Error)]
pub enum IngestError {
    /// As for the other commands.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The list of brokers can't be read.
    #[error("brokers `{0}`: write them as host:port,host:port")]
    Brokers(String),
    /// A broker is on another machine and nobody said that this is meant.
    #[error("broker `{0}` is not loopback, and this writes millions of records: pass --allow-remote if it is yours to load")]
    BrokerRemote(String),
    /// The client can't be made.
    #[error("the kafka client can't be made")]
    Client(#[source] KafkaError),
    /// Nobody answers.
    #[error("brokers {brokers} don't answer; does one run there? `faces-loadtest ingest --help` says how to start one")]
    Unreachable {
        /// The brokers.
        brokers: String,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// A topic can't be made.
    #[error("topic {topic} can't be made ({code}): make it by hand, or take another --prefix")]
    Topic {
        /// Its name.
        topic: String,
        /// What the broker says.
        code: RDKafkaErrorCode,
    },
    /// The topics to be used again are not there.
    #[error(
        "there is no topic {topic} with {partitions} partitions: write it by --preload-only with the same --prefix, --bu and --partitions"
    )]
    NotPreloaded {
        /// Its name.
        topic: String,
        /// As asked for.
        partitions: i32,
    },
    /// The broker took less than was written.
    #[error("the broker took {delivered} of {events} events, so nothing is measured; first error: {why}")]
    Lost {
        /// Acknowledged.
        delivered: u64,
        /// Written.
        events: u64,
        /// First error.
        why: String,
    },
    /// A thread can't be started.
    #[error("can't start the thread that writes")]
    Thread(#[source] std::io::Error),
    /// A folder for the server can't be had.
    #[error("can't make a temporary folder for the server")]
    Folder(#[source] std::io::Error),
    /// The program can't be started.
    #[error("can't start {}; --serve names the program `faces`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server ended.
    #[error("the server ended by itself ({status}); it said:\n{log}")]
    Ended {
        /// How.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The server did not say where it listens.
    #[error("the server did not open its ports within {seconds} s; it said:\n{log}")]
    NotOpen {
        /// How long was waited.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// No admin page.
    #[error("nobody answers /metrics at {url}: give the admin address, as server.admin_address of its configuration has it")]
    Admin {
        /// As given.
        url: String,
    },
    /// The page lacks what is needed.
    #[error("/metrics has no faces_ingest_records_total: is that the admin address of a faces server?")]
    NoMetric,
    /// The topic of events is not there.
    #[error("there is no topic {topic}: check --prefix and --bu")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// The server refuses a question.
    #[error("the server names no items to write events about: {0}")]
    Answer(String),
    /// The server has nothing to recommend.
    #[error("the server recommends nothing in {bu}, so there are no items to write events about: fill its catalogue first")]
    NoItems {
        /// Business unit.
        bu: String,
    },
    /// Stopped by a signal.
    #[error("stopped before there was anything to report")]
    Stopped,
}
