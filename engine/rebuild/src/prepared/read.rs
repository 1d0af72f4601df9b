//! Prepared tables, checked, as training reads them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{
    PAIR_BITS, TOTAL_BITS,
    blocks::for_each_block,
    manifest::{Counting, PREPARED_FORMAT, PREPARED_VERSION, PreparedFile, PreparedManifest, PreparedTable},
};
use crate::{
    cooccurrence::Count,
    tables::{EventRow, ItemRow, LinkRow, TableError, read_events, read_items, read_links},
    training::{Interaction, Log, LogError, TrainingItem},
};

/// Why prepared tables can't be read.
#[derive(Debug, thiserror::Error)]
pub enum PreparedError {
    /// A file can't be read.
    #[error("cannot read {}; prepare the tables again", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file is not what the manifest says, or is no prepared table.
    #[error("{} {reason}; prepare the tables again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tables were counted with other parameters than training is to have.
    #[error("the tables in {} were counted with other parameters than these; prepare them again", folder.display())]
    OtherCounting {
        /// The folder.
        folder: PathBuf,
    },
    /// A row that is none.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Rows that make no log.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Prepared tables whose files are as the manifest says.
#[derive(Debug)]
pub struct Prepared {
    folder: PathBuf,
    manifest: PreparedManifest,
    log: Log,
}

/// A column of the table of pairs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PairColumn {
    Transitions,
    Associations,
}

