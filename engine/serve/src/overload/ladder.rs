//! The brown-out ladder: how dear an answer may be, given the pressure and the time that is left.
//!
//! | level | what speaks | named in answers as |
//! |---|---|---|
//! | full | every source | `SERVICE_LEVEL_FULL` |
//! | lean | what pays most for its cost: other units for newcomers only, no categories, no regions, no search of the index | `SERVICE_LEVEL_LEAN` |
//! | co_visitation | what was taken together with what the person took, own history, and what trends | `SERVICE_LEVEL_CO_VISITATION` |
//! | cached | what was ranked for the same question, at most 30 s old, filtered and chosen from anew | `SERVICE_LEVEL_CACHED` |
//! | popular | the unit's popular items, encoded beforehand, filtered | `SERVICE_LEVEL_POPULAR` |
//!
//! Below full a ranking of the last half minute stands for a new one where nothing it goes by has changed ([`super::remembered`]).
//! Below the last rung the least critical requests are refused ([`super::admission`]), and below that connections are no longer read from
//! ([`super::gate`]). A controller moves the level by what it sees in windows of [`WINDOW`]; a request whose time would not do at that
//! level gets the highest one for which it does. Nothing here knows how a slate is made.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use faces_core::ranking::{SourceKind, SourceSet};
use parking_lot::Mutex;

use super::{admission::Pressure, criticality::Criticality};

/// Time between two looks at the pressure.
pub const WINDOW: Duration = Duration::from_millis(50);
/// Windows in a row in which the queue stood before a step down; after refusals the first one will do.
const STANDING_WINDOWS: u32 = 2;
/// How long it must be calm before a step up; doubled, up to the most, when the step before did not hold. Four steps of the most
/// are 8 s: full service is back within ten.
const CALM: Duration = Duration::from_millis(500);
const CALM_MAX: Duration = Duration::from_secs(2);
/// A step up has held when no step down came for so long.
const HELD: Duration = Duration::from_secs(2);
/// Share of requests that may have to wait while it is calm: 1 in so many.
const WAITED_ONE_IN: u64 = 20;
/// Weight of a new cost in the average.
const COST_WEIGHT: f64 = 0.05;
/// What a level that was too dear for somebody, and that nobody was answered at, is believed to cost less after a window, so that it is tried
/// again: half after half a second.
const COST_FORGOTTEN: f64 = 1.0 / 16.0;
/// An answer is begun where so many times its usual cost is left.
const COSTS_LEFT: u64 = 2;

/// How good answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// All there is.
    #[default]
    Full,
    /// Fewer sources.
    Lean,
    /// Co-visitation and own history.
    CoVisitation,
    /// What was ranked a moment ago.
    Cached,
    /// What is popular.
    Popular,
}

impl Level {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// All, the best first.
    pub const ALL: [Self; Self::COUNT] = [Self::Full, Self::Lean, Self::CoVisitation, Self::Cached, Self::Popular];

    /// Its name, as in metrics and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Lean => "lean",
            Self::CoVisitation => "co_visitation",
            Self::Cached => "cached",
            Self::Popular => "popular",
        }
    }

    /// By its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Its place, from 0 for full.
    #[must_use]
    pub const fn position(self) -> usize {
        self as usize
    }

    /// By its place; the last one for what is beyond.
    #[must_use]
    pub fn at(position: usize) -> Self {
        Self::ALL.get(position).copied().unwrap_or(Self::Popular)
    }

    /// The sources that may speak. None at the lowest two: such slates are not retrieved, and where there is nothing to take them from
    /// the last resort makes them.
    #[must_use]
    pub const fn sources(self) -> SourceSet {
        // A person's own history costs next to nothing, and where people buy again it is most of an answer.
        const CO_VISITATION: SourceSet = SourceSet::of(SourceKind::CoVisitation)
            .with(SourceSet::of(SourceKind::Together))
            .with(SourceSet::of(SourceKind::Latest))
            .with(SourceSet::of(SourceKind::Trending))
            .with(SourceSet::of(SourceKind::History));
        // Other units are asked for who is new here only.
        const LEAN: SourceSet = CO_VISITATION
            .with(SourceSet::of(SourceKind::Neighbours))
            .with(SourceSet::of(SourceKind::NeighboursElsewhere))
            .with(SourceSet::of(SourceKind::Content));
        match self {
            Self::Full => SourceSet::ALL,
            Self::Lean => LEAN,
            Self::CoVisitation => CO_VISITATION,
            Self::Cached | Self::Popular => SourceSet::NONE,
        }
    }
}

