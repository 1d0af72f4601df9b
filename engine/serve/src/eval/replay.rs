//! The replay itself: events strictly before a query, then the query.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use faces_core::{
    ids::{EventTime, ItemId},
    record::{Apply as _, Outcome},
    state::{State, StateOptions},
};
use faces_rebuild::{
    TrainParams,
    tables::{EventRow, ItemRow, LinkRow, TableError},
    train,
    training::assemble,
};

use super::{
    examples::Examples,
    queries::{Query, QuerySet},
    tables::{Inputs, Log, Tables},
};
use crate::{
    engine::{Ask, Engine, EngineOptions},
    rows,
    serving::ServingGeneration,
};

const DAY_MS: i64 = 86_400_000;
/// Generations trained at most while examples for the ranker are gathered, before the first query.
const REBUILDS_BEFORE: i64 = 3;

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

/// A log in memory, ready to be replayed.
pub struct Replay {
    events: Vec<EventRow>, // by time; ties in file order
    items: Vec<ItemRow>,
    links: Vec<LinkRow>, // by time
    options: ReplayOptions,
}

/// What a replay came to.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Events applied.
    pub events: u64,
    /// Events left out because their account is hidden.
    pub events_hidden: u64,
    /// Generations trained.
    pub rebuilds: u32,
    /// Items in the catalogue.
    pub items: usize,
}

impl Replay {
    /// Reads the tables.
    ///
    /// # Errors
    /// A table that can't be read, by file and row.
    pub fn read(inputs: &Inputs, options: ReplayOptions) -> Result<Self> {
        let Log { events, items, links } = Log::read(&inputs.events, Some(&inputs.items), inputs.links.as_deref())?;
        Ok(Self { events, items, links, options })
    }

    /// What is replayed.
    #[must_use]
    pub fn tables(&self) -> Tables<'_> {
        Tables { events: &self.events, items: &self.items, links: &self.links }
    }

    /// Answers every query, in order of time; siloed, a unit at a time, each as if there were no other. `answered` gets each query
    /// with its items, best first.
    ///
    /// # Errors
    /// A row that is no record, a generation that can't be trained, or what `answered` says.
    pub fn run(
        &self,
        set: &QuerySet,
        mut progress: impl FnMut(usize),
        mut answered: impl FnMut(&Query, &[&str]) -> Result<()>,
    ) -> Result<Replayed> {
        let is_hidden = |row: &EventRow| set.hidden.contains(&(row.bu.clone(), row.local_user_id.clone()));
        let visible: Vec<&EventRow> = self.events.iter().filter(|row| set.hidden.is_empty() || !is_hidden(row)).collect();
        let mut replayed = Replayed { events_hidden: (self.events.len() - visible.len()) as u64, ..Replayed::default() };
        let mut done = 0;
        let mut next = |query: &Query, items: &[&str]| {
            done += 1;
            progress(done);
            answered(query, items)
        };
        if !self.options.siloed {
            let queries: Vec<&Query> = set.queries.iter().collect();
            self.replay(set, &queries, &visible, &mut next, &mut replayed)?;
            return Ok(replayed);
        }
        let units: BTreeSet<&str> = set.queries.iter().map(|query| query.bu.as_str()).collect();
        for unit in units {
            let queries: Vec<&Query> = set.queries.iter().filter(|query| query.bu == unit).collect();
            let own: Vec<&EventRow> = visible.iter().copied().filter(|row| row.bu == unit).collect();
            self.replay(set, &queries, &own, &mut next, &mut replayed)?;
        }
        Ok(replayed)
    }

    fn replay(
        &self,
        set: &QuerySet,
        queries: &[&Query],
        visible: &[&EventRow],
        answered: &mut dyn FnMut(&Query, &[&str]) -> Result<()>,
        replayed: &mut Replayed,
    ) -> Result<()> {
        let state = Arc::new(State::new(self.options.state));
        let engine = Engine::new(Arc::clone(&state), self.options.engine.clone());
        let mut writer = state.writer();
        for row in &self.items {
            writer.record(&rows::item(row));
        }
        replayed.items = engine.state().catalogue().listed_count();
        let (mut next_event, mut next_link) = (0, 0);
        let mut next_rebuild = i64::MIN;
        let moments = moments(queries, visible, self.options.training.ranker.examples_max);
        let mut examples = Examples::new(self.options.training.ranker);
        let period_ms = i64::from(self.options.rebuild_days) * DAY_MS;
        let first_ms = moments.first().map_or(0, Moment::ts_ms);
        let first_asked = queries.first().map(|query| query.ts_ms);
        for moment in moments {
            let ts_ms = moment.ts_ms();
            while let Some(row) = self.links.get(next_link).filter(|row| row.ts_ms < ts_ms) {
                writer.record(&rows::link(row).with_context(|| format!("link row at {} ms", row.ts_ms))?);
                next_link += 1;
            }
            let first = next_event;
            while let Some(row) = visible.get(next_event).filter(|row| row.ts_ms < ts_ms) {
                let record = rows::event(row).with_context(|| format!("event row at {} ms", row.ts_ms))?;
                replayed.events += u64::from(writer.record(&record) == Outcome::Applied);
                next_event += 1;
            }
            if next_event > first {
                writer.flush();
                state.settle();
            }
            if ts_ms >= next_rebuild {
                let cut_off_ms = ts_ms - ts_ms.rem_euclid(DAY_MS);
                if let Some(generation) = self.rebuild(visible.get(..next_event).unwrap_or_default(), cut_off_ms)? {
                    let serving = ServingGeneration::new(generation, engine.state().catalogue());
                    let (ranker, verdicts) = examples.ranker(cut_off_ms).unzip();
                    if std::env::var_os("FACES_DEBUG_RANKER").is_some() { for v in verdicts.iter().flatten() { eprintln!("{v:?}"); } }
                    engine.swap(serving.with_ranker(ranker));
                    replayed.rebuilds += 1;
                }
                next_rebuild = match first_asked.filter(|first| *first > ts_ms) {
                    // Before the first query a few will do.
                    Some(first) => (cut_off_ms + period_ms.max((first - first_ms) / REBUILDS_BEFORE)).min(first),
                    None if period_ms == 0 => i64::MAX,
                    None => cut_off_ms + period_ms,
                };
            }
            let query = match moment {
                Moment::Asking(query) => query,
                Moment::Taking(of_moment) => {
                    let Some(row) = of_moment.first() else { continue };
                    let key = rows::account(&row.bu, &row.local_user_id)?;
                    let bu = engine.state().catalogue().bu_or_new(&row.bu).context("too many business units")?;
                    let mut taken: HashMap<&str, f32> = HashMap::new();
                    for row in &of_moment {
                        let strength = rows::event_kind(&row.event_type).map_or(0.0, |kind| kind.strength());
                        let held = taken.entry(&row.item_id).or_default();
                        *held = held.max(strength);
                    }
                    examples.note(&engine, &key, bu, EventTime::from_millis(ts_ms), &taken, self.options.siloed);
                    continue;
                }
            };
            let names = self.answer(&engine, set, query)?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            answered(query, &names)?;
        }
        Ok(())
    }

    fn answer(&self, engine: &Engine, set: &QuerySet, query: &Query) -> Result<Vec<String>> {
        let catalogue = engine.state().catalogue();
        let bu = catalogue.bu_or_new(&query.bu).context("too many business units")?;
        let keys = [rows::account(&query.bu, &query.local_user_id)?];
        let ruled_out = set.excluded.get(&day_and_unit(query)).into_iter().flatten();
        let mut excluded: Vec<ItemId> = ruled_out.filter_map(|name| catalogue.item(bu, name)).collect();
        excluded.sort_unstable();
        let ask = Ask {
            wanted: self.options.wanted,
            excluded: &excluded,
            siloed: self.options.siloed,
            ..Ask::new(&keys, bu, EventTime::from_millis(query.ts_ms))
        };
        let answer = engine.recommend(&ask);
        Ok(answer.slate.items.iter().filter_map(|c| catalogue.item_name(c.item)).map(str::to_owned).collect())
    }

    /// A generation from what happened before `cut_off_ms`; `None` when that is too little to train on.
    fn rebuild(&self, before: &[&EventRow], cut_off_ms: i64) -> Result<Option<faces_rebuild::Generation>> {
        fn whole<Row>(row: Row) -> Result<Row, TableError> {
            Ok(row)
        }
        let links: &[LinkRow] = if self.options.siloed { &[] } else { &self.links };
        let assembled = assemble(
            before.iter().map(|row| whole((*row).clone())),
            self.items.iter().map(|row| whole(row.clone())),
            links.iter().map(|row| whole(row.clone())),
            Some(cut_off_ms),
        )?;
        match train(&assembled.log, &self.options.training, &|_, _| {}) {
            Ok(generation) => Ok(Some(generation)),
            Err(faces_rebuild::RebuildError::NoInteractions { .. } | faces_rebuild::RebuildError::NoCooccurrence { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error).context("training failed"),
        }
    }
}

