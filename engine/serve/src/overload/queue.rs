//! Who waits for a turn: bounded, the more critical first, and under pressure the newest first.
//!
//! Newest first is right under pressure: whoever has waited long will most likely have given up before an answer comes, and serving them
//! in order would make everybody wait that long.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::criticality::Criticality;

/// Once the first in line has waited so long, the newest goes first.
const PATIENCE: Duration = Duration::from_millis(10);

/// One that waits.
#[derive(Debug)]
pub(super) struct Waiter<T> {
    pub(super) since: Instant,
    pub(super) due: Instant,
    /// Whether it had a turn before and may not be put out to make room.
    pub(super) has_begun: bool,
    pub(super) ticket: T,
}

/// The lines, one for each criticality.
#[derive(Debug)]
pub(super) struct Queue<T> {
    lines: [VecDeque<Waiter<T>>; Criticality::COUNT],
    waiting: usize,
    begun: usize, // of these
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { lines: [const { VecDeque::new() }; Criticality::COUNT], waiting: 0, begun: 0 }
    }
}

impl<T> Queue<T> {
    /// How many wait.
    pub(super) const fn len(&self) -> usize {
        self.waiting
    }

    /// How many wait for their first turn. Those that had one take nobody's place: a flood of requests whose messages come late would
    /// else fill the queue with what can't be put out, and have what is more critical refused.
    pub(super) const fn fresh(&self) -> usize {
        self.waiting - self.begun
    }

    /// Whether anybody waits who is at least so critical.
    pub(super) fn holds_at_least(&self, criticality: Criticality) -> bool {
        self.waiting > 0 && self.lines.iter().skip(criticality.position()).any(|line| !line.is_empty())
    }

    pub(super) fn push(&mut self, criticality: Criticality, waiter: Waiter<T>) {
        if let Some(line) = self.lines.get_mut(criticality.position()) {
            self.begun += usize::from(waiter.has_begun);
            line.push_back(waiter);
            self.waiting += 1;
        }
    }

    /// Takes out who goes next, of those for whom `may` holds: of the most critical, the newest if the line stands, else the oldest.
    pub(super) fn pop(&mut self, now: Instant, may: impl Fn(Criticality) -> bool) -> Option<(Criticality, Waiter<T>)> {
        for criticality in Criticality::ALL.into_iter().rev().filter(|criticality| may(*criticality)) {
            let Some(line) = self.lines.get_mut(criticality.position()) else { continue };
            let stands = line.front().is_some_and(|first| now.saturating_duration_since(first.since) > PATIENCE);
            let next = if stands { line.pop_back() } else { line.pop_front() };
            if let Some(waiter) = next {
                self.waiting -= 1;
                self.begun -= usize::from(waiter.has_begun);
                return Some((criticality, waiter));
            }
        }
        None
    }

    /// Takes out who makes room for one that is `criticality`: the oldest of the least critical that is no more critical.
    pub(super) fn evict(&mut self, criticality: Criticality) -> Option<(Criticality, Waiter<T>)> {
        for least in Criticality::ALL.into_iter().take_while(|least| *least <= criticality) {
            let Some(line) = self.lines.get_mut(least.position()) else { continue };
            if let Some(waiter) = line.iter().position(|waiter| !waiter.has_begun).and_then(|place| line.remove(place)) {
                self.waiting -= 1;
                return Some((least, waiter));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Criticality::{Critical, Default as Usual, Sheddable};

    fn queue(since: Instant, entries: &[(Criticality, &'static str)]) -> Queue<&'static str> {
        let mut queue = Queue::default();
        for (n, (criticality, ticket)) in entries.iter().enumerate() {
            let waiter = Waiter { since: since + Duration::from_millis(n as u64), due: since, has_begun: false, ticket: *ticket };
            queue.push(*criticality, waiter);
        }
        queue
    }

    fn drain(queue: &mut Queue<&'static str>, now: Instant) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop(now, |_| true)).map(|(_, waiter)| waiter.ticket).collect()
    }

    const ENTRIES: [(Criticality, &str); 6] =
        [(Sheddable, "s1"), (Usual, "d1"), (Critical, "c1"), (Sheddable, "s2"), (Usual, "d2"), (Critical, "c2")];

    #[test]
    fn the_critical_go_first_and_under_pressure_the_newest() {
        let start = Instant::now();
        let soon = start + Duration::from_millis(6);
        assert_eq!(drain(&mut queue(start, &ENTRIES), soon), ["c1", "c2", "d1", "d2", "s1", "s2"]);
        let late = start + Duration::from_millis(100);
        assert_eq!(drain(&mut queue(start, &ENTRIES), late), ["c2", "c1", "d2", "d1", "s2", "s1"]);
    }

    #[test]
    fn room_is_made_by_the_oldest_of_the_least_critical() {
        let mut queue = queue(Instant::now(), &ENTRIES);
        let mut evict = |criticality| queue.evict(criticality).map(|(_, waiter)| waiter.ticket);
        assert_eq!(evict(Critical), Some("s1"));
        assert_eq!(evict(Sheddable), Some("s2"));
        assert_eq!(evict(Sheddable), None, "others matter more");
        assert_eq!((evict(Critical), evict(Critical), evict(Critical)), (Some("d1"), Some("d2"), Some("c1")));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn who_may_not_is_passed_over() {
        let start = Instant::now();
        let mut queue = queue(start, &ENTRIES);
        let popped = queue.pop(start, |criticality| criticality == Sheddable).map(|(_, waiter)| waiter.ticket);
        assert_eq!(popped, Some("s1"));
        assert!(queue.holds_at_least(Critical));
    }
}
