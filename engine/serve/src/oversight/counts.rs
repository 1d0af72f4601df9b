//! What is counted of every call: a handful of relaxed atomics, some 20 ns.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets of latency: four to each doubling of microseconds, up to some minutes.
const BUCKETS: usize = 112;
const PARTS: u32 = 4;

/// Counts that go on.
#[derive(Debug)]
pub struct Health {
    calls: AtomicU64,
    failed: AtomicU64,
    slates: AtomicU64,
    empty: AtomicU64,
    latency: [AtomicU64; BUCKETS],
}

impl Default for Health {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self { calls: zero(), failed: zero(), slates: zero(), empty: zero(), latency: std::array::from_fn(|_| zero()) }
    }
}

/// Counts of some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Calls for slates.
    pub calls: u64,
    /// Of those, how many the server failed.
    pub failed: u64,
    /// Slates given.
    pub slates: u64,
    /// Of those, how many were empty.
    pub empty: u64,
    latency: [u64; BUCKETS],
}

impl Default for Counts {
    fn default() -> Self {
        Self { calls: 0, failed: 0, slates: 0, empty: 0, latency: [0; BUCKETS] }
    }
}

impl Health {
    /// Counts a call for slates.
    pub fn call(&self, took: Duration, has_failed: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(has_failed), Ordering::Relaxed);
        if let Some(bucket) = self.latency.get(bucket_of(took)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a slate.
    pub fn slate(&self, items: usize) {
        self.slates.fetch_add(1, Ordering::Relaxed);
        self.empty.fetch_add(u64::from(items == 0), Ordering::Relaxed);
    }

    /// Everything so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            calls: of(&self.calls),
            failed: of(&self.failed),
            slates: of(&self.slates),
            empty: of(&self.empty),
            latency: std::array::from_fn(|bucket| self.latency.get(bucket).map_or(0, of)),
        }
    }
}

impl Counts {
    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let less = |now: u64, then: u64| now.saturating_sub(then);
        let then = |bucket: usize| earlier.latency.get(bucket).copied().unwrap_or_default();
        Self {
            calls: less(self.calls, earlier.calls),
            failed: less(self.failed, earlier.failed),
            slates: less(self.slates, earlier.slates),
            empty: less(self.empty, earlier.empty),
            latency: std::array::from_fn(|bucket| less(self.latency.get(bucket).copied().unwrap_or_default(), then(bucket))),
        }
    }

    /// Share of calls that failed.
    #[must_use]
    pub fn failed_share(&self) -> f64 {
        self.failed as f64 / self.calls.max(1) as f64
    }

    /// Share of slates that were empty.
    #[must_use]
    pub fn empty_share(&self) -> f64 {
        self.empty as f64 / self.slates.max(1) as f64
    }

    /// Microseconds that 99 of 100 calls keep to, to within a quarter more; 0 where there were none.
    #[must_use]
    pub fn p99_us(&self) -> f64 {
        let (all, mut seen) = (self.latency.iter().sum::<u64>(), 0);
        for (bucket, count) in self.latency.iter().enumerate() {
            seen += count;
            if seen > 0 && seen as f64 >= all as f64 * 0.99 {
                return ((bucket + 1) as f64 / f64::from(PARTS)).exp2();
            }
        }
        0.0
    }
}

fn bucket_of(took: Duration) -> usize {
    let micros = (took.as_secs_f64() * 1e6).max(1.0);
    ((micros.log2() * f64::from(PARTS)) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_the_ninety_ninth_are_of_the_time_asked_for() {
        let health = Health::default();
        health.call(Duration::from_secs(5), true);
        let before = health.counts();
        for n in 0..200 {
            health.call(Duration::from_micros(if n < 3 { 10_000 } else { 100 }), n < 10);
            health.slate(usize::from(n >= 50));
        }
        let counts = health.counts().since(&before);
        assert_eq!((counts.calls, counts.failed_share(), counts.empty_share()), (200, 0.05, 0.25));
        assert!((10_000.0..=12_500.0).contains(&counts.p99_us()), "{}", counts.p99_us());
        assert_eq!(Counts::default().p99_us(), 0.0);
        health.call(Duration::MAX, false);
        health.call(Duration::ZERO, false);
        assert_eq!(health.counts().calls, 203);
    }
}
