//! A generation over a [`Group`], laid out as the server lays out a loaded one: an index a unit, neighbours in one array.

use std::cell::RefCell;

use faces_core::{
    ids::{BuId, ItemId},
    ranking::Model,
};
use faces_index::{BuildSpec, Metric, Neighbour, Scratch, Search, VectorIndex, Vectors, build};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    SEED,
    group::Group,
    vectors::{DIMENSION, TOPICS, Topics},
};

/// Neighbours of an item in each unit.
const NEIGHBOURS: usize = 20;
const POPULAR: usize = 1_000;

/// What a trained generation knows of the items.
pub struct BenchGeneration {
    spaces: Vec<Space>,                           // by unit
    places: Vec<(u32, u32)>,                      // by item: its unit and row
    neighbours: Vec<[(ItemId, f32); NEIGHBOURS]>, // by item × units + unit
}

struct Space {
    items: Vec<ItemId>,
    index: Box<dyn VectorIndex>,
}

thread_local! {
    static SEARCH: RefCell<(Scratch, Vec<Neighbour>)> = RefCell::default();
}

impl BenchGeneration {
    /// Draws vectors and neighbours by topic and builds the indexes, of the kind that their size asks for.
    ///
    /// # Panics
    /// When the group has a unit without items.
    #[must_use]
    pub fn new(group: &Group) -> Self {
        let (drawn, mut random) = (Topics::default(), ChaCha8Rng::seed_from_u64(SEED));
        let catalogue = group.state.catalogue();
        let units: Vec<BuId> = catalogue.bus().map(|(bu, _)| bu).collect();
        let mut rows: Vec<(Vec<ItemId>, Vec<f32>)> = vec![Default::default(); units.len()];
        let mut by_topic: Vec<Vec<ItemId>> = vec![Vec::new(); units.len() * TOPICS];
        let mut places = Vec::with_capacity(group.topics.len());
        for (position, topic) in group.topics.iter().enumerate() {
            let item = ItemId::new(position as u32);
            let unit = catalogue.bu_of(item).expect("a known item").position();
            let (items, values) = rows.get_mut(unit).expect("a known unit");
            places.push((unit as u32, items.len() as u32));
            items.push(item);
            values.extend(drawn.near(*topic, &mut random));
            by_topic.get_mut(unit * TOPICS + topic).expect("a topic").push(item);
        }
        let mut neighbours = Vec::with_capacity(group.topics.len() * units.len());
        for topic in &group.topics {
            for unit in 0..units.len() {
                let near = by_topic.get(unit * TOPICS + topic).expect("a topic");
                let all = rows.get(unit).map(|(items, _)| items).expect("a known unit");
                neighbours.push(std::array::from_fn(|_| {
                    let item = near.choose(&mut random).or_else(|| all.choose(&mut random)).expect("a unit with items");
                    (*item, random.random_range(0.05..1.0))
                }));
            }
        }
        let space = |(items, values)| {
            let vectors = Vectors::new(DIMENSION, values).expect("whole finite rows");
            Space { items, index: build(vectors, Metric::Cosine, &BuildSpec::default()).expect("a sound spec") }
        };
        Self { spaces: rows.into_iter().map(space).collect(), places, neighbours }
    }
}

impl Model for BenchGeneration {
    fn id(&self) -> &str {
        "bench"
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn vector(&self, item: ItemId) -> Option<&[f32]> {
        let (unit, row) = self.places.get(item.position())?;
        self.spaces.get(*unit as usize)?.index.vectors()?.row(*row)
    }

    fn nearest(&self, bu: BuId, query: &[f32], count: usize, take: &mut dyn FnMut(ItemId, f32)) {
        let Some(space) = self.spaces.get(bu.position()) else { return };
        SEARCH.with_borrow_mut(|(scratch, found)| {
            let search = Search::new(query, count);
            space.index.search(&search, scratch, found).expect("a sound query");
            for neighbour in found.iter() {
                if let Some(item) = space.items.get(neighbour.row as usize) {
                    take(*item, neighbour.score);
                }
            }
        });
    }

    fn co_visited(&self, item: ItemId, bu: BuId, take: &mut dyn FnMut(ItemId, f32)) {
        let place = item.position() * self.spaces.len() + bu.position();
        self.neighbours.get(place).into_iter().flatten().for_each(|(item, strength)| take(*item, *strength));
    }

    fn popular(&self, bu: BuId, take: &mut dyn FnMut(ItemId) -> bool) {
        let items = self.spaces.get(bu.position()).map(|space| space.items.as_slice()).unwrap_or_default();
        let _ = items.iter().take(POPULAR).all(|item| take(*item));
    }
}
