//! Slates made a moment ago, to be given again when there is no time for new ones.
//!
//! Holds items and scores only: whoever takes a slate out filters it anew, so that nothing is shown that was bought, sold out or hidden since.
//! Bounded by age and by number: two tables, of which the older is let go when the younger is full or has become too old to
//! be one. Cost: a hash of the question, and a short lock of one of its parts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use faces_core::ids::ItemId;
use foldhash::HashMap;
use parking_lot::Mutex;

/// Oldest slate that is given again.
pub const AGE_MAX: Duration = Duration::from_secs(30);
const PARTS: u64 = 16;

/// What a slate was an answer to, as a hash of all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question(pub u64);

/// Items with their scores, best first.
pub type Remembered = Arc<[(ItemId, f32)]>;

/// The slates.
#[derive(Debug)]
pub struct Cached {
    parts: Vec<Mutex<Part>>,
    part_max: usize,
}

#[derive(Debug)]
struct Part {
    young: HashMap<Question, (Instant, Remembered)>,
    old: HashMap<Question, (Instant, Remembered)>,
    turned: Instant,
}

impl Cached {
    /// Remembers up to `slates_max`.
    #[must_use]
    pub fn new(slates_max: usize, now: Instant) -> Self {
        let part = || Mutex::new(Part { young: HashMap::default(), old: HashMap::default(), turned: now });
        Self { parts: (0..PARTS).map(|_| part()).collect(), part_max: slates_max.div_ceil(2 * PARTS as usize) }
    }

    /// Remembers a slate.
    pub fn put(&self, question: Question, slate: Remembered, now: Instant) {
        let Some(part) = self.part(question) else { return };
        let mut part = part.lock();
        let has_aged = now.saturating_duration_since(part.turned) > AGE_MAX / 2;
        let gone = (part.young.len() >= self.part_max || has_aged).then(|| {
            part.turned = now;
            let young = std::mem::take(&mut part.young);
            std::mem::replace(&mut part.old, young)
        });
        if self.part_max > 0 {
            part.young.insert(question, (now, slate));
        }
        drop(part);
        drop(gone); // freed without the lock
    }

    /// The slate that was an answer to the same question, if it is not too old.
    #[must_use]
    pub fn get(&self, question: Question, now: Instant) -> Option<Remembered> {
        let part = self.part(question)?.lock();
        let (at, slate) = part.young.get(&question).or_else(|| part.old.get(&question))?;
        (now.saturating_duration_since(*at) <= AGE_MAX).then(|| Arc::clone(slate))
    }

    /// Slates held.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn slate(n: u32) -> Remembered {
        vec![(ItemId::new(n), 1.0)].into()
    }

    fn question(n: u64) -> Question {
        Question(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    #[test]
    fn a_slate_is_given_again_until_it_is_too_old() {
        let now = Instant::now();
        let cached = Cached::new(1_000, now);
        cached.put(question(1), slate(1), now);
        assert_eq!(cached.get(question(1), now + AGE_MAX), Some(slate(1)));
        assert_eq!(cached.get(question(1), now + AGE_MAX + Duration::from_millis(1)), None);
        assert_eq!(cached.get(question(2), now), None);
        cached.put(question(1), slate(2), now + AGE_MAX);
        assert_eq!(cached.get(question(1), now + AGE_MAX), Some(slate(2)));
    }

    #[test]
    fn there_are_never_more_than_allowed_and_the_newest_stay() {
        let now = Instant::now();
        let cached = Cached::new(320, now);
        for n in 0..10_000 {
            cached.put(question(n), slate(n as u32), now);
            assert!(n % 500 != 0 || cached.len() <= 320);
        }
        assert!((160..=320).contains(&cached.len()), "{} held", cached.len());
        assert!((9_950..10_000).all(|n| cached.get(question(n), now).is_some()));
    }

    #[test]
    fn what_nobody_may_have_any_more_is_let_go() {
        let mut now = Instant::now();
        let cached = Cached::new(1_000_000, now);
        for n in 0..6_000 {
            cached.put(question(n), slate(n as u32), now);
            now += Duration::from_millis(50); // 20 a second for five minutes
        }
        assert!(cached.len() <= 20 * 35, "{} held", cached.len());
    }

    #[test]
    fn none_may_be_none() {
        let now = Instant::now();
        let cached = Cached::new(0, now);
        cached.put(question(1), slate(1), now);
        assert!(cached.is_empty());
    }
}
