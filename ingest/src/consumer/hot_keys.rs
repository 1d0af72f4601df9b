//! Counting the events of keys that have too many: a robot, a shared terminal, a producer in a loop.
//!
//! They are applied like all others (a profile stays a pure function of the log; a fragment's bounds keep its cost down), but somebody
//! should look. A table of fixed size holds one key a place, and a place goes to whoever has the majority there (Boyer and Moore's vote),
//! so that a hot key stays however many cold ones pass by. What is counted is never more than there was, and hardly less.

use faces_core::{ids::EventTime, key::KeyHash};

const PLACES: usize = 8_192; // 96 KiB a reader

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    key: u32,
    second: u32,
    events: u32,
}

/// One reader's table.
#[derive(Debug)]
pub(super) struct HotKeys {
    places: Vec<Place>,
    events_per_second: u32,
}

impl HotKeys {
    pub(super) fn new(events_per_second: u32) -> Self {
        Self { places: vec![Place::default(); PLACES], events_per_second }
    }

    /// Notes an event; says whether its key had its share of this second before. Seconds are the log's own (append time), so that
    /// catching up does not make keys hot.
    pub(super) fn note(&mut self, key: KeyHash, append_time: EventTime) -> bool {
        let second = (append_time.millis() / 1_000) as u32; // only whether it is the same matters
        let raw = key.raw();
        let Some(place) = self.places.get_mut(raw as usize % PLACES) else { return false };
        let key = (raw >> 64) as u32;
        if place.second != second {
            *place = Place { key, second, events: 1 };
        } else if place.key == key {
            place.events = place.events.saturating_add(1);
            return place.events > self.events_per_second;
        } else if place.events > 1 {
            place.events -= 1;
        } else {
            *place = Place { key, second, events: 1 };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> KeyHash {
        let low = xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes());
        KeyHash::from_raw(u128::from(low) | u128::from(low.rotate_left(17)) << 64)
    }

    #[test]
    fn what_a_key_has_beyond_its_share_of_a_second_counts() {
        let mut keys = HotKeys::new(100);
        let mut hot = 0;
        for n in 0..100_000_u64 {
            let at = EventTime::from_millis(1_700_000_000_000 + i64::try_from(n / 100).unwrap()); // 100 events a millisecond
            assert!(!keys.note(key(n), at), "an event of a key that has only that one");
            hot += u32::from(n % 100 == 0 && keys.note(key(1_000_000), at)); // and one of the hot key
        }
        // 1,000 events in one second: 900 beyond its share, less a few for those who share its place.
        assert!((850..=900).contains(&hot), "{hot}");
    }

    #[test]
    fn the_same_events_over_many_seconds_are_not_hot() {
        let mut keys = HotKeys::new(100);
        let hot = (0..10_000).filter(|n| keys.note(key(7), EventTime::from_millis(n * 10))).count();
        assert_eq!(hot, 0);
    }
}
