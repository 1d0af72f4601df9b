//! The catalogue of metrics: every name, once. Never a person or an item as a label.

use std::{
    cell::RefCell,
    ptr,
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use faces_core::ranking::{NoScores, Placed, ScoredBy};
use faces_ingest::{
    Progress,
    progress::{Counts, Lags},
};
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tonic::Code;

use crate::{
    clock,
    engine::{Answer, Engine},
    overload::{Level, Overload},
};

/// Calls by `method` and `code`.
const RPC_TOTAL: &str = "faces_rpc_total";
/// Time from decoded request to encoded answer.
const RPC_SECONDS: &str = "faces_rpc_seconds";
/// Slates by `size`: full, short, empty.
const SLATES_TOTAL: &str = "faces_slates_total";
/// Slates whose retrieval the deadline cut short.
const SLATES_CUT_SHORT_TOTAL: &str = "faces_slates_cut_short_total";
/// Slates by what their order comes from: own_model, ranker, blend.
const SCORED_SLATES_TOTAL: &str = "faces_scored_slates_total";
/// What the user's own ranking model was asked for, by `outcome`: scored; late, not_finite, failed; resting, when it was not asked.
const OWN_MODEL_ANSWERS_TOTAL: &str = "faces_own_model_answers_total";
/// Time that it took, where it was asked.
const OWN_MODEL_SECONDS: &str = "faces_own_model_seconds";
/// Candidates removed by `filter`.
const FILTERED_TOTAL: &str = "faces_filtered_candidates_total";
/// Pins by `outcome`: placed; skipped, because a filter removed the item or the page has no place for it.
const PINS_TOTAL: &str = "faces_pins_total";
/// Places of slates that were given to new items by chance.
const EXPLORED_PLACES_TOTAL: &str = "faces_explored_places_total";
/// Files of rules by `outcome`: activated, refused.
const RULES_LOADS_TOTAL: &str = "faces_rules_loads_total";
/// Rules in force.
const RULES: &str = "faces_rules";
/// Generations by `outcome`: activated, refused.
const GENERATIONS_TOTAL: &str = "faces_generation_swaps_total";
/// Up to when the generation in service knows the log, Unix seconds.
const GENERATION_CUT_OFF: &str = "faces_generation_cut_off_timestamp_seconds";
/// Generations that the server took back by itself, by `cause`: failed, empty, slow.
const ROLLBACKS_TOTAL: &str = "faces_generation_rollbacks_total";
/// Time from the decision to load a generation to its serving, loading and warming up included.
const GENERATION_LOAD_SECONDS: &str = "faces_generation_load_seconds";
/// Records by `outcome`: consumed = applied + duplicates + expired + ignored + dead.
const RECORDS_TOTAL: &str = "faces_ingest_records_total";
/// Records between position and end by `topic` and `partition`.
const LAG_RECORDS: &str = "faces_ingest_lag_records";
/// Histogram of the time from the log's taking a record to its being applied. Kept by ingest; shown here as its buckets.
const APPEND_LAG_SECONDS: &str = "faces_ingest_append_lag_seconds";
/// Histogram of the time from an event's happening to its being applied.
const EVENT_LAG_SECONDS: &str = "faces_ingest_event_lag_seconds";
/// Time of the newest event applied of business unit `bu`, Unix seconds.
const NEWEST_EVENT: &str = "faces_ingest_newest_event_timestamp_seconds";
/// What the log took of business unit `bu` before this time is applied, Unix seconds.
const WATERMARK: &str = "faces_ingest_watermark_timestamp_seconds";
/// Events that keys had beyond `kafka.hot_key_events_per_second`.
const HOT_KEY_EVENTS_TOTAL: &str = "faces_ingest_hot_key_events_total";
/// Offsets for which no record came.
const SKIPPED_OFFSETS_TOTAL: &str = "faces_ingest_skipped_offsets_total";
/// 1 while reading waits because dead letters can't be written.
const HELD: &str = "faces_ingest_held";
/// Attempts to write dead letters that had to be repeated.
const DEAD_LETTER_RETRIES_TOTAL: &str = "faces_ingest_dead_letter_retries_total";
/// 1 once reading ended by itself; the log says why, and the way out.
const FAILED: &str = "faces_ingest_failed";
/// How long ago every partition was last seen at its end.
const VIEW_AGE_SECONDS: &str = "faces_view_age_seconds";
/// Fragments held.
const FRAGMENTS: &str = "faces_fragments";
/// Behaviours held.
const BEHAVIOURS: &str = "faces_behaviours";
/// Items in the catalogue.
const ITEMS: &str = "faces_items";
/// Items of which no catalogue has said anything.
const ITEMS_WITHOUT_RECORD: &str = "faces_items_without_record";

/// Images of the state by `outcome`: written, failed.
const IMAGES_TOTAL: &str = "faces_state_images_total";
/// How long writing the last image took.
const IMAGE_SECONDS: &str = "faces_state_image_seconds";
/// Bytes of the last image, as written.
const IMAGE_BYTES: &str = "faces_state_image_bytes";
/// Bytes of all images kept on this machine.
const IMAGES_BYTES: &str = "faces_state_images_bytes";
/// When the last image was written, seconds since 1970.
const IMAGE_TIME: &str = "faces_state_image_timestamp_seconds";
/// Device and session keys let go because too many were seen only once.
const PROBATION_DROPS_TOTAL: &str = "faces_probation_drops_total";

/// Rows in the index of business unit `bu`, as built.
const INDEX_ROWS: &str = "faces_index_rows";
/// Rows by which the index of `bu` differs from what was built: new, replaced, removed.
const INDEX_CHANGED_ROWS: &str = "faces_index_changed_rows";
/// 1 once so much of the index of `bu` changed that it should be rebuilt.
const INDEX_REBUILD_DUE: &str = "faces_index_rebuild_due";

/// Answers by `level`: full, lean, co_visitation, cached, popular.
const ANSWERS_TOTAL: &str = "faces_answers_total";
/// The level in force: 0 for full to 4 for popular.
const LEVEL: &str = "faces_service_level";
/// 1 while the level is set by hand.
const LEVEL_SET: &str = "faces_service_level_set";
/// Usual time of an answer at `level`.
const LEVEL_SECONDS: &str = "faces_service_level_cost_seconds";
/// Requests for recommendations refused before they were looked at, by `reason` (overloaded, late, rate_limited) and `criticality`.
const REFUSED_TOTAL: &str = "faces_refused_requests_total";
/// Requests that may work at once, that do, and that wait for their turn.
const CONCURRENCY_LIMIT: &str = "faces_concurrency_limit_requests";
const IN_FLIGHT: &str = "faces_in_flight_requests";
const WAITING: &str = "faces_waiting_requests";
/// Times that connections were not read from because refusing took too much.
const READING_PAUSES_TOTAL: &str = "faces_reading_pauses_total";
/// Connections open.
const CONNECTIONS: &str = "faces_connections";
/// Connections closed at once because there were `server.connections_max`.
const CONNECTIONS_REFUSED_TOTAL: &str = "faces_refused_connections_total";
/// Rankings remembered, and slates made of one in the place of a new one.
const REMEMBERED_RANKINGS: &str = "faces_remembered_rankings";
const REUSED_RANKINGS_TOTAL: &str = "faces_reused_rankings_total";
/// Processor time of the process, by the names that Prometheus' own clients use.
const CPU_SECONDS_TOTAL: &str = "process_cpu_seconds_total";
/// Memory of the process.
const MEMORY_BYTES: &str = "process_resident_memory_bytes";

/// Upper bounds of the latency histogram, seconds.
const SECONDS_BOUNDS: [f64; 14] =
    [20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 500e-3, 2.0];
/// The same of what may take minutes.
const LONG_SECONDS_BOUNDS: [f64; 10] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0];

