//! From table rows to a [`Log`]: items become rows, accounts become persons, types become weights.

use std::collections::BTreeMap;

use faces_core::{catalogue::ItemAttributes, key::KeyHash};
use foldhash::{HashMap, HashMapExt};
use serde::{Deserialize, Serialize};

use super::{Interaction, LinkedAccounts, Log, LogError, TrainingItem, weights};
use crate::tables::{EventRow, ItemRow, LinkRow, TableError};

/// Most event types named in a report; events of further types are counted under `(other)`.
const REPORTED_TYPES_MAX: usize = 64;

/// A log and what was left out on the way to it.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// What training reads.
    pub log: Log,
    /// What it does not.
    pub report: AssemblyReport,
}

/// Rows read and rows left out, so that every event is accounted for:
/// `events_read = interactions + after_cut_off + of_unknown_item + of_bad_account + Σ unweighted_by_type`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssemblyReport {
    /// Item rows read.
    pub items_read: u64,
    /// Event rows read.
    pub events_read: u64,
    /// Link rows read.
    pub links_read: u64,
    /// Events that became interactions.
    pub interactions: u64,
    /// Events at or after the cut-off.
    pub after_cut_off: u64,
    /// Events of an item the catalogue does not have.
    pub of_unknown_item: u64,
    /// Events of an account whose unit or id the engine does not accept ([`faces_core::key::SourceKey::new`]).
    pub of_bad_account: u64,
    /// Events of a type that carries no weight (impressions, returns) or that is not known, per type.
    pub unweighted_by_type: BTreeMap<String, u64>,
    /// Links at or after the cut-off, of an account with itself, or of accounts the engine does not accept.
    pub links_left_out: u64,
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

/// Builds a log, with persons as the served engine would see them: the components of the links known before the
/// cut-off, within the default [`faces_core::identity::Limits`]. Accounts that no link names are persons of their own.
///
/// With `until` (milliseconds since 1970) only events and links strictly before it are kept, and it becomes the log's
/// cut-off; without, all are kept. The order of rows does not show in the log. Cost: a hash look-up or two an event;
/// memory: the items' names, 24 bytes an interaction, some 100 bytes an account.
///
/// # Errors
/// The first bad row of a table ends it; filter the rows before if a bad one is to be passed over.
pub fn assemble(
    events: impl IntoIterator<Item = Result<EventRow, TableError>>,
    items: impl IntoIterator<Item = Result<ItemRow, TableError>>,
    links: impl IntoIterator<Item = Result<LinkRow, TableError>>,
    until: Option<i64>,
) -> Result<Assembled, AssembleError> {
    let mut report = AssemblyReport::default();
    let linked = LinkedAccounts::read(links, until)?;
    (report.links_read, report.links_left_out) = (linked.links_read(), linked.links_left_out());
    let mut names: HashMap<KeyHash, u32> = HashMap::new();
    let person_of = |bu: &str, local_user_id: &str| {
        let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
        linked.person(bu, local_user_id).map(|name| *names.entry(name).or_insert(next))
    };
    let mut collected = collect(events, items, until, person_of, &mut report)?;
    renumber(names, &mut collected.interactions);
    finish(collected, until, report)
}

/// [`assemble`] with persons given by `person_of(bu, local_user_id)`; `None` leaves the event out as of a bad account.
/// It is asked once for every event that is kept, in the order of events.
///
/// # Errors
/// As [`assemble`].
pub fn assemble_with(
    events: impl IntoIterator<Item = Result<EventRow, TableError>>,
    items: impl IntoIterator<Item = Result<ItemRow, TableError>>,
    until: Option<i64>,
    person_of: impl FnMut(&str, &str) -> Option<u32>,
) -> Result<Assembled, AssembleError> {
    let mut report = AssemblyReport::default();
    let collected = collect(events, items, until, person_of, &mut report)?;
    finish(collected, until, report)
}

struct Collected {
    items: Vec<TrainingItem>,
    attributes: Vec<ItemAttributes>,
    interactions: Vec<Interaction>,
}

fn finish(collected: Collected, until: Option<i64>, report: AssemblyReport) -> Result<Assembled, AssembleError> {
    let Collected { items, attributes, interactions } = collected;
    let log = Log::new(items, interactions)?.with_attributes(attributes)?;
    let log = match until {
        Some(until_ms) => log.before(until_ms),
        None => log,
    };
    Ok(Assembled { log, report })
}

fn collect(
    events: impl IntoIterator<Item = Result<EventRow, TableError>>,
    items: impl IntoIterator<Item = Result<ItemRow, TableError>>,
    until: Option<i64>,
    mut person_of: impl FnMut(&str, &str) -> Option<u32>,
    report: &mut AssemblyReport,
) -> Result<Collected, AssembleError> {
    let (mut training_items, mut attributes) = (Vec::new(), Vec::new());
    // Unit, then item: a look-up needs no owned key.
    let mut rows: HashMap<String, HashMap<String, u32>> = HashMap::new();
    for item in items {
        let item = item?;
        attributes.push(item.attributes());
        let ItemRow { bu, item_id, .. } = item;
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
            report.count_unweighted(event.event_type, 1);
            continue;
        }
        let Some(&item) = rows.get(&event.bu).and_then(|unit| unit.get(&event.item_id)) else {
            report.of_unknown_item += 1;
            continue;
        };
        let Some(person) = person_of(&event.bu, &event.local_user_id) else {
            report.of_bad_account += 1;
            continue;
        };
        interactions.push(Interaction { person, item, ts_ms: event.ts_ms, weight });
        report.interactions += 1;
    }
    Ok(Collected { items: training_items, attributes, interactions })
}

