//! What training reads: items by row, and who did what to which of them, when.
//!
//! A [`Log`] is the only way into training, and it is sorted and checked once, here, so that everything after it can
//! be a pure function of the *set* of interactions: the order of the files never shows in a generation.
//!
//! This module must not know where interactions come from (files, topics) nor what is computed from them.

pub mod assemble;
mod persons;
pub mod weights;

use std::sync::Arc;

use faces_core::catalogue::ItemAttributes;
use foldhash::{HashMap, HashMapExt};
use rayon::slice::ParallelSliceMut as _;

use crate::embeddings::Embeddings;

pub use assemble::{AssembleError, Assembled, AssemblyReport, assemble, assemble_with};
pub use persons::LinkedAccounts;

/// An item in training. Its *row* is its place in [`Log::items`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrainingItem {
    /// The business unit.
    pub bu: String,
    /// The unit's id of the item.
    pub item_id: String,
}

/// One person did one thing to one item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interaction {
    /// The person; any number, equal for equal persons.
    pub person: u32,
    /// Row in [`Log::items`].
    pub item: u32,
    /// When, in milliseconds since 1970, UTC.
    pub ts_ms: i64,
    /// How much it says about taste; above 0 (see [`weights`]).
    pub weight: f32,
}

/// Items and interactions, checked, the interactions sorted by person, then time, then item, then weight.
#[derive(Debug, Clone)]
pub struct Log {
    items: Arc<Items>,
    interactions: Vec<Interaction>,
    cut_off_ms: i64,
}

#[derive(Debug, Clone)]
struct Items {
    rows: Vec<TrainingItem>,
    unit_of_row: Vec<u16>,
    units: Vec<String>,
    embeddings: Option<Embeddings>,
    attributes: Option<Vec<ItemAttributes>>,
}

impl Log {
    /// Sorts and checks. The cut-off is one millisecond after the newest interaction.
    ///
    /// # Errors
    /// [`LogError`] for an item without a unit or an id, an item given twice, more than 65,535 units, an interaction
    /// with an unknown row or a weight that is not finite and above 0, and tables beyond 2^32 - 1 rows.
    /// Zero items or interactions are legal here: a log cut early may hold none. Training refuses them.
    pub fn new(items: Vec<TrainingItem>, mut interactions: Vec<Interaction>) -> Result<Self, LogError> {
        if items.len() >= u32::MAX as usize || interactions.len() >= u32::MAX as usize {
            return Err(LogError::TooLarge { items: items.len(), interactions: interactions.len() });
        }
        for (place, interaction) in interactions.iter().enumerate() {
            if interaction.item as usize >= items.len() {
                return Err(LogError::UnknownItem { place, item: interaction.item, items: items.len() });
            }
            if !(interaction.weight.is_finite() && interaction.weight > 0.0) {
                return Err(LogError::BadWeight { place, weight: interaction.weight });
            }
        }
        interactions.par_sort_unstable_by(|left, right| {
            (left.person, left.ts_ms, left.item)
                .cmp(&(right.person, right.ts_ms, right.item))
                .then(left.weight.total_cmp(&right.weight))
        });
        let newest_ms = interactions.iter().map(|interaction| interaction.ts_ms).max();
        let cut_off_ms = newest_ms.map_or(0, |newest_ms| newest_ms.saturating_add(1));
        Ok(Self { items: Arc::new(Items::new(items)?), interactions, cut_off_ms })
    }

