//! What memory and images cost: `cargo run --release -p faces-state --example images -- [people] [folder]`.
//!
//! Builds people with two fragments of 16 behaviours and one link each, writes images, and loads them.
#![allow(clippy::expect_used, reason = "a measurement that can't go on has failed")]

use std::{env, error::Error, fs, path::Path, sync::Arc, thread, time::Instant};

use faces_core::{
    digest::Digest,
    event::EventKind,
    identity::{Confidence, Evidence, Operation, Statement},
    ids::{EventId, EventTime},
    key::{KeyKind, SourceKey},
    record::{Apply, EventView},
    state::{State, StateOptions},
};
use faces_state::{ImageStore, Options, Written};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ITEMS: u64 = 50_000;
const BEHAVIOURS: u64 = 16;
const START_MS: i64 = 1_790_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let people: u64 = arguments.next().map_or(Ok(100_000), |people| people.parse())?;
    let folder = arguments.next().unwrap_or_else(|| format!("{}/faces-images", env::temp_dir().display()));
    let folder = Path::new(&folder);
    _ = fs::remove_dir_all(folder);

    let begun = memory();
    let state = Arc::new(State::new(StateOptions::default()));
    let mut store = ImageStore::open(folder, Options::new("example"))?;
    store.load(&state, &|_| ())?;
    timed("build", || build(&state, people));
    println!("{people} people: {:.0} bytes of memory a person", (memory() - begun) / people as f64);
    let fragments = memory();
    timed("link", || link(&state, people));
    println!("linked: {:.0} bytes more, {:.2} GiB in all", (memory() - fragments) / people as f64, memory() / (1 << 30) as f64);

    let cut = || state.cut().ok_or_else(|| Box::<dyn Error>::from("a cut is held"));
    show("whole", timed("write", || store.write(cut()?, 0.into()).map_err(Box::<dyn Error>::from))?);
    timed("change 10 %", || change(&state, people, 0));
    show("delta of 10 %", store.write(cut()?, 1.into())?);
    let mut largest = (0, 0.0);
    for round in 1..=if people > 1_000_000 { 0 } else { 24 } {
        change(&state, people, round);
        let written = store.write(cut()?, round.into())?;
        largest = (store.disk_bytes()?.max(largest.0), written.bytes as f64 / 1e6 + largest.1);
    }
    println!("24 more: {:.1} MB on disk at most, {:.1} MB written in all", largest.0 as f64 / 1e6, largest.1);
    show("nothing changed", store.write(cut()?, 9.into())?);
    let digest = Digest::of(&cut()?);
    drop((store, state));

    let mut store = ImageStore::open(folder, Options::new("example"))?;
    let again = Arc::new(State::new(StateOptions::default()));
    let loaded = timed("load", || store.load(&again, &|_| ()))?;
    println!("loaded: {loaded:?}; {:.2} GiB of memory", memory() / (1 << 30) as f64);
    let cut = again.cut().ok_or("a cut is held")?;
    println!("digests {}", if Digest::of(&cut) == digest { "agree" } else { "DIFFER" });
    fs::remove_dir_all(folder)?;
    Ok(())
}

fn show(what: &str, written: Written) {
    let Written { bytes, seconds, hold_seconds_max, bases, deltas, values, segment_bytes, .. } = written;
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{what}: {values} values, {megabytes:.1} MB in {seconds:.2} s ({:.0} MB/s), {bases} bases, {deltas} deltas, longest hold {:.2} ms, {:.1} MB of segments",
        megabytes / seconds,
        hold_seconds_max * 1e3,
        segment_bytes as f64 / 1e6
    );
}

fn timed<R>(what: &str, run: impl FnOnce() -> R) -> R {
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let result = run();
    println!("{what}: {:.2} s, {:.2} s of CPU", begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    result
}

/// Resident bytes.
fn memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is there");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
}

/// Of all threads, here and in the kernel.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    (ticks(12) + ticks(13)) / 100.0
}

fn mixed(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}

fn key(person: u64, which: u64) -> SourceKey {
    let (bu, kind) = [("marketplace", KeyKind::Account), ("groceries", KeyKind::Account)][which as usize % 2];
    SourceKey::new(bu, kind, &format!("user-{person:09}")).expect("a good key")
}

/// People come back in turn, as they do: a fragment grows while all others do.
fn build(state: &State, people: u64) {
    in_two(people, |writer_people| {
        let mut writer = state.writer();
        for round in 0..BEHAVIOURS {
            for person in writer_people.clone() {
                for which in 0..2 {
                    act(&mut *writer, person, which, round);
                }
            }
            writer.flush();
        }
    });
    state.settle();
}

fn change(state: &State, people: u64, round: u64) {
    in_two(people / 10, |some| {
        let mut writer = state.writer();
        for n in some {
            let person = mixed(n * 64 + round) % people;
            (0..2).for_each(|which| act(&mut *writer, person, which, BEHAVIOURS + round));
        }
    });
    state.settle();
}

fn act(writer: &mut dyn faces_core::record::Writer, person: u64, which: u64, round: u64) {
    let source = key(person, which);
    let chance = mixed(person * 1000 + which * 100 + round);
    let item = format!("item-{}", chance % ITEMS);
    let kind = [EventKind::View, EventKind::View, EventKind::Cart, EventKind::Purchase][(chance >> 32) as usize % 4];
    let time = EventTime::from_millis(START_MS + (round as i64) * 86_400_000 + (chance >> 40) as i64 % 86_400_000);
    let id = EventId::from_raw(chance);
    let (source_kind, bu) = (source.kind(), source.bu());
    writer.event(&EventView {
        source: source.hash(),
        source_kind,
        bu,
        item_id: Some(&item),
        kind,
        time,
        id,
        value: None,
        region: None,
    });
}

fn link(state: &State, people: u64) {
    in_two(people, |some| {
        let mut writer = state.writer();
        for person in some {
            let time = EventTime::from_millis(START_MS);
            let (a, b) = (key(person, 0), key(person, 1));
            if let Some(said) = Statement::new(a, b, Evidence::Login, Operation::Link, Confidence::FULL, time) {
                writer.link(&said);
            }
        }
    });
}

fn in_two(count: u64, run: impl Fn(std::ops::Range<u64>) + Sync) {
    thread::scope(|scope| {
        scope.spawn(|| run(0..count / 2));
        run(count / 2..count);
    });
}
