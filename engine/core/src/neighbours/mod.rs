//! Who did what this person did, and what else they took: the live neighbours, written by the events themselves.
//!
//! - a `line` per source key: its newest items, 64 bytes;
//! - `postings` per item: which lines took it, in a bounded number of places;
//! - `transitions` per item: what was taken together with it, as counts that fade.
//!
//! Lines of one person form a ring, so that what is known of somebody in one business unit leads to what they do in another, and
//! an unlink takes the lines apart again.
//!
//! **The law, and where it ends.** A line is a function of what its fragment holds, a ring of the links that stand: both are as if
//! nothing had ever been otherwise, and nothing else is known across keys, so an unlink leaves no trace. Postings and transitions
//! are bounded samples; which of many keep a place depends on the order in which events came (and, of pairs, on the numbers of their
//! items), and a pair counted stays counted until it has faded. They are derived, never stored, no part of the
//! digest, and built anew from the fragments at a start. How many persons took an item is told from both, and looked at again where persons
//! change: at once of what their keys hold, of what these let go of with the next sweep.
//!
//! **Privacy.** An item that fewer than [`TAKERS_MIN`] persons took is never named because of a neighbour, however many keys they have.

mod line;
mod postings;
mod transitions;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use parking_lot::Mutex;

use self::{
    line::Line,
    postings::Postings,
    transitions::{Pair, Transitions},
};
use crate::{
    cards::Cards,
    fragment::Fragment,
    ids::{BuId, EventTime, ItemId},
    ranking::fast,
    rows::Rows,
};

pub(crate) use line::Latest;
pub use line::{Fade, LINE_ITEMS};
pub use postings::TAKERS_MAX;

/// Fewest persons who took an item that neighbours may speak for.
pub const TAKERS_MIN: usize = 3;
/// Lines of one person that are looked at.
const RING_MAX: usize = 8;
/// Lines of one person that are told from others; bounds a walk around a ring that changes meanwhile.
const PERSON_LINES_MAX: usize = 1_024;
/// Items done just before that an item is paired with: each costs two changes of a row.
const PAIRS_MAX: usize = 4;
/// By how much time between two events their pair counts half, and what it counts at least.
const CLOSE_MINUTES: f32 = 14.0 * 1_440.0;
const CLOSE_MIN: f32 = 0.2;

/// A line's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineId(u32);

/// All lines, and what leads to them.
#[derive(Debug, Default)]
pub struct Neighbours {
    lines: Rows<Line>,
    line_count: AtomicU32,
    free: Mutex<Vec<LineId>>,
    postings: Postings,
    transitions: Transitions,
    grouping: Mutex<()>,
    is_regrouped: AtomicBool,
}

