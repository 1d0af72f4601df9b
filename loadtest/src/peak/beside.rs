//! Commands of the operator's that run beside the load. One that fails leaves the measurement as it is, and its reason in the report.

use std::{
    io,
    process::{Command, ExitStatus},
    time::Duration,
};

use serde::Serialize;
use tokio::task::{JoinHandle, spawn_blocking};

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Beside {
    /// The option that gave it.
    pub option: &'static str,
    /// As given.
    pub command: String,
    /// How it ended, in words.
    pub outcome: String,
    /// Its exit code; null where a signal ended it, or it never ran.
    pub exit_code: Option<i32>,
    /// Whether it ended well.
    pub succeeded: bool,
}

/// A command that waits for its moment, or runs.
#[derive(Debug)]
pub(super) struct Running {
    option: &'static str,
    command: String,
    task: JoinHandle<io::Result<ExitStatus>>,
}

impl Running {
    /// Runs `command` by `sh` after so long. What it prints is no part of the report.
    pub(super) fn start(option: &'static str, command: &str, after: Duration) -> Self {
        let (command, told) = (command.to_owned(), command.to_owned());
        let task = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let run = spawn_blocking(move || Command::new("sh").args(["-c", &told]).stdout(io::stderr()).status());
            run.await.map_err(io::Error::other)?
        });
        Self { option, command, task }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for its end.
    pub(super) async fn end(self) -> Beside {
        let ended = self.task.await.map_err(io::Error::other).flatten();
        let exit_code = ended.as_ref().ok().and_then(ExitStatus::code);
        let outcome = match (&ended, exit_code) {
            (_, Some(code)) => format!("exit code {code}"),
            (Ok(status), None) => status.to_string(), // the signal
            (Err(error), None) => format!("it can't be run: {error}"),
        };
        Beside { option: self.option, command: self.command, outcome, exit_code, succeeded: exit_code == Some(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn how_a_command_ended_is_said_in_words() {
        for (command, outcome, exit_code) in
            [("true", "exit code 0", Some(0)), ("exit 3", "exit code 3", Some(3)), ("kill -9 $$", "signal: 9 (SIGKILL)", None)]
        {
            let beside = Running::start("--at-swap", command, Duration::ZERO).end().await;
            assert_eq!((beside.option, beside.command.as_str(), beside.outcome.as_str()), ("--at-swap", command, outcome));
            assert_eq!((beside.exit_code, beside.succeeded), (exit_code, exit_code == Some(0)));
        }
    }
}
