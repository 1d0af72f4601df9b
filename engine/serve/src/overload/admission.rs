//! Who may work now, who waits, who is refused.
//!
//! A *turn* is one uninterrupted piece of work on a thread. [`Admission::enter`] gives one at once while fewer than [`Limit`] have one, puts
//! the request in the queue otherwise, and where that is full refuses the least critical: the newcomer, or the one that makes room for it.
//! The less critical may take up to their share of turns and places only, so that the more critical find room. A request that can't
//! finish in its time is not given a turn. Cost: one short lock for entering and one for leaving, some 100 ns.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    criticality::Criticality,
    limit::Limit,
    queue::{Queue, Waiter},
};

/// How much is let in.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionOptions {
    /// Fewest requests that work at once.
    pub concurrency_min: usize,
    /// Most.
    pub concurrency_max: usize,
    /// Most that wait.
    pub queue_max: usize,
    /// Largest share of both for each criticality and what is less critical, least critical first; in (0, 1].
    pub shares: [f64; Criticality::COUNT],
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// More is asked than can be answered.
    Overloaded,
    /// It could not have been answered in its time.
    Late,
    /// Its caller asks more than it may.
    RateLimited,
}

impl Refused {
    /// How many there are.
    pub const COUNT: usize = 3;
    /// All.
    pub const ALL: [Self; Self::COUNT] = [Self::Overloaded, Self::Late, Self::RateLimited];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Late => "late",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// What waits for a turn gets one, or is refused.
pub type Ticket = oneshot::Receiver<Result<Permit, Refused>>;

/// What becomes of a request that comes in.
#[derive(Debug)]
pub enum Entry {
    /// It has a turn.
    Admitted(Permit),
    /// It waits.
    Waiting(Ticket),
    /// It is refused.
    Refused(Refused),
}

/// Since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Requests that came in.
    pub arrivals: u64,
    /// Of these, those that had to wait.
    pub waited: u64,
    /// Requests refused because more is asked than can be answered, or because they waited until it was too late.
    pub refused: u64,
    /// Fewest that waited at any moment: above 0, the queue stood all the time.
    pub waiting_min: usize,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many may work at once.
    pub limit: usize,
    /// How many do.
    pub in_flight: usize,
    /// How many wait.
    pub waiting: usize,
}

/// Lets requests in.
#[derive(Debug)]
pub struct Admission {
    options: AdmissionOptions,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: Limit,
    in_flight: usize,
    queue: Queue<oneshot::Sender<Result<Permit, Refused>>>,
    pressure: Pressure,
    refused: [[u64; Criticality::COUNT]; Refused::COUNT],
}

/// A turn. It ends with [`Permit::finish`], or when this is dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    since: Instant,
    is_over: bool,
}

/// What is told to those who waited, once the lock is free.
type Told = Vec<(oneshot::Sender<Result<Permit, Refused>>, Result<Permit, Refused>)>;

impl Admission {
    /// Nobody works yet.
    #[must_use]
    pub fn new(options: AdmissionOptions, now: Instant) -> Self {
        let inner = Inner {
            limit: Limit::new(options.concurrency_min, options.concurrency_max, now),
            in_flight: 0,
            queue: Queue::default(),
            pressure: Pressure::default(),
            refused: Default::default(),
        };
        Self { options, inner: Mutex::new(inner) }
    }

    /// A request comes in that is due at `due` and will take at least `work_min`.
    pub fn enter(self: &Arc<Self>, now: Instant, criticality: Criticality, due: Instant, work_min: Duration) -> Entry {
        let mut inner = self.inner.lock();
        inner.pressure.arrivals += 1;
        if now + work_min >= due {
            inner.refuse(Refused::Late, criticality);
            return Entry::Refused(Refused::Late);
        }
        if inner.has_turn_for(criticality, &self.options) && !inner.queue.holds_at_least(criticality) {
            return Entry::Admitted(self.permit(&mut inner, now));
        }
        inner.pressure.waited += 1;
        let places = share_of(self.options.queue_max, criticality, &self.options);
        if inner.queue.fresh() >= places {
            let Some((evicted, waiter)) = inner.queue.evict(criticality) else {
                inner.refuse(Refused::Overloaded, criticality);
                return Entry::Refused(Refused::Overloaded);
            };
            inner.refuse(Refused::Overloaded, evicted);
            let ticket = inner.wait(now, criticality, due, false);
            drop(inner);
            _ = waiter.ticket.send(Err(Refused::Overloaded));
            return Entry::Waiting(ticket);
        }
        Entry::Waiting(inner.wait(now, criticality, due, false))
    }

