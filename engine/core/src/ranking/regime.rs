//! What kind of request it is: people of whom little is known, and slates without the hottest items, are ranked by weights of their own.

use crate::ranking::features::Features;

/// Kinds of person, by what is known of them in the asked unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Segment {
    /// Nothing, anywhere.
    Stranger,
    /// Nothing here, something in another unit.
    Cold,
    /// One to four behaviours here.
    Thin,
    /// More.
    Warm,
}

impl Segment {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stranger, Self::Cold, Self::Thin, Self::Warm];

    /// What to call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Cold => "cold",
            Self::Thin => "thin",
            Self::Warm => "warm",
        }
    }
}

/// Share of the unit's hottest item that the hottest candidate must have, for the head of demand to count as present.
const HEAD_SHARE_MIN: f32 = 0.8;

/// Which weights are for a request: the segment, and whether the unit's hottest items stand for choice. Under a filter, or on a
/// later page, they don't, and what is left is ordered differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Regime {
    /// Who asks.
    pub segment: Segment,
    /// Whether the hottest items are missing.
    pub is_tail: bool,
}

impl Regime {
    /// How many there are.
    pub const COUNT: usize = 2 * Segment::ALL.len();

    /// Of who asks and the candidates.
    #[must_use]
    pub fn of(segment: Segment, features: &Features) -> Self {
        Self { segment, is_tail: features.hottest() < HEAD_SHARE_MIN }
    }

    /// All of them, in order of [`Self::position`].
    #[must_use]
    pub fn all() -> [Self; Self::COUNT] {
        std::array::from_fn(|n| Self { segment: *Segment::ALL.get(n / 2).unwrap_or(&Segment::Stranger), is_tail: n % 2 == 1 })
    }

    /// Place among all.
    #[must_use]
    pub const fn position(self) -> usize {
        self.segment as usize * 2 + self.is_tail as usize
    }
}