impl AssemblyReport {
    /// Why events were left out, for people, and how many each.
    pub fn left_out(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let left_out = [
            ("after the cut-off", self.after_cut_off),
            ("of unknown items", self.of_unknown_item),
            ("of bad accounts", self.of_bad_account),
            ("without weight", self.unweighted_by_type.values().sum()),
        ];
        left_out.into_iter().filter(|(_, count)| *count > 0)
    }

    /// Counts events that carry no weight, under their type while there are few types.
    pub fn count_unweighted(&mut self, event_type: String, events: u64) {
        let known = self.unweighted_by_type.contains_key(&event_type);
        let named = known || self.unweighted_by_type.len() < REPORTED_TYPES_MAX;
        let name = if named { event_type } else { "(other)".to_owned() };
        *self.unweighted_by_type.entry(name).or_default() += events;
    }
}

/// Numbers persons by the order of their names: sums over persons then add in the same order for any order of rows.
fn renumber(number_by_name: HashMap<KeyHash, u32>, interactions: &mut [Interaction]) {
    let mut by_name: Vec<(KeyHash, u32)> = number_by_name.into_iter().collect();
    by_name.sort_unstable();
    let mut rank_of = vec![0_u32; by_name.len()];
    for (rank, (_, number)) in by_name.into_iter().enumerate() {
        if let Some(slot) = rank_of.get_mut(number as usize) {
            *slot = rank as u32;
        }
    }
    for interaction in interactions {
        interaction.person = rank_of.get(interaction.person as usize).copied().unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use faces_core::identity::{Confidence, Evidence};

    use super::*;

    fn event(ts_ms: i64, bu: &str, user: &str, item_id: &str, event_type: &str) -> EventRow {
        EventRow {
            ts_ms,
            bu: bu.into(),
            local_user_id: user.into(),
            item_id: item_id.into(),
            event_type: event_type.into(),
            value: None,
            currency: None,
        }
    }

    fn item(bu: &str, item_id: &str) -> Result<ItemRow, TableError> {
        Ok(ItemRow { item_id: item_id.into(), bu: bu.into(), ..ItemRow::default() })
    }

    fn link(ts_ms: i64, a: (&str, &str), b: (&str, &str)) -> Result<LinkRow, TableError> {
        let [bu_a, local_user_a, bu_b, local_user_b] = [a.0, a.1, b.0, b.1].map(String::from);
        let (evidence, confidence) = (Evidence::Declared, Confidence::FULL);
        Ok(LinkRow { ts_ms, bu_a, local_user_a, bu_b, local_user_b, is_unlink: false, evidence, confidence })
    }

    fn events() -> Vec<EventRow> {
        vec![
            event(10, "food", "f1", "milk", "view"),
            event(20, "video", "v1", "alien", "purchase"),
            event(30, "video", "v2", "alien", "buy"),
            event(40, "food", "f1", "milk", "impression"),
            event(41, "food", "f1", "milk", "teleport"),
            event(42, "food", "f1", "caviar", "view"),
            event(43, "Food!", "f1", "milk", "view"),
            event(50, "food", "f3", "milk", "cart"),
        ]
    }

    fn assembled(events: Vec<EventRow>, until: Option<i64>) -> Assembled {
        let items = [item("food", "milk"), item("video", "alien"), item("Food!", "milk")];
        let links = [
            link(5, ("food", "f1"), ("video", "v1")),
            link(5, ("video", "v1"), ("food", "f1")),
            link(45, ("food", "f3"), ("video", "v2")),
            link(5, ("food", "f3"), ("food", "f3")),
        ];
        assemble(events.into_iter().map(Ok), items, links, until).unwrap()
    }

    /// Which interactions share a person, by time.
    fn persons(log: &Log) -> Vec<Vec<i64>> {
        let groups = log.interactions().chunk_by(|left, right| left.person == right.person);
        let mut persons: Vec<Vec<i64>> = groups.map(|group| group.iter().map(|it| it.ts_ms).collect()).collect();
        persons.sort();
        persons
    }

    #[test]
    fn links_make_persons_and_every_event_is_accounted_for() {
        let Assembled { log, report } = assembled(events(), None);
        assert_eq!(persons(&log), [vec![10, 20], vec![30, 50]]);
        let unweighted = BTreeMap::from([("impression".to_owned(), 1), ("teleport".to_owned(), 1)]);
        assert_eq!(report.unweighted_by_type, unweighted);
        assert_eq!((report.of_unknown_item, report.of_bad_account, report.after_cut_off), (1, 1, 0));
        assert_eq!((report.events_read, report.interactions), (8, 4));
        assert_eq!((report.links_read, report.links_left_out), (4, 1));
    }

    #[test]
    fn the_cut_off_holds_for_events_and_links() {
        let Assembled { log, report } = assembled(events(), Some(45));
        assert_eq!(persons(&log), [vec![10, 20], vec![30]]);
        assert_eq!((log.cut_off_ms(), report.after_cut_off, report.links_left_out), (45, 1, 2));
        let whole = assembled(events(), None).log;
        assert_eq!(persons(&assembled(events(), Some(31)).log), persons(&whole.before(31)));
    }

    #[test]
    fn the_order_of_rows_does_not_show() {
        let mut turned = events();
        turned.reverse();
        assert_eq!(assembled(events(), None).log.interactions(), assembled(turned, None).log.interactions());
    }
}
