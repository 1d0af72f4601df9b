//! One business unit of a generation: its index, which follows the catalogue, and what its items carry.
//!
//! Items go by handle here: the rows of the index first, then every other item of the unit as it is met. Answers are turned
//! into item ids at the end.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use faces_core::{
    catalogue::Catalogue,
    ids::{BuId, ItemId},
    ranking::{Condition, Near},
};
use faces_index::{
    Change, Facets, IndexError, LiveIndex, LiveScratch, LiveSpec, LiveStatus, Neighbour, RowSet, Search, VectorIndex,
};
use faces_rebuild::unit;
use parking_lot::RwLock;

use super::{
    filter::{self, Spare},
    handles::{Handles, Place},
};

/// Items whose postings are changed under one lock: readers wait some microseconds at most.
const ITEMS_A_LOCK: usize = 32;

/// Vectors that join the index together, or not at all when there is no room.
const UPSERTS_AT_ONCE: usize = 256;

#[derive(Debug)]
pub(super) struct Space {
    bu: BuId,
    /// By handle.
    items: boxcar::Vec<ItemId>,
    handles: Arc<Handles>,
    live: LiveIndex,
    facets: RwLock<Facets>,
    /// What the index was built over are the catalogue's own embeddings, so those of other items join it.
    takes_embeddings: bool,
    dimension: usize,
    has_warned: AtomicBool,
}

/// Working memory of a thread.
#[derive(Debug, Default)]
struct Work {
    scratch: LiveScratch,
    found: Vec<Neighbour>,
    lists: Vec<Vec<Neighbour>>,
    allowed: Vec<RowSet>,
    spare: Spare,
    handles: Vec<u32>,
    scores: Vec<f32>,
    row: Vec<f32>,
}

thread_local! {
    static WORK: RefCell<Work> = RefCell::default();
}

impl Space {
    /// Serves `index`; `items` by handle, first its rows. Knows nothing of the catalogue until it [follows](Self::follow) it.
    pub(super) fn new(
        bu: BuId,
        items: Vec<ItemId>,
        handles: Arc<Handles>,
        index: Box<dyn VectorIndex>,
        takes_embeddings: bool,
    ) -> Self {
        let dimension = index.dimension();
        let live = LiveIndex::new(index.into(), LiveSpec::default());
        let (items, has_warned) = (items.into_iter().collect(), AtomicBool::new(false));
        Self { bu, items, handles, live, facets: RwLock::default(), takes_embeddings, dimension, has_warned }
    }

    /// Takes over what the catalogue says now of `items`, which are of this unit. One caller at a time.
    pub(super) fn follow(&self, items: &[ItemId], catalogue: &Catalogue) {
        let (mut changes, mut embeddings) = (Vec::with_capacity(items.len()), Vec::new());
        for items in items.chunks(ITEMS_A_LOCK) {
            let mut facets = self.facets.write();
            for &item in items {
                let handle = self.handle_or_new(item);
                let of = catalogue.attributes(item);
                filter::post(&mut facets, handle, &of);
                changes.push(Change::SetAvailable { handle, is_available: catalogue.is_servable(item) });
                if !self.takes_embeddings || !catalogue.is_listed(item) {
                    continue;
                }
                match unit(&of.embedding).filter(|vector| vector.len() == self.dimension) {
                    Some(vector) => embeddings.push((handle, vector)),
                    None => changes.push(Change::Remove { handle }),
                }
            }
        }
        self.apply(&changes);
        let upserts: Vec<_> = embeddings.iter().map(|(handle, vector)| Change::Upsert { handle: *handle, vector }).collect();
        upserts.chunks(UPSERTS_AT_ONCE).for_each(|some| self.apply(some));
    }

