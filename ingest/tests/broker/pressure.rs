//! When applying is behind, reading pauses, resumes, and loses nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex},
};

use faces_core::{
    catalogue::ItemChange,
    identity::Statement,
    ids::EventId,
    record::{Apply, EventView, Outcome, Writer},
};
use faces_ingest::{Ingest, IngestConfig, decode::Format};
use faces_testbroker::wait_until;

use crate::support::{PATIENCE, Setup, view, wait_for_consumed};

/// A sink that holds every record back while its gate is shut, and remembers how often each event came.
#[derive(Default)]
struct Gated {
    is_open: Mutex<bool>,
    opened: Condvar,
    seen: Mutex<BTreeMap<EventId, u32>>,
}

impl Gated {
    fn set_open(&self, open: bool) {
        *self.is_open.lock().unwrap() = open;
        self.opened.notify_all();
    }
}

impl Apply for Gated {
    fn writer(&self) -> Box<dyn Writer + '_> {
        Box::new(GatedWriter(self))
    }
}

struct GatedWriter<'a>(&'a Gated);

impl GatedWriter<'_> {
    fn wait(&self) -> Outcome {
        drop(self.0.opened.wait_while(self.0.is_open.lock().unwrap(), |open| !*open).unwrap());
        Outcome::Applied
    }
}

impl Writer for GatedWriter<'_> {
    fn event(&mut self, event: &EventView<'_>) -> Outcome {
        let outcome = self.wait();
        *self.0.seen.lock().unwrap().entry(event.id).or_default() += 1;
        outcome
    }

    fn link(&mut self, _: &Statement) -> Outcome {
        self.wait()
    }

    fn item(&mut self, _: &ItemChange) -> Outcome {
        self.wait()
    }

    fn flush(&mut self) {}
}

#[test]
fn a_slow_sink_pauses_reading_and_loses_nothing() {
    const EVENTS: u32 = 6_000;
    let Some(setup) = Setup::new(&["video"]) else { return };
    let sink = Arc::new(Gated::default());
    let config = IngestConfig { batch_records_max: 50, batch_queue_max: 4, ..setup.config() };
    let ingest = Ingest::start(config, Arc::clone(&sink) as Arc<dyn Apply>, Positions::default()).unwrap();
    let progress = ingest.progress();
    let events: Vec<_> = (0..EVENTS).map(|n| view("video", n)).collect();
    for (round, part) in (1..).zip(events.chunks(2_000)) {
        sink.set_open(false);
        setup.write(setup.events(part, Format::Protobuf));
        assert!(wait_until(PATIENCE, || progress.is_paused()), "{} batches wait", progress.queued_batches());
        assert!(progress.pauses() >= round);
        assert!(progress.queued_batches() <= 4, "the queue is bounded");
        sink.set_open(true);
        wait_for_consumed(&progress, round * 2_000);
        assert!(wait_until(PATIENCE, || !progress.is_paused()));
    }
    let seen = sink.seen.lock().unwrap();
    assert_eq!(seen.len(), EVENTS as usize, "every event came");
    assert!(seen.values().all(|times| *times == 1), "and none came twice in one run");
}

#[test]
fn stopping_applies_what_was_read() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let sink = Arc::new(Gated::default());
    let config = IngestConfig { batch_records_max: 10, batch_queue_max: 4, ..setup.config() };
    let ingest = Ingest::start(config, Arc::clone(&sink) as Arc<dyn Apply>, Positions::default()).unwrap();
    let progress = ingest.progress();
    let events: Vec<_> = (0..200).map(|n| view("video", n)).collect();
    setup.write(setup.events(&events, Format::Protobuf));
    assert!(wait_until(PATIENCE, || progress.is_paused()));
    let stopping = std::thread::spawn(move || ingest.stop());
    sink.set_open(true);
    stopping.join().unwrap().unwrap();
    let consumed = progress.counts().consumed();
    assert!(consumed >= 40, "at least the four batches of the queue: {consumed}");
    let positions: i64 = progress.partitions().iter().map(|partition| partition.position()).sum();
    assert_eq!(positions as u64, consumed, "positions say exactly what was applied");
}