impl LineId {
    /// The line in a tag beside a fragment; 0 is none.
    pub(crate) const fn from_tag(tag: u32) -> Option<Self> {
        match tag.checked_sub(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The line of a number.
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The bare number.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Position in dense arrays.
    #[must_use]
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

impl Neighbours {
    /// Nobody yet. How many took an item is written on `cards`.
    pub(crate) fn new(cards: Arc<Cards>) -> Self {
        Self { postings: Postings::new(cards), ..Self::default() }
    }

    /// Brings a key's line in step with its fragment; `tag` says which line that is, 0 before it has one. Keys that come and go by
    /// the million get one with their second item.
    pub(crate) fn follow(&self, fragment: &Fragment, tag: &mut u32, is_fleeting: bool) -> Option<(LineId, Latest, bool)> {
        let latest = Latest::of(fragment);
        let is_new = *tag == 0;
        if is_new {
            if latest.len < 1 + usize::from(is_fleeting) {
                return None;
            }
            let freed = self.free.lock().pop();
            *tag = freed.map_or_else(|| self.line_count.fetch_add(1, Relaxed), LineId::number).saturating_add(1);
        }
        let line = LineId::from_tag(*tag)?;
        self.lines.get_or_new(line.position())?.write(&latest);
        Some((line, latest, is_new))
    }

    /// The key whose line is in `tag` no longer holds an item: it is no taker of it any more. Cost: a walk over the item's takers.
    pub(crate) fn forget(&self, tag: u32, item: ItemId) {
        LineId::from_tag(tag).into_iter().for_each(|line| self.postings.remove(item, line.0, self.are_one()));
    }

    /// The keys whose lines are in `tags` are gone. They are takers of nothing any more, of what their fragments let go of long before
    /// neither, and the next new keys get the lines; not those of somebody with several, as links outlast what keys hold. Cost: a look at
    /// the takers of all `items` items.
    pub(crate) fn release(&self, tags: &[u32], items: usize) {
        let lines: Vec<LineId> = tags.iter().filter_map(|tag| LineId::from_tag(*tag)).collect();
        if lines.is_empty() {
            return;
        }
        self.postings.remove_all(&lines.iter().map(|line| line.0).collect(), items, self.are_one());
        let is_alone = |line: &LineId| self.lines.get(line.position()).is_some_and(|held| held.next().is_none());
        self.free.lock().extend(lines.into_iter().filter(is_alone));
    }

    /// Counts that the key of `line` took `item`. Cost: a row change for each of its other latest items.
    pub(crate) fn took(
        &self,
        line: LineId,
        latest: &Latest,
        item: ItemId,
        time: EventTime,
        bu_of: impl Fn(ItemId) -> Option<BuId>,
    ) {
        let minute = line::minute_of(time);
        let (Some(own_bu), Some((place, _))) = (bu_of(item), latest.find(item)) else {
            self.postings.add(item, line.0, minute, self.are_one());
            return self.transitions.count(item, minute, std::iter::empty());
        };
        let near = latest.items().enumerate().map(|(other_place, of)| (other_place.abs_diff(place), of));
        let near = near.filter(|(gap, (other, _))| *gap <= PAIRS_MAX && *other != item);
        // First the rows that are going to change come from memory, then what they hold.
        self.postings.fetch(std::iter::once(item));
        self.transitions.fetch(near.clone().map(|(_, (other, _))| other).chain([item]));
        self.postings.add(item, line.0, minute, self.are_one());
        let mut pairs = [None; PAIRS_MAX * 2];
        for (pair, (gap, (other, age))) in pairs.iter_mut().zip(near) {
            let at = latest.minute.saturating_sub(line::minutes_of(age) as u32);
            let close = fast::exp2(-(minute.abs_diff(at) as f32) / CLOSE_MINUTES).max(CLOSE_MIN);
            *pair = bu_of(other).map(|bu| Pair { other, bu, weight: close / (gap as f32).sqrt() });
        }
        let pairs = pairs.into_iter().flatten();
        self.transitions.fetch_lines(item, own_bu, pairs.clone());
        self.transitions.count(item, minute, pairs.clone());
        for Pair { other, weight, .. } in pairs {
            self.transitions.add(other, minute, Pair { other: item, bu: own_bu, weight });
        }
    }

    /// Posts a line with all its items, oldest first: when it is new, or put back.
    pub(crate) fn post(&self, line: LineId, latest: &Latest) {
        let mut items: Vec<_> = latest.items().collect();
        items.reverse();
        for (item, age) in items {
            self.postings.add(item, line.0, latest.minute.saturating_sub(line::minutes_of(age) as u32), self.are_one());
        }
    }

    /// Counts the pairs of a line that is put back, as if its items were taken now in their order.
    pub(crate) fn recount(&self, line: LineId, latest: &Latest, bu_of: impl Fn(ItemId) -> Option<BuId>) {
        for n in (0..latest.len).rev() {
            let mut so_far = Latest { minute: latest.minute, ..Latest::default() };
            for (place, (item, age)) in latest.items().skip(n).enumerate() {
                if let (Some(held), Some(code)) = (so_far.items.get_mut(place), so_far.ages.get_mut(place)) {
                    (*held, *code) = (item, age);
                    so_far.len = place + 1;
                }
            }
            if let Some((item, age)) = latest.items().nth(n) {
                let minute = i64::from(latest.minute) - line::minutes_of(age) as i64;
                self.took(line, &so_far, item, line::time_of(minute), &bu_of);
            }
        }
    }

    /// Adds lines of somebody who is known by nothing else: of each key its items and when they were taken, newest first. They count as
    /// if they came now, in their order.
    pub(crate) fn seed<L>(&self, lines: impl Iterator<Item = L>, bu_of: impl Fn(ItemId) -> Option<BuId>)
    where
        L: Iterator<Item = (ItemId, EventTime)>,
    {
        let mut seeded = Vec::new();
        for latest in lines.map(Latest::of_items).filter(|latest| latest.len > 0) {
            let line = LineId(self.line_count.fetch_add(1, Relaxed));
            let Some(held) = self.lines.get_or_new(line.position()) else { return };
            held.write(&latest);
            seeded.push((line, latest));
        }
        self.group(|| seeded.iter().map(|(line, _)| *line).collect());
        for (line, latest) in &seeded {
            self.recount(*line, latest, &bu_of);
        }
    }

    /// Looks anew at who took these items, since persons have changed.
    pub(crate) fn judge(&self, items: impl Iterator<Item = ItemId>) {
        items.for_each(|item| self.postings.judge(item, self.are_one()));
    }

    /// The same for all of `items` items, if persons have changed since the last time: takers outlast what keys hold. Cost: three takers
    /// of most items.
    pub(crate) fn judge_all(&self, items: usize) {
        if self.is_regrouped.swap(false, Relaxed) {
            self.judge((0..items).map(|position| ItemId::new(position as u32)));
        }
    }

    /// Whether two lines are one person's.
    fn are_one(&self) -> impl Fn(u32, u32) -> bool + '_ {
        |one, other| one == other || self.ring(LineId(one)).take(PERSON_LINES_MAX).any(|line| line.0 == other)
    }

    /// Makes one ring of the lines of one person; whether it was none before.
    pub(crate) fn group(&self, lines_of: impl FnOnce() -> Vec<LineId>) -> bool {
        let _one_at_a_time = self.grouping.lock();
        let lines = lines_of(); // asked under the lock, so that the last to ask sees everything
        let mut is_new = false;
        for (n, line) in lines.iter().enumerate() {
            let next = lines.get((n + 1) % lines.len()).filter(|next| *next != line).map(|next| next.0);
            if let Some(held) = self.lines.get(line.position()).filter(|held| held.next() != next) {
                held.set_next(next);
                is_new = true;
            }
        }
        self.is_regrouped.fetch_or(is_new, Relaxed);
        is_new
    }

    /// What a line says.
    pub(crate) fn latest(&self, line: LineId) -> Latest {
        self.lines.get(line.position()).map(Line::read).unwrap_or_default()
    }

    /// The other lines of the same person, some at least.
    pub fn others(&self, line: LineId) -> impl Iterator<Item = LineId> + '_ {
        self.ring(line).take(RING_MAX)
    }

    /// The lines around the ring of a line, without itself; perhaps without end while the ring changes.
    fn ring(&self, line: LineId) -> impl Iterator<Item = LineId> + '_ {
        let next = move |at: LineId| self.lines.get(at.position())?.next().map(LineId).filter(|next| *next != line);
        std::iter::successors(next(line), move |at| next(*at))
    }

