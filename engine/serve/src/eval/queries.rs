//! What is to be answered: `query_id,ts_ms,bu,local_user_id`, and the two side files `.exclude` and `.hidden`.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use faces_rebuild::tables::{TableError, check_ts_ms};
use serde::{Deserialize, de::DeserializeOwned};

use super::{groups::Group, tables::Tables};
use crate::rows;

const DAY_MS: i64 = 86_400_000;

/// One question.
#[derive(Clone, Debug, Deserialize)]
pub struct Query {
    /// Names the query in the output.
    pub query_id: String,
    /// When it is asked, milliseconds since 1970 UTC.
    pub ts_ms: i64,
    /// Whose items are wanted.
    pub bu: String,
    /// Who asks, in that business unit.
    pub local_user_id: String,
    /// Group that metrics are reported for as well, if the file names one.
    #[serde(default)]
    pub segment: String,
}

#[derive(Deserialize)]
struct Excluded {
    day_ms: i64,
    bu: String,
    item_id: String,
}

#[derive(Deserialize)]
struct Hidden {
    bu: String,
    local_user_id: String,
}

/// All questions of one run.
#[derive(Debug, Default)]
pub struct QuerySet {
    /// In order of time.
    pub queries: Vec<Query>,
    /// Items that may not be recommended, by (start of the UTC day, business unit).
    pub excluded: HashMap<(i64, String), Vec<String>>,
    /// Accounts (business unit, local id) whose events are not replayed.
    pub hidden: HashSet<(String, String)>,
    /// Each business unit with the first row of the file that asks it, from 1 without the header.
    pub asked: HashMap<String, u64>,
}

/// Reads the queries and, where given, what is excluded and hidden.
///
/// # Errors
/// A file that can't be read, or a row that does not fit, by file and row: also a time that is not in milliseconds, a query that is called
/// as another one is, and a segment that is called as all queries together are.
pub fn read_queries(queries: &Path, exclude: Option<&Path>, hidden: Option<&Path>) -> Result<QuerySet> {
    let mut set = QuerySet { queries: read_rows(queries)?, ..QuerySet::default() };
    ensure!(!set.queries.is_empty(), "{} holds no queries", queries.display());
    check_rows(queries, &set.queries)?;
    for (row, query) in (1..).zip(&set.queries) {
        set.asked.entry(query.bu.clone()).or_insert(row);
    }
    set.queries.sort_by_key(|query| query.ts_ms);
    if let Some(path) = exclude {
        for (n, row) in (1..).zip(read_rows::<Excluded>(path)?) {
            check_time(path, n, "day_ms", row.day_ms)?;
            set.excluded.entry((day_of(row.day_ms), row.bu)).or_default().push(row.item_id);
        }
    }
    if let Some(path) = hidden {
        set.hidden = read_rows::<Hidden>(path)?.into_iter().map(|row| (row.bu, row.local_user_id)).collect();
    }
    Ok(set)
}

impl QuerySet {
    /// Are an account's events left out?
    #[must_use]
    pub fn hides(&self, bu: &str, local_user_id: &str) -> bool {
        !self.hidden.is_empty() && self.hidden.contains(&(bu.to_owned(), local_user_id.to_owned()))
    }

    /// Checks that every unit that is asked is one of the catalogue or, where that is not known, of the events. `path` is the file of
    /// the queries.
    ///
    /// # Errors
    /// The first row that names another one, with the units there are.
    pub fn check_units(&self, path: &Path, tables: Tables<'_>) -> Result<()> {
        let units: BTreeSet<&str> = match tables.items {
            [] => tables.events.iter().map(|row| row.bu.as_str()).collect(),
            items => items.iter().map(|row| row.bu.as_str()).collect(),
        };
        let unknown = self.asked.iter().filter(|(bu, _)| !units.contains(bu.as_str()));
        let Some((bu, row)) = unknown.min_by_key(|(_, row)| **row) else { return Ok(()) };
        let (path, known) = (path.display(), units.into_iter().collect::<Vec<_>>().join(", "));
        bail!("table {path}, row {row}, column `bu`: `{bu}` is no business unit of the log; there are {known}")
    }

    /// Items that neither an answer nor its targets may hold.
    #[must_use]
    pub fn ruled_out(&self, query: &Query) -> &[String] {
        self.excluded.get(&(day_of(query.ts_ms), query.bu.clone())).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The beginning of a moment's UTC day.
const fn day_of(ts_ms: i64) -> i64 {
    ts_ms - ts_ms.rem_euclid(DAY_MS)
}

fn check_time(path: &Path, row: u64, column: &'static str, ts_ms: i64) -> Result<(), TableError> {
    check_ts_ms(ts_ms).map_err(|expected| TableError::BadCell {
        path: path.into(),
        row,
        column,
        value: ts_ms.to_string(),
        expected,
    })
}

/// Checks that times are in milliseconds, that every query has a name of its own, by which answers are found, that no segment is called
/// as everything together is, and that the engine would take who asks.
fn check_rows(path: &Path, queries: &[Query]) -> Result<()> {
    let mut first_row: HashMap<&str, u64> = HashMap::new();
    for (row, query) in (1..).zip(queries) {
        check_time(path, row, "ts_ms", query.ts_ms)?;
        if let Some(first) = first_row.insert(&query.query_id, row) {
            let (path, name) = (path.display(), &query.query_id);
            bail!("table {path}, row {row}, column `query_id`: `{name}` is the name of two queries, here and in row {first}");
        }
        ensure!(
            query.segment != Group::All.name(),
            "table {}, row {row}, column `segment`: `{}` is what all queries together are called; give the segment another name",
            path.display(),
            query.segment
        );
        rows::account(&query.bu, &query.local_user_id).with_context(|| format!("table {}, row {row}", path.display()))?;
    }
    Ok(())
}

fn read_rows<Row: DeserializeOwned>(path: &Path) -> Result<Vec<Row>> {
    let mut reader = csv::Reader::from_path(path).with_context(|| format!("can't open {}", path.display()))?;
    reader.deserialize().collect::<Result<_, _>>().with_context(|| format!("can't read {}", path.display()))
}
