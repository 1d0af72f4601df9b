//! A generation: everything the server loads to retrieve candidates, immutable, checked, published as a whole.
//!
//! **One index per unit.** A slate is always asked for one business unit. With an index for each, the unit needs no
//! filter at query time (filtered graph search is the slowest way to search, FACTS "ANN"), each index is small, and an
//! interest vector from any unit can be asked in any other, because all vectors lie in one space.
//!
//! **Rows.** [`Generation::items`] is the list of items; everything else names items by their place in it. Rows mean
//! nothing outside their generation.
//!
//! This module must not know how the parts were made, nor who serves them.

mod binary;
mod collect;
mod error;
mod files;
mod id;
mod lease;
mod manifest;
mod parts;
mod pointer;
mod ranker_file;
mod seed_files;
mod sign;
mod store;
#[cfg(test)]
mod tests;

use faces_index::VectorIndex;
use foldhash::{HashSet, HashSetExt};

use crate::{neighbour_lists::NeighbourLists, popularity::Popularity, ranker::TrainedRanker, seed::Seed, training::TrainingItem};

pub use collect::{Collected, Held, Kept};
pub use error::GenerationError;
pub use id::GenerationId;
pub use lease::Lease;
pub use manifest::{Counts, FORMAT_NAME, FORMAT_VERSION, FORMAT_VERSION_MIN, FileEntry, Input, Manifest, UnitIndex};
pub use pointer::{Expected, How, Pointer, Turn};
pub use sign::{PublicKey, SecretKey};
pub use store::{Prepared, Store};

/// What one run of training made.
#[derive(Debug)]
pub struct Generation {
    /// What it is made of, from what, and when.
    pub manifest: Manifest,
    /// The items by row.
    pub items: Vec<TrainingItem>,
    /// One index per unit that has embedded items, by name of the unit.
    pub spaces: Vec<Space>,
    /// Each item's neighbours: what was taken together with it.
    pub co_visited: NeighbourLists,
    /// The items most like each by what the catalogue says, of its own unit.
    pub content: NeighbourLists,
    /// Each unit's popular items.
    pub popular: Popularity,
    /// The learned ranker; without one the fixed blend ranks.
    pub ranker: Option<TrainedRanker>,
    /// What a server starts from where the log no longer tells it. One that was loaded is without ([`Store::seed`]).
    pub seed: Option<Seed>,
}

/// The index of one unit's items.
#[derive(Debug)]
pub struct Space {
    /// The unit.
    pub bu: String,
    /// Index row to item row, ascending.
    pub rows: Vec<u32>,
    /// The vectors and how they are searched.
    pub index: Box<dyn VectorIndex>,
}

impl Space {
    /// The item row of an index row; `None` past the end.
    pub fn item_row(&self, index_row: u32) -> Option<u32> {
        self.rows.get(index_row as usize).copied()
    }

    /// The index row of an item row; `None` for an item of another unit or without a vector. O(log items).
    pub fn index_row(&self, item_row: u32) -> Option<u32> {
        self.rows.binary_search(&item_row).ok().and_then(|place| u32::try_from(place).ok())
    }

    /// Writes the vector of an item row, of the manifest's dimension, to `values`, as far as the index keeps it; false for an
    /// item of another unit or without a vector.
    pub fn vector_into(&self, item_row: u32, values: &mut Vec<f32>) -> bool {
        self.index_row(item_row).is_some_and(|row| self.index.row_into(row, values))
    }
}

impl Generation {
    /// The index of a unit; `None` for a unit without embedded items.
    pub fn space(&self, bu: &str) -> Option<&Space> {
        let place = self.spaces.binary_search_by(|space| space.bu.as_str().cmp(bu)).ok()?;
        self.spaces.get(place)
    }

    /// What is really in it, to be held against the manifest.
    pub fn counts(&self) -> Counts {
        let mut units: Vec<&str> = self.items.iter().map(|item| item.bu.as_str()).collect();
        units.sort_unstable();
        units.dedup();
        Counts {
            items: self.items.len(),
            units: units.len(),
            embedded_items: self.spaces.iter().map(|space| space.rows.len()).sum(),
            co_visited_pairs: self.co_visited.rows().len(),
            content_pairs: self.content.rows().len(),
            popular_items: self.popular.units().iter().map(|unit| unit.rows.len()).sum(),
            // Of the log, which is not part of the generation.
            interactions: self.manifest.counts.interactions,
            persons: self.manifest.counts.persons,
        }
    }

    /// Whether the parts fit each other and the manifest: what publishing and loading both insist on.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self) -> Result<(), String> {
        self.check_items()?;
        if self.spaces.is_empty() {
            return Err("it has no index at all".into());
        }
        if !self.spaces.is_sorted_by(|left, right| left.bu < right.bu) {
            return Err("its indexes are not in the order of their units".into());
        }
        for space in &self.spaces {
            self.check_space(space).map_err(|reason| format!("the index of unit {}: {reason}", space.bu))?;
        }
        for (name, lists) in [("co-visitation", &self.co_visited), ("content", &self.content)] {
            if lists.item_count() != self.items.len() {
                return Err(format!("{name} covers {} items of {}", lists.item_count(), self.items.len()));
            }
        }
        for unit in self.popular.units() {
            self.check_rows(&unit.bu, &unit.rows).map_err(|reason| format!("the popular items of unit {}: {reason}", unit.bu))?;
        }
        self.seed.as_ref().map_or(Ok(()), |seed| seed.check(self.items.len()))?;
        let (found, promised) = (self.counts(), self.manifest.counts);
        if found != promised {
            return Err(format!("the manifest promises {promised:?} and the files hold {found:?}"));
        }
        Ok(())
    }

    fn check_items(&self) -> Result<(), String> {
        if self.items.is_empty() {
            return Err("it has no items".into());
        }
        let mut seen = HashSet::with_capacity(self.items.len());
        for (row, item) in self.items.iter().enumerate() {
            if item.bu.is_empty() || item.item_id.is_empty() {
                return Err(format!("item row {row} has no name"));
            }
            if !seen.insert(item) {
                return Err(format!("item {}/{} is there twice", item.bu, item.item_id));
            }
        }
        Ok(())
    }

    fn check_space(&self, space: &Space) -> Result<(), String> {
        let (rows, dimension) = (space.index.len(), space.index.dimension());
        if dimension != self.manifest.dimension {
            return Err(format!("dimension {dimension} where the manifest has {}", self.manifest.dimension));
        }
        if space.index.metric() != self.manifest.metric {
            let (found, promised) = (space.index.metric(), self.manifest.metric);
            return Err(format!("metric {found:?} where the manifest has {promised:?}"));
        }
        if space.rows.is_empty() || rows != space.rows.len() {
            return Err(format!("{rows} vectors for {} items", space.rows.len()));
        }
        if !space.rows.is_sorted_by(|left, right| left < right) {
            return Err("its rows do not ascend".into());
        }
        self.check_rows(&space.bu, &space.rows)
    }

    fn check_rows(&self, bu: &str, rows: &[u32]) -> Result<(), String> {
        for &row in rows {
            match self.items.get(row as usize) {
                None => return Err(format!("it names item row {row} of {}", self.items.len())),
                Some(item) if item.bu != bu => return Err(format!("item row {row} is of unit {}", item.bu)),
                Some(_) => {}
            }
        }
        Ok(())
    }
}
