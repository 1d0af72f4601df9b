//! What can stop a run before it has a report.

use std::{net::SocketAddr, path::PathBuf};

use thiserror::Error;

/// Why a run could not start or go on. A server that answers badly is not an error here: that is what the report is for.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The target is not an address this tool can speak to.
    #[error("target `{target}` is not usable: {why}; give one such as http://127.0.0.1:50051")]
    TargetInvalid {
        /// As given.
        target: String,
        /// What is wrong with it.
        why: String,
    },
    /// The target is on another machine and nobody said that this is meant.
    #[error("target host `{host}` is not loopback, and load can take a machine down: pass --allow-remote if it is yours to load")]
    TargetRemote {
        /// Host part of the target.
        host: String,
    },
    /// Nothing listens there, or it does not speak HTTP/2.
    #[error("cannot connect to {target}; is a server running there?")]
    Connect {
        /// As given.
        target: String,
        /// What the transport said.
        #[source]
        source: tonic::transport::Error,
    },
    /// A number outside of what is allowed.
    #[error("{name} is {value}; allowed is {allowed}")]
    OutOfRange {
        /// What the number is.
        name: &'static str,
        /// As given.
        value: String,
        /// The range.
        allowed: &'static str,
    },
    /// The file of people can't be read.
    #[error("cannot read people from {}", path.display())]
    PeopleRead {
        /// The file.
        path: PathBuf,
        /// Why, with the line.
        #[source]
        source: csv::Error,
    },
    /// The file of people is readable but unusable.
    #[error("people file {} {why}", path.display())]
    PeopleInvalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The people can't be drawn with the given skew.
    #[error("cannot draw people with these weights")]
    Weights(#[source] rand::distr::weighted::Error),
    /// No thread to be had.
    #[error("cannot start a thread of the generator")]
    Pace(#[source] std::io::Error),
    /// Nothing can be asked for.
    #[error("nothing to ask for in `{bu}`: {why}; fill the server first, or name another business unit")]
    NoItems {
        /// The business unit.
        bu: String,
        /// What the server said.
        why: String,
    },
    /// The file of limits can't be used.
    #[error("limits {}: {why}", path.display())]
    Slo {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The admin page says nothing.
    #[error(
        "--admin {address}: {why}; give server.admin_address of the server's configuration, or do without its memory and processor time"
    )]
    Admin {
        /// As given.
        address: SocketAddr,
        /// What is wrong.
        why: &'static str,
    },
    /// No histogram.
    #[error("cannot set up a latency histogram")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// An error with its causes, each said once: many a text holds its cause already, as librdkafka's do.
#[must_use]
pub fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        known if known.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::causes;

    #[test]
    fn no_cause_is_said_twice() {
        assert_eq!(causes(&anyhow!("gone").context("metadata: gone").context("no broker")), "no broker: metadata: gone");
    }
}