    /// When the tail is full, items are left to the other sources until the next rebuild.
    fn apply(&self, changes: &[Change<'_>]) {
        if changes.is_empty() {
            return;
        }
        if let Err(error) = self.live.apply(changes)
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, items = changes.len(), "the index took up no new vectors; this is said once, metrics tell more");
        }
    }

    fn handle_or_new(&self, item: ItemId) -> u32 {
        self.handles.get_or(item, || Place { bu: self.bu, handle: self.items.push(item) as u32 }).handle
    }

    pub(super) const fn bu(&self) -> BuId {
        self.bu
    }

    /// How far the index is from what it was built over.
    pub(super) fn status(&self) -> LiveStatus {
        self.live.status()
    }

    /// Whether the vectors are those that the index was built over.
    pub(super) fn is_as_built(&self) -> bool {
        self.live.is_as_built()
    }

    /// Adds the vector of a handle to `sum`; false if it has none.
    pub(super) fn add_vector(&self, handle: u32, weight: f32, sum: &mut [f32]) -> bool {
        WORK.with_borrow_mut(|Work { row, .. }| {
            let has_vector = self.live.snapshot().row_into(handle, row);
            if has_vector {
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * *value);
            }
            has_vector
        })
    }

    fn handle(&self, item: ItemId) -> Option<u32> {
        self.handles.get(item).filter(|place| place.bu == self.bu).map(|place| place.handle)
    }

    /// See [`faces_core::ranking::Model::cosines`].
    pub(super) fn cosines(&self, vector: &[f32], items: &[ItemId], cosines: &mut Vec<f32>) {
        let snapshot = self.live.snapshot();
        let known = |item: &ItemId| self.handle(*item).filter(|handle| snapshot.has_vector(*handle));
        WORK.with_borrow_mut(|work| {
            let Work { scratch, handles, scores, .. } = work;
            handles.clear();
            cosines.clear();
            for item in items {
                // For now, whether it has one.
                let handle = known(item);
                handles.extend(handle);
                cosines.push(if handle.is_some() { 1.0 } else { 0.0 });
            }
            if !logged(snapshot.score(vector, handles, scratch, scores)) {
                cosines.fill(0.0);
            }
            cosines.iter_mut().filter(|cosine| **cosine != 0.0).zip(scores).for_each(|(cosine, score)| *cosine = *score);
        });
    }

    /// See [`faces_core::ranking::Model::nearest`].
    pub(super) fn nearest(&self, near: &Near<'_>, take: &mut dyn FnMut(ItemId)) {
        WORK.with_borrow_mut(|Work { scratch, found, allowed, spare, .. }| {
            allowed.resize_with(allowed.len().max(1), RowSet::default);
            let search = self.search(near, allowed.first_mut(), spare);
            if logged(self.live.snapshot().search(&search, scratch, found)) {
                self.give(found, take);
            }
        });
    }

    /// See [`faces_core::ranking::Model::nearest_of_each`].
    pub(super) fn nearest_of_each(&self, questions: &[&Near<'_>], mut take: impl FnMut(usize, ItemId)) {
        WORK.with_borrow_mut(|Work { scratch, lists, allowed, spare, .. }| {
            allowed.resize_with(allowed.len().max(questions.len()), RowSet::default);
            let each = questions.iter().zip(allowed.iter_mut());
            let searches: Vec<Search<'_>> = each.map(|(near, rows)| self.search(near, Some(rows), spare)).collect();
            if logged(self.live.snapshot().search_batch(&searches, scratch, lists)) {
                for (place, found) in lists.iter().enumerate() {
                    self.give(found, &mut |item| take(place, item));
                }
            }
        });
    }

    fn search<'a>(&self, near: &Near<'a>, rows: Option<&'a mut RowSet>, spare: &mut Spare) -> Search<'a> {
        let allowed = near.condition.zip(rows).map(|(condition, rows)| {
            self.compile(condition, rows, spare);
            &*rows
        });
        Search { allowed, ..Search::new(near.vector, near.count).roughly() }
    }

    fn compile(&self, condition: &Condition, rows: &mut RowSet, spare: &mut Spare) {
        filter::compile(condition, &self.facets.read(), &|item| self.handle(item), rows, spare);
    }

    fn give(&self, found: &[Neighbour], take: &mut dyn FnMut(ItemId)) {
        found.iter().filter_map(|neighbour| self.items.get(neighbour.row as usize)).for_each(|item| take(*item));
    }

    /// Appends the items that meet the condition.
    pub(super) fn matching(&self, condition: &Condition, items: &mut Vec<ItemId>) {
        WORK.with_borrow_mut(|Work { allowed, spare, .. }| {
            allowed.resize_with(allowed.len().max(1), RowSet::default);
            if let Some(rows) = allowed.first_mut() {
                self.compile(condition, rows, spare);
                items.extend(rows.iter().filter_map(|handle| self.items.get(handle as usize)));
            }
        });
    }
}

/// The engine asks with sound vectors of the right length; if not, the other sources must do.
fn logged(outcome: Result<(), IndexError>) -> bool {
    outcome.inspect_err(|error| tracing::error!(%error, "the index refused a query")).is_ok()
}
