//! Measures every kind of index, and plain `hnsw_rs` beside them, over anyone's vectors: recall against cost.
//!
//! [`fbin`] reads the vectors, [`truth`] knows the right answers, [`contestants`] takes part, [`mod@measure`] times, [`plot`] draws.
//! Figures of one run may be compared with each other: same rows, same queries, same thread, same minutes.

pub mod contestants;
pub mod fbin;
pub mod measure;
pub mod plot;
pub mod truth;

use anyhow::{Context as _, Result, ensure};
use faces_index::{RowSet, Search, Vectors};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde::Serialize;

use contestants::{Contestant, Plan};
use measure::{measure, process_cpu_seconds};
use truth::Truth;

/// A contestant is not asked to try harder once it misses less than this.
const RECALL_ENOUGH: f64 = 0.9999;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Bench {
    /// How contestants are built.
    pub plan: Plan,
    /// Rows an answer holds.
    pub k: usize,
    /// Who takes part.
    pub contestants: Vec<Contestant>,
    /// The share of rows a random filter allows; `None` is no filter.
    pub filter_share: Option<f64>,
    /// CPU time to spend on each setting, in whole passes over the queries.
    pub cpu_seconds_min: f64,
}

/// One setting of one contestant.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Who.
    pub kind: Contestant,
    /// With what effort.
    pub setting: String,
    /// Recall@k against the exact answer.
    pub recall: f64,
    /// Queries per second of CPU time, one thread.
    pub qps_cpu: f64,
    /// Median time of a query.
    pub p50_us: f64,
    /// Time that 99 of 100 queries don't exceed.
    pub p99_us: f64,
    /// Bytes a row takes, its vector included.
    pub bytes_per_vector: f64,
    /// CPU seconds that building took, on all threads.
    pub build_cpu_s: f64,
}

/// What a bench is at.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// One more query has its true answer.
    Answered,
    /// A contestant is being built; it has so many settings.
    Building(Contestant),
    /// A setting was measured.
    Measured(&'a Run),
    /// So many settings are left out, because recall is complete.
    Skipped(usize),
}

impl Bench {
    /// How many [`Step`]s there are at most: queries to answer, then settings to measure.
    #[must_use]
    pub fn settings(&self) -> usize {
        self.contestants.iter().map(|contestant| contestant.efforts(self.k).len()).sum()
    }

    /// Runs it. Minutes for 100,000 rows and more, most of them spent building graphs.
    ///
    /// # Errors
    /// Base and queries of unequal dimension, and what an index refuses.
    pub fn run(&self, base: &Vectors, queries: &Vectors, on_step: &(impl Fn(Step<'_>) + Sync)) -> Result<Vec<Run>> {
        let (dimension, asked) = (base.dimension(), queries.dimension());
        ensure!(dimension == asked, "the base has dimension {dimension}, the queries {asked}: export both from one model");
        let allowed = self.filter_share.map(|share| random_rows(base.len(), share, self.plan.build.seed));
        let truth = Truth::of(base, queries, self.plan.metric, self.k, allowed.as_ref(), &|| on_step(Step::Answered));
        let mut runs = Vec::new();
        for &contestant in &self.contestants {
            on_step(Step::Building(contestant));
            self.sweep(contestant, base, queries, &truth, allowed.as_ref(), on_step, &mut runs)
                .with_context(|| format!("measuring {}", contestant.name()))?;
        }
        Ok(runs)
    }

    #[expect(clippy::too_many_arguments)] // what one sweep shares with the next
    fn sweep(
        &self,
        contestant: Contestant,
        base: &Vectors,
        queries: &Vectors,
        truth: &Truth<'_>,
        allowed: Option<&RowSet>,
        on_step: &impl Fn(Step<'_>),
        runs: &mut Vec<Run>,
    ) -> Result<()> {
        let before = process_cpu_seconds();
        let mut built = contestant.build(base, &self.plan)?;
        let build_cpu_s = process_cpu_seconds() - before;
        let bytes_per_vector = built.bytes() as f64 / base.len() as f64;
        let efforts = contestant.efforts(self.k);
        for (at, &effort) in efforts.iter().enumerate() {
            let measured = measure(queries, truth, self.cpu_seconds_min, |query, rows| {
                built.ask(&Search { effort, allowed, ..Search::new(query, self.k) }, rows)
            })?;
            let run = Run {
                kind: contestant,
                setting: built.setting(effort),
                recall: measured.recall,
                qps_cpu: measured.qps_cpu,
                p50_us: measured.p50_us,
                p99_us: measured.p99_us,
                bytes_per_vector,
                build_cpu_s,
            };
            on_step(Step::Measured(&run));
            runs.push(run);
            if measured.recall >= RECALL_ENOUGH {
                on_step(Step::Skipped(efforts.len() - at - 1));
                break;
            }
        }
        Ok(())
    }
}

/// A set that holds each of `rows` rows with probability `share`.
fn random_rows(rows: usize, share: f64, seed: u64) -> RowSet {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    RowSet::from_fn(rows, |_| f64::from(random.next_u32()) < share * f64::from(u32::MAX) + share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_filters_hold_their_share() {
        assert_eq!(random_rows(1000, 0.0, 1).count(), 0);
        assert_eq!(random_rows(1000, 1.0, 1).count(), 1000);
        let some = random_rows(10_000, 0.1, 1);
        assert!((900..1100).contains(&some.count()), "{some:?}");
        assert_eq!(some, random_rows(10_000, 0.1, 1));
        assert_ne!(some, random_rows(10_000, 0.1, 2));
    }
}
