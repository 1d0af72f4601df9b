//! A loaded generation in terms of the catalogue: rows become item ids once, at load, so that a request never does.

mod filter;
mod handles;
mod neighbours;
mod space;
mod vectors;

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use faces_core::{
    catalogue::Catalogue,
    ids::{BuId, ItemId},
    ranking::{Condition, Model, Near, Ranker, Relation},
};
use faces_index::{LiveStatus, RowStorage, VectorIndex};
use faces_rebuild::{EmbeddingSource, Generation, Manifest, NeighbourLists, Pace};
use parking_lot::Mutex;

use self::{
    handles::{Handles, Place},
    neighbours::Neighbours,
    space::Space,
    vectors::Vectors,
};

/// Items whose facets are posted between two looks at the pace.
const FOLLOWED_AT_ONCE: usize = 1_024;

/// A generation that can answer requests.
#[derive(Debug)]
pub struct ServingGeneration {
    manifest: Manifest,
    dimension: usize,
    /// By business unit's number: its index.
    spaces: Vec<Option<Space>>,
    handles: Arc<Handles>,
    /// What the indexes were built over, where that is not kept compact to spare memory.
    vectors: Option<Vectors>,
    co_visited: Neighbours,
    content: Neighbours,
    popular: Vec<(BuId, Vec<ItemId>)>,
    ranker: Option<Ranker>,
    /// Up to where the catalogue's journal has been followed.
    followed: AtomicU64,
    /// Held by who follows.
    following: Mutex<()>,
}

thread_local! {
    static WEIGHED: RefCell<Vec<(ItemId, f32)>> = RefCell::default();
}

impl ServingGeneration {
    /// Numbers the generation's items in the catalogue and lays its parts out by item id.
    ///
    /// Cost: one map access an item, one copy of the neighbours, and posting what the catalogue says of every item (some 1 µs
    /// each). Runs off the request path.
    #[must_use]
    pub fn new(generation: Generation, catalogue: &Catalogue) -> Self {
        Self::new_at(generation, catalogue, &mut Pace::full())
    }

    /// [`Self::new`] at a pace, beside requests that should not feel it.
    #[must_use]
    pub fn new_at(generation: Generation, catalogue: &Catalogue, pace: &mut Pace) -> Self {
        let Generation { manifest, items, spaces, co_visited, content, popular, ranker, seed: _ } = generation;
        let followed = AtomicU64::new(catalogue.journal().end()); // what changes from here on is followed, so nothing is missed
        let number = |bu: &str, id: &str| catalogue.item_or_new(catalogue.bu_or_new(bu)?, id);
        let item_of_row: Vec<Option<ItemId>> = items
            .iter()
            .map(|item| {
                pace.step();
                number(&item.bu, &item.item_id)
            })
            .collect();
        let item_of = |row: u32| item_of_row.get(row as usize).copied().flatten();
        let mut handles = Handles::new(catalogue.item_count());
        let mut laid_out = Vec::with_capacity(spaces.len());
        for space in spaces {
            let Some(bu) = catalogue.bu_or_new(&space.bu) else { continue };
            let Some(mut items) = space.rows.iter().map(|row| item_of(*row)).collect::<Option<Vec<ItemId>>>() else { continue };
            for (item, handle) in items.iter().zip(0..) {
                handles.set(*item, Place { bu, handle });
            }
            for item in catalogue.items_of(bu) {
                if handles.get(item).is_none() {
                    handles.set(item, Place { bu, handle: items.len() as u32 });
                    items.push(item);
                }
            }
            laid_out.push((bu, items, space.index));
        }
        let vectors = vectors_of(&laid_out, manifest.dimension, catalogue.item_count());
        let mut serving = Self {
            dimension: manifest.dimension,
            manifest,
            spaces: Vec::new(),
            handles: Arc::new(handles),
            vectors,
            co_visited: Neighbours::new(catalogue.item_count(), co_visited.rows().len()),
            content: Neighbours::new(catalogue.item_count(), content.rows().len()),
            popular: Vec::new(),
            ranker: ranker.map(|trained| trained.ranker),
            followed,
            following: Mutex::new(()),
        };
        for (row, item) in item_of_row.iter().enumerate() {
            if let Some(item) = item {
                let of = |lists: &NeighbourLists| {
                    lists.neighbours(row as u32).filter_map(|(row, weight)| Some((item_of(row)?, weight))).collect()
                };
                serving.co_visited.add(*item, of(&co_visited), catalogue);
                serving.content.add(*item, of(&content), catalogue);
                pace.step();
            }
        }
        for (bu, items, index) in laid_out {
            let takes_embeddings = serving.manifest.embeddings == EmbeddingSource::Catalogue;
            let space = Space::new(bu, items.clone(), Arc::clone(&serving.handles), index, takes_embeddings);
            for some in items.chunks(FOLLOWED_AT_ONCE) {
                space.follow(some, catalogue);
                pace.step();
            }
            serving.add_space(bu.position(), space);
        }
        for unit in popular.units() {
            if let Some(bu) = catalogue.bu_or_new(&unit.bu) {
                serving.popular.push((bu, unit.rows.iter().filter_map(|row| item_of(*row)).collect()));
            }
        }
        serving
    }

