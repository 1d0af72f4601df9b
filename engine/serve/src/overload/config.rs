//! The section `[overload]` of the configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{admission::AdmissionOptions, callers::CallerConfig};

/// What happens when more is asked than can be answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OverloadConfig {
    /// Fewest requests that work at once; between this and the most the number follows the latency.
    pub concurrency_min: usize,
    /// Most requests that work at once.
    pub concurrency_max: usize,
    /// Most requests that wait for their turn.
    pub queue_max: usize,
    /// Share of turns and places in the queue that requests of default criticality and less may take, in (0, 1].
    pub default_share: f64,
    /// Share that sheddable requests may take, in (0, 1].
    pub sheddable_share: f64,
    /// Share of the processor time that refusing may take, in (0, 1], before connections are no longer read from for a moment; 1: they always are.
    pub refusal_cpu_share: f64,
    /// Rankings remembered for up to 30 s, some 2 KB each; 0: none.
    pub remembered_max: usize,
    /// For how long a ranking stands for a new one where nothing it goes by has changed, ms; while the level is below full, and for a while after,
    /// up to 30 s. 0: only when there is no time for new ones.
    pub remembered_fresh_ms: u64,
    /// New rankings a second of one person, twice as many at once; who asks for more gets those of a moment ago, or what is popular.
    /// 0: no bound.
    pub person_slates_per_second: f64,
    /// Callers that are not named below.
    pub caller: CallerConfig,
    /// Callers by the name that they give in `x-faces-caller`.
    pub callers: BTreeMap<String, CallerConfig>,
}

impl Default for OverloadConfig {
    fn default() -> Self {
        Self {
            concurrency_min: 4,
            concurrency_max: 256,
            queue_max: 1_024,
            default_share: 0.9,
            sheddable_share: 0.5,
            refusal_cpu_share: 0.3,
            remembered_max: 50_000,
            remembered_fresh_ms: 2_000,
            person_slates_per_second: 50.0,
            caller: CallerConfig::default(),
            callers: BTreeMap::new(),
        }
    }
}

impl OverloadConfig {
    /// What is let in.
    #[must_use]
    pub const fn admission(&self) -> AdmissionOptions {
        AdmissionOptions {
            concurrency_min: self.concurrency_min,
            concurrency_max: self.concurrency_max,
            queue_max: self.queue_max,
            shares: [self.sheddable_share, self.default_share, 1.0],
        }
    }
}
