//! `faces serve`: consume the log, answer gRPC.

use std::{
    future,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::sync::watch;

use crate::{
    config::Config,
    logs, open_files,
    server::{App, workers},
    shutdown,
};

/// Consumes the log, answers gRPC, shows /livez, /readyz and /metrics.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces serve --config faces.toml
  faces serve --set kafka.brokers=broker-1:9092,broker-2:9092 --set server.grpc_address=0.0.0.0:50051
  FACES__KAFKA__BROKERS=broker-1:9092 faces serve

SIGTERM and Ctrl-C drain: not ready any more, requests under way finish, the consumer commits.")]
pub struct ServeArgs {
    /// Write the listening addresses to this file as JSON once they are open (for tests and scripts that ask for port 0).
    #[arg(long, value_name = "FILE")]
    addresses_file: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// What keeps the server from starting, and what ends it early.
pub fn run(args: &ServeArgs, mut config: Config) -> Result<()> {
    logs::start(&config.log)?;
    let (room, wanted) = (open_files::raise(), config.server.connections_max);
    if room < wanted {
        // Beyond it no file could be opened either.
        tracing::warn!(room, wanted, "fewer connections than server.connections_max: raise the limit of open files (ulimit -Hn)");
        config.server.connections_max = room;
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().thread_name("faces-grpc").worker_threads(workers(&config)).build()?;
    let ended = runtime.block_on(async {
        let app = App::bind(config)?;
        let addresses = app.addresses()?;
        if let Some(path) = &args.addresses_file {
            let json = serde_json::json!({ "grpc": addresses.grpc, "admin": addresses.admin });
            let unfinished = path.with_extension("part");
            std::fs::write(&unfinished, json.to_string()).with_context(|| format!("can't write {}", path.display()))?;
            std::fs::rename(&unfinished, path)?;
        }
        let (stop_sender, stop) = watch::channel(false);
        tokio::spawn(async move {
            shutdown::asked_to_stop().await;
            stop_sender.send_replace(true);
        });
        let (is_serving, mut asked_to_stop) = (AtomicBool::new(false), stop.clone());
        let serving = app.run(stop, |_, _| {
            is_serving.store(true, Relaxed);
            tracing::info!(grpc = %addresses.grpc, admin = %addresses.admin, "serving");
        });
        // Until it serves there is nothing to drain or to keep, and loading may take minutes, or wait for a store that does not answer.
        let stopped_before = async {
            _ = asked_to_stop.wait_for(|stop| *stop).await;
            if is_serving.load(Relaxed) {
                future::pending().await
            }
        };
        tokio::select! {
            served = serving => served,
            () = stopped_before => {
                tracing::info!("stopped before it served");
                Ok(())
            }
        }
    });
    runtime.shutdown_background(); // what was being loaded then is not waited for
    ended
}
