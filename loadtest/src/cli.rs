//! The command line of `faces-loadtest`.

mod broker;
mod ingest;
mod peak;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use faces_proto::v1::EventType;

pub use self::{
    broker::BrokerArgs,
    ingest::{Compression, IngestArgs},
    peak::{CapacityArgs, FestivalArgs, OverloadArgs, PeakArgs, SoakArgs},
};
use crate::{
    people::is_bu,
    schedule::{Rate, RunLength},
};

/// Puts load on a deployment of faces and measures how it fares, from the outside.
#[derive(Clone, Debug, Parser)]
#[command(name = "faces-loadtest", version, about)]
pub struct Cli {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
}

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Open-loop load of Recommend: requests come due by a Poisson schedule, whatever the server does.
    #[command(after_help = RECOMMEND_EXAMPLES)]
    Recommend(RecommendArgs),
    /// How long until a written event is in the profile, and until it changes the slate. Writes one real event a trial.
    #[command(after_help = FRESHNESS_EXAMPLES)]
    Freshness(FreshnessArgs),
    /// How many events a second a server applies from a full log, and what that costs. Writes events into topics of its own.
    #[command(after_help = ingest::EXAMPLES)]
    Ingest(IngestArgs),
    /// The highest rate at which the SLO holds.
    #[command(after_help = peak::CAPACITY_EXAMPLES)]
    Capacity(Box<CapacityArgs>),
    /// Multiples of capacity, and back: what is still answered, how well, and how soon all is well again.
    #[command(after_help = peak::OVERLOAD_EXAMPLES)]
    Overload(Box<OverloadArgs>),
    /// One rate for long: what grows?
    #[command(after_help = peak::SOAK_EXAMPLES)]
    Soak(Box<SoakArgs>),
    /// The night of a sale: calm, countdown, the step at midnight, a plateau with a new generation and a cut from the brokers.
    #[command(after_help = peak::FESTIVAL_EXAMPLES)]
    Festival(Box<FestivalArgs>),
    /// A broker in memory, cheap enough to stand beside what is measured.
    #[command(after_help = broker::EXAMPLES)]
    Broker(BrokerArgs),
}

const RECOMMEND_EXAMPLES: &str = "\
Examples:
  faces-loadtest recommend --target http://127.0.0.1:50051 --bu marketplace --rate 2000 --seconds 20
  faces-loadtest recommend --target http://127.0.0.1:50051 --bu groceries --people people.csv --json
  zstdcat events.csv.zst > people.csv   # any CSV with bu and local_user_id will do

Latency counts from the instant at which a request was due, so a stalled server shows in every request that it held up.
A request without an answer at its deadline is over, counts as DEADLINE_EXCEEDED, and stays in the percentiles.
Ctrl-C stops early and prints the report so far. Exit code 1 when not one request was answered.";

const FRESHNESS_EXAMPLES: &str = "\
Examples:
  faces-loadtest freshness --target http://127.0.0.1:50051 --bu marketplace --trials 200
  faces-loadtest freshness --target http://127.0.0.1:50051 --bu video --event purchase --json
  faces-loadtest freshness --target http://127.0.0.1:50051 --bu video --brokers 127.0.0.1:9092 \\
    --background-events 50000 --background-recommends 2000

Each trial invents a session, reads its slate twice, --settle-ms apart (a slate that differs by itself is not timed), writes an event about
one of its items, and asks for profile and slate until both show it. So 200 trials take seven minutes. Background events are about items
that the server recommends; they move trends, so that few slates hold still long enough to be timed. Server, broker and generator on one
machine share its processors: see machine_busy_share. Exit code 1 when no event was ever seen in a profile.";

