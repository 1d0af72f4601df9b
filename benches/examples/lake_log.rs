//! A log of any size as a data lake: Parquet by topic and day. `RESULTS.md` says what was measured on it.
//!
//! ```text
//! cargo run --release -p faces-benches --example lake_log -- FOLDER [events] [people] [items] [days]
//! ```

use std::{env, path::PathBuf, process::ExitCode};

use faces_benches::lake_log::{LogSize, write};

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("name a folder to write to, then events, people, items and days");
        return ExitCode::FAILURE;
    };
    let number = |place: usize, usual: u64| env::args().nth(place).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let size =
        LogSize { events: number(2, 2_000_000), people: number(3, 200_000), items: number(4, 200_000), days: number(5, 90) };
    match write(&size, &folder, |_| ()) {
        Ok(()) => {
            println!("{} events in {} days below {}", size.events, size.days, folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
