//! What each caller may do: how critical its requests can be, and how many a second it may send.
//!
//! A caller names itself in the metadata `x-faces-caller`; without a name its address stands for it. This is a fence between colleagues,
//! not a lock: who may claim which name is the business of whatever authenticates them.

use std::{collections::BTreeMap, hash::BuildHasher as _, time::Instant};

use foldhash::{HashMap, fast::RandomState};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::criticality::Criticality;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallerConfig {
    /// Most critical that its requests can be.
    pub criticality_max: Criticality,
    /// Requests a second, each entry of a batch one; 0: no bound. As many may come at once.
    pub requests_per_second: f64,
}

impl Default for CallerConfig {
    fn default() -> Self {
        Self { criticality_max: Criticality::Critical, requests_per_second: 0.0 }
    }
}

/// How far ahead of its rate a caller may be.
const BURST_NS: u64 = 1_000_000_000;
/// Callers that are remembered at once; whoever has been quiet for a second needs no remembering.
const REMEMBERED_MAX: usize = 16_384;

/// Holds callers to what they may do.
#[derive(Debug)]
pub struct Callers {
    others: CallerConfig,
    named: BTreeMap<String, CallerConfig>,
    hasher: RandomState,
    spent: Mutex<Spent>,
}

/// By hash of the caller: until when its budget is spent (the generic cell rate algorithm, with nanoseconds since the start).
#[derive(Debug)]
struct Spent {
    start: Instant,
    until_ns: HashMap<u64, u64>,
}

/// How one request of a caller is to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// What it may do.
    pub may: CallerConfig,
    id: u64,
}

impl Callers {
    /// `named` callers, and what `others` may do.
    #[must_use]
    pub fn new(others: CallerConfig, named: BTreeMap<String, CallerConfig>, now: Instant) -> Self {
        Self {
            others,
            named,
            hasher: RandomState::default(),
            spent: Mutex::new(Spent { start: now, until_ns: HashMap::default() }),
        }
    }

    /// Who `name` is, or who calls from `address` without a name.
    #[must_use]
    pub fn caller(&self, name: Option<&str>, address: std::net::IpAddr) -> Caller {
        match name {
            Some(name) => Caller { may: *self.named.get(name).unwrap_or(&self.others), id: self.hasher.hash_one(name) },
            None => Caller { may: self.others, id: self.hasher.hash_one(address) },
        }
    }

    /// Whether the caller may send a request, which is then counted.
    pub fn may_send(&self, caller: Caller, now: Instant) -> bool {
        self.may_count(caller, 1, 0, now)
    }

    /// Whether it may send `more` with the request that was counted last, as entries of its batch. That one's share is no reason against
    /// them, or who sends batches at its rate would be refused each of them for what they just cost.
    pub fn may_send_with_it(&self, caller: Caller, more: usize, now: Instant) -> bool {
        more == 0 || self.may_count(caller, more, 1, now)
    }

    fn may_count(&self, caller: Caller, requests: usize, counted: usize, now: Instant) -> bool {
        let rate = caller.may.requests_per_second;
        if rate <= 0.0 {
            return true;
        }
        let cost_ns = |requests: usize| (1e9 * requests as f64 / rate) as u64;
        let mut spent = self.spent.lock();
        let now_ns = u64::try_from(now.saturating_duration_since(spent.start).as_nanos()).unwrap_or(u64::MAX);
        if spent.until_ns.len() >= REMEMBERED_MAX {
            spent.until_ns.retain(|_, until_ns| *until_ns > now_ns);
        }
        if spent.until_ns.len() >= REMEMBERED_MAX {
            return true; // that many callers at their bounds: the queue decides
        }
        let until_ns = spent.until_ns.entry(caller.id).or_insert(now_ns);
        // A second's worth at once; a batch that is larger is possible, and has to be waited for afterwards.
        let may = *until_ns < now_ns.saturating_add(BURST_NS).saturating_add(cost_ns(counted));
        if may {
            *until_ns = (*until_ns).max(now_ns).saturating_add(cost_ns(requests));
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        time::Duration,
    };

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn callers(now: Instant) -> Callers {
        let crawler = CallerConfig { criticality_max: Criticality::Sheddable, requests_per_second: 10.0 };
        Callers::new(CallerConfig::default(), [("crawler".to_owned(), crawler)].into(), now)
    }

    #[test]
    fn a_rate_allows_its_second_at_once_and_then_its_pace() {
        let now = Instant::now();
        let callers = callers(now);
        let crawler = callers.caller(Some("crawler"), HERE);
        let sent = |at: Instant| (0..100).filter(|_| callers.may_send(crawler, at)).count();
        assert_eq!(sent(now), 10);
        assert_eq!(sent(now + Duration::from_millis(500)), 5);
        assert_eq!(sent(now + Duration::from_secs(60)), 10, "what was not used is not saved up");
        let later = now + Duration::from_secs(120);
        assert!(
            callers.may_send(crawler, later) && callers.may_send_with_it(crawler, 24, later),
            "a large batch is possible at all"
        );
        assert!(!callers.may_send(crawler, later + Duration::from_secs(1)));
    }

    #[test]
    fn who_sends_batches_beyond_its_rate_has_its_rate_answered() {
        let now = Instant::now();
        for (rate, entries) in [(10.0, 1), (10.0, 3), (10.0, 30), (0.5, 1), (0.5, 4)] {
            let others = CallerConfig { requests_per_second: rate, ..CallerConfig::default() };
            let callers = Callers::new(others, BTreeMap::new(), now);
            let caller = callers.caller(None, HERE);
            let may_send_batch = |at: Instant| {
                callers.may_send(caller, at) && callers.may_send_with_it(caller, entries - 1, at + Duration::from_micros(9))
            };
            let batches = (0..4_000).filter(|n| may_send_batch(now + Duration::from_millis(50 * n))).count();
            let expected = rate * 200.0;
            let answered = (batches * entries) as f64;
            assert!((expected..=expected + rate + entries as f64).contains(&answered), "{answered} of {expected} by {entries}");
        }
    }

    #[test]
    fn who_is_not_named_is_as_all_others() {
        let now = Instant::now();
        let callers = callers(now);
        for caller in [callers.caller(Some("shop"), HERE), callers.caller(None, HERE)] {
            assert_eq!(caller.may, CallerConfig::default());
            assert!((0..1_000).all(|_| callers.may_send(caller, now) && callers.may_send_with_it(caller, 255, now)));
        }
        assert_eq!(callers.caller(Some("crawler"), HERE).may.criticality_max, Criticality::Sheddable);
    }

    #[test]
    fn no_flood_of_names_takes_memory_without_bound() {
        let now = Instant::now();
        let others = CallerConfig { requests_per_second: 1.0, ..CallerConfig::default() };
        let callers = Callers::new(others, BTreeMap::new(), now);
        for n in 0..2 * REMEMBERED_MAX {
            callers.may_send(callers.caller(Some(&format!("caller-{n}")), HERE), now);
        }
        assert!(callers.spent.lock().until_ns.len() <= REMEMBERED_MAX);
    }
}