    /// The log with the catalogue's own vectors, one list of numbers an item in the order of rows, empty for an item without.
    ///
    /// # Errors
    /// [`LogError::UnevenEmbedding`].
    pub fn with_embeddings(mut self, vectors: impl IntoIterator<Item = Vec<f32>>) -> Result<Self, LogError> {
        let mut embeddings: Option<Embeddings> = None;
        for (vector, (row, item)) in vectors.into_iter().zip((0..).zip(self.items())).filter(|(vector, _)| !vector.is_empty()) {
            let of_all = embeddings.get_or_insert_with(|| Embeddings::new(vector.len()));
            let (found, before) = (vector.len(), of_all.dimension());
            if found != before || found > faces_index::DIMENSION_MAX {
                let (bu, item_id) = (item.bu.clone(), item.item_id.clone());
                return Err(LogError::UnevenEmbedding { bu, item_id, found, before });
            }
            of_all.push(row, &vector);
        }
        self.items = Arc::new(Items { embeddings, ..Arc::unwrap_or_clone(self.items) });
        Ok(self)
    }

    /// The log with what the catalogue says of its items, in the order of rows; their vectors are kept apart, as [`Log::embeddings`].
    ///
    /// # Errors
    /// [`LogError::UnevenAttributes`], [`LogError::UnevenEmbedding`].
    pub fn with_attributes(self, mut attributes: Vec<ItemAttributes>) -> Result<Self, LogError> {
        let (found, items) = (attributes.len(), self.items().len());
        if found != items {
            return Err(LogError::UnevenAttributes { found, items });
        }
        let mut with_both = self.with_embeddings(attributes.iter_mut().map(|of| std::mem::take(&mut of.embedding)))?;
        with_both.items = Arc::new(Items { attributes: Some(attributes), ..Arc::unwrap_or_clone(with_both.items) });
        Ok(with_both)
    }

    /// What the catalogue says of the items by row, if it was given; without their vectors.
    pub fn attributes(&self) -> Option<&[ItemAttributes]> {
        self.items.attributes.as_deref()
    }

    /// The catalogue's own vectors, if it has any.
    pub fn embeddings(&self) -> Option<&Embeddings> {
        self.items.embeddings.as_ref()
    }

    /// What was known strictly before `ts_ms`: the log that leak-free training sees. Nothing of an interaction at or
    /// after `ts_ms` is in it; the catalogue is whole. Copies the kept interactions, O(n).
    #[must_use]
    pub fn before(&self, ts_ms: i64) -> Self {
        let known = |interaction: &&Interaction| interaction.ts_ms < ts_ms;
        Self {
            items: Arc::clone(&self.items),
            interactions: self.interactions.iter().filter(known).copied().collect(),
            cut_off_ms: ts_ms,
        }
    }

    /// About `interactions_max` of the interactions, all or none of each person's; which persons, their numbers decide. All of them where
    /// there are no more. O(n).
    #[must_use]
    pub fn sampled(mut self, interactions_max: usize) -> Self {
        let share = interactions_max as f64 / self.interactions.len().max(1) as f64;
        if share < 1.0 {
            let bound = (share * f64::from(u32::MAX)) as u32;
            // Multiplied by the golden ratio, numbers in a row are spread evenly (Knuth, TAOCP 6.4).
            self.interactions.retain(|interaction| interaction.person.wrapping_mul(0x9e37_79b1) < bound);
        }
        self
    }

    /// This log with a cut-off that may be later than its newest interaction. Nothing is left out.
    pub(crate) fn up_to(mut self, cut_off_ms: i64) -> Self {
        self.cut_off_ms = self.cut_off_ms.max(cut_off_ms);
        self
    }

    /// The items by row.
    pub fn items(&self) -> &[TrainingItem] {
        &self.items.rows
    }

    /// The interactions, sorted by person, time, item and weight.
    pub fn interactions(&self) -> &[Interaction] {
        &self.interactions
    }

    /// The names of the business units, sorted.
    pub fn units(&self) -> &[String] {
        &self.items.units
    }

    /// The unit of an item row, as a place in [`Log::units`]; `None` for an unknown row.
    pub fn unit_of(&self, row: u32) -> Option<u16> {
        self.items.unit_of_row.get(row as usize).copied()
    }

    /// Every row's unit, as a place in [`Log::units`].
    pub fn units_of_rows(&self) -> &[u16] {
        &self.items.unit_of_row
    }

