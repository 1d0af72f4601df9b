//! The binary `faces-loadtest`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use faces_loadtest::{cli::Cli, error, output, run};

fn main() -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => run::run(cli),
        Err(told) => {
            let code = u8::try_from(told.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from); // help is no mistake
            output::is_read(told.print()).map(|_| code).map_err(Into::into)
        }
    };
    outcome.unwrap_or_else(|error| {
        output::warn(&format!("error: {}", error::causes(&error)));
        ExitCode::FAILURE
    })
}
