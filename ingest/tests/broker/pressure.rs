//! A slow sink holds reading up and loses nothing; images of the state are cut between batches.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use faces_core::{
    catalogue::ItemChange,
    identity::Statement,
    ids::EventId,
    record::{Apply, EventView, Outcome, Writer},
};
use faces_ingest::{Ingest, IngestConfig, Positions, decode::Format};
use faces_testbroker::wait_until;

use crate::support::{PATIENCE, Setup, view, wait_for_consumed};

/// A sink that holds every record back while its gate is shut, and remembers how often each event came.
#[derive(Default)]
struct Gated {
    is_open: Mutex<bool>,
    opened: Condvar,
    waiting: Mutex<u32>,
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
        *self.0.waiting.lock().unwrap() += 1;
        drop(self.0.opened.wait_while(self.0.is_open.lock().unwrap(), |open| !*open).unwrap());
        *self.0.waiting.lock().unwrap() -= 1;
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
fn a_slow_sink_holds_reading_up_and_loses_nothing() {
    const EVENTS: u32 = 6_000;
    let Some(setup) = Setup::new(&["video"]) else { return };
    let sink = Arc::new(Gated::default());
    // So small a buffer that most records stay with the broker.
    let config = IngestConfig { batch_records_max: 50, prefetch_kib_max: 16, ..setup.config() };
    let ingest = Ingest::start(config, Arc::clone(&sink) as Arc<dyn Apply>, Positions::default()).unwrap();
    let progress = ingest.progress();
    let events: Vec<_> = (0..EVENTS).map(|n| view("video", n)).collect();
    for (round, part) in (1_u64..).zip(events.chunks(2_000)) {
        sink.set_open(false);
        setup.write(setup.events(part, Format::Protobuf));
        assert!(wait_until(PATIENCE, || *sink.waiting.lock().unwrap() > 0), "a record waits at the gate");
        assert!(progress.counts().consumed() < round * 2_000, "nothing counts before it is applied");
        assert_eq!(ingest.at_boundary(Duration::from_millis(50), |_| ()), None, "a batch is under way");
        sink.set_open(true);
        wait_for_consumed(&progress, round * 2_000);
    }
    let seen = sink.seen.lock().unwrap();
    assert_eq!(seen.len(), EVENTS as usize, "every event came");
    assert!(seen.values().all(|times| *times == 1), "and none came twice in one run");
}

#[test]
fn stopping_finishes_the_batch_under_way() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let sink = Arc::new(Gated::default());
    let config = IngestConfig { batch_records_max: 10, ..setup.config() };
    let ingest = Ingest::start(config, Arc::clone(&sink) as Arc<dyn Apply>, Positions::default()).unwrap();
    let (progress, boundary) = (ingest.progress(), ingest.boundary());
    let events: Vec<_> = (0..200).map(|n| view("video", n)).collect();
    setup.write(setup.events(&events, Format::Protobuf));
    assert!(wait_until(PATIENCE, || *sink.waiting.lock().unwrap() > 0));
    let stopping = std::thread::spawn(move || ingest.stop());
    sink.set_open(true);
    stopping.join().unwrap().unwrap();
    let consumed = progress.counts().consumed();
    assert!(consumed >= 1, "at least the record that was under way");
    let read = boundary.at(PATIENCE, sum).unwrap();
    assert_eq!(read, consumed, "positions say exactly what was applied, and can be asked for after the end");
}

#[test]
fn between_batches_positions_say_exactly_what_is_applied() {
    const EVENTS: u32 = 20_000;
    let Some(setup) = Setup::new(&["video"]) else { return };
    let sink = Arc::new(Gated::default());
    sink.set_open(true);
    let config = IngestConfig { batch_records_max: 7, ..setup.config() };
    let ingest = Ingest::start(config, Arc::clone(&sink) as Arc<dyn Apply>, Positions::default()).unwrap();
    let progress = ingest.progress();
    let events: Vec<_> = (0..EVENTS).map(|n| view("video", n)).collect();
    setup.write(setup.events(&events, Format::Protobuf));
    let mut looks = 0;
    let is_done = || {
        let seen = || sink.seen.lock().unwrap().len() as u64;
        let look = ingest.at_boundary(PATIENCE, |positions| (sum(positions), progress.counts().applied, seen()));
        let (read, counted, seen) = look.unwrap();
        assert_eq!((counted, seen), (read, read), "look {looks}");
        looks += 1;
        read == u64::from(EVENTS)
    };
    assert!(wait_until(PATIENCE, is_done));
    assert_eq!(progress.counts().consumed(), u64::from(EVENTS));
}

/// Records before all positions, in topics that were written to from offset 0.
fn sum(positions: &Positions) -> u64 {
    positions.iter().map(|(_, _, position)| u64::try_from(position.next).unwrap()).sum()
}