impl Prepared {
    /// Opens a folder: compares every file with the manifest, and reads items and interactions. Memory: 24 bytes an interaction.
    ///
    /// # Errors
    /// [`PreparedError`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, PreparedError> {
        let folder = folder.into();
        let path = folder.join("manifest.json");
        let text = fs::read(&path).map_err(|source| PreparedError::Io { path: path.clone(), source })?;
        let damaged = |reason: String| PreparedError::Damaged { path: path.clone(), reason };
        let manifest: PreparedManifest = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if manifest.format != PREPARED_FORMAT || manifest.version != PREPARED_VERSION {
            return Err(damaged(format!(
                "is {} {}, not {PREPARED_FORMAT} {PREPARED_VERSION}",
                manifest.format, manifest.version
            )));
        }
        let files: Vec<&PreparedFile> = manifest.tables.iter().flat_map(|table| &table.files).collect();
        files.into_par_iter().try_for_each(|file| {
            let path = folder.join(&file.name);
            let found =
                PreparedFile::of(&folder, &file.name).map_err(|source| PreparedError::Io { path: path.clone(), source })?;
            let as_written = found == *file;
            as_written.then_some(()).ok_or_else(|| PreparedError::Damaged { path, reason: "is not as it was written".into() })
        })?;
        let log = read_log(&folder, &manifest)?;
        Ok(Self { folder, manifest, log })
    }

    /// What was prepared.
    pub fn manifest(&self) -> &PreparedManifest {
        &self.manifest
    }

    /// The log: items and interactions.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// That the tables were counted as training wants them.
    ///
    /// # Errors
    /// [`PreparedError::OtherCounting`].
    pub fn check(&self, counting: &Counting) -> Result<(), PreparedError> {
        let as_wanted = self.manifest.counting == *counting;
        as_wanted.then_some(()).ok_or_else(|| PreparedError::OtherCounting { folder: self.folder.clone() })
    }

    /// The items as the catalogue has them, by row.
    ///
    /// # Errors
    /// [`PreparedError`].
    pub fn items(&self) -> Result<Vec<ItemRow>, PreparedError> {
        read_all(&self.folder, &self.manifest, "items", read_items)
    }

    /// The links, in order of time.
    ///
    /// # Errors
    /// [`PreparedError`].
    pub fn links(&self) -> Result<Vec<LinkRow>, PreparedError> {
        read_all(&self.folder, &self.manifest, "links", read_links)
    }

    /// The latest events, in order of time, which examples for the ranker are taken from.
    ///
    /// # Errors
    /// [`PreparedError`].
    pub fn moments(&self) -> Result<Vec<EventRow>, PreparedError> {
        read_all(&self.folder, &self.manifest, "moments", read_events)
    }

    /// All events before the cut-off in order of time, read as they are asked for.
    ///
    /// # Errors
    /// [`PreparedError`].
    pub fn events(&self) -> Result<impl Iterator<Item = Result<EventRow, TableError>> + use<>, PreparedError> {
        let files = table(&self.folder, &self.manifest, "events")?.files.iter().map(|file| self.folder.join(&file.name));
        let files: Vec<PathBuf> = files.collect();
        Ok(files.into_iter().flat_map(|path| -> Box<dyn Iterator<Item = Result<EventRow, TableError>>> {
            match read_events(path) {
                Ok(rows) => Box::new(rows),
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        }))
    }

    /// Whether pairs and faded totals are counted; else training counts them.
    pub(crate) fn has_counts(&self) -> bool {
        self.manifest.tables.iter().any(|table| table.name == "pairs")
    }

    /// Faded totals by item row, over the mean weight; of `popularity` or `takers`.
    pub(crate) fn faded(&self, name: &str) -> Result<Vec<f64>, PreparedError> {
        let files = &table(&self.folder, &self.manifest, name)?.files;
        let files: Vec<PathBuf> = files.iter().map(|file| self.folder.join(&file.name)).collect();
        faded_totals(&files, self.log.items().len(), self.log.mean_weight())
    }

    /// Every item's associations with all others, before the cut.
    pub(crate) fn context_totals(&self) -> Result<Vec<f64>, PreparedError> {
        let scale = self.pair_scale();
        let mut totals = vec![0.0; self.log.items().len()];
        self.for_each_block("contexts", &["item", "total"], |columns| {
            if let [items, of_items] = columns {
                for (item, of_item) in items.iter().zip(of_items) {
                    if let Some(total) = usize::try_from(*item).ok().and_then(|item| totals.get_mut(item)) {
                        *total = *of_item as f64 / scale;
                    }
                }
            }
        })?;
        Ok(totals)
    }

    /// Maps every item's row of counts (ascending by item) in parallel; results come in the order of items. An item's pairs lie in one share.
    pub(crate) fn map_rows<T: Send>(
        &self,
        column: PairColumn,
        map: impl Fn(u32, &[Count]) -> T + Sync,
        progress: &dyn Fn(f64),
    ) -> Result<Vec<T>, PreparedError> {
        let name = match column {
            PairColumn::Transitions => "transitions",
            PairColumn::Associations => "associations",
        };
        let (scale, item_count) = (self.pair_scale(), self.log.items().len());
        let mut results: Vec<Option<T>> = (0..item_count).map(|_| None).collect();
        let mut places = vec![None; item_count]; // of each item in its share
        let mut done = 0;
        let folder_of = |file: &PreparedFile| Path::new(&file.name).parent().map(Path::to_owned);
        let files = &table(&self.folder, &self.manifest, "pairs")?.files;
        for share in files.chunk_by(|left, right| folder_of(left) == folder_of(right)) {
            let (mut rows, mut stranger) = (Vec::<(usize, Vec<Count>)>::new(), None);
            for file in share {
                self.for_each_block_of(file, &["item", "other", name], |columns| {
                    let [items, others, values] = columns else { return };
                    for ((of, other), value) in items.iter().zip(others).zip(values).filter(|(_, value)| **value > 0) {
                        let item = usize::try_from(*of).ok().filter(|item| results.get(*item).is_some_and(Option::is_none));
                        let other = u32::try_from(*other).ok().filter(|other| (*other as usize) < item_count);
                        let Some((item, other)) = item.zip(other) else {
                            stranger.get_or_insert(*of);
                            continue;
                        };
                        let place = *places[item].get_or_insert_with(|| {
                            rows.push((item, Vec::new()));
                            rows.len() - 1
                        });
                        rows[place].1.push(Count { item: other, value: *value as f64 / scale });
                    }
                })?;
            }
            if let Some(item) = stranger {
                let reason = format!("holds item {item} in two shares, or an item that there is not");
                return Err(PreparedError::Damaged { path: self.folder.join("pairs"), reason });
            }
            done += rows.len();
            let mapped: Vec<(usize, T)> = rows
                .into_par_iter()
                .map(|(item, mut row)| {
                    row.sort_unstable_by_key(|count| count.item);
                    (item, map(item as u32, &row))
                })
                .collect();
            for (item, result) in mapped {
                results[item] = Some(result);
            }
            progress(done as f64 / item_count.max(1) as f64);
        }
        // Items that go together with no other.
        let of_none = |(item, result): (usize, Option<T>)| result.unwrap_or_else(|| map(item as u32, &[]));
        let results = results.into_iter().enumerate().map(of_none).collect();
        progress(1.0);
        Ok(results)
    }

    fn pair_scale(&self) -> f64 {
        self.log.mean_weight() * f64::from(PAIR_BITS).exp2()
    }

    fn for_each_block_of(
        &self,
        file: &PreparedFile,
        columns: &[&str],
        hear: impl FnMut(&[Vec<i64>]),
    ) -> Result<(), PreparedError> {
        let path = self.folder.join(&file.name);
        for_each_block(&path, columns, hear)
            .map_err(|error| PreparedError::Damaged { path, reason: format!("is no such table: {error}") })
    }

    fn for_each_block(&self, name: &str, columns: &[&str], mut hear: impl FnMut(&[Vec<i64>])) -> Result<(), PreparedError> {
        let files = &table(&self.folder, &self.manifest, name)?.files;
        files.iter().try_for_each(|file| self.for_each_block_of(file, columns, &mut hear))
    }
}

