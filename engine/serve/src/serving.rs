//! A loaded generation in terms of the catalogue: rows become item ids once, at load, so that a request never does.

use std::cell::RefCell;

use faces_core::{
    catalogue::Catalogue,
    ids::{BuId, ItemId},
    ranking::Model,
};
use faces_index::{Scratch, Search, VectorIndex};
use faces_rebuild::{Generation, Manifest};

/// A generation that can answer requests.
#[derive(Debug)]
pub struct ServingGeneration {
    manifest: Manifest,
    dimension: usize,
    /// By business unit's number: its index.
    spaces: Vec<Option<Space>>,
    /// By item position: which space and row hold its vector, and where its neighbours lie.
    places: Vec<Place>,
    /// Neighbours of all items, grouped by business unit inside an item.
    neighbours: Vec<(ItemId, f32)>,
    runs: Vec<Run>,
    popular: Vec<(BuId, Vec<ItemId>)>,
}

#[derive(Debug)]
struct Space {
    items: Vec<ItemId>,
    index: Box<dyn VectorIndex>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    vector: Option<(u16, u32)>,
    runs_start: u32,
    runs_end: u32,
}

/// The neighbours of one item in one business unit.
#[derive(Clone, Copy, Debug)]
struct Run {
    bu: BuId,
    start: u32,
    end: u32,
}

thread_local! {
    static SEARCH: RefCell<(Scratch, Vec<faces_index::Neighbour>)> = RefCell::default();
}

impl ServingGeneration {
    /// Numbers the generation's items in the catalogue and lays its parts out by item id.
    ///
    /// Cost: one map access an item, one copy of the neighbours. Runs off the request path.
    #[must_use]
    pub fn new(generation: Generation, catalogue: &Catalogue) -> Self {
        let Generation { manifest, items, spaces, co_visited, popular } = generation;
        let number = |bu: &str, id: &str| catalogue.item_or_new(catalogue.bu_or_new(bu)?, id);
        let item_of_row: Vec<Option<ItemId>> = items.iter().map(|item| number(&item.bu, &item.item_id)).collect();
        let item_of = |row: u32| item_of_row.get(row as usize).copied().flatten();
        let mut serving = Self {
            dimension: manifest.dimension,
            manifest,
            spaces: Vec::new(),
            places: vec![Place::default(); catalogue.item_count()],
            neighbours: Vec::with_capacity(co_visited.rows().len()),
            runs: Vec::new(),
            popular: Vec::new(),
        };
        for (row, item) in item_of_row.iter().enumerate() {
            if let Some(item) = item {
                let neighbours = co_visited.neighbours(row as u32).filter_map(|(row, weight)| Some((item_of(row)?, weight)));
                serving.add_neighbours(*item, neighbours.collect(), catalogue);
            }
        }
        for space in spaces {
            let Some(bu) = catalogue.bu_or_new(&space.bu) else { continue };
            let Some(items) = space.rows.iter().map(|row| item_of(*row)).collect::<Option<Vec<ItemId>>>() else { continue };
            serving.add_space(bu.position(), Space { items, index: space.index });
        }
        for unit in popular.units() {
            if let Some(bu) = catalogue.bu_or_new(&unit.bu) {
                serving.popular.push((bu, unit.rows.iter().filter_map(|row| item_of(*row)).collect()));
            }
        }
        serving
    }

    fn add_neighbours(&mut self, item: ItemId, mut neighbours: Vec<(ItemId, f32)>, catalogue: &Catalogue) {
        neighbours.sort_by_key(|(neighbour, _)| catalogue.bu_of(*neighbour)); // stable: heaviest first inside a unit
        let runs_start = self.runs.len() as u32;
        for (neighbour, weight) in neighbours {
            let Some(bu) = catalogue.bu_of(neighbour) else { continue };
            let at = self.neighbours.len() as u32;
            let first_of_item = self.runs.len() as u32 == runs_start;
            match self.runs.last_mut().filter(|run| !first_of_item && run.bu == bu) {
                Some(run) => run.end = at + 1,
                None => self.runs.push(Run { bu, start: at, end: at + 1 }),
            }
            self.neighbours.push((neighbour, weight));
        }
        if let Some(place) = self.places.get_mut(item.position()) {
            (place.runs_start, place.runs_end) = (runs_start, self.runs.len() as u32);
        }
    }

    fn add_space(&mut self, position: usize, space: Space) {
        for (row, item) in space.items.iter().enumerate() {
            if let Some(place) = self.places.get_mut(item.position()) {
                place.vector = Some((position as u16, row as u32));
            }
        }
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

    fn space(&self, position: usize) -> Option<&Space> {
        self.spaces.get(position)?.as_ref()
    }
}

impl Model for ServingGeneration {
    fn id(&self) -> &str {
        self.manifest.id.as_str()
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn vector(&self, item: ItemId) -> Option<&[f32]> {
        let (space, row) = self.places.get(item.position())?.vector?;
        self.space(usize::from(space))?.index.vectors()?.row(row)
    }

    fn nearest(&self, bu: BuId, query: &[f32], count: usize, take: &mut dyn FnMut(ItemId, f32)) {
        let Some(space) = self.space(bu.position()) else { return };
        SEARCH.with_borrow_mut(|(scratch, found)| {
            match space.index.search(&Search::new(query, count), scratch, found) {
                Ok(()) => {
                    found.iter().filter_map(|n| Some((*space.items.get(n.row as usize)?, n.score))).for_each(|(i, s)| take(i, s))
                }
                Err(error) => tracing::error!(%error, "the index refused a query; answering from the other sources"),
            }
        });
    }

    fn co_visited(&self, item: ItemId, bu: BuId, take: &mut dyn FnMut(ItemId, f32)) {
        let Some(place) = self.places.get(item.position()) else { return };
        let runs = self.runs.get(place.runs_start as usize..place.runs_end as usize).unwrap_or_default();
        let Some(run) = runs.iter().find(|run| run.bu == bu) else { return };
        for (neighbour, weight) in self.neighbours.get(run.start as usize..run.end as usize).unwrap_or_default() {
            take(*neighbour, *weight);
        }
    }

    fn popular(&self, bu: BuId, take: &mut dyn FnMut(ItemId) -> bool) {
        let items = self.popular.iter().find(|(of, _)| *of == bu).map(|(_, items)| items.as_slice()).unwrap_or_default();
        for item in items {
            if !take(*item) {
                return;
            }
        }
    }
}
