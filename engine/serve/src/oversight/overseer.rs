//! Decides when a generation is taken back: numbers and times come in, a cause comes out.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use super::{Counts, WatchOver};

/// Looks back in a watched period: how finely what came before a swap is remembered.
const LOOKS: u32 = 60;

/// What got worse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    /// More calls fail.
    Failed {
        /// Share before.
        before: f64,
        /// Share since.
        after: f64,
    },
    /// More slates are empty.
    Empty {
        /// Share before.
        before: f64,
        /// Share since.
        after: f64,
    },
    /// Calls take longer.
    Slow {
        /// Microseconds that 99 of 100 kept to before.
        before_us: f64,
        /// And since.
        after_us: f64,
    },
}

impl Cause {
    /// Its name as a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed { .. } => "failed",
            Self::Empty { .. } => "empty",
            Self::Slow { .. } => "slow",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| share * 100.0;
        match *self {
            Self::Failed { before, after } => {
                write!(formatter, "{:.2} % of calls fail, {:.2} % before", percent(after), percent(before))
            }
            Self::Empty { before, after } => {
                write!(formatter, "{:.2} % of slates are empty, {:.2} % before", percent(after), percent(before))
            }
            Self::Slow { before_us, after_us } => {
                write!(formatter, "99 of 100 calls take up to {after_us:.0} µs, {before_us:.0} µs before")
            }
        }
    }
}

/// A generation that is watched.
#[derive(Debug)]
struct Trial {
    since: Instant,
    at_swap: Counts,
    /// What was counted before.
    before: Counts,
}

/// Watches answers around a swap.
#[derive(Debug)]
pub struct Overseer {
    limits: WatchOver,
    looks: VecDeque<(Instant, Counts)>,
    trial: Option<Trial>,
}

impl Overseer {
    /// Watches by these limits.
    #[must_use]
    pub const fn new(limits: WatchOver) -> Self {
        Self { limits, looks: VecDeque::new(), trial: None }
    }

    /// A generation took over from another at `now`, when `counts` had been counted. A swap in a watched time begins a new one; what came
    /// before is then partly the other's.
    pub fn swapped(&mut self, now: Instant, counts: Counts) {
        if self.limits.period() == Duration::ZERO {
            return;
        }
        let before = self.looks.front().map_or_else(Counts::default, |(_, first)| counts.since(first));
        self.trial = Some(Trial { since: now, at_swap: counts, before });
    }

    /// Nothing is watched any more: somebody went back.
    pub fn stop(&mut self) {
        self.trial = None;
    }

    /// What got worse since the swap that is watched, if anything did; `counts` is everything counted until `now`.
    pub fn look(&mut self, now: Instant, counts: &Counts) -> Option<Cause> {
        self.remember(now, counts);
        let trial = self.trial.as_ref()?;
        let cause = worsened(&trial.before, &counts.since(&trial.at_swap), &self.limits);
        if cause.is_some() || now.saturating_duration_since(trial.since) > self.limits.period() {
            self.trial = None;
        }
        cause
    }

    fn remember(&mut self, now: Instant, counts: &Counts) {
        let period = self.limits.period();
        let since = |look: &(Instant, Counts)| now.saturating_duration_since(look.0);
        if self.looks.back().is_none_or(|last| since(last) >= period / LOOKS) {
            self.looks.push_back((now, counts.clone()));
        }
        while self.looks.len() > 1 && self.looks.front().is_some_and(|first| since(first) > period) {
            self.looks.pop_front();
        }
    }
}

/// Judges nothing of too few calls, before or after.
fn worsened(before: &Counts, after: &Counts, limits: &WatchOver) -> Option<Cause> {
    if before.calls.min(after.calls) < limits.calls_min {
        return None;
    }
    let failed = Cause::Failed { before: before.failed_share(), after: after.failed_share() };
    let empty = Cause::Empty { before: before.empty_share(), after: after.empty_share() };
    let slow = Cause::Slow { before_us: before.p99_us(), after_us: after.p99_us() };
    let is_so = |cause: &Cause| match *cause {
        Cause::Failed { before, after } => after - before > limits.failed_share_rise_max,
        Cause::Empty { before, after } => after - before > limits.empty_share_rise_max,
        Cause::Slow { before_us, after_us } => after_us > before_us * limits.latency_ratio_max,
    };
    [failed, empty, slow].into_iter().find(is_so)
}

