//! A server's folder follows what is current in the object store; the watcher of the folder does the rest.

use std::{sync::Arc, time::Duration};

use faces_rebuild::Store;

use super::Shared;
use crate::{background::Background, causes::causes};

/// Follows once, then starts a thread that goes on every `period`. A store that can't be reached is said, and tried again: the folder
/// serves meanwhile.
///
/// # Errors
/// When the system has no thread left.
pub fn start(shared: Shared, store: Store, period: Duration) -> std::io::Result<Background> {
    let (shared, mut known) = (Arc::new(shared), None);
    follow(&shared, &store, &mut known);
    Background::start_aside("faces-shared", move |stop| {
        while stop.sleep(period) {
            follow(&shared, &store, &mut known);
        }
    })
}

fn follow(shared: &Shared, store: &Store, known: &mut Option<u64>) {
    match shared.follow(store, *known) {
        Ok(Some(turn)) => {
            tracing::info!(generation = %turn.id, turn = turn.turn, "fetched from the object store");
            *known = Some(turn.turn);
        }
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(error = causes(&error), "what is current in the object store can't be followed; trying again");
        }
    }
}
