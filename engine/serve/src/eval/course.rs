//! What a run goes through: events in order of time, of a log in memory or read as they come, and generations of what has come.

use std::{collections::VecDeque, iter::Peekable};

use anyhow::{Context as _, Result};
use faces_core::record::Record;
use faces_index::{BuildSpec, IndexKind};
use faces_rebuild::{
    Generation, RebuildError, TrainParams,
    tables::{EventRow, LinkRow, TableError},
    train,
    training::{self, assemble},
};

use super::{options::ReplayOptions, tables::Tables};
use crate::rows;

/// Events in order of time, each told once.
pub trait Course {
    /// The next event, if it happened before `ts_ms`.
    ///
    /// # Errors
    /// A row that can't be read, or is no record.
    fn next_before(&mut self, ts_ms: i64) -> Result<Option<Record>>;

    /// A generation from what happened before `cut_off_ms`, all of which has been told; `None` when that is too little to train on.
    ///
    /// # Errors
    /// Training that fails.
    fn generation(&self, cut_off_ms: i64) -> Result<Option<Generation>>;
}

/// A log in memory.
pub struct InMemory<'a> {
    options: &'a ReplayOptions,
    tables: Tables<'a>,
    visible: &'a [&'a EventRow], // by time
    next: usize,
}

impl<'a> InMemory<'a> {
    /// Goes through `visible`, the events of the tables that count, by time.
    pub fn new(options: &'a ReplayOptions, tables: Tables<'a>, visible: &'a [&'a EventRow]) -> Self {
        Self { options, tables, visible, next: 0 }
    }
}

impl Course for InMemory<'_> {
    fn next_before(&mut self, ts_ms: i64) -> Result<Option<Record>> {
        let Some(row) = self.visible.get(self.next).filter(|row| row.ts_ms < ts_ms) else { return Ok(None) };
        self.next += 1;
        rows::event(row).map(Some).with_context(|| format!("event row at {} ms", row.ts_ms))
    }

    fn generation(&self, cut_off_ms: i64) -> Result<Option<Generation>> {
        fn whole<Row>(row: Row) -> Result<Row, TableError> {
            Ok(row)
        }
        let links: &[LinkRow] = if self.options.siloed { &[] } else { self.tables.links };
        let before = self.visible.get(..self.next).unwrap_or_default();
        let assembled = assemble(
            before.iter().map(|row| whole((*row).clone())),
            self.tables.items.iter().map(|row| whole(row.clone())),
            links.iter().map(|row| whole(row.clone())),
            Some(cut_off_ms),
        )?;
        trained(&assembled.log, &self.options.training)
    }
}

/// Interactions that generations under way are trained on at most, where a log is too large to be held: examples are made with them, nobody
/// is served by them.
const INTERACTIONS_MAX: usize = 2_000_000;

/// Events read as they are told, beside the interactions that training reads of them. Rows that are no records are passed over, as training
/// does. Persons are those of the whole log: a link of later shows in what is trained, never in the state that answers.
pub struct Streamed<'a, Rows: Iterator<Item = Result<EventRow, TableError>>> {
    rows: Peekable<Rows>,
    of_one_time: VecDeque<EventRow>,
    log: &'a training::Log,
    training: &'a TrainParams,
}

impl<'a, Rows: Iterator<Item = Result<EventRow, TableError>>> Streamed<'a, Rows> {
    /// Goes through `rows`, which are in order of time; those of one time are put in an order of their own, so that it does not show how
    /// they lay. Memory: the rows of one millisecond.
    pub fn new(rows: Rows, log: &'a training::Log, training: &'a TrainParams) -> Self {
        Self { rows: rows.peekable(), of_one_time: VecDeque::new(), log, training }
    }

    fn read_time(&mut self) -> Result<(), TableError> {
        let Some(first) = self.rows.next().transpose()? else { return Ok(()) };
        let ts_ms = first.ts_ms;
        let mut of_one_time = vec![first];
        while let Some(row) = self.rows.next_if(|row| row.as_ref().is_ok_and(|row| row.ts_ms == ts_ms)) {
            of_one_time.push(row?);
        }
        of_one_time.sort_by(rows::by_content);
        self.of_one_time = of_one_time.into();
        Ok(())
    }
}