/// Where the load goes.
#[derive(Args, Clone, Debug)]
pub struct TargetArgs {
    /// Address of the gRPC server; anything but loopback is refused without --allow-remote.
    #[arg(long, value_name = "URL")]
    pub target: String,
    /// Allow a target on another machine. Make sure that it is yours to load.
    #[arg(long)]
    pub allow_remote: bool,
    /// Business unit whose items are asked for.
    #[arg(long, value_parser = bu)]
    pub bu: String,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Worker threads of the generator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: u8,
    /// Seed of everything drawn at random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Arguments of `recommend`.
#[derive(Args, Clone, Debug)]
pub struct RecommendArgs {
    /// Where to.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Arrivals a second, at most 200,000.
    #[arg(long, default_value = "1000")]
    pub rate: Rate,
    /// How long, at most 7,200.
    #[arg(long, default_value = "20", value_name = "SECONDS")]
    pub seconds: RunLength,
    /// HTTP/2 connections, used in turn.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub connections: u16,
    /// CSV with the columns bu and local_user_id; people of other business units may ask too.
    #[arg(long, value_name = "CSV", conflicts_with = "people_count")]
    pub people: Option<PathBuf>,
    /// Without a file: accounts u1, u2, .. of the business unit, N of them.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub people_count: u32,
    /// How uneven people come: the r-th with weight r^-S, 0 for evenly. Default: 1 for numbered people, 0 for a file.
    #[arg(long, value_name = "S", value_parser = zipf_exponent)]
    pub zipf: Option<f64>,
    /// Items asked for.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub page_size: u8,
    /// Where the slate is said to be shown, up to 64 bytes.
    #[arg(long, default_value = "")]
    pub placement: String,
    /// Deadline of a request, from when it is due.
    #[arg(long, default_value_t = 1_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub deadline_ms: u64,
    /// Requests under way at once, at most; beyond it they are counted as generator_saturated.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub in_flight_max: u32,
}

/// Arguments of `freshness`.
#[derive(Args, Clone, Debug)]
pub struct FreshnessArgs {
    /// Where to.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Events to write and wait for, one after the other.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub trials: u32,
    /// What the invented person does.
    #[arg(long, default_value = "view")]
    pub event: EventKind,
    /// Items in the slate that is watched for a change.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub page_size: u8,
    /// Pause between two looks; results are late by up to this plus one call.
    #[arg(long, default_value_t = 2, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub poll_ms: u64,
    /// When to give an event up.
    #[arg(long, default_value_t = 5_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub timeout_ms: u64,
    /// Longest random pause before a trial, so that trials don't fall in step with the server's own beat.
    #[arg(long, default_value_t = 20, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub pause_ms_max: u64,
    /// Pause between the two looks at a slate before the event. Longer than overload.remembered_fresh_ms of the server: until then the
    /// second look is the first ranking again, whatever moves.
    #[arg(long, default_value_t = 2_100, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub settle_ms: u64,
    /// Load beside the trials.
    #[command(flatten)]
    pub background: BackgroundArgs,
}

/// Load beside the trials of `freshness`.
#[derive(Args, Clone, Debug)]
pub struct BackgroundArgs {
    /// Events a second, written to Kafka by a paced producer while the trials run.
    #[arg(long = "background-events", value_name = "N", requires = "brokers", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub events: Option<u32>,
    /// How long background events wait for company before they are sent; 5 is what Kafka's own producers do.
    #[arg(long = "background-linger", default_value_t = 5, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub linger_ms: u32,
    /// Calls of Recommend a second while the trials run, of the people of the background events.
    #[arg(long = "background-recommends", value_name = "N")]
    pub recommends: Option<Rate>,
    /// Kafka brokers that the server reads from; loopback, as the target.
    #[arg(long, value_name = "HOST:PORT,..")]
    pub brokers: Option<String>,
    /// First part of the topics' names, as kafka.topic_prefix of the server.
    #[arg(long, default_value = "faces")]
    pub prefix: String,
    /// People of the background.
    #[arg(long = "background-people", default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub people: u32,
}

/// Events to try freshness with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventKind {
    /// Opened.
    View,
    /// Clicked in a list.
    Click,
    /// Put in the cart.
    Cart,
    /// Bought.
    Purchase,
}

impl From<EventKind> for EventType {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::View => Self::View,
            EventKind::Click => Self::Click,
            EventKind::Cart => Self::Cart,
            EventKind::Purchase => Self::Purchase,
        }
    }
}

fn bu(text: &str) -> Result<String, String> {
    if is_bu(text) { Ok(text.to_owned()) } else { Err("allowed is 1 to 64 of [a-z0-9_-]".to_owned()) }
}

fn zipf_exponent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(exponent) if (0.0..=5.0).contains(&exponent) => Ok(exponent),
        _ => Err("allowed is 0 to 5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[track_caller]
    fn check(arguments: &str, accepted: bool) {
        let all = ["faces-loadtest"].into_iter().chain(arguments.split_whitespace());
        assert_eq!(Cli::try_parse_from(all).is_ok(), accepted, "{arguments}");
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_number_is_bounded() {
        let base = "recommend --target http://127.0.0.1:1 --bu video";
        check(base, true);
        check(&format!("{base} --seconds 7200 --rate 2000.5 --page-size 200 --zipf 0"), true);
        for wrong in [
            "--seconds 7201",
            "--seconds 0",
            "--rate 0",
            "--rate NaN",
            "--connections 0",
            "--page-size 0",
            "--page-size 201",
            "--people-count 0",
            "--deadline-ms 0",
            "--in-flight-max 0",
            "--zipf -1",
            "--people a.csv --people-count 3",
        ] {
            check(&format!("{base} {wrong}"), false);
        }
        check("recommend --target http://127.0.0.1:1 --bu Video", false);
        check("freshness --target http://127.0.0.1:1 --bu video --trials 200 --event purchase", true);
        check("freshness --target http://127.0.0.1:1 --bu video --trials 0", false);
        let overload = "overload --target http://127.0.0.1:1 --bu video --capacity 1000";
        check(&format!("{overload} --multiples 2,5.5 --critical-share 0.1"), true);
        for wrong in ["--multiples 0", "--multiples 2,1000", "--critical-share 1.1", "--rest-seconds 0", "--capacity 0"] {
            check(&format!("{overload} {wrong}"), false);
        }
        check("soak --target http://127.0.0.1:1 --bu video --pieces 2", false);
    }
}
