//! A ranker for a generation to be published: the log is replayed through the served code, and what people took in its last part
//! are the examples.

use anyhow::Result;
use faces_rebuild::{ranker::TrainedRanker, tables::EventRow};

use super::{
    replay::ReplayOptions,
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
/// A link that is none, or training that fails.
pub fn learn(log: &Log, options: &ReplayOptions, cut_off_ms: i64, progress: impl Fn(f64)) -> Result<Option<TrainedRanker>> {
    let is_record = |row: &&EventRow| row.ts_ms < cut_off_ms && rows::event(row).is_ok();
    let visible: Vec<&EventRow> = log.events.iter().filter(is_record).collect();
    let never_asked = Asked { from_ms: i64::MAX, until_ms: cut_off_ms, queries: 0 };
    let moments = takings(&visible, never_asked, options.training.ranker.examples_max);
    let first_ms = moments.first().and_then(|rows| rows.first()).map_or(0, |row| row.ts_ms);
    let mut run = Run::new(options, log.tables(), &visible, cut_off_ms, first_ms);
    for (n, rows) in moments.iter().enumerate() {
        if let Some(row) = rows.first() {
            run.advance(row.ts_ms)?;
            run.note(rows)?;
        }
        progress((n + 1) as f64 / moments.len() as f64);
    }
    Ok(run.ranker(cut_off_ms))
}
