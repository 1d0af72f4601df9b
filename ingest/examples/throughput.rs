//! How many events a second ingest reads, decodes and applies, and what each costs.
//!
//! ```text
//! cargo run --release -p faces-ingest --example throughput -- [events] [scenario...]
//! ```
//!
//! A scenario is a comma-separated list: `noop` or `state` (the sink), `hot` (every second event is of one person; else 1 M people),
//! `boundaries` (asks for a boundary every 5 ms), `readers=2`, and any property of librdkafka: `state,readers=2,check.crcs=true`.
//!
//! The broker is the one of the tests: Tansu in a process of its own on the same machine, so events a second include what the broker
//! takes of the cores; CPU per event does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use faces_core::{
    catalogue::ItemChange,
    identity::Statement,
    record::{Apply, EventView, Outcome, Writer},
    state::State,
};
use faces_ingest::{
    Cluster, Ingest, IngestConfig, Positions, Topics,
    decode::Format,
    encode,
    topics::{Layout, ensure},
};
use faces_proto::v1;
use faces_testbroker::Broker;
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

const PEOPLE: u64 = 1_000_000;
const ITEMS: u64 = 100_000;
const PARTITIONS: i32 = 64;

struct Nothing;

impl Apply for Nothing {
    fn writer(&self) -> Box<dyn Writer + '_> {
        Box::new(Self)
    }
}

impl Writer for Nothing {
    fn event(&mut self, event: &EventView<'_>) -> Outcome {
        std::hint::black_box(event);
        Outcome::Applied
    }

    fn link(&mut self, _: &Statement) -> Outcome {
        Outcome::Applied
    }

    fn item(&mut self, _: &ItemChange) -> Outcome {
        Outcome::Applied
    }

    fn flush(&mut self) {}
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments.next().map_or(2_000_000, |text| text.parse().expect("a number of events"));
    let mut scenarios: Vec<String> = arguments.collect();
    if scenarios.is_empty() {
        scenarios = ["noop,readers=1", "noop,readers=2", "state,readers=2", "state,readers=2,hot"].map(str::to_owned).to_vec();
    }
    let broker = Broker::start().expect("a broker");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for (prefix, is_hot) in [("spread", false), ("hot", true)] {
        if !scenarios.iter().any(|scenario| scenario.split(',').any(|part| part == "hot") == is_hot) {
            continue;
        }
        let topics = Topics::new(prefix).unwrap();
        let layout = Layout { partitions: PARTITIONS, replication: 1 };
        runtime.block_on(ensure(&Cluster::at(broker.address()), &topics, &["video"], layout)).unwrap();
        let began = Instant::now();
        let bytes = preload(&broker, &topics, events, is_hot);
        println!("{prefix}: {events} events of {bytes} bytes written in {:.1} s", began.elapsed().as_secs_f64());
    }
    println!(
        "| scenario | events/s | CPU µs/event | our threads | librdkafka: brokers | librdkafka: main |\n|---|---|---|---|---|---|"
    );
    for scenario in scenarios {
        run(&broker, &scenario, events);
    }
}

/// Writes the events; gives the size of the last one.
fn preload(broker: &Broker, topics: &Topics, events: u64, is_hot: bool) -> usize {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("linger.ms", "50")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "200000")
        .create()
        .unwrap();
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let mut bytes = 0;
    for n in 0..events {
        let person = if is_hot && n % 2 == 0 { 0 } else { n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % PEOPLE };
        let event = v1::Event {
            event_id: format!("e{n:015}"),
            event_time_ms: now_ms - i64::try_from(events - n).unwrap(),
            bu: "video".into(),
            source: Some(v1::SourceKey { bu: "video".into(), kind: 1, id: format!("user-{person:07}") }),
            r#type: i32::try_from(1 + n % 8).unwrap(),
            item_id: format!("item-{:07}", n.wrapping_mul(0xD129_0427_62F3_5A5D) % ITEMS),
            placement: "home.top".into(),
            answer_token: "0123456789abcdef0123456789ab".into(),
            ..v1::Event::default()
        };
        let record = encode::event(topics, &event, Format::Protobuf);
        bytes = record.payload.len();
        // A hot key would fill one partition alone; here it is spread, so that only the key is hot.
        let partition = i32::try_from(n / 2 % PARTITIONS as u64).unwrap();
        loop {
            let message = BaseRecord::to(&record.topic).key(&record.key).payload(&record.payload);
            let message = if is_hot { message.partition(partition) } else { message };
            match producer.send(message) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => producer.poll(Duration::from_millis(10)),
                Err((error, _)) => panic!("{error}"),
            }
        }
        if n % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    bytes
}