/// The level in force, and what each costs.
#[derive(Debug, Default)]
pub struct Ladder {
    found: AtomicU8,
    /// What an operator set: the place plus one; 0 for nothing.
    pinned: AtomicU8,
    costs_ns: [AtomicU64; Level::COUNT],
    /// Whether a request passed the level over since the last look because of what it costs.
    was_too_dear: [AtomicBool; Level::COUNT],
    /// Whether an answer at the level was timed since then.
    was_timed: [AtomicBool; Level::COUNT],
    answers: [AtomicU64; Level::COUNT],
    controller: Mutex<Controller>,
}

impl Ladder {
    /// The level in force, before a request's own circumstances.
    #[must_use]
    pub fn in_force(&self) -> Level {
        self.pinned().unwrap_or_else(|| Level::at(usize::from(self.found.load(Relaxed))))
    }

    /// What an operator set.
    #[must_use]
    pub fn pinned(&self) -> Option<Level> {
        usize::from(self.pinned.load(Relaxed)).checked_sub(1).map(Level::at)
    }

    /// Sets the level by hand, or leaves it to the controller again.
    pub fn pin(&self, level: Option<Level>) {
        self.pinned.store(level.map_or(0, |level| level.position() as u8 + 1), Relaxed);
    }

    /// The level for one request: that in force, one lower for what is sheddable once it is not full any more, and lower still where the
    /// time that is left would not do. `None` where it would do for no answer at all.
    #[must_use]
    pub fn for_request(&self, criticality: Criticality, left: Duration) -> Option<Level> {
        let in_force = self.in_force().position();
        let is_first_to_go = criticality == Criticality::Sheddable && in_force > 0 && self.pinned().is_none();
        let allowed = Level::ALL.into_iter().skip(in_force + usize::from(is_first_to_go));
        let left_ns = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
        let mut last = Some(Level::Popular).filter(|_| left_ns > 0);
        for level in allowed {
            if left_ns > self.cost_ns(level) * COSTS_LEFT {
                last = Some(level);
                break;
            }
            self.note_too_dear(level);
        }
        last.filter(|level| left_ns > self.cost_ns(*level))
    }

    /// Notes what making an answer at a level took.
    pub fn took(&self, level: Level, time: Duration) {
        let Some(cost) = self.costs_ns.get(level.position()) else { return };
        let (new, old) = (time.as_nanos() as f64, cost.load(Relaxed) as f64);
        let average = if old == 0.0 { new } else { old + COST_WEIGHT * (new - old) };
        cost.store(average as u64, Relaxed); // of two at once one may be lost
        self.was_timed.get(level.position()).into_iter().for_each(|was| was.store(true, Relaxed));
    }

    /// Counts an answer at a level.
    pub fn answered(&self, level: Level) {
        self.answers.get(level.position()).into_iter().for_each(|answers| _ = answers.fetch_add(1, Relaxed));
    }

    /// The usual time of an answer at a level; none known yet: nothing.
    #[must_use]
    pub fn cost(&self, level: Level) -> Duration {
        Duration::from_nanos(self.cost_ns(level))
    }

    /// Answers given at a level.
    #[must_use]
    pub fn answers(&self, level: Level) -> u64 {
        self.answers.get(level.position()).map_or(0, |answers| answers.load(Relaxed))
    }

    /// Moves the level by the pressure of the last window; from where to where, if it moved.
    pub fn observe(&self, pressure: Pressure, now: Instant) -> Option<(Level, Level)> {
        self.forget_costs(pressure);
        let before = Level::at(usize::from(self.found.load(Relaxed)));
        let level = self.controller.lock().next(before, pressure, now);
        self.found.store(level.position() as u8, Relaxed);
        (level != before).then_some((before, level))
    }

    /// Notes that a request passed a level over because of what it is believed to cost.
    pub fn note_too_dear(&self, level: Level) {
        self.was_too_dear.get(level.position()).into_iter().for_each(|was| was.store(true, Relaxed));
    }

    /// A level that nobody is answered at is not measured: what it was believed to cost must not keep it so for ever.
    /// While it is measured, what is measured counts; and in an overload nothing is tried that may be too dear.
    fn forget_costs(&self, pressure: Pressure) {
        let is_quiet = pressure.refused == 0 && pressure.waiting_min == 0;
        for ((cost, was_too_dear), was_timed) in self.costs_ns.iter().zip(&self.was_too_dear).zip(&self.was_timed) {
            let is_measured = was_timed.swap(false, Relaxed);
            if was_too_dear.swap(false, Relaxed) && !is_measured && is_quiet {
                let held = cost.load(Relaxed) as f64;
                cost.store((held * (1.0 - COST_FORGOTTEN)) as u64, Relaxed);
            }
        }
    }

