//! Structured logs, on standard error.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// Starts logging as configured. A second start in one process changes nothing.
///
/// # Errors
/// A filter that can't be understood.
pub fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.filter).with_context(|| format!("log.filter {:?} can't be understood", log.filter))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    _ = if log.json { builder.json().try_init() } else { builder.try_init() };
    Ok(())
}
