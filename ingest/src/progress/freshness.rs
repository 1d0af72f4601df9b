//! How long records were under way: histograms of whole lives, cheap to fill (an add per record, no atomics) and merged once a batch.

/// Powers of two from 1 ms to 2³⁹ ms (17 years), and one for what is longer.
const BUCKETS: usize = 41;

/// How many records took how long, since the start. Bucket `n` holds what took at most 2ⁿ ms and more than the bucket before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lags {
    counts: [u64; BUCKETS],
    sum_ms: u64,
}

impl Default for Lags {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum_ms: 0 }
    }
}

impl Lags {
    /// Upper bounds in ms with how many records took at most that long; the last bound is `None`, for all of them.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let mut total = 0;
        self.counts.iter().enumerate().map(move |(n, count)| {
            total += count;
            ((n + 1 < BUCKETS).then(|| 1 << n), total)
        })
    }

    /// How many records there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they took together, ms.
    #[must_use]
    pub const fn sum_ms(&self) -> u64 {
        self.sum_ms
    }

    /// An upper bound, ms, on what the given share of records (0 to 1) took; `None` without records or beyond the last bound.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> Option<u64> {
        let wanted = (share * self.count() as f64).ceil().max(1.0);
        self.cumulative().find(|(_, total)| *total as f64 >= wanted)?.0
    }

    /// Notes a record that took so long; what seems to have arrived before it was sent took no time.
    pub(crate) fn note(&mut self, lag_ms: i64) {
        let lag_ms = u64::try_from(lag_ms).unwrap_or(0);
        let bucket = (u64::BITS - lag_ms.saturating_sub(1).leading_zeros()) as usize;
        if let Some(count) = self.counts.get_mut(bucket.min(BUCKETS - 1)) {
            *count += 1;
        }
        self.sum_ms = self.sum_ms.saturating_add(lag_ms);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum_ms = self.sum_ms.saturating_add(other.sum_ms);
    }
}

/// How long records were under way until they were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// From the log's taking a record (of any kind) to its being applied.
    pub since_append: Lags,
    /// From an event's happening to its being applied.
    pub since_event: Lags,
}

impl Freshness {
    pub(crate) fn add(&mut self, other: &Self) {
        self.since_append.add(&other.since_append);
        self.since_event.add(&other.since_event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_fall_into_powers_of_two() {
        for (lag_ms, bound_ms) in [
            (-5, Some(1)),
            (0, Some(1)),
            (1, Some(1)),
            (2, Some(2)),
            (3, Some(4)),
            (4, Some(4)),
            (1 << 39, Some(1 << 39)),
            (i64::MAX, None),
        ] {
            let mut lags = Lags::default();
            lags.note(lag_ms);
            let first = lags.cumulative().find(|(_, total)| *total == 1).unwrap();
            assert_eq!(first.0, bound_ms, "{lag_ms}");
        }
    }

    #[test]
    fn quantiles_are_bounds() {
        let mut lags = Lags::default();
        assert_eq!(lags.quantile_ms(0.5), None);
        for lag_ms in 1..=100 {
            lags.note(lag_ms);
        }
        assert_eq!((lags.quantile_ms(0.0), lags.quantile_ms(0.5), lags.quantile_ms(1.0)), (Some(1), Some(64), Some(128)));
        assert_eq!((lags.count(), lags.sum_ms()), (100, 5_050));
        let mut twice = lags;
        twice.add(&lags);
        assert_eq!((twice.count(), twice.sum_ms()), (200, 10_100));
    }
}
