//! A ranker for a generation to be published: the log is replayed through the served code, and what people took in its last part
//! are the examples.

use anyhow::Result;
use faces_rebuild::{
    Prepared,
    ranker::TrainedRanker,
    tables::{EventRow, ItemRow, LinkRow},
};

use super::{
    course::{Course, InMemory, Streamed},
    options::ReplayOptions,
    run::Run,
    tables::Log,
    takings::{Asked, takings},
};
use crate::rows;

/// Learns from what happened before `cut_off_ms`; `None` where nobody took anything that was retrieved. Events that are no records
/// are passed over, as training does. `progress` hears the share done.
///
/// Cost: applying the log once, a retrieval an example, and three generations.
///
/// # Errors
/// Training that fails.
pub fn learn(log: &Log, options: &ReplayOptions, cut_off_ms: i64, progress: impl Fn(f64)) -> Result<Option<TrainedRanker>> {
    let visible: Vec<&EventRow> = log.events.iter().filter(|row| is_record(row, cut_off_ms)).collect();
    let course = InMemory::new(options, log.tables(), &visible);
    replay(Box::new(course), (&log.items, &log.links), &visible, options, cut_off_ms, progress)
}

/// [`learn`] from prepared tables: events are read as they are applied, so that what is held in memory is the state that they make and
/// the interactions, not the log.
///
/// # Errors
/// As [`learn`], and tables that can't be read.
pub fn learn_prepared(prepared: &Prepared, options: &ReplayOptions, progress: impl Fn(f64)) -> Result<Option<TrainedRanker>> {
    let cut_off_ms = prepared.log().cut_off_ms();
    let (items, links, moments) = (prepared.items()?, prepared.links()?, prepared.moments()?);
    let latest: Vec<&EventRow> = moments.iter().filter(|row| is_record(row, cut_off_ms)).collect();
    let course = Streamed::new(prepared.events()?, prepared.log(), &options.training);
    replay(Box::new(course), (&items, &links), &latest, options, cut_off_ms, progress)
}

fn is_record(row: &EventRow, cut_off_ms: i64) -> bool {
    row.ts_ms < cut_off_ms && rows::event(row).is_ok()
}

/// Goes through the log, with an example at each of the latest moments.
fn replay(
    course: Box<dyn Course + '_>,
    catalogue: (&[ItemRow], &[LinkRow]),
    latest: &[&EventRow],
    options: &ReplayOptions,
    cut_off_ms: i64,
    progress: impl Fn(f64),
) -> Result<Option<TrainedRanker>> {
    let never_asked = Asked { from_ms: i64::MAX, until_ms: cut_off_ms, queries: 0 };
    let moments = takings(latest, never_asked, options.training.ranker.examples_max);
    let first_ms = moments.first().and_then(|rows| rows.first()).map_or(0, |row| row.ts_ms);
    let mut run = Run::new(options, course, catalogue, cut_off_ms, first_ms);
    for (n, rows) in moments.iter().enumerate() {
        if let Some(row) = rows.first() {
            run.advance(row.ts_ms)?;
            run.note(rows)?;
        }
        progress((n + 1) as f64 / moments.len() as f64);
    }
    Ok(run.ranker(cut_off_ms))
}
