//! A line: the newest items of one source key in 64 bytes, so that looking at a neighbour is one look at memory.
//!
//! | words | 0 | 1 | 2–12 | 13–15 |
//! |---|---|---|---|---|
//! | what | newest time, minutes | next line of the same person + 1 | items + 1, newest first | age of each, a byte |
//!
//! Ages count from the newest time, in eighths of an octave of minutes: 9 % exact, at any distance. Readers take no lock. What they
//! see while a line is rewritten may be part old, part new: both are what the key did.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::{
    event::{BehaviourClass, Packed},
    fragment::Fragment,
    ids::{EventTime, ItemId},
    ranking::fast,
};

/// Items of one line.
pub const LINE_ITEMS: usize = 11;
const FIRST_ITEM: usize = 2;
const FIRST_AGE: usize = FIRST_ITEM + LINE_ITEMS;
const WORDS: usize = 16;
const MINUTE_MS: i64 = 60_000;
const CODES_PER_OCTAVE: f32 = 8.0;

/// A line in memory.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Line([AtomicU32; WORDS]);

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latest {
    /// Newest time.
    pub(super) minute: u32,
    /// Items, newest first, each once.
    pub(super) items: [ItemId; LINE_ITEMS],
    /// Their ages at the newest time, as codes.
    pub(super) ages: [u8; LINE_ITEMS],
    /// How many there are.
    pub(super) len: usize,
}

impl Default for Latest {
    fn default() -> Self {
        Self { minute: 0, items: [ItemId::new(0); LINE_ITEMS], ages: [0; LINE_ITEMS], len: 0 }
    }
}

/// Minutes since [`Packed::ORIGIN`].
pub(super) fn minute_of(time: EventTime) -> u32 {
    u32::try_from(time.millis().saturating_sub(Packed::ORIGIN) / MINUTE_MS).unwrap_or(if time.millis() < 0 {
        0
    } else {
        u32::MAX
    })
}

/// The time of a minute.
pub(super) const fn time_of(minute: i64) -> EventTime {
    EventTime::from_millis(minute * MINUTE_MS + Packed::ORIGIN)
}

fn code_of(minutes: u32) -> u8 {
    ((minutes as f32 + 1.0).log2() * CODES_PER_OCTAVE).round().min(255.0) as u8
}

/// Minutes that an age code stands for.
pub(super) fn minutes_of(code: u8) -> f32 {
    (f32::from(code) / CODES_PER_OCTAVE).exp2() - 1.0
}

/// What an item of a line counts, by its age: a table, since a request asks for a thousand.
#[derive(Debug)]
pub struct Fade {
    by_code: [f32; 256],
    half_life_minutes: f32,
    /// What an item counts at least, however old.
    pub(super) least: f32,
}

impl Fade {
    /// Half after `half_life_days`, never less than `least`.
    #[must_use]
    pub fn new(half_life_days: f32, least: f32) -> Self {
        let half_life_minutes = half_life_days * 1_440.0;
        let by_code = std::array::from_fn(|code| (-minutes_of(code as u8) / half_life_minutes).exp2());
        Self { by_code, half_life_minutes, least }
    }

    pub(super) fn of_minutes(&self, minutes: u32) -> f32 {
        fast::exp2(-(minutes as f32) / self.half_life_minutes)
    }

    pub(super) fn of_code(&self, code: u8) -> f32 {
        self.by_code.get(usize::from(code)).copied().unwrap_or(0.0)
    }
}

impl Latest {
    /// The newest distinct items that speak for taste. Cost: a walk from the newest behaviours on until the line is full.
    pub(super) fn of(fragment: &Fragment) -> Self {
        let mut latest = Self::default();
        let mut classes = [BehaviourClass::Interest, BehaviourClass::Intent, BehaviourClass::Ownership]
            .map(|class| fragment.class(class).rev().peekable());
        while latest.len < LINE_ITEMS {
            let [a, b, c] = classes.each_mut().map(|class| class.peek().map(|behaviour| (behaviour.time, behaviour.event)));
            let [of_a, of_b, of_c] = &mut classes;
            let newest = if a >= b && a >= c {
                of_a.next()
            } else if b >= c {
                of_b.next()
            } else {
                of_c.next()
            };
            let Some(behaviour) = newest else { break };
            let minute = minute_of(behaviour.time);
            if latest.len == 0 {
                latest.minute = minute;
            }
            latest.push(behaviour.item, latest.minute.saturating_sub(minute));
        }
        latest
    }

    /// Of items and when they were taken, newest first.
    pub(super) fn of_items(items: impl Iterator<Item = (ItemId, EventTime)>) -> Self {
        let mut latest = Self::default();
        for (item, time) in items {
            let minute = minute_of(time);
            if latest.len == 0 {
                latest.minute = minute;
            }
            latest.push(item, latest.minute.saturating_sub(minute));
        }
        latest
    }

    fn push(&mut self, item: ItemId, age_minutes: u32) {
        if self.items().any(|(held, _)| held == item) {
            return;
        }
        if let (Some(place), Some(age)) = (self.items.get_mut(self.len), self.ages.get_mut(self.len)) {
            (*place, *age) = (item, code_of(age_minutes));
            self.len += 1;
        }
    }

    /// The newest minute.
    pub(crate) const fn newest(&self) -> u32 {
        self.minute
    }

