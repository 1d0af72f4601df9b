//! Examples for the ranker out of a replay: at a moment of the past, what the served code would have ranked, and what was then taken.

use std::collections::{HashMap, VecDeque};

use faces_core::{
    ids::{BuId, EventTime},
    key::SourceKey,
    ranking::{Segment, features},
};
use faces_rebuild::ranker::{Example, RankerParams, TrainedRanker, fit};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

use crate::engine::{Ask, Engine};

const OWNED: usize = features::place("owned");
/// How many of the hottest items are ruled out, so that the ranker also learns to order what a filter leaves.
const HEAD: usize = 100;
/// Examples of one moment that are kept, about.
const EXAMPLES_A_MOMENT: usize = 3;
/// Share of takes that are repeats, from which a unit counts as one where people take the same again.
const REPEAT_SHARE: f64 = 0.02;

/// The latest examples.
pub struct Examples {
    params: RankerParams,
    kept: VecDeque<Example>,
    random: ChaCha8Rng,
    takes: HashMap<String, (u64, u64)>, // by unit: all, and of items that the person had
}

impl Examples {
    /// None yet.
    pub fn new(params: RankerParams) -> Self {
        Self { params, kept: VecDeque::new(), random: ChaCha8Rng::seed_from_u64(7), takes: HashMap::new() }
    }

    /// Notes one moment: who is about to take what, and what that is worth. With everything for choice, and without what is hottest,
    /// as under a filter; and where the person is known in other units, also as if they were new to this one: real newcomers are
    /// too few to learn from.
    pub fn note(&mut self, engine: &Engine, key: &SourceKey, bu: BuId, now: EventTime, taken: &HashMap<&str, f32>, siloed: bool) {
        let mut head = Vec::new();
        engine.state().trending().top(bu, |item, _| {
            head.push(item);
            head.len() < HEAD
        });
        head.sort_unstable();
        let keys = [key.clone()];
        let mut regimes = Vec::with_capacity(4);
        for as_newcomer in [false, true] {
            for excluded in [&[], head.as_slice()] {
                let ask = Ask { excluded, suppress_owned: Some(false), siloed, as_newcomer, ..Ask::new(&keys, bu, now) };
                let example = self.example(engine, &ask, taken);
                // Newcomers anyway, and strangers everywhere, are noted once.
                if as_newcomer && (regimes.contains(&example.regime) || example.regime.segment == Segment::Stranger) {
                    continue;
                }
                regimes.push(example.regime);
                if example.taken.is_empty() {
                    continue;
                }
                if self.kept.len() >= EXAMPLES_A_MOMENT * self.params.examples_max {
                    self.kept.pop_front();
                }
                self.kept.push_back(example);
            }
        }
    }

    fn example(&mut self, engine: &Engine, ask: &Ask<'_>, taken: &HashMap<&str, f32>) -> Example {
        let catalogue = engine.state().catalogue();
        let (random, others_max) = (&mut self.random, self.params.others_max);
        let counts = self.takes.entry(catalogue.bu_name(ask.bu).to_owned()).or_default();
        engine.examine(ask, |regime, candidates, features| {
            let worth = |place: &usize| {
                let name = candidates.get(*place).and_then(|candidate| catalogue.item_name(candidate.item));
                name.and_then(|name| taken.get(name)).copied()
            };
            let (mut places, mut others): (Vec<usize>, Vec<usize>) =
                (0..candidates.len()).partition(|place| worth(place).is_some());
            let owned = features.row(OWNED);
            if !ask.as_newcomer {
                counts.0 += taken.len() as u64;
            }
            counts.1 += places.iter().filter(|place| owned.get(**place).is_some_and(|owned| *owned > 0.0)).count() as u64;
            let worths = places.iter().filter_map(worth).collect();
            let all = others.len();
            for n in 0..others_max.min(all) {
                let other = n + random.next_u32() as usize % (all - n);
                others.swap(n, other);
            }
            others.truncate(others_max);
            places.extend(&others);
            let row =
                |place: usize| (0..features::COUNT).map(move |feature| features.row(feature).get(place).copied().unwrap_or(0.0));
            Example {
                regime,
                ts_ms: ask.now.millis(),
                is_imagined: ask.as_newcomer,
                taken: worths,
                values: places.into_iter().flat_map(row).collect(),
                stands_for: all as f32 / others.len().max(1) as f32,
            }
        })
    }

    /// A ranker of what came before `cut_off_ms`.
    pub fn ranker(&mut self, cut_off_ms: i64) -> Option<TrainedRanker> {
        let mut trained = fit(self.kept.make_contiguous(), &self.params, cut_off_ms)?;
        let repeats = self.takes.iter().filter(|(_, (all, again))| *again as f64 > REPEAT_SHARE * *all as f64);
        trained.ranker.repeat_units = repeats.map(|(unit, _)| unit.clone()).collect();
        trained.ranker.repeat_units.sort_unstable();
        Some(trained)
    }
}
