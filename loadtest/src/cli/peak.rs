//! Arguments of the scenarios at and beyond capacity.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{TargetArgs, zipf_exponent};
use crate::{
    peak::mix::Shares,
    schedule::{Rate, RunLength},
};

pub(super) const CAPACITY_EXAMPLES: &str = "\
Example:
  faces-loadtest capacity --target http://127.0.0.1:50051 --admin 127.0.0.1:9090 --bu marketplace --html capacity.html

Doubles the rate until p99, errors or degraded answers break the SLO (--slo), then halves the gap. Where no step
breaks it, capacity is told as a lower bound. Exit code 1 when it holds nowhere.";

pub(super) const OVERLOAD_EXAMPLES: &str = "\
Example:
  faces-loadtest overload --target http://127.0.0.1:50051 --admin 127.0.0.1:9090 --bu marketplace --capacity 4000 --json

One generator core sends some 20,000 to 40,000 requests a second: give the server so little of the machine that ten times its capacity is less
than that (server.threads=1, and taskset or a quota). Exit code 1 when the SLO is missed, or the run stopped.";

pub(super) const SOAK_EXAMPLES: &str = "\
Example:
  faces-loadtest soak --target http://127.0.0.1:50051 --admin 127.0.0.1:9090 --bu marketplace --rate 2000 --seconds 3600

Exit code 1 when memory or p99 grows by more than the SLO allows, or the run is stopped.";

pub(super) const FESTIVAL_EXAMPLES: &str = "\
Example:
  faces-loadtest festival --target http://127.0.0.1:50051 --admin 127.0.0.1:9090 --bu marketplace --rate 4000 --events-per-s 500 \\
    --at-swap 'faces rebuild --events e.csv.zst --items i.csv.zst --out generations' --at-cut './cut-the-brokers-for 5'

Commands run by sh a third into their part of the plateau; writes real events. Exit code 1 when the SLO is missed, a command fails or the run is stopped.";

/// What all scenarios have in common.
#[derive(Args, Clone, Debug)]
pub struct PeakArgs {
    /// Where to.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Admin address of the server, for its processor time, memory and level. Without it these are not known.
    #[arg(long, value_name = "HOST:PORT")]
    pub admin: Option<SocketAddr>,
    /// TOML file of limits; every key has a default.
    #[arg(long, value_name = "TOML")]
    pub slo: Option<PathBuf>,
    /// Write the report as a page with plots.
    #[arg(long, value_name = "HTML")]
    pub html: Option<PathBuf>,
    /// HTTP/2 connections, used in turn; an eighth of them for critical calls alone, which are sent from a thread of their own.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub connections: u16,
    /// Critical calls share connections and thread with all others.
    #[arg(long)]
    pub mix_connections: bool,
    /// CSV with the columns bu and local_user_id.
    #[arg(long, value_name = "CSV", conflicts_with = "people_count")]
    pub people: Option<PathBuf>,
    /// Without a file: accounts u1, u2, .. of the business unit, N of them.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub people_count: u32,
    /// How uneven people come: the r-th with weight r^-S, 0 for evenly. Default: 1 for numbered people, 0 for a file.
    #[arg(long, value_name = "S", value_parser = zipf_exponent)]
    pub zipf: Option<f64>,
    /// Items asked for.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub page_size: u8,
    /// Deadline of a request, from when it is due.
    #[arg(long, default_value_t = 200, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub deadline_ms: u64,
    /// Requests under way at once, at most.
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub in_flight_max: u32,
    /// Share of critical requests.
    #[arg(long, default_value_t = 0.04, value_parser = share)]
    pub critical_share: f64,
    /// Share of sheddable requests.
    #[arg(long, default_value_t = 0.3, value_parser = share)]
    pub sheddable_share: f64,
    /// Share of calls other than Recommend: similar items, lists to rerank, batches.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub other_calls_share: f64,
    /// Share of Recommend with a filter.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub filtered_share: f64,
    /// Slates asked for in one BatchRecommend in place of each Recommend; 1: Recommend. Rates count calls, costs slates.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: u16,
}

impl PeakArgs {
    /// Shares of what is sent.
    #[must_use]
    pub const fn shares(&self) -> Shares {
        Shares {
            critical: self.critical_share,
            sheddable: self.sheddable_share,
            other_calls: self.other_calls_share,
            filtered: self.filtered_share,
            batch: self.batch as usize,
        }
    }
}

/// Arguments of `capacity`.
#[derive(Args, Clone, Debug)]
pub struct CapacityArgs {
    /// In common.
    #[command(flatten)]
    pub peak: PeakArgs,
    /// Rate to begin with.
    #[arg(long, default_value = "500")]
    pub from: Rate,
    /// Length of a step.
    #[arg(long, default_value = "5", value_name = "SECONDS")]
    pub step_seconds: RunLength,
    /// Steps, at most.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=40))]
    pub steps: u8,
    /// How near the two rates must come between which it breaks, as a share.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub resolution: f64,
}

/// Arguments of `overload`.
#[derive(Args, Clone, Debug)]
pub struct OverloadArgs {
    /// In common.
    #[command(flatten)]
    pub peak: PeakArgs,
    /// What the server can take, as `capacity` found it.
    #[arg(long, value_name = "RATE")]
    pub capacity: Rate,
    /// Multiples of it, one after the other.
    #[arg(long, default_value = "2,5,10", value_delimiter = ',', value_parser = multiple)]
    pub multiples: Vec<f64>,
    /// Length of each.
    #[arg(long, default_value = "10", value_name = "SECONDS")]
    pub seconds: RunLength,
    /// Length of the rest after each, at half of capacity.
    #[arg(long, default_value_t = 15, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=600))]
    pub rest_seconds: u16,
}

/// Arguments of `soak`.
#[derive(Args, Clone, Debug)]
pub struct SoakArgs {
    /// In common.
    #[command(flatten)]
    pub peak: PeakArgs,
    /// Arrivals a second.
    #[arg(long, default_value = "1000")]
    pub rate: Rate,
    /// How long in all.
    #[arg(long, default_value = "60", value_name = "SECONDS")]
    pub seconds: RunLength,
    /// Pieces that are compared.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u8).range(3..=100))]
    pub pieces: u8,
}

/// Arguments of `festival`.
#[derive(Args, Clone, Debug)]
pub struct FestivalArgs {
    /// In common.
    #[command(flatten)]
    pub peak: PeakArgs,
    /// Arrivals a second after the step at midnight.
    #[arg(long, default_value = "2000")]
    pub rate: Rate,
    /// Events a second then, written through the API.
    #[arg(long, default_value_t = 500.0, value_parser = events_per_s)]
    pub events_per_s: f64,
    /// How long the night is.
    #[arg(long, default_value = "120", value_name = "SECONDS")]
    pub seconds: RunLength,
    /// Command to run in the first half of the plateau: publish another generation.
    #[arg(long, value_name = "COMMAND")]
    pub at_swap: Option<String>,
    /// Command to run in the second half: cut the server off from its brokers for a moment.
    #[arg(long, value_name = "COMMAND")]
    pub at_cut: Option<String>,
}

fn share(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1.0)
}

fn multiple(text: &str) -> Result<f64, String> {
    within(text, 0.1, 100.0)
}

fn events_per_s(text: &str) -> Result<f64, String> {
    within(text, 0.0, 100_000.0)
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("allowed is {least} to {most}")),
    }
}
