//! Standard output that can't be written: what it means, and how the process ends then.
//!
//! The printing macros panic when they can't write. Whoever reads a pipe may have seen enough (`| head`), and the rest is not worth
//! a word. Anything else (a full disk, a broken device) means that what was asked for is not there, and is an error.

use std::{
    io::{self, ErrorKind},
    process::{ExitCode, exit},
};

/// How the printing macros begin what they panic with; the error follows.
const PANIC: &str = "failed printing to stdout: ";

/// Ends the process as soon as a printing macro fails.
pub fn end_when_it_fails() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match panic.payload().downcast_ref::<String>().and_then(|text| failure(text)) {
        Some(None) => exit(0),
        Some(Some(reason)) => {
            say(&reason);
            exit(1)
        }
        None => usual(panic),
    }));
}

/// Shows what clap has to say instead of a command (help, the version, bad usage), and how the process ends then.
#[must_use]
pub fn show_usage(usage: &clap::Error) -> ExitCode {
    match usage.print() {
        Err(error) if !usage.use_stderr() && error.kind() != ErrorKind::BrokenPipe => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
        _ => u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

fn say(reason: &str) {
    eprintln!("error: the output can't be written: {reason}");
}

/// Whether a panic is a printing macro's, and then why it could not write; no reason where the reader has gone.
fn failure(panic: &str) -> Option<Option<String>> {
    let reason = panic.strip_prefix(PANIC)?;
    // The macros leave the text alone. It ends with the system's number: `Broken pipe (os error 32)`.
    let number = reason.rsplit_once("(os error ").and_then(|(_, rest)| rest.strip_suffix(')')?.parse().ok());
    let is_gone = number.is_some_and(|number| io::Error::from_raw_os_error(number).kind() == ErrorKind::BrokenPipe);
    Some((!is_gone).then(|| reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_that_has_gone_is_no_failure() {
        let of = |number: i32| failure(&format!("{PANIC}{}", io::Error::from_raw_os_error(number)));
        assert_eq!(of(32), Some(None), "EPIPE");
        assert!(of(28).unwrap().unwrap().contains("No space left"), "ENOSPC");
        assert_eq!(failure(&format!("{PANIC}a reason of no system")), Some(Some("a reason of no system".into())));
        assert_eq!(failure("index out of bounds"), None);
    }
}
