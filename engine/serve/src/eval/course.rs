//! What a run goes through: events in order of time, of a log in memory or read as they come, and generations of what has come.

use std::{collections::VecDeque, iter::Peekable};

use anyhow::{Context as _, Result};
use faces_core::record::Record;
use faces_rebuild::{
    Generation, RebuildError, TrainParams,
    tables::{EventRow, LinkRow, TableError},
    train,
    training::{self, assemble},
};

use super::{replay::ReplayOptions, tables::Tables};
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
        let mut rows = vec![first];
        while let Some(row) = self.rows.next_if(|row| row.as_ref().is_ok_and(|row| row.ts_ms == ts_ms)) {
            rows.push(row?);
        }
        rows.sort_by(|a, b| names(a).cmp(&names(b)).then(a.value.unwrap_or(0.0).total_cmp(&b.value.unwrap_or(0.0))));
        self.of_one_time = rows.into();
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
        trained(&self.log.before(cut_off_ms), self.training)
    }
}

fn names(row: &EventRow) -> (&str, &str, &str, &str) {
    (&row.bu, &row.local_user_id, &row.item_id, &row.event_type)
}

fn trained(log: &training::Log, params: &TrainParams) -> Result<Option<Generation>> {
    match train(log, params, &|_, _| {}) {
        Ok(generation) => Ok(Some(generation)),
        Err(RebuildError::NoInteractions { .. } | RebuildError::NoCooccurrence { .. }) => Ok(None),
        Err(error) => Err(error).context("training failed"),
    }
}
