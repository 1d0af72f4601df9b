//! The command line: one file per command.

pub mod archive;
pub mod call;
pub mod demo;
pub mod dlq;
pub mod eval;
pub mod files;
pub mod generations;
pub mod import;
pub mod index;
pub mod level;
pub mod output;
pub mod progress;
pub mod rebuild;
pub mod rules;
pub mod serve;
pub mod server;
pub mod state;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::{causes::causes, config::Config};

/// One profile, a thousand faces: a recommendation engine for a group of shops that share customers.
#[derive(Parser, Debug)]
#[command(name = "faces", version, propagate_version = true)]
#[command(after_help = "Examples:
  faces demo                                   a simulated group of shops, no set-up
  faces serve --config faces.toml              answer gRPC, consume Kafka
  faces rebuild --events e.csv.zst --items i.csv.zst --out generations

Every key of the configuration can be set by --set section.key=value or FACES__SECTION__KEY=value too.")]
struct Cli {
    #[command(flatten)]
    configuration: Configuration,
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration comes from.
#[derive(Args, Debug)]
struct Configuration {
    /// Configuration file (TOML); see faces.example.toml for every key [env: FACES_CONFIG].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, over file and environment; may be repeated.
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,
}

impl Configuration {
    fn load(&self) -> Result<Config> {
        // A variable that says nothing counts as none.
        let named = || std::env::var_os("FACES_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from);
        Ok(Config::load(self.config.clone().or_else(named).as_deref(), &self.overrides)?)
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as section.key=value")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Import(import::ImportArgs),
    Archive(archive::ArchiveArgs),
    Rebuild(rebuild::RebuildArgs),
    Generations(generations::GenerationsArgs),
    Eval(Box<eval::EvalArgs>),
    State(state::StateArgs),
    Index(index::IndexArgs),
    Dlq(dlq::DlqArgs),
    Rules(rules::RulesArgs),
    Level(level::LevelArgs),
    Recommend(call::RecommendArgs),
    Act(call::ActArgs),
}

/// Parses the command line and runs it. Errors go to standard error with their causes; the exit code is then 1 (2 for bad usage).
/// So do failures to write standard output, but for a reader that has gone.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return output::show_usage(&usage),
    };
    output::end_when_it_fails();
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: &Cli) -> Result<()> {
    let config = cli.configuration.load()?;
    match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(args, config),
        Command::Import(args) => import::run(args, &config),
        Command::Archive(args) => archive::run(args, &config),
        Command::Rebuild(args) => rebuild::run(args, &config),
        Command::Generations(args) => generations::run(args, &config),
        Command::Eval(args) => eval::run(args, &config),
        Command::State(args) => state::run(args, &config),
        Command::Index(args) => index::run(args),
        Command::Dlq(args) => dlq::run(args, &config),
        Command::Rules(args) => rules::run(args, &config),
        Command::Level(args) => level::run(args, &config),
        Command::Recommend(args) => call::recommend(args, &config),
        Command::Act(args) => call::act(args, &config),
    }
}
