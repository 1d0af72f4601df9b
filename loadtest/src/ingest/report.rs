//! What a measurement found, for machines and for people.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    preload::{Names, Preloaded},
    server::Stopped,
    watch::{CONSUMED, End, Outcomes, Watched},
};
use crate::cli::IngestArgs;

/// The result of `faces-loadtest ingest`; field names are the keys of `--json`. What is not known is null.
#[derive(Clone, Debug, Serialize)]
pub struct IngestReport {
    /// First part of the topics' names; they stay on the broker.
    pub prefix: String,
    /// Events that were wanted.
    pub events: u64,
    /// People who acted.
    pub people: u32,
    /// Items acted on.
    pub items: u32,
    /// Partitions of the topic of events.
    pub partitions: i32,
    /// How batches were compressed.
    pub compression: &'static str,
    /// Bytes of an event, on average.
    pub event_bytes: Option<f64>,
    /// How long writing them took.
    pub preload_seconds: Option<f64>,
    /// Whether the server kept its state on disk.
    pub durable_state: Option<bool>,
    /// Length of the window: from the first look at which something was consumed to the one at which everything was.
    pub seconds: Option<f64>,
    /// Events done with in the window.
    pub window_events: Option<u64>,
    /// Events done with a second of the window.
    pub events_per_s: Option<f64>,
    /// Processor time of the server for an event of the window, all threads.
    pub cpu_us_per_event: Option<f64>,
    /// Processors that the server kept busy.
    pub cpu_cores: Option<f64>,
    /// Threads of the server that were ready to run but had no processor, on average: what the machine kept from it.
    pub cpu_wait_cores: Option<f64>,
    /// Share of its processor time that was librdkafka's threads'.
    pub librdkafka_cpu_share: Option<f64>,
    /// Processor seconds of the window by the names of threads.
    pub cpu_s_by_thread: BTreeMap<String, f64>,
    /// Processor time of the broker for an event of the window.
    pub broker_cpu_us_per_event: Option<f64>,
    /// Share of all processors of the machine that was busy in the window: near 1, server and broker were in each other's way.
    pub machine_busy_share: Option<f64>,
    /// Processors of the machine.
    pub processors: Option<usize>,
    /// Memory of the server at the end.
    pub rss_bytes: Option<u64>,
    /// Most memory that it used.
    pub rss_peak_bytes: Option<u64>,
    /// Records since the server's start, by what became of them.
    pub outcomes: Outcomes,
    /// Exit code of the server after SIGTERM.
    pub exit_code: Option<i32>,
    /// Whether everything is as it should be: all events applied (or known before), and the server ended well.
    pub complete: bool,
    /// What is not as it should be, and what to bear in mind.
    pub notes: Vec<String>,
    #[serde(skip)]
    is_watched: bool,
    #[serde(skip)]
    has_failed: bool,
}

impl IngestReport {
    /// What is known before a server is watched.
    #[must_use]
    pub fn new(arguments: &IngestArgs, names: &Names, preloaded: Option<&Preloaded>) -> Self {
        Self {
            prefix: names.prefix.clone(),
            events: arguments.events,
            people: arguments.people,
            items: arguments.items,
            partitions: arguments.partitions,
            compression: arguments.compression.name(),
            event_bytes: preloaded.map(|of| of.bytes as f64 / of.events.max(1) as f64),
            preload_seconds: preloaded.map(|of| of.seconds),
            durable_state: None,
            seconds: None,
            window_events: None,
            events_per_s: None,
            cpu_us_per_event: None,
            cpu_cores: None,
            cpu_wait_cores: None,
            librdkafka_cpu_share: None,
            cpu_s_by_thread: BTreeMap::new(),
            broker_cpu_us_per_event: None,
            machine_busy_share: None,
            processors: None,
            rss_bytes: None,
            rss_peak_bytes: None,
            outcomes: Outcomes::new(),
            exit_code: None,
            complete: false,
            notes: Vec::new(),
            is_watched: false,
            has_failed: false,
        }
    }

    /// Enters what was seen of the server.
    pub fn enter(&mut self, watched: &Watched) {
        let Watched { first, last, end } = watched;
        self.is_watched = true;
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        let events = last.consumed() - first.consumed().min(last.consumed());
        let per_event_us = |cpu_s: f64| if events > 0 { Some(cpu_s * 1e6 / events as f64) } else { None };
        self.seconds = Some(seconds);
        self.window_events = Some(events);
        self.events_per_s = (events > 0 && seconds > 0.0).then(|| events as f64 / seconds);
        self.outcomes.clone_from(&last.outcomes);
        if let (Some(before), Some(after)) = (&first.usage, &last.usage) {
            let cpu_s = after.cpu_s - before.cpu_s;
            self.cpu_us_per_event = per_event_us(cpu_s);
            self.cpu_cores = (seconds > 0.0).then(|| cpu_s / seconds);
            self.cpu_wait_cores = (seconds > 0.0).then(|| (after.wait_s - before.wait_s).max(0.0) / seconds);
            self.cpu_s_by_thread = after.by_name_since(before);
            let all: f64 = self.cpu_s_by_thread.values().sum();
            let librdkafka: f64 =
                self.cpu_s_by_thread.iter().filter(|(name, _)| name.starts_with("rdk")).map(|(_, cpu_s)| cpu_s).sum();
            self.librdkafka_cpu_share = (all > 0.0).then(|| librdkafka / all);
            (self.rss_bytes, self.rss_peak_bytes) = (Some(after.rss_bytes), Some(after.rss_peak_bytes));
        }
        if let (Some(before), Some(after)) = (first.broker_cpu_s, last.broker_cpu_s) {
            self.broker_cpu_us_per_event = per_event_us(after - before);
        }
        if let (Some((before, _)), Some((after, processors))) = (first.machine, last.machine) {
            self.machine_busy_share = (seconds > 0.0).then(|| (after - before) / seconds / processors.max(1) as f64);
            self.processors = Some(processors);
        }
        self.enter_end(*end, last.consumed());
    }

