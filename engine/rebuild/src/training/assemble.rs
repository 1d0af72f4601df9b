//! From table rows to a [`Log`]: items become rows, accounts become persons, types become weights.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};

use super::{Interaction, Log, LogError, TrainingItem, weights};
use crate::tables::{EventRow, ItemRow, TableError};

/// A log and what was left out on the way to it.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// What training reads.
    pub log: Log,
    /// What it does not.
    pub report: AssemblyReport,
}

/// Rows read and rows left out, so that every event is accounted for:
/// `events_read == interactions + after_cut_off + of_unknown_item + sum(unweighted_by_type)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssemblyReport {
    /// Item rows read.
    pub items_read: u64,
    /// Event rows read.
    pub events_read: u64,
    /// Events that became interactions.
    pub interactions: u64,
    /// Events at or after the cut-off.
    pub after_cut_off: u64,
    /// Events of an item the catalogue does not have.
    pub of_unknown_item: u64,
    /// Events of a type that carries no weight (impressions, returns) or that is not known, per type.
    pub unweighted_by_type: BTreeMap<String, u64>,
}

/// Most event types named in a report; events of further types are counted under `(other)`.
const REPORTED_TYPES_MAX: usize = 64;

impl AssemblyReport {
    fn count_unweighted(&mut self, event_type: String) {
        let known = self.unweighted_by_type.contains_key(&event_type);
        let name = if known || self.unweighted_by_type.len() < REPORTED_TYPES_MAX {
            event_type
        } else {
            "(other)".to_owned()
        };
        *self.unweighted_by_type.entry(name).or_default() += 1;
    }
}

/// Why rows could not become a log.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A table could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The rows make no log.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Builds a log, with persons given by `person_of(bu, local_user_id)`.
///
/// With `until` (milliseconds since 1970) only events strictly before it are kept and it becomes the log's cut-off;
/// `person_of` is not asked about the others. Cost: one hash look-up an event.
///
/// # Errors
/// The first bad row ends it: filter the rows before if a bad one is to be passed over.
pub fn assemble_with(
    events: impl IntoIterator<Item = Result<EventRow, TableError>>,
    items: impl IntoIterator<Item = Result<ItemRow, TableError>>,
    until: Option<i64>,
    mut person_of: impl FnMut(&str, &str) -> u32,
) -> Result<Assembled, AssembleError> {
    let mut report = AssemblyReport::default();
    let mut training_items = Vec::new();
    // Unit, then item: a look-up needs no owned key.
    let mut rows: HashMap<String, HashMap<String, u32>> = HashMap::new();
    for item in items {
        let ItemRow { bu, item_id, .. } = item?;
        report.items_read += 1;
        // Beyond 2^32 rows `Log::new` refuses, so a saturated row never escapes.
        let row = u32::try_from(training_items.len()).unwrap_or(u32::MAX);
        rows.entry(bu.clone()).or_default().insert(item_id.clone(), row);
        training_items.push(TrainingItem { bu, item_id });
    }
    let mut interactions = Vec::new();
    for event in events {
        let event = event?;
        report.events_read += 1;
        if until.is_some_and(|until_ms| event.ts_ms >= until_ms) {
            report.after_cut_off += 1;
            continue;
        }
        let weight = weights::training_weight(&event.event_type).unwrap_or(0.0);
        if weight <= 0.0 {
            report.count_unweighted(event.event_type);
            continue;
        }
        let Some(&item) = rows.get(&event.bu).and_then(|unit| unit.get(&event.item_id)) else {
            report.of_unknown_item += 1;
            continue;
        };
        let person = person_of(&event.bu, &event.local_user_id);
        interactions.push(Interaction { person, item, ts_ms: event.ts_ms, weight });
        report.interactions += 1;
    }
    let log = Log::new(training_items, interactions)?;
    let log = match until {
        Some(until_ms) => log.before(until_ms),
        None => log,
    };
    Ok(Assembled { log, report })
}