    /// Items with the codes of their ages.
    pub(super) fn items(&self) -> impl Iterator<Item = (ItemId, u8)> + Clone + '_ {
        self.items.iter().copied().zip(self.ages.iter().copied()).take(self.len)
    }

    /// The item's place, from 0 for the newest, and its age code.
    pub(super) fn find(&self, item: ItemId) -> Option<(usize, u8)> {
        self.items().enumerate().find(|(_, (held, _))| *held == item).map(|(place, (_, age))| (place, age))
    }
}

impl Line {
    /// Writes what the line says; whose it is stays.
    pub(super) fn write(&self, latest: &Latest) {
        let [minute, _, words @ ..] = &self.0;
        minute.store(latest.minute, Relaxed);
        let mut held = latest.items();
        for word in words.iter().take(LINE_ITEMS) {
            word.store(held.next().map_or(0, |(item, _)| item.number() + 1), Relaxed);
        }
        let (ages, _) = latest.ages.as_chunks::<4>();
        let last = [8, 9, 10].map(|n| latest.ages.get(n).copied().unwrap_or(0));
        let fours = ages.iter().copied().chain([[last[0], last[1], last[2], 0]]);
        words.iter().skip(LINE_ITEMS).zip(fours).for_each(|(word, ages)| word.store(u32::from_le_bytes(ages), Relaxed));
    }

    /// Reads what the line says.
    pub(super) fn read(&self) -> Latest {
        let words = self.0.each_ref().map(|word| word.load(Relaxed));
        let mut latest = Latest { minute: words[0], ..Latest::default() };
        for (place, word) in words.iter().skip(FIRST_ITEM).take(LINE_ITEMS).enumerate() {
            let Some(number) = word.checked_sub(1) else { break };
            if let Some(item) = latest.items.get_mut(place) {
                *item = ItemId::new(number);
                latest.len = place + 1;
            }
        }
        let ages = words.iter().skip(FIRST_AGE).flat_map(|word| word.to_le_bytes());
        latest.ages.iter_mut().zip(ages).for_each(|(age, code)| *age = code);
        latest
    }

    /// The newest minute.
    pub(super) fn minute(&self) -> u32 {
        self.0[0].load(Relaxed)
    }

    /// Calls `take` with every item, newest first, and the code of its age.
    pub(super) fn each(&self, mut take: impl FnMut(ItemId, u8)) {
        let [_, _, items @ .., a, b, c] = self.0.each_ref().map(|word| word.load(Relaxed));
        let ages = [a, b, c].map(u32::to_le_bytes);
        for (word, age) in items.into_iter().zip(ages.as_flattened()) {
            let Some(number) = word.checked_sub(1) else { return };
            take(ItemId::new(number), *age);
        }
    }

    /// The next line of the same person, in a ring; `None` for somebody with one line.
    pub(super) fn next(&self) -> Option<u32> {
        self.0[1].load(Relaxed).checked_sub(1)
    }

    pub(super) fn set_next(&self, next: Option<u32>) {
        self.0[1].store(next.map_or(0, |next| next + 1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Behaviour, EventKind},
        ids::EventId,
    };

    #[test]
    fn a_line_is_64_bytes_and_reads_as_written() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
        for len in [0, 1, 5, LINE_ITEMS] {
            let mut latest = Latest { minute: 77, ..Latest::default() };
            (0..len as u32).for_each(|n| latest.push(ItemId::new(n * 7), n * 1_000));
            let line = Line::default();
            line.set_next(Some(4));
            line.write(&latest);
            assert_eq!((line.read(), line.next()), (latest, Some(4)));
            let mut each = Vec::new();
            line.each(|item, age| each.push((item, age)));
            assert_eq!((line.minute(), each), (77, latest.items().collect()));
        }
    }

    #[test]
    fn ages_are_kept_within_a_twentieth() {
        for minutes in [0, 1, 2, 59, 1_440, 525_600, 50_000_000] {
            let read = minutes_of(code_of(minutes));
            assert!(
                (read + 1.0) / (minutes as f32 + 1.0) < 1.05 && (minutes as f32 + 1.0) / (read + 1.0) < 1.05,
                "{minutes} {read}"
            );
        }
    }

    #[test]
    fn the_newest_items_of_all_classes_each_once() {
        let mut fragment = Fragment::default();
        let minute = 60_000;
        for n in 0..30_i64 {
            let kind = [EventKind::View, EventKind::Cart, EventKind::Purchase, EventKind::Impression, EventKind::Dislike]
                [n as usize % 5];
            fragment.insert(Behaviour {
                time: EventTime::from_millis(n * minute),
                event: EventId::from_raw(n as u64),
                item: ItemId::new(n as u32 / 2),
                kind,
                rating_tenths: None,
            });
        }
        let latest = Latest::of(&fragment);
        let items: Vec<_> = latest.items().map(|(item, _)| item.number()).collect();
        assert_eq!(items, [13, 12, 11, 10, 8, 7, 6, 5, 3, 2, 1], "shown and turned down are no taste");
        assert_eq!(latest.minute, minute_of(EventTime::from_millis(27 * minute)));
        assert_eq!(latest.find(ItemId::new(12)).map(|(place, age)| (place, minutes_of(age).round())), Some((1, 2.0)));
    }
}
