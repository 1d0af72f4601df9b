//! Work that others should not feel: done a little at a time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Work done at one go.
const GO: Duration = Duration::from_micros(500);
/// So many times as long as it works does rest who is gentle.
const GENTLE_RESTS: u32 = 5;
/// Longest rest, however long a piece of work took that could not be cut.
const REST_MAX: Duration = Duration::from_millis(100);

/// How fast something is done.
#[derive(Debug)]
pub struct Pace {
    rests: u32,
    since: Instant,
}

impl Pace {
    /// At once.
    #[must_use]
    pub fn full() -> Self {
        Self::resting(0)
    }

    /// A sixth of the time, for work that reads and writes more memory than the caches hold: what others have there would be gone.
    #[must_use]
    pub fn gentle() -> Self {
        Self::resting(GENTLE_RESTS)
    }

    fn resting(rests: u32) -> Self {
        Self { rests, since: Instant::now() }
    }

    /// To be called between pieces of work: rests where it is time to.
    pub fn step(&mut self) {
        if self.rests == 0 {
            return; // asking for the time is not free
        }
        if let Some(rest) = self.rest_after(self.since.elapsed()) {
            thread::sleep(rest);
            self.since = Instant::now();
        }
    }

    fn rest_after(&self, worked: Duration) -> Option<Duration> {
        (self.rests > 0 && worked >= GO).then(|| (worked * self.rests).min(REST_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_as_often_as_it_is_told_but_not_for_ever_and_never_at_full_pace() {
        let rest = |pace: Pace, worked_us: u64| pace.rest_after(Duration::from_micros(worked_us));
        assert_eq!(rest(Pace::gentle(), 499), None);
        assert_eq!(rest(Pace::gentle(), 500), Some(Duration::from_micros(2_500)));
        assert_eq!(rest(Pace::gentle(), 60_000), Some(REST_MAX));
        assert_eq!(rest(Pace::full(), 60_000), None);
    }
}