#[cfg(test)]
mod tests {
    use super::{super::Health, *};

    /// What 1,000 calls of one time add up to.
    struct Traffic {
        failed: usize,
        empty: usize,
        micros: u64,
    }

    const USUAL: Traffic = Traffic { failed: 2, empty: 20, micros: 300 };

    fn add(health: &Health, traffic: &Traffic) {
        for n in 0..1_000 {
            health.call(Duration::from_micros(traffic.micros), n < traffic.failed);
            health.slate(usize::from(n >= traffic.empty));
        }
    }

    /// Ten usual minutes, a swap, then a minute of `after`.
    fn found(after: &Traffic, limits: WatchOver) -> Option<Cause> {
        let (health, start) = (Health::default(), Instant::now());
        let at = |minute: u64| start + Duration::from_secs(minute * 60);
        let mut overseer = Overseer::new(limits);
        for minute in 0..10 {
            assert_eq!(overseer.look(at(minute), &health.counts()), None);
            add(&health, &USUAL);
        }
        overseer.swapped(at(10), health.counts());
        add(&health, after);
        let cause = overseer.look(at(11), &health.counts());
        assert_eq!(overseer.look(at(11), &health.counts()), None, "told once, or nothing to tell");
        cause
    }

    #[test]
    fn what_is_as_before_stays() {
        assert_eq!(found(&USUAL, WatchOver::default()), None);
        assert_eq!(found(&Traffic { failed: 10, empty: 60, micros: 600 }, WatchOver::default()), None, "a little worse");
    }

    #[test]
    fn failures_emptiness_and_slowness_each_take_it_back() {
        let limits = WatchOver::default();
        let cause = found(&Traffic { failed: 50, ..USUAL }, limits).unwrap();
        assert_eq!((cause.name(), cause.to_string()), ("failed", "5.00 % of calls fail, 0.20 % before".into()));
        let cause = found(&Traffic { empty: 200, ..USUAL }, limits).unwrap();
        assert_eq!((cause.name(), cause.to_string()), ("empty", "20.00 % of slates are empty, 2.00 % before".into()));
        assert_eq!(found(&Traffic { micros: 2_000, ..USUAL }, limits).map(Cause::name), Some("slow"));
    }

    #[test]
    fn too_few_calls_judge_nothing_and_neither_does_it_when_off() {
        let bad = Traffic { failed: 900, empty: 900, micros: 90_000 };
        assert_eq!(found(&bad, WatchOver { calls_min: 1_001, ..WatchOver::default() }), None);
        assert_eq!(found(&bad, WatchOver { minutes: 0.0, ..WatchOver::default() }), None);
    }

    #[test]
    fn only_the_first_minutes_are_watched() {
        let (health, start) = (Health::default(), Instant::now());
        let mut overseer = Overseer::new(WatchOver::default());
        assert_eq!(overseer.look(start, &health.counts()), None);
        add(&health, &USUAL);
        overseer.swapped(start, health.counts());
        add(&health, &USUAL);
        assert_eq!(overseer.look(start + Duration::from_secs(601), &health.counts()), None);
        (0..9).for_each(|_| add(&health, &Traffic { failed: 900, ..USUAL }));
        assert_eq!(overseer.look(start + Duration::from_secs(602), &health.counts()), None);
    }

    #[test]
    fn who_went_back_is_not_watched() {
        let (health, start) = (Health::default(), Instant::now());
        let mut overseer = Overseer::new(WatchOver::default());
        overseer.look(start, &health.counts());
        add(&health, &USUAL);
        overseer.swapped(start, health.counts());
        overseer.stop();
        add(&health, &Traffic { failed: 900, ..USUAL });
        assert_eq!(overseer.look(start, &health.counts()), None);
    }
}
