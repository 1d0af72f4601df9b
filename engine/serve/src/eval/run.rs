//! A state that goes through a log: what came before a moment is applied, generations are trained when they are due, and what people
//! take becomes examples for the ranker. The engine in it is the served one.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context as _, Result};
use faces_core::{
    ids::EventTime,
    record::{Apply as _, Outcome},
    state::State,
};
use faces_rebuild::{
    ranker::TrainedRanker,
    tables::{EventRow, ItemRow, LinkRow},
};

use super::{course::Course, examples::Examples, options::ReplayOptions};
use crate::{engine::Engine, rows, serving::ServingGeneration};

const DAY_MS: i64 = 86_400_000;
/// Generations trained while examples are gathered, before anything is asked: so many and one more.
const REBUILDS_BEFORE: i64 = 3;

/// A state on its way through a log.
pub struct Run<'a> {
    options: &'a ReplayOptions,
    course: Box<dyn Course + 'a>,
    links: &'a [LinkRow], // by time
    /// What answers.
    pub engine: Engine,
    examples: Examples,
    asked_from_ms: i64,
    before_ms: i64,
    next_link: usize,
    next_rebuild_ms: i64,
    /// Events applied.
    pub events: u64,
    /// Generations trained to answer questions with.
    pub rebuilds: u32,
}

impl<'a> Run<'a> {
    /// At the beginning of the log: the catalogue is known, and nothing has happened. The first moment is at `first_ms`, the first
    /// question at `asked_from_ms`.
    pub fn new(
        options: &'a ReplayOptions,
        course: Box<dyn Course + 'a>,
        (items, links): (&[ItemRow], &'a [LinkRow]),
        asked_from_ms: i64,
        first_ms: i64,
    ) -> Self {
        let state = Arc::new(State::new(options.state));
        let engine = Engine::new(Arc::clone(&state), options.engine.clone());
        let mut writer = state.writer();
        items.iter().for_each(|row| _ = writer.record(&rows::item(row)));
        drop(writer);
        Self {
            options,
            course,
            links,
            engine,
            examples: Examples::new(options.training.ranker),
            asked_from_ms,
            before_ms: asked_from_ms.saturating_sub(first_ms).max(0),
            next_link: 0,
            next_rebuild_ms: i64::MIN,
            events: 0,
            rebuilds: 0,
        }
    }

    /// Without generations of its own: for engines that bring theirs over the same state.
    pub fn untrained(mut self) -> Self {
        self.next_rebuild_ms = i64::MAX;
        self
    }

    /// Applies exactly what happened before `ts_ms`, and trains a generation if one is due.
    ///
    /// # Errors
    /// An event that is no record; training that fails.
    pub fn advance(&mut self, ts_ms: i64) -> Result<()> {
        let state = Arc::clone(self.engine.state());
        let mut writer = state.writer();
        while let Some(row) = self.links.get(self.next_link).filter(|row| row.ts_ms < ts_ms) {
            // What is no link is passed over, as training does.
            rows::link(row).into_iter().for_each(|record| _ = writer.record(&record));
            self.next_link += 1;
        }
        let mut is_settled = true;
        while let Some(record) = self.course.next_before(ts_ms)? {
            self.events += u64::from(writer.record(&record) == Outcome::Applied);
            is_settled = false;
        }
        drop(writer);
        if !is_settled {
            state.settle();
        }
        if ts_ms >= self.next_rebuild_ms {
            self.renew(ts_ms)?;
        }
        Ok(())
    }

    /// Trains a generation on what happened before the day of `ts_ms`, with a ranker from the examples of that time.
    fn renew(&mut self, ts_ms: i64) -> Result<()> {
        let cut_off_ms = ts_ms - ts_ms.rem_euclid(DAY_MS);
        if let Some(mut generation) = self.course.generation(cut_off_ms)? {
            generation.ranker = self.examples.ranker(cut_off_ms);
            self.engine.swap(ServingGeneration::new(generation, self.engine.state().catalogue()));
            self.rebuilds += u32::from(ts_ms >= self.asked_from_ms);
        }
        let period_ms = i64::from(self.options.rebuild_days) * DAY_MS;
        self.next_rebuild_ms = if ts_ms < self.asked_from_ms {
            // Cut-offs are days: on the same one the same would be trained again.
            let pause_ms = period_ms.max(self.before_ms / REBUILDS_BEFORE).max(DAY_MS);
            cut_off_ms.saturating_add(pause_ms).min(self.asked_from_ms)
        } else if period_ms == 0 {
            i64::MAX
        } else {
            cut_off_ms + period_ms
        };
        Ok(())
    }

    /// Notes what an account is about to take: rows of one account, unit and time, none of which is applied yet.
    ///
    /// # Errors
    /// A row that is no record.
    pub fn note(&mut self, rows: &[&EventRow]) -> Result<()> {
        let Some(first) = rows.first() else { return Ok(()) };
        let key = rows::account(&first.bu, &first.local_user_id)?;
        let bu = self.engine.state().catalogue().bu_or_new(&first.bu).context("too many business units")?;
        let mut taken: HashMap<&str, f32> = HashMap::new();
        for row in rows {
            let strength = rows::event_kind(&row.event_type).map_or(0.0, |kind| kind.strength());
            let held = taken.entry(&row.item_id).or_default();
            *held = held.max(strength);
        }
        let now = EventTime::from_millis(first.ts_ms);
        self.examples.note(&self.engine, &key, bu, now, &taken, self.options.siloed);
        Ok(())
    }

    /// A ranker from the examples of before `cut_off_ms`; `None` where there are none.
    pub fn ranker(&mut self, cut_off_ms: i64) -> Option<TrainedRanker> {
        self.examples.ranker(cut_off_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use faces_core::{record::Record, state::StateOptions};
    use faces_rebuild::{Generation, TrainParams};

    use super::*;
    use crate::engine::EngineOptions;

    /// Counts how often a generation is asked for.
    struct Counting(Rc<Cell<u32>>);

    impl Course for Counting {
        fn next_before(&mut self, _: i64) -> Result<Option<Record>> {
            Ok(None)
        }

        fn generation(&self, _: i64) -> Result<Option<Generation>> {
            self.0.set(self.0.get() + 1);
            Ok(None)
        }
    }

    #[test]
    fn a_generation_is_trained_for_a_day_at_most_once() {
        let options = ReplayOptions {
            state: StateOptions::default(),
            engine: EngineOptions::default(),
            training: TrainParams::default(),
            rebuild_days: 0,
            siloed: false,
            wanted: 20,
        };
        let hours = |n: i64| 20_000 * DAY_MS + n * 3_600_000;
        let trained = |first: i64, end: i64| {
            let asked = Rc::<Cell<u32>>::default();
            let mut run = Run::new(&options, Box::new(Counting(Rc::clone(&asked))), (&[], &[]), hours(end), hours(first));
            (first..end).for_each(|hour| run.advance(hours(hour)).unwrap());
            asked.get()
        };
        assert_eq!((trained(9, 15), trained(20, 30)), (1, 2), "all examples of a large log are of its last hours");
        assert_eq!(trained(0, 240), 4, "of ten days");
    }
}