    /// Has what leads on from some items come from memory at once, for who is going to look at one after the other: loads that don't
    /// hang on each other wait together.
    pub fn fetch_items(&self, items: impl Iterator<Item = ItemId> + Clone) {
        self.postings.fetch(items.clone());
        self.transitions.fetch(items);
    }

    /// The same for lines.
    pub fn fetch(&self, lines: impl Iterator<Item = LineId>) {
        std::hint::black_box(lines.fold(0, |sum, line| sum ^ self.lines.get(line.position()).map_or(0, Line::minute)));
    }

    /// The items of a line, newest first.
    pub fn items(&self, line: LineId) -> impl Iterator<Item = ItemId> + use<> {
        let latest = self.latest(line);
        (0..latest.len).filter_map(move |n| latest.items.get(n).copied())
    }

    /// Calls `take` with the items of a line, newest first, each with what it counts at `now`.
    pub fn faded(&self, line: LineId, now: EventTime, fade: &Fade, mut take: impl FnMut(ItemId, f32)) {
        let Some(line) = self.lines.get(line.position()) else { return };
        let newest = fade.of_minutes(line::minute_of(now).saturating_sub(line.minute()));
        line.each(|item, age| take(item, (newest * fade.of_code(age)).max(fade.least)));
    }

    /// Calls `take` with the place of each of `items`, and the lines that took it, the latest first.
    pub fn takers(&self, items: impl Iterator<Item = ItemId>, mut take: impl FnMut(usize, LineId)) {
        self.postings.visit(items, |place, slot| take(place, LineId(slot)));
    }

    /// How many keys, not persons, took an item since the start; of one held no more that takes it again, each time.
    #[must_use]
    pub fn taker_count(&self, item: ItemId) -> usize {
        self.postings.count(item)
    }

    /// Whether enough persons took an item for neighbours to speak of it.
    #[must_use]
    pub fn may_name(&self, item: ItemId) -> bool {
        self.postings.is_by_several(item)
    }

    /// Calls `take` with the place of each of `items`, and the items of `bu` taken together with it, and how often as a share of its own
    /// takes.
    pub fn together(&self, items: impl Iterator<Item = ItemId>, bu: BuId, shrink: f32, take: impl FnMut(usize, ItemId, f32)) {
        self.transitions.visit(items, bu, shrink, take);
    }

    /// Lines kept.
    #[must_use]
    pub fn line_count(&self) -> usize {
        self.line_count.load(Relaxed) as usize
    }
}
