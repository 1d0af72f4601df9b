//! Rankings made a moment ago, to make slates of again. While what they go by is as it was they stand for new ones: for a moment, since
//! several shelves of one page ask for the same person in the same second, and for as long as they are kept while the level is below full,
//! since what was ranked by every source half a minute ago is better than what fewer sources say now. After that it is less from look to
//! look: were all of them ranked anew at once, the level would go down again. When there is no time even for that, whatever has changed.
//!
//! Holds items and scores only: whoever takes a ranking out filters it anew, so that nothing is shown that was bought, sold out or hidden since.
//! Bounded by age and by number: two tables, of which the older is let go when the younger is full or has become too old to
//! be one. Cost: a hash of the question, and a short lock of one of its parts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use foldhash::HashMap;
use parking_lot::Mutex;

use super::Level;
use crate::engine::Ranking;

/// Oldest ranking of which slates are made.
pub const AGE_MAX: Duration = Duration::from_secs(30);
const PARTS: u64 = 16;

/// What was asked when something was ranked, as a hash of all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question(pub u64);

/// A ranking, when it was made and how good it is.
#[derive(Debug)]
pub struct Kept {
    /// When.
    pub at: Instant,
    /// At which level.
    pub level: Level,
    /// What was ranked.
    pub ranking: Ranking,
}

/// The rankings.
#[derive(Debug)]
pub struct Remembered {
    parts: Vec<Mutex<Part>>,
    part_max: usize,
    fresh: Duration,
    stands_ns: AtomicU64,
    reused: AtomicU64,
}

type Table = HashMap<Question, Arc<Kept>>;

#[derive(Debug)]
struct Part {
    young: Table,
    old: Table,
    turned: Instant,
}

impl Remembered {
    /// Remembers up to `rankings_max`, which take the place of new ones for `fresh`.
    #[must_use]
    pub fn new(rankings_max: usize, fresh: Duration, now: Instant) -> Self {
        let part = || Mutex::new(Part { young: Table::default(), old: Table::default(), turned: now });
        Self {
            parts: (0..PARTS).map(|_| part()).collect(),
            part_max: rankings_max.div_ceil(2 * PARTS as usize),
            fresh,
            stands_ns: AtomicU64::new(nanos(fresh)),
            reused: AtomicU64::default(),
        }
    }

    /// Remembers a ranking.
    pub fn put(&self, question: Question, kept: Kept) {
        let Some(part) = self.part(question) else { return };
        let (mut part, now, kept) = (part.lock(), kept.at, Arc::new(kept));
        let has_aged = now.saturating_duration_since(part.turned) > AGE_MAX / 2;
        let gone = (part.young.len() >= self.part_max || has_aged).then(|| {
            part.turned = now;
            let young = std::mem::take(&mut part.young);
            std::mem::replace(&mut part.old, young)
        });
        if self.part_max > 0 {
            part.young.insert(question, kept);
        }
        drop(part);
        drop(gone); // freed without the lock
    }

    /// What was ranked for the same question, if it is not too old.
    #[must_use]
    pub fn get(&self, question: Question, now: Instant) -> Option<Arc<Kept>> {
        let part = self.part(question)?.lock();
        let kept = part.young.get(&question).or_else(|| part.old.get(&question))?;
        (now.saturating_duration_since(kept.at) <= AGE_MAX).then(|| Arc::clone(kept))
    }

    /// The same, if it can stand for a new ranking at `level` where nothing of what it goes by has changed.
    #[must_use]
    pub fn get_fresh(&self, question: Question, level: Level, now: Instant) -> Option<Arc<Kept>> {
        let stands_ns = self.stands_ns.load(Relaxed);
        self.get(question, now).filter(|kept| kept.level <= level && nanos(now.saturating_duration_since(kept.at)) < stands_ns)
    }

    /// Sets for how long rankings stand for new ones by the level in force, `since` the last time that was done.
    pub fn follow(&self, in_force: Level, since: Duration) {
        let stands_ns = match in_force {
            _ if self.fresh.is_zero() => 0,
            Level::Full => self.stands_ns.load(Relaxed).saturating_sub(nanos(since)).max(nanos(self.fresh)),
            _ => nanos(AGE_MAX),
        };
        self.stands_ns.store(stands_ns, Relaxed);
    }

