//! `faces demo`: no set-up, the whole way once.

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    config::Log,
    demo::{self, DemoOptions},
    logs,
};

/// Simulates a group of shops and shows two people two different shops, then one of them changing; keeps serving.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces demo
  faces demo --once --json
  faces demo --seed 11 --shoppers 4000")]
pub struct DemoArgs {
    /// End with exit code 0 after the show instead of serving on.
    #[arg(long)]
    once: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Seed of the simulated group.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// People of the simulated group. The embedded broker holds about 5,000 people's events.
    #[arg(long, default_value_t = 2_500, value_parser = clap::value_parser!(u32).range(10..=5_000))]
    shoppers: u32,
    /// Times that event to changed slate is measured.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    trials: u32,
    /// Port of the gRPC server on loopback; another one is taken if it is not free.
    #[arg(long, default_value_t = 50_051)]
    port: u16,
}

/// Runs the command.
///
/// # Errors
/// Whatever keeps a part of it from working.
pub fn run(args: &DemoArgs) -> Result<()> {
    logs::start(&Log { filter: "error".into(), json: false })?;
    let DemoArgs { once, json, seed, shoppers, trials, port } = *args;
    // Made first, so that it goes last: what still trains when the show is broken off writes to it.
    let folder = tempfile::Builder::new().prefix("faces-demo-").tempdir().context("can't make a folder for the demo")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (shoppers, trials) = (shoppers as usize, trials as usize);
    runtime.block_on(demo::run(DemoOptions { seed, shoppers, once, json, trials, port }, folder.path()))
}