/// Installs the recorder of this process, or returns the one there is.
///
/// # Errors
/// When another recorder was installed by somebody else.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let mut builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS_BOUNDS)?;
    for name in [IMAGE_SECONDS, GENERATION_LOAD_SECONDS] {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.into()), &LONG_SECONDS_BOUNDS)?;
    }
    let recorder = builder.build_recorder();
    let handle = HANDLE.get_or_init(|| recorder.handle()).clone();
    // A second server of the same process (tests) loses the race and keeps the first one's recorder.
    if metrics::set_global_recorder(recorder).is_ok() {
        describe();
        records(&Counts::default()); // there from the start, though loading the state comes first
        seldom();
    }
    HANDLE.get().cloned().context("no recorder").map(|_| handle)
}

/// Shows what is seldom counted as 0 from the start: the first of a counter that was not there before is no increase to whoever watches it.
fn seldom() {
    let labelled: [(&'static str, &'static str, &[&'static str]); 5] = [
        (GENERATIONS_TOTAL, "outcome", &["activated", "refused"]),
        (ROLLBACKS_TOTAL, "cause", &["failed", "empty", "slow"]),
        (RULES_LOADS_TOTAL, "outcome", &["activated", "refused"]),
        (IMAGES_TOTAL, "outcome", &["written", "failed"]),
        (PINS_TOTAL, "outcome", &["placed", "skipped"]),
    ];
    for (name, label, values) in labelled {
        values.iter().for_each(|value| counter!(name, label => *value).absolute(0));
    }
    [SLATES_CUT_SHORT_TOTAL, EXPLORED_PLACES_TOTAL, CONNECTIONS_REFUSED_TOTAL]
        .into_iter()
        .for_each(|name| counter!(name).absolute(0));
}

/// How often what was timed is summed up.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

/// Sums up what was timed, for ever: times are kept one by one until then, which without anybody who looks at the metrics would
/// take ever more memory.
pub async fn upkeep(recorder: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP_PERIOD);
    loop {
        ticks.tick().await;
        recorder.run_upkeep();
    }
}

fn describe() {
    describe_counter!(RPC_TOTAL, "calls by method and status code");
    describe_histogram!(RPC_SECONDS, Unit::Seconds, "time from decoded request to encoded answer");
    describe_counter!(SLATES_TOTAL, "slates by size: full, short, empty");
    describe_counter!(SLATES_CUT_SHORT_TOTAL, "slates whose retrieval the deadline cut short");
    describe_counter!(SCORED_SLATES_TOTAL, "slates by what their order comes from: own_model, ranker, blend");
    describe_counter!(
        OWN_MODEL_ANSWERS_TOTAL,
        "answers of the own ranking model by outcome: scored; late, not_finite, failed, resting: ranked without it"
    );
    describe_histogram!(OWN_MODEL_SECONDS, Unit::Seconds, "time that the own ranking model took for the candidates of a request");
    describe_counter!(FILTERED_TOTAL, "candidates removed, by filter");
    describe_counter!(PINS_TOTAL, "pins by outcome: placed, skipped");
    describe_counter!(EXPLORED_PLACES_TOTAL, "places of slates given to new items by chance");
    describe_counter!(RULES_LOADS_TOTAL, "files of rules by outcome: activated, refused");
    describe_gauge!(RULES, "rules in force");
    describe_counter!(GENERATIONS_TOTAL, "generation swaps by outcome: activated, refused");
    describe_gauge!(
        GENERATION_CUT_OFF,
        Unit::Seconds,
        "the generation in service was trained on what happened before this, unix seconds"
    );
    describe_counter!(ROLLBACKS_TOTAL, "generations that the server took back by itself, by cause: failed, empty, slow");
    describe_histogram!(GENERATION_LOAD_SECONDS, Unit::Seconds, "time to load, check and warm up a generation that then served");
    describe_counter!(RECORDS_TOTAL, "records by outcome; consumed = applied + duplicates + expired + ignored + dead");
    describe_gauge!(LAG_RECORDS, "records between position and end of a partition");
    for part in ["bucket", "count"] {
        describe_counter!(format!("{APPEND_LAG_SECONDS}_{part}"), "time from the log's taking a record to its being applied");
        describe_counter!(format!("{EVENT_LAG_SECONDS}_{part}"), "time from an event's happening to its being applied");
    }
    describe_gauge!(NEWEST_EVENT, Unit::Seconds, "time of the newest event applied of a business unit, unix seconds");
    describe_gauge!(WATERMARK, Unit::Seconds, "what the log took of a business unit before this time is applied, unix seconds");
    describe_counter!(
        HOT_KEY_EVENTS_TOTAL,
        "events that keys had beyond kafka.hot_key_events_per_second; applied like all others"
    );
    describe_counter!(
        SKIPPED_OFFSETS_TOTAL,
        "offsets for which no record came: transaction markers, compacted records; else a broker that keeps records back"
    );
    describe_gauge!(HELD, "1 while reading waits because dead letters can't be written");
    describe_counter!(DEAD_LETTER_RETRIES_TOTAL, "attempts to write dead letters that had to be repeated");
    describe_gauge!(FAILED, "1 once reading ended by itself");
    describe_gauge!(VIEW_AGE_SECONDS, Unit::Seconds, "how long ago every partition was last seen at its end");
    describe_gauge!(FRAGMENTS, "source keys with behaviour");
    describe_gauge!(BEHAVIOURS, "behaviours remembered");
    describe_gauge!(ITEMS, "items in the catalogue");
    describe_gauge!(ITEMS_WITHOUT_RECORD, "items that only events have named");
    describe_counter!(IMAGES_TOTAL, "images of the state by outcome: written, failed");
    describe_histogram!(IMAGE_SECONDS, Unit::Seconds, "time to write an image");
    describe_gauge!(IMAGE_BYTES, Unit::Bytes, "bytes of the last image, as written");
    describe_gauge!(IMAGES_BYTES, Unit::Bytes, "bytes of all images kept on this machine");
    describe_gauge!(IMAGE_TIME, Unit::Seconds, "when the last image was written, since 1970");
    describe_counter!(PROBATION_DROPS_TOTAL, "device and session keys let go because too many were seen only once");
    describe_counter!(ANSWERS_TOTAL, "answers by level: full, lean, co_visitation, cached, popular");
    describe_gauge!(LEVEL, "level in force, from 0 for full to 4 for popular");
    describe_gauge!(LEVEL_SET, "1 while the level is set by hand, whatever the load");
    describe_gauge!(LEVEL_SECONDS, Unit::Seconds, "usual time of an answer by level, without decoding and encoding");
    describe_counter!(REFUSED_TOTAL, "requests refused before they were looked at, by reason and criticality");
    describe_gauge!(CONCURRENCY_LIMIT, "requests that may work at once");
    describe_gauge!(IN_FLIGHT, "requests that work");
    describe_gauge!(WAITING, "requests that wait for their turn");
    describe_counter!(READING_PAUSES_TOTAL, "times that connections were not read from because refusing took too much");
    describe_gauge!(CONNECTIONS, "connections open");
    describe_counter!(CONNECTIONS_REFUSED_TOTAL, "connections closed at once because there were server.connections_max");
    describe_gauge!(REMEMBERED_RANKINGS, "rankings remembered");
    describe_counter!(REUSED_RANKINGS_TOTAL, "slates made of a remembered ranking in the place of a new one");
    describe_gauge!(CPU_SECONDS_TOTAL, Unit::Seconds, "processor time of the process, user and system");
    describe_gauge!(MEMORY_BYTES, Unit::Bytes, "memory of the process");
    describe_gauge!(INDEX_ROWS, "rows in the index of a business unit, as built");
    describe_gauge!(INDEX_CHANGED_ROWS, "rows by which the index differs from what was built: new, replaced, removed");
    describe_gauge!(INDEX_REBUILD_DUE, "1 once so much of the index changed that it should be rebuilt");
}

/// Counts and times one call.
pub fn rpc(method: &'static str, started: Instant, refused: Option<Code>) {
    struct Known {
        method: &'static str,
        refused: Option<Code>,
        calls: Counter,
        seconds: Histogram,
    }
    thread_local! {
        static KNOWN: RefCell<Vec<Known>> = RefCell::default();
    }
    let make = || {
        let code = refused.map_or("OK", code_name);
        let calls = counter!(RPC_TOTAL, "method" => method, "code" => code);
        Known { method, refused, calls, seconds: histogram!(RPC_SECONDS, "method" => method) }
    };
    let is_it = |known: &Known| ptr::eq(known.method, method) && known.refused == refused;
    KNOWN.with_borrow_mut(|known| {
        with_found(known, is_it, make, |Known { calls, seconds, .. }| {
            calls.increment(1);
            seconds.record(started.elapsed().as_secs_f64());
        });
    });
}

/// Adds to a counter with one label, which is looked for in the registry once a thread: that costs more than all counting.
fn add(name: &'static str, label: &'static str, value: &'static str, count: u64) {
    thread_local! {
        static KNOWN: RefCell<Vec<(&'static str, &'static str, Counter)>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let is_it = |(of, held, _): &(&'static str, &'static str, Counter)| ptr::eq(*of, name) && ptr::eq(*held, value);
        with_found(known, is_it, || (name, value, counter!(name, label => value)), |(.., counter)| counter.increment(count));
    });
}