    fn enter_end(&mut self, end: End, consumed: u64) {
        let events = self.events;
        let note = match end {
            End::Complete => None,
            End::Stalled => Some(format!(
                "no headway for 30 s at {consumed} of {events} events: the broker has lost the rest or delays it, or the server hangs \
                 (its log says); with --prefix, check that --events is what was written"
            )),
            End::Timeout => Some(format!("time was up at {consumed} of {events} events: raise --timeout-seconds")),
            End::Stopped => Some(format!("stopped by a signal at {consumed} of {events} events")),
        };
        self.has_failed |= note.is_some();
        self.notes.extend(note);
    }

    /// Enters how the server ended.
    pub fn enter_stop(&mut self, stopped: &Stopped) {
        self.exit_code = stopped.exit_code;
        if stopped.exit_code != Some(0) {
            self.has_failed = true;
            let how = stopped.exit_code.map_or_else(|| "did not end in time".to_owned(), |code| format!("ended with {code}"));
            self.notes.push(format!("the server {how} after SIGTERM; it said:\n{}", stopped.log));
        }
    }

    /// Draws the conclusion, once everything is entered.
    pub fn conclude(&mut self) {
        let count = |outcome: &str| self.outcomes.get(outcome).copied().unwrap_or(0);
        let done = count("applied") + count("duplicate");
        if self.is_watched && done != self.events {
            self.has_failed = true;
            let rest = self.outcomes.iter().filter(|(name, count)| name.as_str() != CONSUMED && **count > 0);
            let rest: Vec<String> = rest.map(|(name, count)| format!("{name} {count}")).collect();
            self.notes.push(format!("applied + duplicate is {done}, not {}: {}", self.events, rest.join(", ")));
        }
        if self.machine_busy_share.is_some_and(|share| share > 0.9) {
            let wait = self.cpu_wait_cores.map(|cores| format!("; the server waited for {cores:.2} more")).unwrap_or_default();
            self.notes
                .push(format!("all processors were busy: server, broker and whatever else ran took them from each other{wait}"));
        }
        if self.durable_state == Some(false) {
            self.notes.push("this server has no state.folder: nothing was kept on disk".to_owned());
        }
        self.complete = !self.has_failed;
    }
}

impl fmt::Display for IngestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<16}{value}");
        let show = |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
        let mib = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        row("topics", format!("{}.*  {} partitions  {}", self.prefix, self.partitions, self.compression))?;
        row("events", format!("{} of {} people on {} items", self.events, self.people, self.items))?;
        if let (Some(seconds), Some(bytes)) = (self.preload_seconds, self.event_bytes) {
            row("written", format!("in {seconds:.1} s, {bytes:.1} bytes each"))?;
        }
        if self.is_watched {
            row("applied", format!("{}/s over {} s", show(self.events_per_s, 0), show(self.seconds, 2)))?;
            let share = self.librdkafka_cpu_share.map(|share| share * 100.0);
            row(
                "processor",
                format!(
                    "{} us an event, {} % of it librdkafka's; {} processors busy",
                    show(self.cpu_us_per_event, 3),
                    show(share, 0),
                    show(self.cpu_cores, 2)
                ),
            )?;
            for (name, cpu_s) in self.cpu_s_by_thread.iter().filter(|(_, cpu_s)| **cpu_s >= 0.01) {
                row("", format!("{name:<16} {cpu_s:.2} s"))?;
            }
            let busy = self.machine_busy_share.map(|share| share * 100.0);
            let processors = self.processors.map_or_else(|| "-".to_owned(), |count| count.to_string());
            row(
                "machine",
                format!(
                    "{} % of {processors} processors busy; broker {} us an event",
                    show(busy, 0),
                    show(self.broker_cpu_us_per_event, 3)
                ),
            )?;
            row("memory", format!("{}, peak {}", mib(self.rss_bytes), mib(self.rss_peak_bytes)))?;
            let outcomes: Vec<String> = self.outcomes.iter().map(|(name, count)| format!("{name} {count}")).collect();
            row("outcomes", outcomes.join(", "))?;
        }
        for note in &self.notes {
            row("note", note.clone())?;
        }
        Ok(())
    }
}
