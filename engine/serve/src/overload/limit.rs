//! How many requests should work at once, found by latency.
//!
//! Requests that were let in but wait for a thread gain nothing over those that wait in the queue in front, where the more critical go first:
//! so the limit is the smallest that keeps all threads busy. It follows the gradient of latency (as Netflix's concurrency limits, which go
//! back to TCP Vegas): of each request it is known how long it took from being let in to its end, and how long it really worked. While the
//! first stays below four times the second the limit grows, beyond it shrinks. No rate and no count of processors comes in,
//! and as a cheaper answer shortens both times, a change of level does not upset it.

use std::time::{Duration, Instant};

/// Latency that is taken for a full but not overfull server, as a multiple of the work.
const TOLERANCE: f64 = 4.0;
/// Time between two corrections, and the fewest requests that one is made by.
const WINDOW: Duration = Duration::from_millis(20);
const SAMPLES_MIN: u32 = 16;
/// How far one correction goes towards what it finds.
const STEP: f64 = 0.3;

/// The limit.
#[derive(Debug)]
pub struct Limit {
    least: f64,
    most: f64,
    now: f64,
    window: Window,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    samples: u32,
    latency_s: f64,
    work_s: f64,
    busiest: usize,
}

impl Window {
    const fn new(since: Instant) -> Self {
        Self { since, samples: 0, latency_s: 0.0, work_s: 0.0, busiest: 0 }
    }
}

impl Limit {
    /// A limit from `least` to `most`, both at least 1; it starts at the geometric mean.
    #[must_use]
    pub fn new(least: usize, most: usize, now: Instant) -> Self {
        let least = least.max(1) as f64;
        let most = (most as f64).max(least);
        Self { least, most, now: (least * most).sqrt(), window: Window::new(now) }
    }

    /// How many may work at once.
    #[must_use]
    pub const fn current(&self) -> usize {
        self.now as usize
    }

    /// Notes a request that ended `now`: its time since it was let in, how much of it was work, and how many were let in meanwhile.
    pub fn sample(&mut self, now: Instant, latency: Duration, work: Duration, in_flight: usize) {
        let window = &mut self.window;
        window.samples += 1;
        window.latency_s += latency.as_secs_f64();
        window.work_s += work.as_secs_f64();
        window.busiest = window.busiest.max(in_flight);
        if window.samples < SAMPLES_MIN || now.saturating_duration_since(window.since) < WINDOW {
            return;
        }
        let gradient = (TOLERANCE * window.work_s / window.latency_s.max(1e-9)).clamp(0.5, 1.0);
        let found = self.now * gradient + self.now.sqrt();
        // A limit that nobody reaches says nothing of whether more would do.
        if found < self.now || window.busiest >= self.current() {
            self.now = (self.now + STEP * (found - self.now)).clamp(self.least, self.most);
        }
        self.window = Window::new(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the limit comes to rest when `threads` serve requests of `work_us` and there is always one more.
    fn rest(threads: f64, work_us: f64) -> usize {
        let mut now = Instant::now();
        let mut limit = Limit::new(2, 1_000, now);
        for _ in 0..20_000 {
            let in_flight = limit.current();
            let latency_us = work_us * (in_flight as f64 / threads).max(1.0);
            now += Duration::from_micros(200);
            limit.sample(now, Duration::from_secs_f64(latency_us / 1e6), Duration::from_secs_f64(work_us / 1e6), in_flight);
        }
        limit.current()
    }

    #[test]
    fn it_finds_what_keeps_all_threads_busy_and_little_more() {
        for (threads, allowed) in [(1.0, 2..=12), (2.0, 4..=20), (16.0, 32..=100)] {
            let found = rest(threads, 150.0);
            assert!(allowed.contains(&found), "{threads} threads: {found}");
        }
    }

    #[test]
    fn a_cheaper_answer_does_not_move_it() {
        assert_eq!(rest(4.0, 300.0), rest(4.0, 15.0));
    }

    #[test]
    fn it_does_not_grow_while_it_is_not_reached() {
        let mut now = Instant::now();
        let mut limit = Limit::new(4, 400, now);
        let before = limit.current();
        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            limit.sample(now, Duration::from_micros(100), Duration::from_micros(90), 1);
        }
        assert_eq!(limit.current(), before);
    }

    #[test]
    fn it_stays_inside_its_bounds() {
        let mut now = Instant::now();
        let mut limit = Limit::new(5, 50, now);
        for (latency_ms, bound) in [(500, 5), (1, 50)] {
            for _ in 0..10_000 {
                now += Duration::from_millis(2);
                limit.sample(now, Duration::from_millis(latency_ms), Duration::from_millis(1), limit.current());
            }
            assert_eq!(limit.current(), bound);
        }
    }
}
