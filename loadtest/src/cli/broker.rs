//! Arguments of `faces-loadtest broker`.

use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  rm -f broker.txt; faces-loadtest broker --bu beauty --bu grocery > broker.txt &
  until [ -s broker.txt ]; do sleep 0.1; done   # it takes a moment to listen
  faces serve --set kafka.brokers=$(cat broker.txt)
  faces-loadtest freshness --target http://127.0.0.1:50051 --bu beauty --brokers $(cat broker.txt) --background-events 50000

Prints its address and serves until Ctrl-C. Name every business unit that will be needed: topics are made at its start and never later,
so that `faces import` fails at a unit that is missing. Everything is in memory: beyond 100,000 records or 5 MiB a partition the oldest are dropped,
so it is for servers that keep up; give it more partitions to hold more.";

/// Arguments of `broker`.
#[derive(Args, Clone, Debug)]
pub struct BrokerArgs {
    /// A business unit with a topic of events; repeat it for every unit, as no topics can be made later.
    #[arg(long = "bu", value_name = "BU", required = true, value_parser = super::bu)]
    pub bus: Vec<String>,
    /// First part of the topics' names, as kafka.topic_prefix of the server.
    #[arg(long, default_value = "faces")]
    pub prefix: String,
    /// Partitions of each topic.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=64))]
    pub partitions: i32,
    /// It ends by itself after so long: at most 14,400, so that it outlives the longest run and what comes before.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=14_400))]
    pub seconds: u64,
    /// Print the address as a JSON object.
    #[arg(long)]
    pub json: bool,
}
