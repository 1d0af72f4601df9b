//! The last rung: what is popular in each unit, encoded beforehand.
//!
//! Needs no index, no broker, no ranking: a list in memory, made anew in the background from demand, then from the generation's list, then
//! from the catalogue, so that it holds something as long as anything is offered. Whoever answers from it still filters it. Memory:
//! some 50 bytes an item, [`LISTED_MAX`] items a unit.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use faces_core::{
    ids::{BuId, ItemId},
    ranking::Model as _,
};
use foldhash::{HashMap, HashSet};

use crate::{encoded, engine::Engine};

/// How often the lists are made anew.
pub const PERIOD: Duration = Duration::from_secs(1);
/// Items listed for a unit.
pub const LISTED_MAX: usize = 400;

/// An item of a list.
#[derive(Debug)]
pub struct Listed {
    /// The item.
    pub item: ItemId,
    /// As an encoded `RecommendResponse` has it.
    pub encoded: Box<[u8]>,
}

/// The lists.
#[derive(Debug, Default)]
pub struct Popular {
    units: ArcSwap<HashMap<BuId, Arc<[Listed]>>>,
}

impl Popular {
    /// The list of a unit, most popular first; empty for a unit that was not there at the last look.
    #[must_use]
    pub fn of(&self, bu: BuId) -> Arc<[Listed]> {
        self.units.load().get(&bu).cloned().unwrap_or_default()
    }

    /// Makes the lists anew. Some 0.1 ms a unit.
    pub fn refresh(&self, engine: &Engine) {
        let units = engine.state().catalogue().bus().map(|(bu, _)| (bu, list(engine, bu)));
        self.units.store(Arc::new(units.collect()));
    }
}

fn list(engine: &Engine, bu: BuId) -> Arc<[Listed]> {
    let (state, catalogue) = (engine.state(), engine.state().catalogue());
    let mut items: Vec<ItemId> = Vec::with_capacity(LISTED_MAX);
    let mut seen = HashSet::default();
    let mut take = |item: ItemId| {
        if catalogue.is_servable(item) && catalogue.bu_of(item) == Some(bu) && seen.insert(item) {
            items.push(item);
        }
        items.len() < LISTED_MAX
    };
    state.popular().top(bu, |item, _| take(item));
    if let Some(generation) = engine.generation() {
        generation.popular(bu, &mut take);
    }
    _ = catalogue.items_of(bu).all(take);
    let listed = items.into_iter().enumerate().filter_map(|(place, item)| {
        // Scores as the last resort gives them: falling, and below all that was ranked.
        let mut encoded = Vec::new();
        encoded::put_item(&mut encoded, catalogue.item_name(item)?, 1e-6 / (1.0 + place as f32), 0.0);
        Some(Listed { item, encoded: encoded.into() })
    });
    listed.collect()
}
