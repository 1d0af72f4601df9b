//! How a log is replayed.

use faces_core::state::StateOptions;
use faces_rebuild::TrainParams;

use crate::engine::EngineOptions;

/// How to replay.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// State.
    pub state: StateOptions,
    /// Ranking.
    pub engine: EngineOptions,
    /// Training.
    pub training: TrainParams,
    /// A new generation is trained whenever this much time has passed, on what came before; 0: only once, before the first query.
    pub rebuild_days: u32,
    /// Use the target unit's history only, in profiles and in training.
    pub siloed: bool,
    /// Items an answer holds.
    pub wanted: usize,
}
