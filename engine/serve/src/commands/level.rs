//! `faces level`: how good answers are made, looked at and set by hand.

use anyhow::{Context as _, Result};
use clap::{Args, builder::PossibleValuesParser};
use faces_proto::v1;
use serde_json::json;

use super::{
    call::{LEVEL_PREFIX, block_on, level_name},
    server::ServerArgs,
};
use crate::{client::Client, config::Config, overload::Level};

/// Shows or sets the service level of a running server.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces level                  what is in force
  faces level co_visitation    whatever the load, until it is set again
  faces level auto             leave it to the server")]
pub struct LevelArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The level to set.
    #[arg(value_parser = PossibleValuesParser::new(names()))]
    level: Option<String>,
}

const AUTO: &str = "auto";

fn names() -> impl Iterator<Item = &'static str> {
    [AUTO].into_iter().chain(Level::ALL.map(Level::name))
}

/// Runs the command.
///
/// # Errors
/// A server that does not answer, or what it refuses.
pub fn run(args: &LevelArgs, config: &Config) -> Result<()> {
    block_on(async {
        let mut client = Client::connect(&args.server.url(config)).await?;
        if let Some(name) = &args.level {
            client.set_level(wire(name)?).await?;
        }
        let status = client.status().await?;
        let level = level_name(status.level());
        let by = if status.level_is_set { "set by hand" } else { "by the load" };
        println!(
            "{}",
            if args.json {
                json!({ "level": level, "is_set": status.level_is_set }).to_string()
            } else {
                format!("{level} ({by})")
            }
        );
        Ok(())
    })
}

fn wire(name: &str) -> Result<v1::ServiceLevel> {
    if name == AUTO {
        return Ok(v1::ServiceLevel::Unspecified);
    }
    v1::ServiceLevel::from_str_name(&format!("{LEVEL_PREFIX}{}", name.to_uppercase())).context("no such level")
}