/// What happens at one point of a replay.
enum Moment<'a> {
    /// A query.
    Asking(&'a Query),
    /// Rows of one account, unit and time: an example for the ranker.
    Taking(Vec<&'a EventRow>),
}

impl Moment<'_> {
    fn ts_ms(&self) -> i64 {
        match self {
            Self::Asking(query) => query.ts_ms,
            Self::Taking(rows) => rows.first().map_or(0, |row| row.ts_ms),
        }
    }
}

/// Queries and examples in order of time; of the time before the first query, the latest `examples_max` examples.
fn moments<'a>(queries: &[&'a Query], visible: &[&'a EventRow], examples_max: usize) -> Vec<Moment<'a>> {
    let (first, last) = (queries.first().map_or(i64::MAX, |query| query.ts_ms), queries.last().map_or(0, |query| query.ts_ms));
    let speaks = |row: &&&EventRow| rows::event_kind(&row.event_type).is_ok_and(|kind| kind.strength() > 0.0) && row.ts_ms < last;
    let mut taking: Vec<&EventRow> = visible.iter().filter(speaks).copied().collect();
    taking.sort_by(|a, b| (a.ts_ms, &a.bu, &a.local_user_id).cmp(&(b.ts_ms, &b.bu, &b.local_user_id)));
    let groups = taking.chunk_by(|a, b| (a.ts_ms, &a.bu, &a.local_user_id) == (b.ts_ms, &b.bu, &b.local_user_id));
    let mut moments: Vec<Moment<'_>> = groups.map(|rows| Moment::Taking(rows.to_vec())).collect();
    let before = moments.partition_point(|moment| moment.ts_ms() < first);
    moments.drain(..before.saturating_sub(examples_max));
    moments.extend(queries.iter().map(|query| Moment::Asking(query)));
    moments.sort_by_key(Moment::ts_ms);
    moments
}

fn day_and_unit(query: &Query) -> (i64, String) {
    (query.ts_ms - query.ts_ms.rem_euclid(DAY_MS), query.bu.clone())
}