    /// A request that had a turn before, and waited for something else since, wants another one. It is not refused for want of room: there
    /// are never more of these than requests were let in.
    pub fn enter_again(self: &Arc<Self>, now: Instant, criticality: Criticality, due: Instant) -> Entry {
        let mut inner = self.inner.lock();
        if inner.has_turn_for(criticality, &self.options) && !inner.queue.holds_at_least(criticality) {
            return Entry::Admitted(self.permit(&mut inner, now));
        }
        Entry::Waiting(inner.wait(now, criticality, due, true))
    }

    /// Counts a request that was refused before it came here.
    pub fn note_refused(&self, why: Refused, criticality: Criticality) {
        self.inner.lock().refuse(why, criticality);
    }

    /// How things stand.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let inner = self.inner.lock();
        Standing { limit: inner.limit.current(), in_flight: inner.in_flight, waiting: inner.queue.len() }
    }

    /// Requests refused since the start.
    pub fn refused(&self) -> impl Iterator<Item = (Refused, Criticality, u64)> {
        let counts = self.inner.lock().refused;
        Refused::ALL.into_iter().zip(counts).flat_map(|(why, counts)| {
            Criticality::ALL.into_iter().zip(counts).map(move |(criticality, count)| (why, criticality, count))
        })
    }

    /// The pressure since this was last asked.
    pub fn take_pressure(&self) -> Pressure {
        let mut inner = self.inner.lock();
        let next = Pressure { waiting_min: inner.queue.len(), ..Pressure::default() };
        std::mem::replace(&mut inner.pressure, next)
    }

    fn permit(self: &Arc<Self>, inner: &mut Inner, now: Instant) -> Permit {
        inner.in_flight += 1;
        Permit { admission: Arc::clone(self), since: now, is_over: false }
    }

    /// A turn ended: what it took is noted, and its place goes on.
    fn leave(self: &Arc<Self>, now: Instant, took: Option<(Duration, Duration)>) {
        let mut told = Told::new();
        {
            let mut inner = self.inner.lock();
            if let Some((latency, work)) = took {
                let in_flight = inner.in_flight;
                inner.limit.sample(now, latency, work, in_flight);
            }
            inner.in_flight = inner.in_flight.saturating_sub(1);
            self.hand_on(&mut inner, now, &mut told);
        }
        for (waiter, outcome) in told {
            _ = waiter.send(outcome); // whoever has gone meanwhile drops its turn, which comes back here
        }
    }

    /// Gives free turns to those who wait.
    fn hand_on(self: &Arc<Self>, inner: &mut Inner, now: Instant, told: &mut Told) {
        let options = &self.options;
        loop {
            let (limit, in_flight) = (inner.limit.current(), inner.in_flight);
            let next = inner.queue.pop(now, |criticality| in_flight < share_of(limit, criticality, options));
            let Some((criticality, waiter)) = next else { break };
            if waiter.ticket.is_closed() {
                continue; // its caller has gone
            }
            if now >= waiter.due {
                inner.refuse(Refused::Late, criticality);
                inner.pressure.refused += 1;
                told.push((waiter.ticket, Err(Refused::Late)));
                continue;
            }
            let permit = self.permit(inner, now);
            told.push((waiter.ticket, Ok(permit)));
        }
        inner.pressure.waiting_min = inner.pressure.waiting_min.min(inner.queue.len());
    }
}

impl Inner {
    fn has_turn_for(&self, criticality: Criticality, options: &AdmissionOptions) -> bool {
        self.in_flight < share_of(self.limit.current(), criticality, options)
    }

    fn wait(&mut self, now: Instant, criticality: Criticality, due: Instant, has_begun: bool) -> Ticket {
        let (sender, ticket) = oneshot::channel();
        self.queue.push(criticality, Waiter { since: now, due, has_begun, ticket: sender });
        ticket
    }

    fn refuse(&mut self, why: Refused, criticality: Criticality) {
        if why == Refused::Overloaded {
            self.pressure.refused += 1;
        }
        let count = self.refused.get_mut(why as usize).and_then(|counts| counts.get_mut(criticality.position()));
        count.into_iter().for_each(|count| *count += 1);
    }
}

/// The part of `whole` that such requests may take, at least one.
fn share_of(whole: usize, criticality: Criticality, options: &AdmissionOptions) -> usize {
    let share = options.shares.get(criticality.position()).copied().unwrap_or(1.0);
    ((whole as f64 * share).ceil() as usize).max(1)
}

impl Permit {
    /// Ends the turn, of which `work` was spent working.
    pub fn finish(mut self, now: Instant, work: Duration) {
        self.is_over = true;
        let latency = now.saturating_duration_since(self.since);
        self.admission.leave(now, Some((latency, work)));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_over {
            self.admission.leave(Instant::now(), None);
        }
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