    /// Takes over what changed in the catalogue since the last time: what items carry, and which can be had. Cost: microseconds
    /// an item, and a copy of one bit for every row. Waits for others that do the same.
    pub fn follow(&self, catalogue: &Catalogue) {
        let _alone = self.following.lock();
        let mut changed = Vec::new();
        let end = match catalogue.journal().since(self.followed.load(Ordering::Acquire), &mut changed) {
            Ok(end) => end,
            Err(too_late) => {
                tracing::warn!(%too_late, "the index fell behind the catalogue");
                let end = catalogue.journal().end();
                changed.extend(catalogue.bus().flat_map(|(bu, _)| catalogue.items_of(bu)));
                end
            }
        };
        if changed.is_empty() {
            return;
        }
        changed.sort_unstable_by_key(|item| (catalogue.bu_of(*item), *item));
        changed.dedup();
        for of_unit in changed.chunk_by(|a, b| catalogue.bu_of(*a) == catalogue.bu_of(*b)) {
            let bu = of_unit.first().and_then(|item| catalogue.bu_of(*item));
            if let Some(space) = bu.and_then(|bu| self.space(bu)) {
                space.follow(of_unit, catalogue);
            }
        }
        self.followed.store(end, Ordering::Release);
    }

    /// Each unit's index, and how far it is from what it was built over.
    pub fn index_status(&self) -> impl Iterator<Item = (BuId, LiveStatus)> {
        self.spaces.iter().flatten().map(|space| (space.bu(), space.status()))
    }

    /// The vectors of all items, unless some have changed since the indexes were built.
    fn vectors_of_all(&self) -> Option<&Vectors> {
        self.vectors.as_ref().filter(|_| self.spaces.iter().flatten().all(Space::is_as_built))
    }

    const fn neighbours(&self, relation: Relation) -> &Neighbours {
        match relation {
            Relation::CoVisited => &self.co_visited,
            Relation::Content => &self.content,
        }
    }

    fn add_space(&mut self, position: usize, space: Space) {
        if self.spaces.len() <= position {
            self.spaces.resize_with(position + 1, || None);
        }
        if let Some(slot) = self.spaces.get_mut(position) {
            *slot = Some(space);
        }
    }

    /// What the generation is made of.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn space(&self, bu: BuId) -> Option<&Space> {
        self.spaces.get(bu.position())?.as_ref()
    }
}