    fn cost_ns(&self, level: Level) -> u64 {
        self.costs_ns.get(level.position()).map_or(0, |cost| cost.load(Relaxed))
    }
}

/// When to take a step.
#[derive(Debug, Default)]
struct Controller {
    standing: u32,
    calm_since: Option<Instant>,
    up_at: Option<Instant>,
    /// Doublings of [`CALM`].
    doubts: u32,
}

impl Controller {
    fn next(&mut self, level: Level, pressure: Pressure, now: Instant) -> Level {
        self.standing = if pressure.waiting_min > 0 { self.standing + 1 } else { 0 };
        if pressure.refused > 0 || self.standing >= STANDING_WINDOWS {
            self.standing = 0;
            self.calm_since = None;
            if let Some(up_at) = self.up_at.take() {
                self.doubts = if now.saturating_duration_since(up_at) < HELD { (self.doubts + 1).min(8) } else { 0 };
            }
            return Level::at(level.position() + 1);
        }
        let is_calm = pressure.waiting_min == 0 && pressure.waited * WAITED_ONE_IN <= pressure.arrivals;
        if !is_calm || level == Level::Full {
            self.calm_since = None;
            return level;
        }
        let calm = (CALM * 2_u32.pow(self.doubts)).min(CALM_MAX);
        let since = *self.calm_since.get_or_insert(now);
        if now.saturating_duration_since(since) < calm {
            return level;
        }
        self.calm_since = None;
        self.up_at = Some(now);
        Level::at(level.position() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM_WINDOW: Pressure = Pressure { arrivals: 100, waited: 2, refused: 0, waiting_min: 0 };
    const STANDING_WINDOW: Pressure = Pressure { arrivals: 100, waited: 90, refused: 0, waiting_min: 5 };
    const REFUSING_WINDOW: Pressure = Pressure { arrivals: 100, waited: 90, refused: 10, waiting_min: 5 };

    /// Shows the same pressure for `seconds`; how long after `now` each level was reached.
    fn show(ladder: &Ladder, now: &mut Instant, pressure: Pressure, seconds: f64) -> Vec<(Level, Duration)> {
        let start = *now;
        let mut moves = Vec::new();
        while *now - start < Duration::from_secs_f64(seconds) {
            *now += WINDOW;
            moves.extend(ladder.observe(pressure, *now).map(|(_, level)| (level, *now - start)));
        }
        moves
    }

    #[test]
    fn it_climbs_down_within_a_quarter_of_a_second_and_back_within_ten() {
        let (ladder, mut now) = (Ladder::default(), Instant::now());
        let down = show(&ladder, &mut now, REFUSING_WINDOW, 1.0);
        assert_eq!(down.iter().map(|(level, _)| *level).collect::<Vec<_>>(), Level::ALL[1..]);
        assert!(down.last().is_some_and(|(_, after)| *after <= Duration::from_millis(250)), "{down:?}");
        let up = show(&ladder, &mut now, CALM_WINDOW, 10.0);
        assert_eq!(up.iter().map(|(level, _)| level.position()).collect::<Vec<_>>(), [3, 2, 1, 0]);
    }

    #[test]
    fn a_queue_that_stands_for_one_window_moves_nothing() {
        let (ladder, mut now) = (Ladder::default(), Instant::now());
        for _ in 0..10 {
            show(&ladder, &mut now, STANDING_WINDOW, 0.05);
            show(&ladder, &mut now, CALM_WINDOW, 0.05);
        }
        assert_eq!(ladder.in_force(), Level::Full);
        show(&ladder, &mut now, STANDING_WINDOW, 0.1);
        assert_eq!(ladder.in_force(), Level::Lean);
    }

    #[test]
    fn steps_up_that_do_not_hold_become_rarer_but_never_rarer_than_ten_seconds_allow() {
        let (ladder, mut now) = (Ladder::default(), Instant::now());
        show(&ladder, &mut now, REFUSING_WINDOW, 0.05);
        let start = now;
        let mut ups = 0;
        while now - start < Duration::from_secs(60) {
            // Full service is always too much.
            let pressure = if ladder.in_force() == Level::Full { STANDING_WINDOW } else { CALM_WINDOW };
            ups += show(&ladder, &mut now, pressure, 0.05).iter().filter(|(level, _)| *level == Level::Full).count();
        }
        assert!((20..=35).contains(&ups), "{ups} steps up in a minute");
        show(&ladder, &mut now, REFUSING_WINDOW, 1.0);
        show(&ladder, &mut now, CALM_WINDOW, 10.0);
        assert_eq!(ladder.in_force(), Level::Full);
    }

    #[test]
    fn an_operator_has_the_last_word() {
        let (ladder, mut now) = (Ladder::default(), Instant::now());
        ladder.pin(Some(Level::Cached));
        show(&ladder, &mut now, CALM_WINDOW, 5.0);
        assert_eq!(ladder.in_force(), Level::Cached);
        show(&ladder, &mut now, REFUSING_WINDOW, 5.0);
        assert_eq!(ladder.in_force(), Level::Cached);
        ladder.pin(None);
        assert_eq!(ladder.in_force(), Level::Popular, "the controller went on underneath");
    }

    #[test]
    fn a_request_gets_what_its_time_allows() {
        let ladder = Ladder::default();
        for (level, cost_us) in Level::ALL.into_iter().zip([400, 200, 100, 20, 10]) {
            ladder.took(level, Duration::from_micros(cost_us));
        }
        let level = |left_us| ladder.for_request(Criticality::Default, Duration::from_micros(left_us));
        let expected = [
            (10_000, Some(Level::Full)),
            (700, Some(Level::Lean)),
            (350, Some(Level::CoVisitation)),
            (150, Some(Level::Cached)),
            (30, Some(Level::Popular)),
            (15, Some(Level::Popular)),
            (9, None),
            (0, None),
        ];
        for (left_us, expected) in expected {
            assert_eq!(level(left_us), expected, "{left_us} µs left");
        }
    }

    #[test]
    fn a_level_that_was_too_dear_once_is_tried_again() {
        let (ladder, mut now) = (Ladder::default(), Instant::now());
        let left = Duration::from_millis(50);
        ladder.took(Level::Full, Duration::from_millis(40)); // cold, right after the start
        assert_eq!(ladder.for_request(Criticality::Default, left), Some(Level::Lean));
        show(&ladder, &mut now, CALM_WINDOW, 1.0);
        assert_eq!(ladder.for_request(Criticality::Default, left), Some(Level::Lean), "once asked, once forgotten a little");
        let mut levels = Vec::new();
        for _ in 0..40 {
            levels.extend(ladder.for_request(Criticality::Default, left));
            show(&ladder, &mut now, CALM_WINDOW, 0.05);
            if levels.last() == Some(&Level::Full) {
                ladder.took(Level::Full, Duration::from_micros(200));
            }
        }
        assert_eq!(levels.last(), Some(&Level::Full), "{levels:?}");
        assert!(levels.is_sorted_by(|before, after| before >= after), "and then it stays: {levels:?}");
    }

    #[test]
    fn what_is_measured_is_not_forgotten() {
        let (ladder, mut now) = (Ladder::default(), Instant::now());
        for _ in 0..40 {
            ladder.took(Level::Popular, Duration::from_millis(40));
            assert_eq!(ladder.for_request(Criticality::Default, Duration::from_millis(30)), Some(Level::Full));
            ladder.note_too_dear(Level::Popular);
            show(&ladder, &mut now, CALM_WINDOW, 0.05);
        }
        assert_eq!(ladder.cost(Level::Popular), Duration::from_millis(40));
    }

    #[test]
    fn the_sheddable_go_down_first() {
        let (ladder, mut now) = (Ladder::default(), Instant::now());
        let both = |ladder: &Ladder| {
            [Criticality::Sheddable, Criticality::Critical].map(|criticality| ladder.for_request(criticality, Duration::MAX))
        };
        assert_eq!(both(&ladder), [Some(Level::Full); 2]);
        show(&ladder, &mut now, REFUSING_WINDOW, 0.05);
        assert_eq!(both(&ladder), [Some(Level::CoVisitation), Some(Level::Lean)]);
        show(&ladder, &mut now, REFUSING_WINDOW, 1.0);
        assert_eq!(both(&ladder), [Some(Level::Popular); 2]);
    }

    #[test]
    fn each_level_asks_fewer_sources_than_the_one_above() {
        for pair in Level::ALL.windows(2) {
            let (upper, lower) = (pair[0].sources(), pair[1].sources());
            assert_eq!(lower.without(upper), SourceSet::NONE, "{:?} asks what {:?} does not", pair[1], pair[0]);
            assert!(lower.single().is_none(), "a source alone is not filled up");
        }
    }
}
