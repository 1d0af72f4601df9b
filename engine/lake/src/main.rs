//! `faces-lake`: prepares the tables that `faces rebuild` trains on, out of a data lake.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    faces_lake::command::run()
}
