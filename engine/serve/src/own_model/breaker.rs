//! When a model is left alone for a while.
//!
//! A model that was too slow several times in a row will most likely be too slow again: the machine is busy, or the model is too large for
//! what is asked of it. Each further attempt would spend the whole budget for nothing, on every request, and keep a busy machine busy. So
//! it rests for some seconds; then one request tries it, and only if that one gets its scores is it asked again by all. The same goes for a
//! model that fails or says NaN every time.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Answers in vain, one after the other, after which a model rests.
pub(super) const IN_VAIN_MAX: u32 = 5;
/// How long it rests.
pub(super) const REST: Duration = Duration::from_secs(5);

/// Counts answers in vain. Free of locks; a success costs two loads.
#[derive(Debug)]
pub(super) struct Breaker {
    began: Instant,
    in_vain: AtomicU32,
    /// Until when it rests, microseconds since `began`; 0: it does not.
    rests_until_us: AtomicU64,
}

impl Breaker {
    /// One that lets all pass.
    pub(super) const fn new(now: Instant) -> Self {
        Self { began: now, in_vain: AtomicU32::new(0), rests_until_us: AtomicU64::new(0) }
    }

    /// Whether the model may be asked now. After a rest, true for one caller; for others once that one has noted a success, or after
    /// another rest.
    pub(super) fn lets_pass(&self, now: Instant) -> bool {
        let until_us = self.rests_until_us.load(Ordering::Acquire);
        if until_us == 0 {
            return true;
        }
        let next_us = self.micros(now + REST);
        let first =
            |next_us| self.rests_until_us.compare_exchange(until_us, next_us, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        self.micros(now) >= until_us && first(next_us)
    }

    /// Notes that the model gave scores.
    pub(super) fn note_scores(&self) {
        // Written only where it changes anything: all threads read these.
        if self.in_vain.load(Ordering::Relaxed) != 0 {
            self.in_vain.store(0, Ordering::Relaxed);
            self.rests_until_us.store(0, Ordering::Release);
        }
    }

    /// Notes that it gave none; true if a rest begins that is not the continuation of another.
    pub(super) fn note_in_vain(&self, now: Instant) -> bool {
        let before = self.in_vain.fetch_add(1, Ordering::Relaxed);
        if before + 1 >= IN_VAIN_MAX {
            self.rests_until_us.store(self.micros(now + REST), Ordering::Release);
        }
        before + 1 == IN_VAIN_MAX
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_after_so_many_in_vain_and_tries_once_after_the_rest() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let breaker = Breaker::new(began);
        for n in 1..IN_VAIN_MAX {
            assert!(breaker.lets_pass(at(0)) && !breaker.note_in_vain(at(0)), "{n} in vain");
        }
        breaker.note_scores(); // which begins the count anew
        for _ in 1..IN_VAIN_MAX {
            assert!(!breaker.note_in_vain(at(0)));
        }
        assert!(breaker.lets_pass(at(0)) && breaker.note_in_vain(at(10)), "a rest begins");
        let rest_ms = REST.as_millis() as u64;
        assert!(!breaker.lets_pass(at(10)) && !breaker.lets_pass(at(9 + rest_ms)));
        let second = 10 + rest_ms;
        assert!(breaker.lets_pass(at(second)), "one tries");
        assert!(!breaker.lets_pass(at(second)) && !breaker.lets_pass(at(second + rest_ms - 1)), "others wait for it");
        assert!(!breaker.note_in_vain(at(second + 1)), "it goes on resting");
        let third = second + 1 + rest_ms;
        assert!(!breaker.lets_pass(at(third - 1)) && breaker.lets_pass(at(third)));
        breaker.note_scores();
        assert!(breaker.lets_pass(at(third)) && breaker.lets_pass(at(third)), "all may ask again");
        assert!(!breaker.note_in_vain(at(third)), "and it may fail again before it rests");
        assert!(breaker.lets_pass(at(third)));
    }
}
