//! A producer that writes random records at a bounded rate, come what may: what was not acknowledged is written again.
//!
//! It writes what a careless group writes: the same event twice, versions of one event, events far out of order and long expired, links
//! and unlinks, changes of items, records that can't be read; in both formats, by two partitioners.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use faces_ingest::{LogRecord, LogWriter, Topics, WriterConfig, decode::Format, encode};
use faces_proto::v1;
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use tokio::task::{JoinHandle, JoinSet};

use crate::house::{House, PATIENCE, calls::now_ms, eventually};

pub(crate) const BUS: [&str; 3] = ["market", "cinema", "travel"];

const RECORDS_A_TICK: usize = 8;
const TICK: Duration = Duration::from_millis(20);
const TICKS_UNDER_WAY_MAX: usize = 64;
const PEOPLE: u32 = 40; // per unit and kind of key
const ITEMS: u32 = 30; // per unit
const DAY_MS: i64 = 86_400_000;

/// What the log has taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// Every record that was written, some of them more than once.
    pub(crate) records: Vec<LogRecord>,
    /// The offset after the last one that was acknowledged, by topic and partition.
    pub(crate) ends: BTreeMap<(String, i32), i64>,
}

impl Written {
    /// Both together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.records.extend(other.records);
        for (partition, end) in other.ends {
            let known = self.ends.entry(partition).or_default();
            *known = end.max(*known);
        }
        self
    }
}

/// A producer at work.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    task: JoinHandle<Written>,
}

impl Traffic {
    /// Begins to write into a house's log. Its producers give up a record soon, and must live on to write it again.
    pub(crate) fn start(house: &House, seed: u64) -> Self {
        Self::with_patience(house, seed, 1_000)
    }

    /// As [`Self::start`], with producers that give up a record only after so long.
    pub(crate) fn with_patience(house: &House, seed: u64, delivery_ms_max: u32) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let producer = Producer {
            writers: ["murmur2_random", "consistent"].map(|partitioner| writer(house.brokers(), partitioner, delivery_ms_max)),
            cast: Cast::new(&house.topics, seed),
            stop: Arc::clone(&stop),
            acknowledged: Arc::clone(&acknowledged),
        };
        Self { stop, acknowledged, task: tokio::spawn(producer.run()) }
    }

    /// Writes at least so many records, and ends.
    pub(crate) async fn burst(house: &House, seed: u64, records: u64) -> Written {
        let traffic = Self::start(house, seed);
        traffic.more(records).await;
        traffic.end().await
    }

    /// Waits until so many more records are acknowledged.
    pub(crate) async fn more(&self, records: u64) {
        let wanted = self.acknowledged.load(Relaxed) + records;
        eventually("records to be acknowledged", async || {
            assert!(!self.task.is_finished(), "the producer gave up");
            (self.acknowledged.load(Relaxed) >= wanted).then_some(())
        })
        .await;
    }

    /// Stops writing; what is under way is acknowledged first.
    pub(crate) async fn end(self) -> Written {
        self.stop.store(true, Relaxed);
        self.task.await.unwrap()
    }
}

