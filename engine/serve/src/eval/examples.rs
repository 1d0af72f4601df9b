//! Examples for the ranker out of a replay: at a moment of the past, what the served code would have ranked, and what was then taken.

use std::collections::{HashMap, HashSet, VecDeque};

use faces_core::{
    ids::{BuId, EventTime},
    key::SourceKey,
};
use faces_rebuild::ranker::{Example, RankerParams, fit};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

use crate::engine::{Ask, Engine};

/// Share of examples whose hottest items are ruled out, so that the ranker also learns to order what a filter leaves.
const HEADLESS_SHARE: f64 = 0.5;
/// How many are ruled out then.
const HEAD: usize = 100;
/// Share of takes that are repeats, from which a unit counts as one where people take the same again.
const REPEAT_SHARE: f64 = 0.02;

/// The latest examples.
pub struct Examples {
    params: RankerParams,
    kept: VecDeque<Example>,
    random: ChaCha8Rng,
    takes: HashMap<String, (u64, u64)>, // by unit: all, and of items that the person had
    pub seen: u64,
    pub reached: u64,
}

impl Examples {
    /// None yet.
    pub fn new(params: RankerParams) -> Self {
        Self { params, kept: VecDeque::new(), random: ChaCha8Rng::seed_from_u64(7), takes: HashMap::new(), seen: 0, reached: 0 }
    }

    /// Notes one moment: who is about to take what.
    pub fn note(
        &mut self,
        engine: &Engine,
        key: &SourceKey,
        bu: BuId,
        unit: &str,
        now: EventTime,
        taken: &HashSet<&str>,
        siloed: bool,
    ) {
        let catalogue = engine.state().catalogue();
        let mut excluded = Vec::new();
        if f64::from(self.random.next_u32()) / f64::from(u32::MAX) < HEADLESS_SHARE {
            engine.state().trending().top(bu, |item, _| {
                excluded.push(item);
                excluded.len() < HEAD
            });
            excluded.sort_unstable();
        }
        let keys = [key.clone()];
        let ask = Ask { excluded: &excluded, suppress_owned: Some(false), siloed, ..Ask::new(&keys, bu, now) };
        let (random, others_max) = (&mut self.random, self.params.others_max);
        let counts = self.takes.entry(unit.to_owned()).or_default();
        let example = engine.examine(&ask, |segment, candidates, features| {
            let is_taken = |place: &usize| {
                let name = candidates.get(*place).and_then(|candidate| catalogue.item_name(candidate.item));
                name.is_some_and(|name| taken.contains(name))
            };
            let (mut places, mut others): (Vec<usize>, Vec<usize>) = (0..candidates.len()).partition(is_taken);
            let owned = features.row(31);
            counts.0 += taken.len() as u64;
            counts.1 += places.iter().filter(|place| owned.get(**place).is_some_and(|owned| *owned > 0.0)).count() as u64;
            let (count, all) = (places.len(), others.len());
            for n in 0..others_max.min(all) {
                let other = n + random.next_u32() as usize % (all - n);
                others.swap(n, other);
            }
            others.truncate(others_max);
            places.extend(&others);
            let value = |place: usize| (0..faces_core::ranking::features::COUNT).map(move |feature| features.row(feature)[place]);
            Example {
                segment,
                ts_ms: now.millis(),
                taken: count,
                values: places.into_iter().flat_map(value).collect(),
                stands_for: all as f32 / others.len().max(1) as f32,
            }
        });
        self.seen += 1;
        if example.taken == 0 {
            return;
        }
        self.reached += 1;
        if self.kept.len() >= self.params.examples_max {
            self.kept.pop_front();
        }
        self.kept.push_back(example);
    }

    /// A ranker of what came before `cut_off_ms`.
    pub fn ranker(&mut self, cut_off_ms: i64) -> Option<faces_core::ranking::Ranker> {
        let all = self.kept.make_contiguous();
        let before = all.partition_point(|example| example.ts_ms < cut_off_ms);
        let mut ranker = fit(all.get(..before)?, &self.params)?;
        let repeats = self.takes.iter().filter(|(_, (all, again))| *again as f64 > REPEAT_SHARE * *all as f64);
        ranker.repeat_units = repeats.map(|(unit, _)| unit.clone()).collect();
        ranker.repeat_units.sort_unstable();
        if std::env::var_os("FACES_DEBUG_RANKER").is_some() {
            eprintln!(
                "examples {before} of {} (seen {} reached {}) repeat {:?}",
                all.len(),
                self.seen,
                self.reached,
                ranker.repeat_units
            );
            for (n, name) in faces_core::ranking::features::NAMES.iter().enumerate() {
                eprintln!(
                    "{name:26} {:8.2} {:8.2} {:8.2} {:8.2}",
                    ranker.weights[0][n], ranker.weights[1][n], ranker.weights[2][n], ranker.weights[3][n]
                );
            }
        }
        Some(ranker)
    }
}
