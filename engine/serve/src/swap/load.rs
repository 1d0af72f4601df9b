//! Loading beside the generation in service: within a bound on memory, checked, and warm before the first request comes.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use faces_core::ranking::Model as _;
use faces_rebuild::{GenerationId, Manifest, Pace, Store, generation::Held};

use crate::{
    clock,
    engine::{Ask, Engine},
    oversight::Asked,
    serving::ServingGeneration,
};

/// What loading takes, as a multiple of the files: they are read, and laid out anew.
const FILES_TIMES: u64 = 2;
/// Share of the recent queries that a generation may leave without an answer where the one in service has one.
const UNANSWERED_SHARE_MAX: f64 = 0.05;
/// Longest wait for requests that still hold an old generation, and the time between two looks.
const DRAIN_MAX: Duration = Duration::from_secs(60);
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// A generation that is about to be loaded.
pub(super) struct Loading {
    pub(super) engine: Arc<Engine>,
    pub(super) store: Store,
    pub(super) memory_mib_max: u64,
    pub(super) recent: Vec<Asked>,
}

/// One that can serve.
pub(super) struct Loaded {
    pub(super) serving: Arc<ServingGeneration>,
    /// Keeps it from being collected; `None` where the file system has no locks.
    pub(super) held: Option<Held>,
}

impl Loading {
    /// Loads, verifies and warms up; blocks for seconds.
    pub(super) fn load(&self, id: &GenerationId, pace: &mut Pace) -> Result<Loaded> {
        let held = self.store.hold(id).ok();
        check_room(&self.store.manifest(id)?, self.memory_mib_max)?;
        let generation = self.store.load_at(id, pace)?;
        let serving = Arc::new(ServingGeneration::new_at(generation, self.engine.state().catalogue(), pace));
        self.warm_up(&serving, pace)?;
        Ok(Loaded { serving, held })
    }

    /// Answers recent queries with it: pages are in memory then, and a generation that has nothing for them shows now.
    fn warm_up(&self, serving: &Arc<ServingGeneration>, pace: &mut Pace) -> Result<()> {
        let mut unanswered = 0;
        for asked in &self.recent {
            pace.step();
            let ask = Ask { wanted: asked.wanted, ..Ask::new(&asked.keys, asked.bu, clock::now()) };
            if self.engine.recommend_from(serving, &ask).slate.items.is_empty() {
                unanswered += usize::from(!self.engine.recommend(&ask).slate.items.is_empty());
            }
        }
        let all = self.recent.len();
        ensure!(
            unanswered as f64 <= UNANSWERED_SHARE_MAX * all as f64,
            "it has no items for {unanswered} of {all} recent queries that generation {} answers; see its gates, or activate another one",
            self.engine.generation().map(|generation| generation.id().to_owned()).unwrap_or_default()
        );
        Ok(())
    }
}

/// Whether there is memory for a generation beside what is there.
fn check_room(manifest: &Manifest, mib_max: u64) -> Result<()> {
    let needed_mib = (manifest.served_bytes().saturating_mul(FILES_TIMES) >> 20) + 1;
    let (left_mib, key) = match (mib_max, available_mib()) {
        (0, None) => return Ok(()),
        (0, Some(available_mib)) => (available_mib, "left on this machine; free some or set"),
        (most, _) => (most, "allowed; raise"),
    };
    ensure!(
        needed_mib <= left_mib,
        "loading {} takes some {needed_mib} MiB beside the one in service, and {left_mib} MiB are {key} generations.memory_mib_max",
        manifest.id
    );
    Ok(())
}

/// Memory that programs can still have, as Linux tells it.
fn available_mib() -> Option<u64> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib >> 10)
}

/// Frees a generation here, once no request holds it any more: the last one of those would otherwise pay for it.
pub(super) fn free(old: Arc<ServingGeneration>) {
    let mut waited = Duration::ZERO;
    while Arc::strong_count(&old) > 1 && waited < DRAIN_MAX {
        std::thread::sleep(DRAIN_LOOK);
        waited += DRAIN_LOOK;
    }
    drop(old);
}

#[cfg(test)]
mod tests {
    use faces_core::state::{State, StateOptions};
    use faces_rebuild::{Interaction, Log, TrainParams, TrainingItem};

    use super::*;
    use crate::engine::EngineOptions;

    fn store() -> (tempfile::TempDir, Store, GenerationId) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let item = |id: u32| TrainingItem { bu: "shop".into(), item_id: id.to_string() };
        let act = |n: u32| Interaction { person: n % 7, item: n * 5 % 20, ts_ms: i64::from(n), weight: 1.0 };
        let log = Log::new((0..20).map(item).collect(), (0..90).map(act).collect()).unwrap();
        let mut params = TrainParams::default();
        params.embedding.dimension = 4;
        let id = store.publish(&faces_rebuild::train(&log, &params, &|_, _| ()).unwrap()).unwrap();
        (folder, store, id)
    }

    #[test]
    fn what_does_not_fit_into_memory_is_not_loaded() {
        let (_folder, store, id) = store();
        let mut manifest = store.manifest(&id).unwrap();
        check_room(&manifest, 1).unwrap();
        check_room(&manifest, 0).unwrap();
        manifest.files[0].bytes = 64 << 20;
        let refused = check_room(&manifest, 128).unwrap_err().to_string();
        assert!(
            refused.contains("some 129 MiB") && refused.contains("128 MiB are allowed; raise generations.memory_mib_max"),
            "{refused}"
        );
        check_room(&manifest, 129).unwrap();
        manifest.files[0].bytes = 1 << 60;
        let refused = check_room(&manifest, 0).unwrap_err().to_string();
        assert!(refused.contains("are left on this machine"), "{refused}");
    }

    #[test]
    fn what_is_loaded_can_not_be_collected() {
        let (_folder, store, id) = store();
        let engine = Arc::new(Engine::new(Arc::new(State::new(StateOptions::default())), EngineOptions::default()));
        let loading = Loading { engine, store: store.clone(), memory_mib_max: 0, recent: Vec::new() };
        let loaded = loading.load(&id, &mut Pace::full()).unwrap();
        fs::remove_file(store.root().join("CURRENT")).unwrap();
        assert!(store.collect(0, false).unwrap().deleted.is_empty());
        drop(loaded);
        assert_eq!(store.collect(0, false).unwrap().deleted, [id]);
    }
}