/// Uses the first of a few that `is_it`, made and kept if there is none.
fn with_found<T>(known: &mut Vec<T>, is_it: impl Fn(&T) -> bool, make: impl FnOnce() -> T, used: impl FnOnce(&T)) {
    if let Some(found) = known.iter().find(|one| is_it(one)) {
        return used(found);
    }
    let made = make();
    used(&made);
    known.push(made);
}

/// Counts what an answer came to.
pub fn slate(answer: &Answer, wanted: usize) {
    slate_size(answer.slate.items.len(), wanted);
    if answer.slate.cut_short {
        counter!(SLATES_CUT_SHORT_TOTAL).increment(1);
    }
    let by = match answer.slate.scored_by {
        ScoredBy::OwnModel => "own_model",
        ScoredBy::Ranker => "ranker",
        ScoredBy::Blend => "blend",
    };
    add(SCORED_SLATES_TOTAL, "by", by, 1);
    for (filter, removed) in &answer.slate.removed {
        add(FILTERED_TOTAL, "filter", filter, *removed as u64);
    }
    let placed = |is_it: fn(&Placed) -> bool| {
        let placed = answer.slate.items.iter().filter_map(|candidate| candidate.placed.as_ref());
        placed.filter(|placed| is_it(placed)).count() as u64
    };
    let pinned = placed(|placed| matches!(placed, Placed::Pinned { .. }));
    for (outcome, pins) in [("placed", pinned), ("skipped", answer.slate.pins_skipped as u64)] {
        if pins > 0 {
            counter!(PINS_TOTAL, "outcome" => outcome).increment(pins);
        }
    }
    let explored = placed(|placed| matches!(placed, Placed::Explored { .. }));
    if explored > 0 {
        counter!(EXPLORED_PLACES_TOTAL).increment(explored);
    }
}

