//! How popular an item was when it was recommended: events of its unit so far, as surprise in bits.

use std::collections::HashMap;

use super::items::ItemNumber;

/// Bits from which on surprises are counted together.
const BITS_MAX: usize = 24;

/// The events of one unit in order of time, counted up to a moment.
#[derive(Debug, Default)]
pub struct Popularity {
    events: Vec<(i64, ItemNumber)>,
    counted: usize,
    counts: HashMap<ItemNumber, u32>,
}

impl Popularity {
    /// Adds an event, not older than the one before.
    pub fn push(&mut self, ts_ms: i64, item: ItemNumber) {
        self.events.push((ts_ms, item));
    }

    /// Counts what happened before a moment. Cheap when moments do not go back; else counting begins anew.
    pub fn count_before(&mut self, ts_ms: i64) {
        if self.counted.checked_sub(1).and_then(|last| self.events.get(last)).is_some_and(|last| last.0 >= ts_ms) {
            self.counted = 0;
            self.counts.clear();
        }
        while let Some((_, item)) = self.events.get(self.counted).filter(|event| event.0 < ts_ms) {
            *self.counts.entry(*item).or_default() += 1;
            self.counted += 1;
        }
    }

    /// `-log2` of the item's share of what was counted, each of the unit's `items` having one event more than it has
    /// (so that an item nobody has touched is rare, not infinitely so).
    #[must_use]
    pub fn bits(&self, item: ItemNumber, items: usize) -> f64 {
        let own = self.counts.get(&item).copied().unwrap_or(0);
        (((self.counted + items) as f64) / (f64::from(own) + 1.0)).log2()
    }
}

/// How many items had which surprise, by whole bits: 0 is more than half of all events, 1 more than a quarter, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitsHistogram([u64; BITS_MAX + 1]);

impl Default for BitsHistogram {
    fn default() -> Self {
        Self([0; BITS_MAX + 1])
    }
}

impl BitsHistogram {
    /// Counts one item.
    pub fn add(&mut self, bits: f64) {
        if let Some(bin) = self.0.get_mut((bits.max(0.0) as usize).min(BITS_MAX)) {
            *bin += 1;
        }
    }

    /// Share of each bin in all that was counted; all 0 when nothing was.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let all = self.0.iter().sum::<u64>().max(1) as f64;
        self.0.iter().map(|count| *count as f64 / all).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_by_hand() {
        let mut popularity = Popularity::default();
        for (ts_ms, item) in [(1, 0), (2, 0), (2, 1), (5, 0)] {
            popularity.push(ts_ms, ItemNumber::new(item));
        }
        let mut bits = |before_ms, item| {
            popularity.count_before(before_ms);
            popularity.bits(ItemNumber::new(item), 5)
        };
        assert_eq!(bits(1, 0), 5.0_f64.log2(), "nothing counted: each of five items alike");
        assert_eq!(bits(3, 0), (8.0_f64 / 3.0).log2(), "3 events + 5; 2 of it, + 1");
        assert_eq!(bits(3, 1), (8.0_f64 / 2.0).log2());
        assert_eq!(bits(6, 0), (9.0_f64 / 4.0).log2());
        assert_eq!(bits(3, 0), (8.0_f64 / 3.0).log2(), "back in time");
        assert_eq!(bits(3, 4), 3.0);
    }

    #[test]
    fn bins_are_whole_bits() {
        let mut histogram = BitsHistogram::default();
        [0.0, 0.9, 3.2, 400.0].into_iter().for_each(|bits| histogram.add(bits));
        let shares = histogram.shares();
        assert_eq!((shares[0], shares[3], shares[24]), (0.5, 0.25, 0.25));
    }
}