fn writer(brokers: &str, partitioner: &str, delivery_ms_max: u32) -> Arc<LogWriter> {
    // Partitions that come meanwhile are to be found soon.
    let extra = [("partitioner", partitioner), ("topic.metadata.refresh.interval.ms", "500")];
    let extra = BTreeMap::from(extra.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let config = WriterConfig { brokers: brokers.to_owned(), extra, delivery_ms_max, ..WriterConfig::default() };
    Arc::new(LogWriter::new(&config).unwrap())
}

struct Producer {
    writers: [Arc<LogWriter>; 2],
    cast: Cast,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Producer {
    async fn run(mut self) -> Written {
        let mut written = Written::default();
        let mut under_way = JoinSet::new();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in 0_usize.. {
            if self.stop.load(Relaxed) {
                break;
            }
            ticks.tick().await;
            let records: Vec<_> = (0..RECORDS_A_TICK).map(|_| self.cast.record()).collect();
            written.records.extend(records.iter().cloned());
            let (writer, acknowledged) = (Arc::clone(&self.writers[tick % 2]), Arc::clone(&self.acknowledged));
            under_way.spawn(async move { deliver(&writer, records, &acknowledged).await });
            while under_way.len() >= TICKS_UNDER_WAY_MAX {
                let part = Written { ends: under_way.join_next().await.unwrap().unwrap(), ..Written::default() };
                written = written.and(part);
            }
        }
        for ends in under_way.join_all().await {
            written = written.and(Written { ends, ..Written::default() });
        }
        written
    }
}

/// Writes until everything is acknowledged.
async fn deliver(writer: &LogWriter, mut records: Vec<LogRecord>, acknowledged: &AtomicU64) -> BTreeMap<(String, i32), i64> {
    let (mut ends, deadline) = (BTreeMap::new(), Instant::now() + PATIENCE);
    while !records.is_empty() {
        let mut left = Vec::new();
        for (record, result) in records.iter().zip(writer.write(records.clone()).await) {
            match result {
                Ok((partition, offset)) => {
                    let end: &mut i64 = ends.entry((record.topic.clone(), partition)).or_default();
                    *end = (offset + 1).max(*end);
                    acknowledged.fetch_add(1, Relaxed);
                }
                Err(error) => {
                    assert!(Instant::now() < deadline, "not acknowledged in time: {error}");
                    left.push(record.clone());
                }
            }
        }
        records = left;
    }
    ends
}

/// Who writes what.
struct Cast {
    dice: ChaCha8Rng,
    topics: Topics,
    began_ms: i64,
    events: Vec<v1::Event>,
}

impl Cast {
    fn new(topics: &Topics, seed: u64) -> Self {
        Self { dice: ChaCha8Rng::seed_from_u64(seed), topics: topics.clone(), began_ms: now_ms(), events: Vec::new() }
    }

    fn record(&mut self) -> LogRecord {
        let format = if self.dice.random_bool(0.3) { Format::Json } else { Format::Protobuf };
        match self.dice.random_range(0..100) {
            0..78 => {
                let event = self.event();
                encode::event(&self.topics, &event, format)
            }
            78..86 => {
                let link = self.link();
                encode::link(&self.topics, &link, format)
            }
            86..97 => {
                let change = self.change();
                encode::catalog(&self.topics, &change, format)
            }
            _ => self.nonsense(format),
        }
    }

    fn unit(&mut self) -> &'static str {
        BUS.choose(&mut self.dice).unwrap()
    }

    fn key(&mut self) -> v1::SourceKey {
        let id = format!("u{}", self.dice.random_range(0..PEOPLE));
        v1::SourceKey { bu: self.unit().into(), kind: self.dice.random_range(1..=5), id }
    }

    fn item(&mut self, bu: &str) -> v1::ItemRef {
        v1::ItemRef { bu: bu.into(), item_id: format!("i{}", self.dice.random_range(0..ITEMS)) }
    }

    /// Far out of order; one in fifty is older than anything that is kept.
    fn time_ms(&mut self) -> i64 {
        let ago = if self.dice.random_ratio(1, 50) { 1_200 * DAY_MS } else { self.dice.random_range(0..40 * DAY_MS) };
        self.began_ms - 60_000 - ago
    }

    fn event(&mut self) -> v1::Event {
        if let Some(earlier) = self.events.choose(&mut self.dice).cloned() {
            match self.dice.random_range(0..20) {
                0 | 1 => return earlier,                                                     // the same event again
                2 => return v1::Event { event_time_ms: self.time_ms(), ..earlier },          // another version of it
                3 => return v1::Event { r#type: self.dice.random_range(1..=11), ..earlier }, // and another
                _ => {}
            }
        }
        let bu = self.unit();
        let is_named = self.dice.random_ratio(9, 10);
        let event = v1::Event {
            event_id: if is_named { format!("{:016x}", self.dice.random::<u64>()) } else { String::new() },
            event_time_ms: self.time_ms(),
            bu: bu.into(),
            source: Some(v1::SourceKey { bu: bu.into(), ..self.key() }),
            r#type: self.dice.random_range(1..=11),
            item_id: self.item(bu).item_id,
            value: self.dice.random_bool(0.3).then(|| f64::from(self.dice.random_range(0..50_u32)) / 10.0),
            ..v1::Event::default()
        };
        self.events.push(event.clone());
        event
    }

    fn link(&mut self) -> v1::IdentityLink {
        let (a, b) = (self.key(), self.key());
        v1::IdentityLink {
            a: Some(a),
            b: Some(b),
            operation: self.dice.random_range(1..=2),
            evidence: self.dice.random_range(1..=5),
            confidence: f64::from(self.dice.random_range(0..=4_u32)) / 4.0,
            event_time_ms: self.time_ms(),
        }
    }

    fn change(&mut self) -> v1::CatalogRecord {
        let bu = self.unit();
        let item = self.item(bu);
        let change = if self.dice.random_ratio(1, 5) {
            v1::catalog_record::Change::Delete(item)
        } else {
            let title = format!("thing {}", self.dice.random_range(0..1_000));
            let price = Some(f64::from(self.dice.random_range(0..1_000_u32)));
            let stock = self.dice.random_range(0..3);
            let categories = vec![format!("k{}", self.dice.random_range(0..5))];
            v1::catalog_record::Change::Upsert(v1::Item {
                r#ref: Some(item),
                title,
                price,
                stock,
                categories,
                ..v1::Item::default()
            })
        };
        v1::CatalogRecord { updated_time_ms: self.time_ms(), change: Some(change) }
    }

    /// A record for the dead letters.
    fn nonsense(&mut self, format: Format) -> LogRecord {
        let event = self.event();
        let sound = encode::event(&self.topics, &event, format);
        match self.dice.random_range(0..4) {
            0 => LogRecord { payload: vec![0xFF; 9], ..sound },
            1 => LogRecord { payload: Vec::new(), format: Format::Json, ..sound },
            2 => {
                let topic = self.topics.events(BUS.iter().find(|bu| **bu != event.bu).unwrap());
                LogRecord { topic, ..sound }
            }
            _ => {
                let tomorrow = v1::Event { event_time_ms: self.began_ms + DAY_MS, ..event };
                encode::event(&self.topics, &tomorrow, format)
            }
        }
    }
}
