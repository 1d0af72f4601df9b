//! What is to be answered: `query_id,ts_ms,bu,local_user_id`, and the two side files `.exclude` and `.hidden`.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};

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
}

/// Reads the queries and, where given, what is excluded and hidden.
///
/// # Errors
/// A file that can't be read, or a row that does not fit, by file and line.
pub fn read_queries(queries: &Path, exclude: Option<&Path>, hidden: Option<&Path>) -> Result<QuerySet> {
    let mut set = QuerySet { queries: read_rows(queries)?, ..QuerySet::default() };
    ensure!(!set.queries.is_empty(), "{} holds no queries", queries.display());
    set.queries.sort_by_key(|query| query.ts_ms);
    if let Some(path) = exclude {
        for row in read_rows::<Excluded>(path)? {
            set.excluded.entry((row.day_ms, row.bu)).or_default().push(row.item_id);
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

    /// Checks that every query has a name of its own, by which answers are found.
    ///
    /// # Errors
    /// The first name that two queries have.
    pub fn check_names(&self) -> Result<()> {
        let mut names = HashSet::new();
        let twice = self.queries.iter().find(|query| !names.insert(query.query_id.as_str()));
        match twice {
            Some(query) => bail!("two queries are called {:?}", query.query_id),
            None => Ok(()),
        }
    }

    /// Items that neither an answer nor its targets may hold.
    #[must_use]
    pub fn ruled_out(&self, query: &Query) -> &[String] {
        let day_ms = query.ts_ms - query.ts_ms.rem_euclid(DAY_MS);
        self.excluded.get(&(day_ms, query.bu.clone())).map(Vec::as_slice).unwrap_or_default()
    }
}

fn read_rows<Row: DeserializeOwned>(path: &Path) -> Result<Vec<Row>> {
    let mut reader = csv::Reader::from_path(path).with_context(|| format!("can't open {}", path.display()))?;
    reader.deserialize().collect::<Result<_, _>>().with_context(|| format!("can't read {}", path.display()))
}