/// The vectors of all units' rows.
fn vectors_of(units: &[(BuId, Vec<ItemId>, Box<dyn VectorIndex>)], dimension: usize, items: usize) -> Option<Vectors> {
    if units.iter().any(|(_, _, index)| index.storage() != RowStorage::Full) {
        return None;
    }
    let rows = || units.iter().filter_map(|(_, items, index)| Some(items.iter().zip(index.vectors()?.iter())));
    let values = rows().flatten().flat_map(|(_, row)| row);
    let mut vectors = Vectors::new(items, dimension, values.fold(0.0, |largest, value| value.abs().max(largest)));
    rows().flatten().for_each(|(item, row)| vectors.set(*item, row));
    Some(vectors)
}

impl Model for ServingGeneration {
    fn id(&self) -> &str {
        self.manifest.id.as_str()
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn add_vector(&self, item: ItemId, weight: f32, sum: &mut [f32]) -> bool {
        let Some(Place { bu, handle }) = self.handles.get(item) else { return false };
        self.space(bu).is_some_and(|space| space.add_vector(handle, weight, sum))
    }

    fn add_vectors(&self, weighed: &mut dyn Iterator<Item = (ItemId, f32)>, sum: &mut [f32]) {
        let Some(vectors) = self.vectors_of_all() else {
            return weighed.for_each(|(item, weight)| _ = self.add_vector(item, weight, sum));
        };
        WEIGHED.with_borrow_mut(|items| {
            items.clear();
            items.extend(weighed);
            vectors.add(items, sum);
        });
    }

    fn cosines(&self, bu: BuId, vector: &[f32], items: &[ItemId], cosines: &mut Vec<f32>) {
        if let Some(vectors) = self.vectors_of_all() {
            return vectors.cosines(vector, items, cosines);
        }
        match self.space(bu) {
            Some(space) => space.cosines(vector, items, cosines),
            None => {
                cosines.clear();
                cosines.resize(items.len(), 0.0);
            }
        }
    }

    fn nearest(&self, near: &Near<'_>, take: &mut dyn FnMut(ItemId)) {
        if let Some(space) = self.space(near.bu) {
            space.nearest(near, take);
        }
    }

    fn nearest_of_each(&self, questions: &[Near<'_>], take: &mut dyn FnMut(usize, ItemId)) {
        let mut places: Vec<usize> = (0..questions.len()).collect();
        let bu_of = |place: &usize| questions.get(*place).map(|near| near.bu);
        places.sort_by_key(bu_of); // stable
        for of_unit in places.chunk_by(|a, b| bu_of(a) == bu_of(b)) {
            let asked: Vec<&Near<'_>> = of_unit.iter().filter_map(|place| questions.get(*place)).collect();
            if let Some(space) = asked.first().and_then(|near| self.space(near.bu)) {
                space.nearest_of_each(&asked, |n, item| of_unit.get(n).into_iter().for_each(|place| take(*place, item)));
            }
        }
    }

    fn matching(&self, bu: BuId, condition: &Condition, items: &mut Vec<ItemId>) -> Option<u64> {
        let followed = self.followed.load(Ordering::Acquire);
        self.space(bu)?.matching(condition, items);
        Some(followed)
    }

    fn related(&self, relation: Relation, item: ItemId, bu: BuId, take: &mut dyn FnMut(ItemId, f32)) {
        self.neighbours(relation).of(item, bu).iter().for_each(|(neighbour, weight)| take(*neighbour, *weight));
    }

    fn related_to_each(
        &self,
        relation: Relation,
        weighed: &mut dyn Iterator<Item = (ItemId, f32)>,
        bu: BuId,
        take: &mut dyn FnMut(ItemId, f32),
    ) {
        self.neighbours(relation).of_each(weighed, bu, take);
    }

    fn popular(&self, bu: BuId, take: &mut dyn FnMut(ItemId) -> bool) {
        let items = self.popular.iter().find(|(of, _)| *of == bu).map(|(_, items)| items.as_slice()).unwrap_or_default();
        for item in items {
            if !take(*item) {
                return;
            }
        }
    }

    fn ranker(&self) -> Option<&Ranker> {
        self.ranker.as_ref()
    }
}