    /// Everything in the log happened strictly before this time (milliseconds since 1970); decay is measured from it.
    pub fn cut_off_ms(&self) -> i64 {
        self.cut_off_ms
    }

    /// How many different persons did something.
    pub fn person_count(&self) -> usize {
        self.interactions.chunk_by(|left, right| left.person == right.person).count()
    }

    /// The mean weight of the interactions; 1 when there are none. Training divides by it, so that a log of purchases
    /// alone and one of views alone train alike and parameters that count events (shrinkage) keep their meaning.
    pub fn mean_weight(&self) -> f64 {
        if self.interactions.is_empty() {
            return 1.0;
        }
        let sum: f64 = self.interactions.iter().map(|interaction| f64::from(interaction.weight)).sum();
        sum / self.interactions.len() as f64
    }
}

impl Items {
    fn new(rows: Vec<TrainingItem>) -> Result<Self, LogError> {
        let mut units: Vec<String> = Vec::new();
        let mut unit_by_name: HashMap<&str, u16> = HashMap::new();
        let mut names: Vec<&str> = rows.iter().map(|item| item.bu.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let unit = u16::try_from(units.len()).ok().filter(|&unit| unit < u16::MAX);
            unit_by_name.insert(name, unit.ok_or(LogError::TooManyUnits)?);
            units.push(name.to_owned());
        }
        let mut first_row: HashMap<(&str, &str), usize> = HashMap::with_capacity(rows.len());
        let mut unit_of_row = Vec::with_capacity(rows.len());
        for (row, item) in rows.iter().enumerate() {
            if item.bu.is_empty() || item.item_id.is_empty() {
                return Err(LogError::UnnamedItem { row });
            }
            if let Some(first) = first_row.insert((&item.bu, &item.item_id), row) {
                let (bu, item_id) = (item.bu.clone(), item.item_id.clone());
                return Err(LogError::RepeatedItem { first, second: row, bu, item_id });
            }
            unit_of_row.extend(unit_by_name.get(item.bu.as_str()));
        }
        drop(first_row);
        drop(unit_by_name);
        Ok(Self { rows, unit_of_row, units, embeddings: None, attributes: None })
    }
}

