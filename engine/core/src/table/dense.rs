//! A map whose values lie side by side: a table of places, filled to half or so as such tables are, holds four bytes each; keys and
//! values, which are ten times as large, leave an eighth free at most.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use crate::key::KeyHash;

type Hasher = foldhash::fast::RandomState;

/// Values by key, up to 2³² of them.
#[derive(Debug)]
pub(super) struct Dense<V> {
    places: HashTable<u32>,
    slots: Vec<Slot<V>>,
    hasher: Hasher,
}

#[derive(Debug)]
struct Slot<V> {
    key: [u64; 2], // a `u128` would have the slot padded
    value: V,
}

impl<V> Slot<V> {
    const fn key(&self) -> KeyHash {
        KeyHash((self.key[0] as u128) << 64 | self.key[1] as u128)
    }
}

impl<V> Default for Dense<V> {
    fn default() -> Self {
        Self { places: HashTable::new(), slots: Vec::new(), hasher: Hasher::default() }
    }
}

impl<V> Dense<V> {
    fn hash(&self, key: KeyHash) -> u64 {
        self.hasher.hash_one(key)
    }

    fn place(&self, key: KeyHash) -> Option<usize> {
        let is_it = |place: &u32| self.slots.get(*place as usize).is_some_and(|slot| slot.key() == key);
        self.places.find(self.hash(key), is_it).map(|place| *place as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, key: KeyHash) -> Option<&V> {
        self.slots.get(self.place(key)?).map(|slot| &slot.value)
    }

    #[expect(clippy::indexing_slicing, reason = "the place was just found, or is that of the slot just pushed")]
    pub(super) fn get_or_insert_with(&mut self, key: KeyHash, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(key) {
            Some(place) => place,
            None => {
                self.push(key, make());
                self.slots.len() - 1
            }
        };
        &mut self.slots[place].value
    }

    pub(super) fn insert(&mut self, key: KeyHash, value: V) {
        match self.place(key).and_then(|place| self.slots.get_mut(place)) {
            Some(slot) => slot.value = value,
            None => self.push(key, value),
        }
    }

    /// A key that is not there yet.
    fn push(&mut self, key: KeyHash, value: V) {
        let place = self.slots.len();
        if place == self.slots.capacity() {
            self.slots.reserve_exact((place / 8).max(4));
        }
        let raw = key.raw();
        self.slots.push(Slot { key: [(raw >> 64) as u64, raw as u64], value });
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash_of = |place: &u32| slots.get(*place as usize).map_or(0, |slot| hasher.hash_one(slot.key()));
        self.places.insert_unique(hasher.hash_one(key), place as u32, hash_of);
    }

    pub(super) fn remove(&mut self, key: KeyHash) {
        let Some(place) = self.place(key) else { return };
        let hash = self.hash(key);
        if let Ok(found) = self.places.find_entry(hash, |held| *held as usize == place) {
            found.remove();
        }
        let last = self.slots.len() - 1;
        if let Some(moved) = self.slots.last().map(Slot::key).filter(|_| place != last) {
            let hash = self.hash(moved);
            if let Some(held) = self.places.find_mut(hash, |held| *held as usize == last) {
                *held = place as u32;
            }
        }
        self.slots.swap_remove(place);
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        let gone: Vec<KeyHash> = self.slots.iter().filter(|slot| !keep(&slot.value)).map(Slot::key).collect();
        gone.into_iter().for_each(|key| self.remove(key));
        if self.slots.len() < self.slots.capacity() / 2 {
            self.slots.shrink_to(self.slots.len() + self.slots.len() / 8);
        }
    }

    pub(super) fn reserve(&mut self, count: usize) {
        self.slots.reserve_exact(count);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.places.reserve(count, |place| slots.get(*place as usize).map_or(0, |slot| hasher.hash_one(slot.key())));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyHash, &V)> {
        self.slots.iter().map(|slot| (slot.key(), &slot.value))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (KeyHash, &mut V)> {
        self.slots.iter_mut().map(|slot| (slot.key(), &mut slot.value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_map(steps in proptest::collection::vec((0..4_u8, 0..40_u128, any::<u8>()), 0..400)) {
            let (mut dense, mut map) = (Dense::default(), BTreeMap::new());
            for (what, key, value) in steps {
                let key = KeyHash(key << 100 | key);
                match what {
                    0 => { dense.remove(key); map.remove(&key); }
                    1 if value < 20 => { dense.retain(|held| held % 3 != 0); map.retain(|_, held| *held % 3 != 0); }
                    2 => prop_assert_eq!(*dense.get_or_insert_with(key, || value), *map.entry(key).or_insert(value)),
                    _ => { dense.insert(key, value); map.insert(key, value); }
                }
                prop_assert_eq!(dense.len(), map.len());
                prop_assert_eq!(dense.get(key), map.get(&key));
            }
            let held: BTreeMap<_, _> = dense.iter().map(|(key, value)| (key, *value)).collect();
            prop_assert_eq!(held, map);
        }
    }
}