fn run(broker: &Broker, scenario: &str, events: u64) {
    let mut config = IngestConfig {
        brokers: broker.address().to_owned(),
        topic_prefix: "spread".to_owned(),
        group_id: format!("throughput {scenario}"),
        ..IngestConfig::default()
    };
    let mut sink: Arc<dyn Apply> = Arc::new(Nothing);
    for part in scenario.split(',') {
        match part.split_once('=') {
            None if part == "state" => sink = Arc::new(State::default()),
            None if part == "hot" => config.topic_prefix = "hot".to_owned(),
            Some(("readers", readers)) => config.readers = readers.parse().unwrap(),
            Some(("prefetch_kib_max", kib)) => config.prefetch_kib_max = kib.parse().unwrap(),
            Some(("batch_records_max", records)) => config.batch_records_max = records.parse().unwrap(),
            Some(("fetch_wait_ms_max", ms)) => config.fetch_wait_ms_max = ms.parse().unwrap(),
            Some((key, value)) => _ = config.extra.insert(key.to_owned(), value.to_owned()),
            None => {}
        }
    }
    let boundaries = scenario.split(',').any(|part| part == "boundaries");
    let mut shut = Vec::new();
    let (before, began) = (cpu_by_thread(), Instant::now());
    let ingest = Ingest::start(config, Arc::clone(&sink), Positions::default()).unwrap();
    let progress = ingest.progress();
    while progress.counts().consumed() < events {
        if boundaries {
            let asked = Instant::now();
            let waited = ingest.at_boundary(Duration::from_secs(1), |_| asked.elapsed()).expect("a boundary");
            shut.push((waited, asked.elapsed()));
        }
        assert!(progress.failure().is_none() && began.elapsed() < Duration::from_secs(300), "{progress:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (seconds, after) = (began.elapsed().as_secs_f64(), cpu_by_thread());
    let spent = |of: &dyn Fn(&str) -> bool| -> f64 {
        let of = after.iter().filter(|((_, name), _)| of(name));
        let micros: u64 = of.map(|(thread, micros)| micros - before.get(thread).copied().unwrap_or(0)).sum();
        micros as f64 / events as f64
    };
    println!(
        "| {scenario} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
        events as f64 / seconds,
        spent(&|_| true),
        spent(&|name| name.starts_with("faces-")),
        spent(&|name| name.starts_with("rdk:broker")),
        spent(&|name| name.starts_with("rdk:main")),
    );
    shut.sort();
    if let (Some((middle, _)), Some((longest, whole))) = (shut.get(shut.len() / 2), shut.last()) {
        println!(
            "{} boundaries; waited for one: median {middle:?}, longest {longest:?} (with the call itself {whole:?})",
            shut.len()
        );
    }
    ingest.stop().unwrap();
}

/// CPU time of every thread of this process, µs (in steps of 10 ms).
fn cpu_by_thread() -> BTreeMap<(u32, String), u64> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let of_task = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        let (start, end) = (stat.find('(')?, stat.rfind(')')?);
        let fields: Vec<&str> = stat[end + 1..].split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
        Some(((task.file_name().to_str()?.parse().ok()?, stat[start + 1..end].to_owned()), ticks * 10_000))
    };
    tasks.filter_map(of_task).collect()
}