    /// Counts a slate that one stood for.
    pub fn note_reused(&self) {
        self.reused.fetch_add(1, Relaxed);
    }

    /// Slates that were made of a ranking in the place of a new one.
    #[must_use]
    pub fn reused(&self) -> u64 {
        self.reused.load(Relaxed)
    }

    /// Rankings held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock()).map(|part| part.young.len() + part.old.len()).sum()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, question: Question) -> Option<&Mutex<Part>> {
        self.parts.get((question.0 >> 32 & (PARTS - 1)) as usize)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Duration = Duration::from_secs(2);

    fn kept(level: Level, at: Instant) -> Kept {
        Kept { at, level, ranking: Ranking::default() }
    }

    fn question(n: u64) -> Question {
        Question(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    #[test]
    fn a_ranking_is_kept_until_it_is_too_old_and_stands_for_a_new_one_while_fresh() {
        let now = Instant::now();
        let remembered = Remembered::new(1_000, FRESH, now);
        remembered.put(question(1), kept(Level::Full, now));
        let after = |at: Instant| remembered.get(question(1), at).map(|kept| kept.at);
        assert_eq!(after(now + AGE_MAX), Some(now));
        assert_eq!(after(now + AGE_MAX + Duration::from_millis(1)), None);
        assert!(remembered.get(question(2), now).is_none());
        let is_fresh = |level: Level, at: Instant| remembered.get_fresh(question(1), level, at).is_some();
        assert!(is_fresh(Level::Full, now + FRESH - Duration::from_millis(1)));
        assert!(!is_fresh(Level::Full, now + FRESH));
        remembered.put(question(1), kept(Level::Lean, now + AGE_MAX));
        assert_eq!(after(now + AGE_MAX), Some(now + AGE_MAX));
        assert_eq!(Level::ALL.map(|level| is_fresh(level, now + AGE_MAX)), [false, true, true, true, true]);
    }

    #[test]
    fn while_the_level_is_below_full_rankings_stand_longer_and_less_and_less_so_after() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let remembered = Remembered::new(1_000, FRESH, now);
        remembered.put(question(1), kept(Level::Full, now));
        let stand_for =
            || (0..40).filter(|n| remembered.get_fresh(question(1), Level::Full, now + *n * second).is_some()).count();
        assert_eq!(stand_for(), 2);
        remembered.follow(Level::Lean, second);
        assert_eq!(stand_for(), 30);
        remembered.follow(Level::Full, second);
        assert_eq!(stand_for(), 29);
        remembered.follow(Level::Full, 20 * second);
        assert_eq!(stand_for(), 9);
        remembered.follow(Level::Full, 20 * second);
        assert_eq!(stand_for(), 2);
    }

    #[test]
    fn where_none_is_fresh_none_stands_for_a_new_one() {
        let now = Instant::now();
        let remembered = Remembered::new(1_000, Duration::ZERO, now);
        remembered.put(question(1), kept(Level::Full, now));
        remembered.follow(Level::Lean, FRESH);
        assert!(Level::ALL.into_iter().all(|level| remembered.get_fresh(question(1), level, now).is_none()));
        assert!(remembered.get(question(1), now).is_some());
    }

    #[test]
    fn there_are_never_more_than_allowed_and_the_newest_stay() {
        let now = Instant::now();
        let remembered = Remembered::new(320, FRESH, now);
        for n in 0..10_000 {
            remembered.put(question(n), kept(Level::Full, now));
            assert!(n % 500 != 0 || remembered.len() <= 320);
        }
        assert!((160..=320).contains(&remembered.len()), "{} held", remembered.len());
        assert!((9_950..10_000).all(|n| remembered.get(question(n), now).is_some()));
    }

    #[test]
    fn what_nobody_may_have_any_more_is_let_go() {
        let mut now = Instant::now();
        let remembered = Remembered::new(1_000_000, FRESH, now);
        for n in 0..6_000 {
            remembered.put(question(n), kept(Level::Full, now));
            now += Duration::from_millis(50); // 20 a second for five minutes
        }
        assert!(remembered.len() <= 20 * 35, "{} held", remembered.len());
    }

    #[test]
    fn none_may_be_none() {
        let now = Instant::now();
        let remembered = Remembered::new(0, FRESH, now);
        remembered.put(question(1), kept(Level::Full, now));
        assert!(remembered.is_empty());
    }
}