/// Why items and interactions make no log.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LogError {
    /// More rows than 32-bit row numbers can name.
    #[error("{items} items and {interactions} interactions: a log holds below 2^32 of each; train on a later period")]
    TooLarge {
        /// Items given.
        items: usize,
        /// Interactions given.
        interactions: usize,
    },
    /// More units than a unit number can name.
    #[error("more than 65535 business units: is the column `bu` another one by mistake?")]
    TooManyUnits,
    /// An item without a unit or an id.
    #[error("row {} of the items has an empty unit or id; give both", row + 1)]
    UnnamedItem {
        /// The item's row, from 0.
        row: usize,
    },
    /// The same item twice.
    #[error("item {bu}/{item_id} is in rows {} and {} of the items; keep one of them", first + 1, second + 1)]
    RepeatedItem {
        /// The first row, from 0.
        first: usize,
        /// The second row.
        second: usize,
        /// The unit.
        bu: String,
        /// The item's id.
        item_id: String,
    },
    /// Vectors of two lengths, or of more numbers than an index takes.
    #[error(
        "item {bu}/{item_id} has an embedding of {found} numbers, items before it of {before}; all need as many, at most 1024"
    )]
    UnevenEmbedding {
        /// The unit.
        bu: String,
        /// The item's id.
        item_id: String,
        /// Numbers in its embedding.
        found: usize,
        /// Numbers in those before.
        before: usize,
    },
    /// What the catalogue says of more items, or of fewer, than there are.
    #[error("{found} items have attributes, and there are {items}; give each item its own")]
    UnevenAttributes {
        /// How many have attributes.
        found: usize,
        /// How many items there are.
        items: usize,
    },
    /// An interaction with an item that is not in the list.
    #[error("interaction {place} names item row {item} of {items}; add the item or drop the interaction")]
    UnknownItem {
        /// The interaction's place in the input, from 0.
        place: usize,
        /// The row it names.
        item: u32,
        /// How many items there are.
        items: usize,
    },
    /// A weight that is no weight.
    #[error("interaction {place} has the weight {weight}; weights are finite and above 0")]
    BadWeight {
        /// The interaction's place in the input, from 0.
        place: usize,
        /// The weight.
        weight: f32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(bu: &str, item_id: &str) -> TrainingItem {
        TrainingItem { bu: bu.into(), item_id: item_id.into() }
    }

    fn act(person: u32, item: u32, ts_ms: i64) -> Interaction {
        Interaction { person, item, ts_ms, weight: 1.0 }
    }

    #[test]
    fn sorts_and_names_units() {
        let items = vec![item("video", "a"), item("food", "a"), item("video", "b")];
        let log = Log::new(items, vec![act(2, 0, 5), act(1, 2, 9), act(1, 1, 9), act(1, 0, 3)]).unwrap();
        let order: Vec<_> = log.interactions().iter().map(|it| (it.person, it.ts_ms, it.item)).collect();
        assert_eq!(order, [(1, 3, 0), (1, 9, 1), (1, 9, 2), (2, 5, 0)]);
        assert_eq!(log.units(), ["food", "video"]);
        assert_eq!(log.units_of_rows(), [1, 0, 1]);
        assert_eq!((log.cut_off_ms(), log.person_count()), (10, 2));
    }

    #[test]
    fn before_is_strict() {
        let log = Log::new(vec![item("a", "x")], vec![act(1, 0, 5), act(1, 0, 6)]).unwrap();
        assert_eq!(log.before(6).interactions(), [act(1, 0, 5)]);
        assert_eq!(log.before(6).cut_off_ms(), 6);
        assert!(log.before(0).interactions().is_empty());
    }

    #[test]
    fn a_sample_has_all_or_none_of_each_person() {
        let acts = (0..9_000).map(|n| act(n / 9, 0, i64::from(n))).collect();
        let log = Log::new(vec![item("a", "x")], acts).unwrap();
        let sample = log.clone().sampled(3_000);
        let of_each = sample.interactions().chunk_by(|left, right| left.person == right.person).map(<[_]>::len);
        assert!(of_each.collect::<Vec<_>>().iter().all(|acts| *acts == 9));
        assert!((2_700..3_300).contains(&sample.interactions().len()), "{}", sample.interactions().len());
        assert_eq!(sample.cut_off_ms(), log.cut_off_ms());
        assert_eq!(log.clone().sampled(9_000).interactions(), log.interactions());
    }

    #[test]
    fn refuses_what_cannot_be_trained_on() {
        let refusal = |items, interactions| Log::new(items, interactions).unwrap_err();
        let one = || vec![item("a", "x")];
        assert_eq!(refusal(one(), vec![act(1, 1, 5)]), LogError::UnknownItem { place: 0, item: 1, items: 1 });
        for weight in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let bad = Interaction { weight, ..act(1, 0, 5) };
            assert!(matches!(refusal(one(), vec![bad]), LogError::BadWeight { place: 0, .. }));
        }
        assert!(matches!(
            refusal(vec![item("a", "x"), item("b", "x"), item("a", "x")], vec![]),
            LogError::RepeatedItem { first: 0, second: 2, .. }
        ));
        assert_eq!(refusal(vec![item("", "x")], vec![]), LogError::UnnamedItem { row: 0 });
        let twice = refusal(vec![item("a", "x"), item("a", "y"), item("a", "x")], vec![]).to_string();
        assert!(twice.starts_with("item a/x is in rows 1 and 3 of the items"), "counted from 1, as tables are: {twice}");
    }
}
