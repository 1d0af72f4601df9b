//! Images of the state: loaded before the log is read, written while it is, so that a restart reads only the tail of the log again. The
//! thread that writes them also lets go of what is expired; where none are written it does that alone.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use faces_core::state::State;
use faces_ingest::{Boundary, Positions};
use faces_state::{ImageStore, Options, Progress, RemoteOptions, Stage};

use crate::{
    background::{Background, Stop},
    config::{Config, Durability},
    metrics,
};

/// How long to wait for a moment between batches.
const BOUNDARY_PATIENCE: Duration = Duration::from_secs(10);

/// Between two sweeps at least so many times as long as one takes: it walks all that is held, and little expires meanwhile.
const SWEEP_PAUSES: u32 = 50;
/// Fewest behaviours of which a sudden loss is worth a warning.
const LEAP_MIN: u64 = 1_000;

/// What is said while an image is loaded: how far it is, in thousandths.
#[derive(Debug, Default)]
pub struct Loading(AtomicU64);

impl Loading {
    /// For people.
    pub fn text(&self) -> String {
        format!("loading the state: {:.1} %", self.0.load(Relaxed) as f64 / 10.0)
    }

    fn note(&self, progress: Progress) {
        let share = |from: u64, to: u64| from + (to - from) * progress.bytes / progress.bytes_total.max(1);
        let thousandths = match progress.stage {
            Stage::Fetch => share(0, 300),
            Stage::Verify => share(300, 500),
            Stage::Restore => share(500, 1_000),
        };
        self.0.store(thousandths, Relaxed);
    }
}

/// Opens the folder of images and puts the newest whole one into `state`. `None` where no images are wanted. Positions are where
/// reading the log goes on.
///
/// # Errors
/// A folder that is in use or of another log; images of which none is whole. Each says what to do.
pub fn load(config: &Config, state: &Arc<State>, loading: &Loading) -> Result<Option<(ImageStore, Positions)>> {
    if config.state.folder.as_os_str().is_empty() {
        return Ok(None);
    }
    let mut store = open(&config.state.folder, config)?;
    let started = Instant::now();
    let loaded = store.load(state, &|progress| loading.note(progress)).context("the state can't be loaded")?;
    let Some(loaded) = loaded else {
        tracing::info!(folder = %config.state.folder.display(), "no image of the state yet: reading the whole log");
        return Ok(Some((store, Positions::default())));
    };
    let positions = serde_json::from_value(loaded.positions).context("the image's log positions can't be read")?;
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!(
        image = loaded.image,
        keys = state.fragment_count(),
        behaviours = state.behaviour_count(),
        seconds,
        "state loaded"
    );
    Ok(Some((store, positions)))
}

/// Opens a folder of images of the configured log.
///
/// # Errors
/// A folder that is in use; an object store that can't be reached.
pub fn open(folder: &Path, config: &Config) -> Result<ImageStore> {
    let mut options = Options::new(&config.kafka.topic_prefix);
    let Durability { copy_url, copy_seconds, .. } = &config.state;
    if !copy_url.is_empty() {
        options.remote = Some(RemoteOptions { url: copy_url.clone(), interval: Duration::from_secs(*copy_seconds) });
    }
    ImageStore::open(folder, options).context("the state's folder can't be used; see state.folder")
}

/// Starts the thread that writes an image every `period`, and a last one when it is stopped: to be dropped after ingest.
///
/// # Errors
/// When the system has no thread left.
pub fn start(mut store: ImageStore, state: Arc<State>, boundary: Boundary, period: Duration) -> std::io::Result<Background> {
    Background::start_aside("faces-images", move |stop: &Stop| {
        let mut sweeps = Sweeps { due: Instant::now() };
        loop {
            let goes_on = stop.sleep(period);
            sweeps.look(&state);
            write(&mut store, &state, &boundary);
            if !goes_on {
                break;
            }
        }
        if let Err(error) = store.copy_now() {
            tracing::error!(%error, "the last image is on this machine only");
        }
    })
}

/// Starts the thread that lets go of what is expired where no images are written.
///
/// # Errors
/// When the system has no thread left.
pub fn start_without(state: Arc<State>, period: Duration) -> std::io::Result<Background> {
    Background::start_aside("faces-sweep", move |stop: &Stop| {
        let mut sweeps = Sweeps { due: Instant::now() };
        while stop.sleep(period) {
            sweeps.look(&state);
        }
    })
}

/// When to let go of what is expired again.
struct Sweeps {
    due: Instant,
}

impl Sweeps {
    fn look(&mut self, state: &State) {
        let began = Instant::now();
        if began < self.due {
            return;
        }
        let held = state.behaviour_count();
        let swept = state.sweep();
        tracing::debug!(?swept, "what is expired was let go");
        self.due = Instant::now() + began.elapsed() * SWEEP_PAUSES;
        warn_of_a_leap(held, state.behaviour_count());
    }
}

/// A record whose time is far ahead of all others makes these old: an import of an old log, followed by what happens today.
fn warn_of_a_leap(before: u64, after: u64) {
    if before >= LEAP_MIN && after < before / 2 {
        tracing::warn!(
            behaviours_before = before,
            behaviours = after,
            "most of what people did was let go as too old beside the newest event: for a log of the past set state.retention_days higher, then read it again"
        );
    }
}

/// Writes one image. What goes wrong is said and counted; the image before stands.
fn write(store: &mut ImageStore, state: &Arc<State>, boundary: &Boundary) {
    let cut = boundary.at(BOUNDARY_PATIENCE, |positions| state.cut().map(|cut| (cut, serde_json::to_value(positions))));
    let written = match cut.flatten() {
        Some((cut, Ok(positions))) => store.write(cut, positions),
        _ => {
            tracing::warn!("ingest is held up, or a digest is being made: no image this time");
            return metrics::image(None);
        }
    };
    match written {
        Ok(written) => {
            tracing::debug!(?written, "image written");
            metrics::image(Some(&written));
        }
        Err(error) => {
            tracing::error!(%error, "no image could be written; the one before stands");
            metrics::image(None);
        }
    }
}
