//! Keeps the generation in service up with the catalogue: what is upserted, sold out or deleted reaches the index some milliseconds
//! later. (What can't be had is filtered from answers at once; here it stops taking up places among the nearest.)

use std::{sync::Arc, time::Duration};

use crate::{
    background::{Background, Stop},
    engine::Engine,
};

/// How long changes are gathered after the first: each batch copies a bit for every row of the index.
const GATHERED: Duration = Duration::from_millis(2);

/// How soon the thread notices that it should stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// Starts the thread that follows the catalogue.
///
/// # Errors
/// When the system has no thread left.
pub fn start(engine: Arc<Engine>) -> std::io::Result<Background> {
    Background::start("faces-follow", move |stop| run(&engine, stop))
}

fn run(engine: &Engine, stop: &Stop) {
    let journal = engine.state().catalogue().journal();
    while !stop.is_requested() {
        let seen = journal.end();
        engine.follow_catalogue();
        journal.wait(seen, PATIENCE);
        if journal.end() != seen {
            std::thread::sleep(GATHERED);
        }
    }
}