/// Counts a slate by its size.
pub fn slate_size(items: usize, wanted: usize) {
    let size = match items {
        0 => "empty",
        n if n < wanted => "short",
        _ => "full",
    };
    add(SLATES_TOTAL, "size", size, 1);
}

/// Notes how many connections are open.
pub fn connections(open: usize) {
    gauge!(CONNECTIONS).set(open as f64);
}

/// Counts a connection that was closed at once.
pub fn connection_refused() {
    counter!(CONNECTIONS_REFUSED_TOTAL).increment(1);
}

/// Brings what is known of load up to date; called when somebody looks.
pub fn refresh_load(overload: &Overload) {
    gauge!(LEVEL).set(overload.ladder.in_force().position() as f64);
    gauge!(LEVEL_SET).set(f64::from(u8::from(overload.ladder.pinned().is_some())));
    for level in Level::ALL {
        counter!(ANSWERS_TOTAL, "level" => level.name()).absolute(overload.ladder.answers(level));
        gauge!(LEVEL_SECONDS, "level" => level.name()).set(overload.ladder.cost(level).as_secs_f64());
    }
    for (why, criticality, count) in overload.admission.refused() {
        counter!(REFUSED_TOTAL, "reason" => why.name(), "criticality" => criticality.name()).absolute(count);
    }
    let standing = overload.admission.standing();
    gauge!(CONCURRENCY_LIMIT).set(standing.limit as f64);
    gauge!(IN_FLIGHT).set(standing.in_flight as f64);
    gauge!(WAITING).set(standing.waiting as f64);
    counter!(READING_PAUSES_TOTAL).absolute(overload.gate.closings());
    gauge!(REMEMBERED_RANKINGS).set(overload.remembered.len() as f64);
    counter!(REUSED_RANKINGS_TOTAL).absolute(overload.remembered.reused());
    refresh_process();
}

