//! The watcher loads what is current when it gets to it.

use faces_core::state::{State, StateOptions};
use faces_rebuild::{Interaction, Log, TrainParams, TrainingItem};

use super::*;
use crate::engine::EngineOptions;

fn published(store: &Store, created_at_ms: i64) -> GenerationId {
    let item = |id: u32| TrainingItem { bu: "shop".into(), item_id: id.to_string() };
    let act = |n: u32| Interaction { person: n % 7, item: n * 5 % 20, ts_ms: i64::from(n), weight: 1.0 };
    let log = Log::new((0..20).map(item).collect(), (0..90).map(act).collect()).unwrap();
    let mut params = TrainParams::default();
    params.embedding.dimension = 4;
    store.publish(&faces_rebuild::train_at(&log, &params, created_at_ms, &|_, _| ()).unwrap()).unwrap()
}

#[test]
fn what_became_current_while_the_watcher_waited_is_what_it_loads() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let engine = Arc::new(Engine::new(Arc::new(State::new(StateOptions::default())), EngineOptions::default()));
    let swap = GenerationSwap::new(Arc::clone(&engine), store.clone());
    published(&store, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let second = runtime.block_on(async {
        let busy = swap.settled.lock().await; // another generation is being loaded
        let mut looking = Box::pin(swap.look());
        assert!(futures::poll!(&mut looking).is_pending());
        tokio::task::spawn_blocking(|| ()).await.unwrap(); // there is one such thread, so by now it has read the pointer
        assert!(futures::poll!(&mut looking).is_pending());
        let second = published(&store, 2);
        drop(busy);
        looking.await.unwrap();
        second
    });
    let in_service = engine.generation().map(|generation| generation.id().to_owned());
    assert_eq!(in_service.as_deref(), Some(second.as_str()));
}
