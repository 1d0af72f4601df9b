//! Newtypes for ids and time. A bare integer never crosses a module border.

use std::fmt;

use crate::joined::hash_64;

/// Business unit, numbered in order of first sight inside one process; its name is its identity elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuId(pub(crate) u16);

impl BuId {
    /// Position in dense arrays.
    #[must_use]
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

/// Item, dense from 0 in order of first sight, never reused, independent of index generations.
///
/// Process-local: what leaves the process names an item by business unit and external id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(u32);

impl ItemId {
    /// The id at dense position `position`.
    #[must_use]
    pub const fn new(position: u32) -> Self {
        Self(position)
    }

    /// Position in dense arrays.
    #[must_use]
    pub const fn position(self) -> usize {
        self.0 as usize
    }

    /// The bare number, for stored forms.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Category, numbered in order of first sight inside one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CategoryId(pub(crate) u32);

/// A region by its name's hash, the same in every process. 40 bits: a thousand regions share one with a probability of 10⁻⁶.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionId(u64);

impl RegionId {
    /// Bits of the number.
    pub const BITS: u32 = 40;

    /// The region of a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self::from_raw(hash_64(&[name.as_bytes()]))
    }

    /// From the low bits of a bare number.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw & ((1 << Self::BITS) - 1))
    }

    /// The bare number.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }
}

/// A point in event time: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventTime(i64);

impl EventTime {
    /// Before every event.
    pub const MIN: Self = Self(i64::MIN);

    /// From milliseconds since 1970 UTC.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970 UTC.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Days from `earlier` to `self`, negative if `self` is the earlier one.
    #[must_use]
    pub fn days_since(self, earlier: Self) -> f64 {
        (self.0.saturating_sub(earlier.0)) as f64 / 86_400_000.0
    }

    /// `self` plus `millis`, saturating.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Identity of an event inside its source key: a hash of its `event_id` and item, or of its content where it has no `event_id`.
///
/// The item is part of it, so that versions of one event never differ in their (process-local) item id. 40 bits: only events of one
/// key, class and millisecond are told apart by it, so two of those are taken for one with a probability of 10⁻¹².
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(u64);

impl EventId {
    /// Bits of the number.
    pub const BITS: u32 = 40;

    /// From the text that a producer gave.
    #[must_use]
    pub fn from_text(text: &str, bu: &str, item: &str) -> Self {
        Self::from_raw(hash_64(&[text.as_bytes(), &[0], bu.as_bytes(), &[0], item.as_bytes()]))
    }

    /// From content: the parts that make two events the same when the producer named none.
    #[must_use]
    pub fn from_content(time: EventTime, bu: &str, item: &str, kind: u8, value: Option<f64>) -> Self {
        let (time, value) = (time.millis().to_le_bytes(), value.map_or([0xFF; 8], f64::to_le_bytes));
        Self::from_raw(hash_64(&[&time, bu.as_bytes(), &[0, kind], item.as_bytes(), &value]))
    }

    /// From the low bits of a bare number.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw & ((1 << Self::BITS) - 1))
    }

    /// The bare number.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }
}