/// Faded totals by item row, over the mean weight, out of files of `item`, `octave`, `total`.
///
/// # Errors
/// [`PreparedError::Damaged`].
pub fn faded_totals(files: &[PathBuf], items: usize, mean_weight: f64) -> Result<Vec<f64>, PreparedError> {
    let mut parts: Vec<(i64, i64, i64)> = Vec::new();
    for path in files {
        let hear = |columns: &[Vec<i64>]| {
            if let [items, octaves, totals] = columns {
                parts.extend(items.iter().zip(octaves).zip(totals).map(|((item, octave), total)| (*item, *octave, *total)));
            }
        };
        for_each_block(path, &["item", "octave", "total"], hear)
            .map_err(|error| PreparedError::Damaged { path: path.clone(), reason: format!("is no such table: {error}") })?;
    }
    // Added from the newest on, so that the order of files does not show.
    parts.sort_unstable();
    let scale = mean_weight * f64::from(TOTAL_BITS).exp2();
    let mut sums = vec![0.0; items];
    for (item, octave, total) in parts {
        if let Some(sum) = usize::try_from(item).ok().and_then(|item| sums.get_mut(item)) {
            *sum += total as f64 / scale * (-(octave as f64)).exp2();
        }
    }
    Ok(sums)
}

fn table<'a>(folder: &Path, manifest: &'a PreparedManifest, name: &str) -> Result<&'a PreparedTable, PreparedError> {
    let found = manifest.tables.iter().find(|table| table.name == name);
    found.ok_or_else(|| PreparedError::Damaged { path: folder.join(name), reason: "is no table of the manifest".into() })
}

fn read_all<Row, Rows>(
    folder: &Path,
    manifest: &PreparedManifest,
    name: &str,
    open: fn(PathBuf) -> Result<Rows, TableError>,
) -> Result<Vec<Row>, PreparedError>
where
    Rows: Iterator<Item = Result<Row, TableError>>,
{
    let mut rows = Vec::new();
    for file in &table(folder, manifest, name)?.files {
        for row in open(folder.join(&file.name))? {
            rows.push(row?);
        }
    }
    Ok(rows)
}

fn read_log(folder: &Path, manifest: &PreparedManifest) -> Result<Log, PreparedError> {
    let rows: Vec<ItemRow> = read_all(folder, manifest, "items", read_items)?;
    let attributes = rows.iter().map(ItemRow::attributes).collect();
    let items = rows.into_iter().map(|ItemRow { bu, item_id, .. }| TrainingItem { bu, item_id }).collect();
    let count = table(folder, manifest, "interactions")?.rows;
    let mut interactions = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let mut hear = |columns: &[Vec<i64>]| {
        let [persons, items, times, weights] = columns else { return };
        let rows = persons.iter().zip(items).zip(times.iter().zip(weights));
        interactions.extend(rows.map(|((person, item), (ts_ms, weight))| Interaction {
            person: u32::try_from(*person).unwrap_or(u32::MAX),
            item: u32::try_from(*item).unwrap_or(u32::MAX), // no item has this row: refused below
            ts_ms: *ts_ms,
            weight: f32::from_bits(u32::try_from(*weight).unwrap_or(0)),
        }));
    };
    for file in &table(folder, manifest, "interactions")?.files {
        let path = folder.join(&file.name);
        for_each_block(&path, &["person", "item", "ts_ms", "weight"], &mut hear)
            .map_err(|error| PreparedError::Damaged { path, reason: format!("is no such table: {error}") })?;
    }
    Ok(Log::new(items, interactions)?.with_attributes(attributes)?.up_to(manifest.cut_off_ms))
}
