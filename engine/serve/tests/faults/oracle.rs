//! What the records say, without brokers, positions and processes: applied in this process, in another order, each once.

use std::{collections::BTreeSet, sync::Arc};

use faces_core::{digest::Digest, ids::EventTime, record::Apply as _, state::State};
use faces_ingest::{
    LogRecord, Topics,
    decode::{Decoded, Decoder},
};
use faces_serve::config::Config;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::house::calls::now_ms;

/// The digest of a set of records.
pub(crate) fn digest(topics: &Topics, records: &[LogRecord], seed: u64) -> Digest {
    let mut seen = BTreeSet::new();
    let mut distinct = Vec::new();
    for record in records {
        if seen.insert((&record.topic, record.format.content_type(), &record.payload)) {
            distinct.push(record);
        }
    }
    distinct.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let state = Arc::new(State::new(Config::default().state_options()));
    let (mut decoder, now) = (Decoder::default(), EventTime::from_millis(now_ms()));
    let mut writer = state.writer();
    for record in distinct {
        match decoder.decode(&topics.kind(&record.topic).unwrap(), record.format, &record.payload, now) {
            Ok(Decoded::Event(event)) => _ = writer.event(&event),
            Ok(Decoded::Link(statement)) => _ = writer.link(&statement),
            Ok(Decoded::Item(change)) => _ = writer.item(&change),
            Err(_) => {} // the dead letters'
        }
    }
    writer.flush();
    drop(writer);
    Digest::of(&state.cut().unwrap())
}
