//! What requests read of hundreds of items each: a card of 64 bytes an item, so that one look at memory tells it all.
//!
//! A card belongs to nobody. Who knows something writes it there and says what it means: the catalogue what an item is, demand how much
//! it is wanted, neighbours how many took it. So a word may be older than the word beside it, never half of what it was.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::{ids::ItemId, rows::Rows};

/// Half-lives of demand at most.
pub(crate) const LANES: usize = 4;

/// What is known of one item. All 0 but where it says otherwise.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Card {
    /// What it weighs in demand by each half-life: bits of a `f64`. See [`crate::trends`].
    pub(crate) demand: [AtomicU64; LANES],
    /// When it was listed, ms; `i64::MAX` at first. See [`crate::catalogue`].
    pub(crate) listed_at: AtomicI64,
    /// Its category's number + 1.
    pub(crate) category: AtomicU32,
    /// Its price: bits of a `f32`, NaN at first.
    pub(crate) price: AtomicU32,
    /// The number of its list among those of categories + 1. See [`crate::trends`].
    pub(crate) list: AtomicU32,
    /// How many keys took it. See [`crate::neighbours`].
    pub(crate) takers: AtomicU32,
    /// Whether enough persons took it for neighbours to speak of it.
    pub(crate) is_by_several: AtomicBool,
    /// Whose it is.
    pub(crate) bu: AtomicU16,
    /// What the catalogue says of it in bits; with none of them, nothing has named the item.
    pub(crate) bits: AtomicU8,
}

const _: () = assert!(size_of::<Card>() == 64);

impl Default for Card {
    fn default() -> Self {
        Self {
            demand: Default::default(),
            listed_at: AtomicI64::new(i64::MAX),
            category: AtomicU32::new(0),
            price: AtomicU32::new(f32::NAN.to_bits()),
            list: AtomicU32::new(0),
            takers: AtomicU32::new(0),
            is_by_several: AtomicBool::new(false),
            bu: AtomicU16::new(0),
            bits: AtomicU8::new(0),
        }
    }
}

/// The cards of all items.
#[derive(Debug, Default)]
pub(crate) struct Cards(Rows<Card>);

impl Cards {
    pub(crate) fn of(&self, item: ItemId) -> Option<&Card> {
        self.0.get(item.position())
    }

    pub(crate) fn of_or_new(&self, item: ItemId) -> Option<&Card> {
        self.0.get_or_new(item.position())
    }

    /// Has the cards of some items come from memory at once, for who is going to look at one after the other: loads that don't hang on
    /// each other wait together.
    pub(crate) fn fetch(&self, items: impl Iterator<Item = ItemId>) {
        std::hint::black_box(items.fold(0, |sum, item| sum ^ self.of(item).map_or(0, |card| card.takers.load(Relaxed))));
    }
}
