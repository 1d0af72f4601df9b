//! The tables of a log in memory, in order of time.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use faces_rebuild::tables::{EventRow, ItemRow, LinkRow, TableError, newest, read_events, read_items, read_links};

use crate::rows;

/// Where the log lies.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Events table.
    pub events: PathBuf,
    /// Items table.
    pub items: PathBuf,
    /// Links table.
    pub links: Option<PathBuf>,
}

/// A log in memory.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// By time; those of one time in an order of their own, so that it does not show how they lay.
    pub events: Vec<EventRow>,
    /// In file order.
    pub items: Vec<ItemRow>,
    /// By time; ties in file order.
    pub links: Vec<LinkRow>,
}

/// A look at a log.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// By time; those of one time in an order of their own, so that it does not show how they lay.
    pub events: &'a [EventRow],
    /// The catalogue; empty where it is not known.
    pub items: &'a [ItemRow],
    /// By time.
    pub links: &'a [LinkRow],
}

impl Log {
    /// Reads the tables; items and links where given.
    ///
    /// # Errors
    /// A table that can't be read, by file and row; no events.
    pub fn read(events: &Path, items: Option<&Path>, links: Option<&Path>) -> Result<Self> {
        let mut log = Self { events: whole(events, read_events(events)?)?, ..Self::default() };
        if let Some(path) = items {
            log.items = newest(whole(path, read_items(path)?)?);
        }
        if let Some(path) = links {
            log.links = whole(path, read_links(path)?)?;
        }
        log.events.retain(|row| !row.item_id.is_empty()); // a search in words takes nothing
        ensure!(!log.events.is_empty(), "{} holds no events", events.display());
        log.events.sort_by(|a, b| a.ts_ms.cmp(&b.ts_ms).then_with(|| rows::by_content(a, b)));
        log.links.sort_by_key(|row| row.ts_ms);
        Ok(log)
    }

    /// What was read.
    #[must_use]
    pub fn tables(&self) -> Tables<'_> {
        Tables { events: &self.events, items: &self.items, links: &self.links }
    }
}

fn whole<Row>(path: &Path, table: impl Iterator<Item = Result<Row, TableError>>) -> Result<Vec<Row>> {
    table.collect::<Result<_, _>>().with_context(|| format!("can't read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_rows_of_one_time_lie_does_not_show_and_searches_in_words_take_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let rows = ["1577836800000,shop,u2,i1,view", "1577836800000,shop,u1,i2,view", "1577836800000,shop,u1,,search"];
        let log = |name: &str, rows: &mut dyn Iterator<Item = &&str>| {
            let lines: Vec<&str> = ["ts_ms,bu,local_user_id,item_id,event_type"].into_iter().chain(rows.copied()).collect();
            let path = folder.path().join(name);
            std::fs::write(&path, lines.join("\n")).unwrap();
            Log::read(&path, None, None).unwrap().events
        };
        let there = log("there.csv", &mut rows.iter());
        assert_eq!(there.iter().map(|row| row.item_id.as_str()).collect::<Vec<_>>(), ["i2", "i1"]);
        assert_eq!(log("back.csv", &mut rows.iter().rev()), there);
    }
}
