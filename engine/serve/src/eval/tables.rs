//! The tables of a log in memory, in order of time.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use faces_rebuild::tables::{EventRow, ItemRow, LinkRow, TableError, newest, read_events, read_items, read_links};

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
    /// By time; ties in file order.
    pub events: Vec<EventRow>,
    /// In file order.
    pub items: Vec<ItemRow>,
    /// By time; ties in file order.
    pub links: Vec<LinkRow>,
}

/// A look at a log.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// By time; ties in file order.
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
        ensure!(!log.events.is_empty(), "{} holds no events", events.display());
        log.events.sort_by_key(|row| row.ts_ms);
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