impl<Rows: Iterator<Item = Result<EventRow, TableError>>> Course for Streamed<'_, Rows> {
    fn next_before(&mut self, ts_ms: i64) -> Result<Option<Record>> {
        loop {
            if self.of_one_time.is_empty() {
                self.read_time()?;
            }
            if self.of_one_time.front().is_none_or(|row| row.ts_ms >= ts_ms) {
                return Ok(None);
            }
            let Some(row) = self.of_one_time.pop_front() else { return Ok(None) };
            if let Ok(record) = rows::event(&row) {
                return Ok(Some(record));
            }
        }
    }

    fn generation(&self, cut_off_ms: i64) -> Result<Option<Generation>> {
        let before = self.log.before(cut_off_ms);
        if before.interactions().len() <= INTERACTIONS_MAX {
            return trained(&before, self.training);
        }
        // To tune indexes would take longer than all that they are asked here.
        let index = BuildSpec { kind: self.training.index.kind.or(Some(IndexKind::Ivf)), ..self.training.index.clone() };
        trained(&before.sampled(INTERACTIONS_MAX), &TrainParams { index, ..self.training.clone() })
    }
}

/// A generation; `None` where the log is too poor to train on.
///
/// # Errors
/// Training that fails for another reason.
pub fn trained(log: &training::Log, params: &TrainParams) -> Result<Option<Generation>> {
    match train(log, params, &|_, _| {}) {
        Ok(generation) => Ok(Some(generation)),
        Err(RebuildError::NoInteractions { .. } | RebuildError::NoCooccurrence { .. }) => Ok(None),
        Err(error) => Err(error).context("training failed"),
    }
}

#[cfg(test)]
mod tests {
    use faces_rebuild::training::{Interaction, Log, TrainingItem};

    use super::*;

    fn row(ts_ms: i64, user: &str, item: &str, kind: &str) -> Result<EventRow, TableError> {
        let [bu, local_user_id, item_id, event_type] = ["shop", user, item, kind].map(String::from);
        Ok(EventRow { ts_ms, bu, local_user_id, item_id, event_type, value: None, currency: None })
    }

    fn told(course: &mut dyn Course, before_ms: i64) -> Vec<(i64, String)> {
        let mut told = Vec::new();
        while let Some(Record::Event(event)) = course.next_before(before_ms).unwrap() {
            told.push((event.time.millis(), event.item_id.unwrap_or_default()));
        }
        told
    }

    fn log() -> Log {
        let items = ["a", "b"].map(|id| TrainingItem { bu: "shop".into(), item_id: id.into() });
        let act = |n: i64| Interaction { person: n as u32 / 2, item: n as u32 % 2, ts_ms: 1_000 * n, weight: 1.0 };
        Log::new(items.into(), (0..40).map(act).collect()).unwrap()
    }

    #[test]
    fn rows_are_told_by_time_once_each_however_those_of_one_time_lay() {
        let (log, params) = (log(), TrainParams::default());
        let rows = [row(1, "u", "c", "view"), row(1, "u", "b", "view"), row(2, "u", "x", "teleport"), row(3, "u", "a", "view")];
        let mut course = Streamed::new(rows.into_iter(), &log, &params);
        assert_eq!(told(&mut course, 1), []);
        assert_eq!(told(&mut course, 3), [(1, "b".into()), (1, "c".into())]);
        assert_eq!(told(&mut course, 9), [(3, "a".into())], "what is no record is passed over");
        assert_eq!(told(&mut course, i64::MAX), []);
    }

    #[test]
    fn generations_know_what_was_before_them_alone() {
        let log = log();
        let mut params = TrainParams::default();
        params.embedding.dimension = 2;
        let course = Streamed::new(std::iter::empty(), &log, &params);
        let made = course.generation(20_000).unwrap().unwrap();
        assert_eq!((made.manifest.cut_off_ms, made.manifest.counts.interactions), (20_000, 20));
        assert!(course.generation(0).unwrap().is_none(), "too little to train on is no error");
    }
}
