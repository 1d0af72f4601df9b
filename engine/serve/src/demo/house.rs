//! The house that the demo runs in: broker, log, generation, server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use faces_core::identity::{Confidence, Evidence};
use faces_ingest::{
    IngestConfig, LogRecord, LogWriter, Progress, Topics, WriterConfig, decode::Format, embedded::EmbeddedBroker, encode,
    producer::BulkOptions,
};
use faces_proto::v1;
use faces_rebuild::{
    Store, TrainParams,
    tables::{EventRow, ItemRow, LinkRow, TableError},
    train,
    training::assemble,
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    config::{Config, Durability, Generations, Server},
    engine::Engine,
    server::{Addresses, App},
    simulate::World,
};

const PARTITIONS: i32 = 4;
const START_MAX: Duration = Duration::from_secs(60);

/// Everything that runs; closes in order.
pub(super) struct House {
    addresses: Addresses,
    stop: watch::Sender<bool>,
    server: JoinHandle<Result<()>>,
    _broker: EmbeddedBroker,
}

impl House {
    /// Starts the broker, fills the log, trains a generation and starts the server; returns when it is ready. `step` hears what is done.
    pub(super) async fn open(world: &World, folder: &Path, port: u16, step: impl Fn(String)) -> Result<Self> {
        let topics = Topics::new(&IngestConfig::default().topic_prefix)?;
        let broker = EmbeddedBroker::start(&topics, world.bus(), PARTITIONS).context("can't start the embedded broker")?;
        let config = Config {
            server: Server {
                grpc_address: free_or_any(port),
                admin_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                ..Server::default()
            },
            kafka: IngestConfig { brokers: broker.cluster().brokers, ..IngestConfig::default() },
            generations: Generations { folder: folder.to_owned(), watch_ms: 100, ..Generations::default() },
            state: Durability { folder: std::path::PathBuf::new(), ..Durability::default() },
            ..Config::default()
        };
        let writer = LogWriter::new(&WriterConfig { brokers: broker.cluster().brokers, ..WriterConfig::default() })?;
        let app = App::bind(config)?;
        let addresses = app.addresses()?;
        let (stop, stopped) = watch::channel(false);
        let (started, mut running) = watch::channel::<Option<(Arc<Engine>, Arc<Progress>)>>(None);
        let server = tokio::spawn(app.run(stopped, move |engine, progress| {
            started.send_replace(Some((Arc::clone(engine), Arc::clone(progress))));
        }));
        let (engine, progress) = match running.wait_for(Option::is_some).await {
            Ok(running) => running.clone().context("the server did not start")?,
            Err(_) => return server.await?.and_then(|()| bail!("the server ended at once")),
        };
        let written = fill(&writer, &topics, world).await?;
        step(format!("{written} records through an embedded Kafka broker on {}", broker.cluster().brokers));

        let (rows, folder) = (Rows::of(world), folder.to_owned());
        let published = tokio::task::spawn_blocking(move || rebuild(rows, &folder)).await??;
        step(format!("generation {published} trained and published"));

        let ready = || {
            let served = engine.generation().is_some_and(|serving| serving.manifest().id.to_string() == published);
            let all_counted = progress.counts().consumed() >= written && engine.state().is_settled();
            served && progress.caught_up() && all_counted
        };
        let deadline = tokio::time::Instant::now() + START_MAX;
        while !ready() {
            ensure!(tokio::time::Instant::now() < deadline, "not ready after {} s: {:?}", START_MAX.as_secs(), progress.counts());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let counts = progress.counts();
        ensure!(counts.dead == 0, "{} records of the simulated group were refused", counts.dead);
        step(format!(
            "every record consumed and applied: {} profiles, {} items",
            engine.state().fragment_count(),
            engine.state().catalogue().listed_count()
        ));
        Ok(Self { addresses, stop, server, _broker: broker })
    }

    pub(super) fn server(&self) -> String {
        format!("http://{}", self.addresses.grpc)
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Drains the server.
    pub(super) async fn close(self) -> Result<()> {
        self.stop.send_replace(true);
        self.server.await?
    }
}

/// The asked port, or any if it is taken.
fn free_or_any(port: u16) -> SocketAddr {
    let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if std::net::TcpListener::bind(asked).is_ok() { asked } else { SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) }
}

async fn fill(writer: &LogWriter, topics: &Topics, world: &World) -> Result<u64> {
    let listed_ms = world.history().first().map_or(0, |event| event.event_time_ms);
    let items = world.items().iter().map(|item| {
        let change = v1::catalog_record::Change::Upsert(item.clone());
        encode::catalog(topics, &v1::CatalogRecord { updated_time_ms: listed_ms, change: Some(change) }, Format::Protobuf)
    });
    let links = world.links().iter().map(|link| encode::link(topics, link, Format::Protobuf));
    let events = world.history().iter().map(|event| encode::event(topics, event, Format::Protobuf));
    let records: Vec<LogRecord> = items.chain(links).chain(events).collect();
    let total = records.len();
    let report = writer.write_bulk(records, BulkOptions::default(), |_| {}).await;
    match report.failures.first() {
        Some((_, error)) => bail!("{} of {total} records were not written: {error}", report.failures.len()),
        None => Ok(report.written),
    }
}

/// The world as tables, the form that training reads.
struct Rows {
    events: Vec<EventRow>,
    items: Vec<ItemRow>,
    links: Vec<LinkRow>,
}

impl Rows {
    fn of(world: &World) -> Self {
        let name = |key: &Option<v1::SourceKey>| key.as_ref().map(|key| (key.bu.clone(), key.id.clone())).unwrap_or_default();
        let events = world.history().iter().map(|event| EventRow {
            ts_ms: event.event_time_ms,
            bu: event.bu.clone(),
            local_user_id: name(&event.source).1,
            item_id: event.item_id.clone(),
            event_type: event.r#type().as_str_name().trim_start_matches("EVENT_TYPE_").to_lowercase(),
            value: event.value,
            currency: None,
        });
        let items = world.items().iter().filter_map(|item| {
            let v1::ItemRef { bu, item_id } = item.r#ref.clone()?;
            let (category, price) = (item.categories.clone(), item.price);
            Some(ItemRow {
                item_id,
                bu,
                title: Some(item.title.clone()),
                category,
                brand: Some(item.brand.clone()),
                price,
                ..ItemRow::default()
            })
        });
        let links = world.links().iter().map(|link| {
            let ((bu_a, local_user_a), (bu_b, local_user_b)) = (name(&link.a), name(&link.b));
            let (evidence, confidence) = (Evidence::Declared, Confidence::FULL);
            LinkRow { ts_ms: link.event_time_ms, bu_a, local_user_a, bu_b, local_user_b, is_unlink: false, evidence, confidence }
        });
        Self { events: events.collect(), items: items.collect(), links: links.collect() }
    }
}

fn rebuild(rows: Rows, folder: &Path) -> Result<String> {
    fn whole<Row>(row: Row) -> Result<Row, TableError> {
        Ok(row)
    }
    let assembled =
        assemble(rows.events.into_iter().map(whole), rows.items.into_iter().map(whole), rows.links.into_iter().map(whole), None)?;
    let generation = train(&assembled.log, &TrainParams::default(), &|_, _| {})?;
    Ok(Store::open(folder)?.publish(&generation)?.to_string())
}
