//! The binary `faces-loadtest`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use faces_loadtest::{cli::Cli, run};

fn main() -> ExitCode {
    run::run(Cli::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