fn refresh_process() {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // Counters are whole numbers here, and a second of processor time is too coarse.
    gauge!(CPU_SECONDS_TOTAL).set(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    if let Some(kib) = kib {
        gauge!(MEMORY_BYTES).set(kib * 1_024.0);
    }
}

/// Counts and times what the own ranking model was asked for.
pub fn own_model(answer: Result<(), NoScores>, took: Duration) {
    let outcome = match answer {
        Ok(()) => "scored",
        Err(NoScores::Late) => "late",
        Err(NoScores::NotFinite) => "not_finite",
        Err(NoScores::Failed) => "failed",
        Err(NoScores::Resting) => "resting",
    };
    counter!(OWN_MODEL_ANSWERS_TOTAL, "outcome" => outcome).increment(1);
    if answer != Err(NoScores::Resting) {
        histogram!(OWN_MODEL_SECONDS).record(took.as_secs_f64());
    }
}

/// Notes that so many rules are in force now.
pub fn rules_in_force(count: usize) {
    counter!(RULES_LOADS_TOTAL, "outcome" => "activated").increment(1);
    gauge!(RULES).set(count as f64);
}

/// Counts a file of rules that was refused.
pub fn rules_refused() {
    counter!(RULES_LOADS_TOTAL, "outcome" => "refused").increment(1);
}

/// Notes an image of the state, or that there is none this time.
pub fn image(written: Option<&faces_state::Written>) {
    counter!(IMAGES_TOTAL, "outcome" => if written.is_some() { "written" } else { "failed" }).increment(1);
    if let Some(written) = written {
        histogram!(IMAGE_SECONDS).record(written.seconds);
        gauge!(IMAGE_BYTES).set(written.bytes as f64);
        gauge!(IMAGES_BYTES).set(written.segment_bytes as f64);
        gauge!(IMAGE_TIME).set(clock::now().millis() as f64 / 1_000.0);
    }
}

/// Counts a swap.
pub fn generation(outcome: &'static str) {
    counter!(GENERATIONS_TOTAL, "outcome" => outcome).increment(1);
}

/// Counts a generation that was taken back.
pub fn rolled_back(cause: &'static str) {
    counter!(ROLLBACKS_TOTAL, "cause" => cause).increment(1);
}

/// Times a swap.
pub fn generation_loaded(took: Duration) {
    histogram!(GENERATION_LOAD_SECONDS).record(took.as_secs_f64());
}

/// Brings gauges and ingest counters up to date; called when somebody looks.
pub fn refresh(engine: &Engine, progress: &Progress) {
    refresh_ingest(progress);
    gauge!(FRAGMENTS).set(engine.state().fragment_count() as f64);
    gauge!(BEHAVIOURS).set(engine.state().behaviour_count() as f64);
    counter!(PROBATION_DROPS_TOTAL).absolute(engine.state().probation_drops());
    gauge!(ITEMS).set(engine.state().catalogue().listed_count() as f64);
    gauge!(ITEMS_WITHOUT_RECORD).set(engine.state().catalogue().without_record_count() as f64);
    let generation = engine.generation();
    if let Some(generation) = &generation {
        gauge!(GENERATION_CUT_OFF).set(generation.manifest().cut_off_ms as f64 / 1_000.0);
    }
    for (bu, status) in generation.iter().flat_map(|generation| generation.index_status()) {
        let bu = engine.state().catalogue().bu_name(bu).to_owned();
        gauge!(INDEX_ROWS, "bu" => bu.clone()).set(status.base_rows as f64);
        gauge!(INDEX_CHANGED_ROWS, "bu" => bu.clone()).set((status.tail_rows + status.masked_rows) as f64);
        gauge!(INDEX_REBUILD_DUE, "bu" => bu).set(f64::from(u8::from(status.is_rebuild_due)));
    }
}

fn records(counts: &Counts) {
    let outcomes = [
        ("consumed", counts.consumed()),
        ("applied", counts.applied),
        ("duplicate", counts.duplicates),
        ("expired", counts.expired),
        ("ignored", counts.ignored),
        ("dead", counts.dead),
    ];
    for (outcome, count) in outcomes {
        counter!(RECORDS_TOTAL, "outcome" => outcome).absolute(count);
    }
}

fn refresh_ingest(progress: &Progress) {
    records(&progress.counts());
    for partition in progress.partitions().iter() {
        let (topic, number) = (partition.topic().to_owned(), partition.partition().to_string());
        gauge!(LAG_RECORDS, "topic" => topic, "partition" => number).set(partition.lag() as f64);
    }
    let view_age_ms = progress.view_age_ms();
    gauge!(VIEW_AGE_SECONDS).set(view_age_ms as f64 / 1_000.0);
    let freshness = progress.freshness();
    lags(APPEND_LAG_SECONDS, &freshness.since_append);
    lags(EVENT_LAG_SECONDS, &freshness.since_event);
    for (bu, watermark) in progress.watermarks() {
        let seen_all_ms = clock::now().millis() as f64 - view_age_ms as f64;
        let applied_ms = watermark.behind_append_ms.map_or(seen_all_ms, |ms| ms as f64);
        if !watermark.is_unknown {
            gauge!(WATERMARK, "bu" => bu.clone()).set(applied_ms / 1_000.0);
        }
        if let Some(newest_ms) = watermark.newest_event_ms {
            gauge!(NEWEST_EVENT, "bu" => bu).set(newest_ms as f64 / 1_000.0);
        }
    }
    counter!(HOT_KEY_EVENTS_TOTAL).absolute(progress.hot_key_events());
    counter!(SKIPPED_OFFSETS_TOTAL).absolute(progress.skipped_offsets());
    counter!(DEAD_LETTER_RETRIES_TOTAL).absolute(progress.dead_letter_retries());
    gauge!(HELD).set(f64::from(u8::from(progress.is_held())));
    gauge!(FAILED).set(f64::from(u8::from(progress.failure().is_some())));
}

/// Shows a histogram that is kept elsewhere, in the form that Prometheus gives histograms: the recorder's own would take a call a record.
fn lags(name: &'static str, lags: &Lags) {
    for (bound_ms, count) in lags.cumulative() {
        let bound = bound_ms.map_or_else(|| "+Inf".to_owned(), |ms| (ms as f64 / 1_000.0).to_string());
        counter!(format!("{name}_bucket"), "le" => bound).absolute(count);
    }
    counter!(format!("{name}_count")).absolute(lags.count());
    gauge!(format!("{name}_sum")).set(lags.sum_ms() as f64 / 1_000.0);
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::NotFound => "NOT_FOUND",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::Unavailable => "UNAVAILABLE",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seldom_counted_is_there_from_the_start() {
        let page = install().unwrap().render();
        for name in [
            "faces_generation_rollbacks_total{cause=\"slow\"}",
            "faces_generation_swaps_total{outcome=\"refused\"}",
            "faces_rules_loads_total{outcome=\"refused\"}",
            "faces_state_images_total{outcome=\"failed\"}",
            "faces_refused_connections_total",
        ] {
            assert!(page.lines().any(|line| line.starts_with(name)), "{name} is not in {page}");
        }
    }

    #[test]
    fn what_takes_minutes_is_told_from_what_takes_longer() {
        let recorder = install().unwrap();
        generation_loaded(Duration::from_secs(20));
        let page = recorder.render();
        let bucket = format!("{GENERATION_LOAD_SECONDS}_bucket{{le=\"30\"}}");
        assert!(page.contains(&bucket), "{bucket} is not in {page}");
    }
}
