//! Values by number (of items, of lines) for one request: a small table with open addressing that stays in the nearest cache, however
//! many numbers there are.

/// Slots at first; a power of two, as ever after. They are at least twice as many as values.
const SLOTS: usize = 1 << 11;
/// Slots that are kept from one request to the next.
const SLOTS_KEPT: usize = 1 << 13;

/// Values by number, a default where none was set. 2³² − 1 is no number.
#[derive(Debug)]
pub(crate) struct ByNumber<V> {
    slots: Vec<(u32, V)>, // what `key` says, 0 for a free one
    used: Vec<u32>,       // half as many as slots
    count: usize,         // of those used
}

impl<V: Copy + Default> Default for ByNumber<V> {
    fn default() -> Self {
        Self::with_slots(SLOTS)
    }
}

/// Not 0 for any number that there can be; its own inverse.
const fn key(number: u32) -> u32 {
    !number
}

impl<V: Copy + Default> ByNumber<V> {
    fn with_slots(slots: usize) -> Self {
        Self { slots: vec![(0, V::default()); slots], used: vec![0; slots / 2], count: 0 }
    }

    /// Where the value of a key is, or would be.
    fn slot(&self, key: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize & mask; // Fibonacci hashing
        while self.slots.get(at).is_some_and(|(held, _)| *held != key && *held != 0) {
            at = (at + 1) & mask;
        }
        at
    }

    /// A value, if it was ever asked for with [`Self::entry`].
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut V> {
        let at = self.slot(key(number));
        self.slots.get_mut(at).filter(|(held, _)| *held != 0).map(|(_, value)| value)
    }

    /// A value.
    pub(crate) fn get(&self, number: u32) -> V {
        self.slots.get(self.slot(key(number))).map_or_else(V::default, |(_, value)| *value)
    }

    /// A value, to be changed.
    pub(crate) fn entry(&mut self, number: u32) -> Option<&mut V> {
        if self.count == self.used.len() {
            self.grow();
        }
        let at = self.slot(key(number));
        let slot = self.slots.get_mut(at)?;
        // Whether it is new can't be foreseen, so nothing branches on it.
        *self.used.get_mut(self.count)? = at as u32;
        self.count += usize::from(slot.0 == 0);
        slot.0 = key(number);
        Some(&mut slot.1)
    }

    #[cold]
    fn grow(&mut self) {
        let larger = Self::with_slots(2 * self.slots.len());
        let mut before = std::mem::replace(self, larger);
        before.drain(|number, value| self.entry(number).into_iter().for_each(|place| *place = value));
    }

    /// Empties it, calling `take` with every number that has a slot, in the order they came. Cost: as many steps as there are.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(u32, V)) {
        for at in self.used.iter().take(self.count) {
            if let Some(slot) = self.slots.get_mut(*at as usize) {
                let (held, value) = std::mem::take(slot);
                take(key(held), value);
            }
        }
        self.count = 0;
        if self.slots.len() > SLOTS_KEPT {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn does_as_a_map_does_and_starts_empty_again() {
        let mut by_number = ByNumber::<f32>::default();
        for numbers in [0_u32, 3, 900, 40_000, 5] {
            let mut expected = BTreeMap::new();
            for n in (0..numbers).chain(0..numbers / 2) {
                let number = n.wrapping_mul(2_654_435_761) % 4_000_000_000;
                assert_eq!(by_number.get(number), expected.get(&number).copied().unwrap_or(0.0));
                *by_number.entry(number).unwrap() += 1.0;
                *expected.entry(number).or_insert(0.0) += 1.0;
                assert_eq!(by_number.get_mut(number).copied(), expected.get(&number).copied());
            }
            assert!(by_number.get_mut(4_000_000_001).is_none());
            let mut found = BTreeMap::new();
            by_number.drain(|number, value| assert!(found.insert(number, value).is_none()));
            assert_eq!(found, expected);
        }
    }
}
