//! How fast a server comes through a log that is full already, and what an event costs it.
//!
//! The events are written first, so that the writer is not what gets measured; then a server starts on an empty state, and its admin page
//! is asked again and again how far it is, while the kernel says what it costs. Everything runs on one machine, broker included, so the
//! figures are what is left for the server beside the broker.

pub mod error;
pub mod events;
pub mod preload;
pub mod procfs;
pub mod report;
pub mod server;
pub mod watch;
pub mod writer;

use std::{
    net::ToSocketAddrs as _,
    process,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use crate::{cli::IngestArgs, freshness::now_ms, progress, target::Target};

use self::{
    error::IngestError,
    events::{Crowd, Events, Items},
    preload::{Names, Preloaded},
    report::IngestReport,
    server::{Server, Stopped},
    watch::{Watch, Watched},
};

/// Events are spread over so long before now.
const SPAN_MS: i64 = 3_600_000;

/// Runs `faces-loadtest ingest` until its end or until `stop`. Blocks the thread; must be inside a runtime.
///
/// # Errors
/// When it can't start, or the log can't be written. What the server makes of the events is in the report.
pub fn run(arguments: &IngestArgs, stop: &AtomicBool) -> Result<IngestReport, IngestError> {
    preload::check_brokers(&arguments.brokers, arguments.allow_remote)?;
    let admin = arguments.admin.as_deref().map(|url| admin_address(url, arguments.allow_remote)).transpose()?;
    let names = Names {
        prefix: arguments.prefix.clone().unwrap_or_else(|| format!("loadtest-{:x}-{:x}", now_ms(), process::id())),
        bu: arguments.bu.clone(),
    };
    let is_written = arguments.prefix.is_some() && !arguments.preload_only;
    let preloaded = if is_written {
        preload::check_topic(&arguments.brokers, &names, arguments.partitions)?;
        None
    } else {
        Some(write(arguments, &names, stop)?)
    };
    let mut report = IngestReport::new(arguments, &names, preloaded.as_ref());
    match (admin, &arguments.serve) {
        (Some(address), _) => {
            let watched = look(arguments, &Watch { admin: address, pid: arguments.pid, server: None }, stop)?;
            report.enter(&watched);
        }
        (None, Some(program)) => {
            let server = Server::start(program, arguments, &names)?;
            let watch = Watch { admin: server.admin(), pid: Some(server.pid()), server: Some(&server) };
            let watched = look(arguments, &watch, stop);
            report.durable_state = Some(server.is_durable());
            let stopped: Stopped = server.stop();
            report.enter(&watched?);
            report.enter_stop(&stopped);
        }
        (None, None) => {}
    }
    report.conclude();
    Ok(report)
}

fn admin_address(url: &str, allow_remote: bool) -> Result<std::net::SocketAddr, IngestError> {
    let target = Target::parse(url, allow_remote)?;
    let (host, port) = (target.uri().host().unwrap_or_default(), target.uri().port_u16().unwrap_or_default());
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = (host, port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| IngestError::Admin { url: url.to_owned() })
}

fn write(arguments: &IngestArgs, names: &Names, stop: &AtomicBool) -> Result<Preloaded, IngestError> {
    preload::make_topics(&arguments.brokers, names, arguments.partitions)?;
    let crowd = Crowd { bu: arguments.bu.clone(), people: arguments.people, items: Items::Numbered(arguments.items) };
    let events = Events::new(crowd, arguments.events, now_ms() - SPAN_MS, SPAN_MS - 60_000, arguments.seed);
    let bar = progress::bar(arguments.events, "events written", arguments.json);
    let began = Instant::now();
    let preloaded = preload::write(arguments, names, events, stop, |written| bar.set_position(written));
    bar.finish_and_clear();
    let mut preloaded = preloaded?;
    preloaded.seconds = began.elapsed().as_secs_f64();
    Ok(preloaded)
}

fn look(arguments: &IngestArgs, watch: &Watch<'_>, stop: &AtomicBool) -> Result<Watched, IngestError> {
    let bar = progress::bar(arguments.events, "events applied", arguments.json);
    let limits = watch::Limits {
        events: arguments.events,
        sample: Duration::from_millis(arguments.sample_ms),
        timeout: Duration::from_secs(arguments.timeout_seconds),
        broker_pid: arguments.broker_pid,
    };
    let watched = watch.run(&limits, stop, |consumed, per_second| {
        bar.set_position(consumed);
        bar.set_message(format!("{per_second:.0}/s"));
    });
    bar.finish_and_clear();
    watched
}
