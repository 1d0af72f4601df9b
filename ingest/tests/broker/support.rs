//! A broker with our topics, a writer, and a way to start the consumer on a state.

use std::{sync::Arc, time::Duration};

use faces_core::{
    event::Behaviour,
    key::{KeyKind, SourceKey},
    record::Apply,
    state::State,
};
use faces_ingest::{
    Cluster, Ingest, IngestConfig, LogRecord, LogWriter, Positions, Progress, Topics, WriterConfig,
    decode::Format,
    encode,
    topics::{Layout, ensure},
};
use faces_proto::v1;
use faces_testbroker::{Broker, wait_until};
use tokio::runtime::Runtime;

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Setup {
    pub(crate) broker: Broker,
    pub(crate) topics: Topics,
    pub(crate) prefix: String,
    pub(crate) writer: LogWriter,
    pub(crate) runtime: Runtime,
}

impl Setup {
    /// A broker with the topics of `bus`, 4 partitions each; `None` (and the reason on standard error) when there is none.
    pub(crate) fn new(bus: &[&str]) -> Option<Self> {
        Some(Self::on(Broker::start()?, bus))
    }

    /// The same on a broker that is there.
    pub(crate) fn on(broker: Broker, bus: &[&str]) -> Self {
        let prefix = broker.prefix();
        let writer_config =
            WriterConfig { brokers: broker.address().to_owned(), delivery_ms_max: 5_000, ..WriterConfig::default() };
        let setup = Self {
            topics: Topics::new(&prefix).unwrap(),
            prefix,
            writer: LogWriter::new(&writer_config).unwrap(),
            runtime: Runtime::new().unwrap(),
            broker,
        };
        setup.ensure(bus);
        setup
    }

    pub(crate) fn ensure(&self, bus: &[&str]) -> Vec<String> {
        let cluster = Cluster::at(self.broker.address());
        let layout = Layout { partitions: 4, replication: 1 };
        self.runtime.block_on(ensure(&cluster, &self.topics, bus, layout)).unwrap()
    }

    pub(crate) fn config(&self) -> IngestConfig {
        IngestConfig {
            brokers: self.broker.address().to_owned(),
            topic_prefix: self.prefix.clone(),
            group_id: format!("{}-replica", self.prefix),
            discovery_ms: 100,
            watermark_ms: 50,
            commit_ms: 50,
            dead_letter_backoff_ms_max: 200,
            resume_ms_max: 500,
            readers: 3,
            ..IngestConfig::default()
        }
    }

    pub(crate) fn start(&self, sink: &Arc<State>) -> Ingest {
        self.resume(sink, Positions::default())
    }

    /// Goes on from where an earlier run was.
    pub(crate) fn resume(&self, sink: &Arc<State>, from: Positions) -> Ingest {
        Ingest::start(self.config(), Arc::clone(sink) as Arc<dyn Apply>, from).unwrap()
    }

    /// Writes records and fails unless the log has all of them.
    pub(crate) fn write(&self, records: Vec<LogRecord>) -> Vec<(i32, i64)> {
        self.runtime.block_on(self.writer.write(records)).into_iter().map(|result| result.unwrap()).collect()
    }

    pub(crate) fn events(&self, events: &[v1::Event], format: Format) -> Vec<LogRecord> {
        events.iter().map(|event| encode::event(&self.topics, event, format)).collect()
    }
}

/// Waits until so many records are done with, and fails with what was there instead.
pub(crate) fn wait_for_consumed(progress: &Progress, records: u64) {
    let is_there = || progress.counts().consumed() >= records;
    assert!(wait_until(PATIENCE, is_there), "waited for {records} records: {:?}", progress.counts());
    assert_eq!(progress.counts().consumed(), records);
}

pub(crate) fn key(bu: &str, user: &str) -> v1::SourceKey {
    v1::SourceKey { bu: bu.into(), kind: v1::KeyKind::Account.into(), id: user.into() }
}

/// A view of item `n` by one of ten users, `n` seconds after a fixed time.
pub(crate) fn view(bu: &str, n: u32) -> v1::Event {
    v1::Event {
        event_id: format!("e{n}"),
        event_time_ms: 1_700_000_000_000 + i64::from(n) * 1_000,
        bu: bu.into(),
        source: Some(key(bu, &format!("u{}", n % 10))),
        r#type: v1::EventType::View.into(),
        item_id: format!("i{n}"),
        ..v1::Event::default()
    }
}

/// All that a state remembers of the ten users of [`view`], in names instead of process-local ids.
pub(crate) fn memory(state: &State, bu: &str) -> Vec<(String, String, i64)> {
    let named = |user: &str, behaviour: &Behaviour| {
        let item = state.catalogue().item_name(behaviour.item).unwrap().to_owned();
        (user.to_owned(), item, behaviour.time.millis())
    };
    let mut all = Vec::new();
    for n in 0..10 {
        let user = format!("u{n}");
        let profile = state.profile(&[SourceKey::new(bu, KeyKind::Account, &user).unwrap()], None);
        all.extend(profile.taste.iter().map(|behaviour| named(&user, behaviour)));
    }
    all.sort();
    all
}
