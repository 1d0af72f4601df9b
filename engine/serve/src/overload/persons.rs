//! How often one person is ranked anew: who asks for one and the same person over and over (a bot, a client that retries in a
//! circle) gets what was answered a moment ago, or what is popular, at a small part of the cost.
//!
//! Each person has a place in a table of one size, by the hash of its leading key, with the generic cell rate algorithm in it. Persons who
//! share a place share its rate, which matters only where a server answers millions a second. Cost: one look at memory.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use faces_core::key::SourceKey;

/// Places of the table, 2 MiB in all; a power of two.
const PLACES: usize = 1 << 18;
/// How far ahead of its rate a person may be.
const BURST: Duration = Duration::from_secs(2);

/// Holds persons to their rate.
#[derive(Debug)]
pub struct Persons {
    start: Instant,
    interval_ns: u64,
    until_ns: Box<[AtomicU64]>, // by place: until when the rate is used up; empty where there is none
}

impl Persons {
    /// Lets each person have `per_second` slates a second, and twice as many at once; 0: any number.
    #[must_use]
    pub fn new(per_second: f64, now: Instant) -> Self {
        let places = if per_second > 0.0 { PLACES } else { 0 };
        let until_ns = std::iter::repeat_with(AtomicU64::default).take(places).collect();
        Self { start: now, interval_ns: (1e9 / per_second) as u64, until_ns }
    }

    /// Whether whom `keys` speak of may be ranked anew. Anonymous requests always may.
    pub fn may_have(&self, keys: &[SourceKey], now: Instant) -> bool {
        let Some(until_ns) = self.place(keys) else { return true };
        until_ns.load(Relaxed) < self.since_start(now) + BURST.as_nanos() as u64
    }

    /// Counts a new ranking of whom `keys` speak of; two at the same moment may count as one.
    pub fn had(&self, keys: &[SourceKey], now: Instant) {
        let Some(until_ns) = self.place(keys) else { return };
        let until = until_ns.load(Relaxed).max(self.since_start(now));
        until_ns.store(until.saturating_add(self.interval_ns), Relaxed);
    }

    fn place(&self, keys: &[SourceKey]) -> Option<&AtomicU64> {
        self.until_ns.get(keys.first()?.hash().raw() as usize & (PLACES - 1))
    }

    fn since_start(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use faces_core::key::KeyKind;

    use super::*;

    fn keys(id: &str) -> Vec<SourceKey> {
        vec![SourceKey::new("shop", KeyKind::Account, id).unwrap()]
    }

    #[test]
    fn one_person_has_its_rate_and_others_theirs() {
        let now = Instant::now();
        let persons = Persons::new(5.0, now);
        let had = |id: &str, at: Instant| {
            let rankings = (0..100).take_while(|_| persons.may_have(&keys(id), at));
            rankings.inspect(|_| persons.had(&keys(id), at)).count()
        };
        assert_eq!((had("a", now), had("b", now)), (10, 10));
        assert_eq!(had("a", now + Duration::from_secs(1)), 5);
        assert_eq!(had("a", now + Duration::from_secs(60)), 10, "what was not used is not saved up");
    }

    #[test]
    fn without_a_rate_or_a_person_there_is_no_bound() {
        let now = Instant::now();
        let may_always = |persons: &Persons, keys: &[SourceKey]| {
            (0..1_000).all(|_| {
                persons.had(keys, now);
                persons.may_have(keys, now)
            })
        };
        assert!(may_always(&Persons::new(0.0, now), &keys("a")));
        assert!(may_always(&Persons::new(1.0, now), &[]));
    }
}
