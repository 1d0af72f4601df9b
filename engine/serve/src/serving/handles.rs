//! Where an item is found in a generation: in which unit's space, under which handle. Dense for the items there were when it was
//! loaded, a map for those that came since.

use dashmap::DashMap;
use faces_core::ids::{BuId, ItemId};

/// A place in a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bu: BuId,
    pub(super) handle: u32,
}

/// What there was at loading, in 8 bytes.
#[derive(Clone, Copy, Debug)]
enum First {
    Nowhere,
    At { bu: BuId, handle: u32 },
}

const _: () = assert!(size_of::<First>() == 8);

#[derive(Debug)]
pub(super) struct Handles {
    first: Vec<First>,
    later: DashMap<ItemId, Place, foldhash::fast::RandomState>,
}

impl Handles {
    /// Room for items from 0 to `items`.
    pub(super) fn new(items: usize) -> Self {
        Self { first: vec![First::Nowhere; items], later: DashMap::default() }
    }

    /// Sets the place of an item at loading time.
    pub(super) fn set(&mut self, item: ItemId, place: Place) {
        match self.first.get_mut(item.position()) {
            Some(of_item) => *of_item = First::At { bu: place.bu, handle: place.handle },
            None => _ = self.later.insert(item, place),
        }
    }

    pub(super) fn get(&self, item: ItemId) -> Option<Place> {
        match self.first.get(item.position()) {
            Some(First::At { bu, handle }) => Some(Place { bu: *bu, handle: *handle }),
            _ => self.later.get(&item).map(|place| *place),
        }
    }

    /// The place of an item, made if need be.
    pub(super) fn get_or(&self, item: ItemId, make: impl FnOnce() -> Place) -> Place {
        self.get(item).unwrap_or_else(|| *self.later.entry(item).or_insert_with(make))
    }
}
