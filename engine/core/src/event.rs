//! What people do: kinds of event, the classes in which they are remembered, and the remembered form.

use std::num::NonZeroU8;

use crate::ids::{EventId, EventTime, ItemId, RegionId};

/// Sorts of event. The number is part of derived event ids and of every stored form: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventKind {
    /// The item was shown.
    Impression = 1,
    /// The item's page was opened.
    View = 2,
    /// The item was clicked in a list.
    Click = 3,
    /// The item was chosen from a search result.
    Search = 4,
    /// Marked as favourite.
    Favourite = 5,
    /// Put in the cart.
    Cart = 6,
    /// Bought.
    Purchase = 7,
    /// Rated with stars.
    Rating = 8,
    /// Reviewed in words.
    Review = 9,
    /// "Not for me".
    Dislike = 10,
    /// Sent back.
    Return = 11,
}

impl EventKind {
    /// All kinds with the names that files use for them, the first being the one to write.
    pub const NAMES: [(Self, &'static [&'static str]); 11] = [
        (Self::Impression, &["impression"]),
        (Self::View, &["view"]),
        (Self::Click, &["click"]),
        (Self::Search, &["search"]),
        (Self::Favourite, &["favourite", "favorite", "fav"]),
        (Self::Cart, &["cart"]),
        (Self::Purchase, &["purchase", "buy"]),
        (Self::Rating, &["rating"]),
        (Self::Review, &["review"]),
        (Self::Dislike, &["dislike"]),
        (Self::Return, &["return"]),
    ];

    /// The kind that a file names, letter case ignored.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let of = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        Self::NAMES.iter().find(|(_, names)| of(names)).map(|(kind, _)| *kind)
    }

    /// Class in which the event is remembered.
    #[must_use]
    pub const fn class(self) -> BehaviourClass {
        match self {
            Self::Impression => BehaviourClass::Exposure,
            Self::View | Self::Click | Self::Search => BehaviourClass::Interest,
            Self::Favourite | Self::Cart => BehaviourClass::Intent,
            Self::Purchase | Self::Rating | Self::Review => BehaviourClass::Ownership,
            Self::Dislike | Self::Return => BehaviourClass::Rejection,
        }
    }

    /// What the event says for the item, in views: the weight in interests and trends. 0 for what says nothing in favour.
    #[must_use]
    pub const fn strength(self) -> f32 {
        match self {
            Self::Impression | Self::Dislike | Self::Return => 0.0,
            Self::View | Self::Click | Self::Search => 1.0,
            Self::Favourite | Self::Cart => 2.0,
            Self::Purchase | Self::Rating | Self::Review => 3.0,
        }
    }
}

/// Classes of behaviour, each a bounded set of its own, so that a hundred views do not push a purchase out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum BehaviourClass {
    /// Shown to the person.
    Exposure,
    /// Looked at.
    Interest,
    /// Wanted.
    Intent,
    /// Had.
    Ownership,
    /// Turned down.
    Rejection,
}

impl BehaviourClass {
    /// All classes in order.
    pub const ALL: [Self; 5] = [Self::Exposure, Self::Interest, Self::Intent, Self::Ownership, Self::Rejection];

    /// The kind with the smallest number in this class; the others follow it.
    const fn first_kind(self) -> EventKind {
        match self {
            Self::Exposure => EventKind::Impression,
            Self::Interest => EventKind::View,
            Self::Intent => EventKind::Favourite,
            Self::Ownership => EventKind::Purchase,
            Self::Rejection => EventKind::Dislike,
        }
    }

    /// Most behaviours of this class that one fragment remembers.
    #[must_use]
    pub const fn capacity(self) -> usize {
        match self {
            Self::Ownership => 128,
            Self::Interest | Self::Exposure => 64,
            Self::Intent | Self::Rejection => 32,
        }
    }
}

/// One remembered event. Ordered by class, then time, then event id; content breaks what ties are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Behaviour {
    /// When it happened.
    pub time: EventTime,
    /// Which event it was.
    pub event: EventId,
    /// The item concerned.
    pub item: ItemId,
    /// What was done.
    pub kind: EventKind,
    /// Stars of a rating in tenths, capped at 25.5.
    pub rating_tenths: Option<NonZeroU8>,
}

impl Behaviour {
    /// Class in which it is remembered.
    #[must_use]
    pub const fn class(&self) -> BehaviourClass {
        self.kind.class()
    }

    /// Identity and age: two behaviours with equal keys are versions of one event.
    #[must_use]
    pub const fn key(&self) -> (BehaviourClass, EventTime, EventId) {
        (self.class(), self.time, self.event)
    }
}

/// A behaviour in 16 bytes, as fragments hold it and images store it. Its number orders like the behaviour it stands for:
///
/// | bits | 3 | 43 | 40 | 2 | 8 | 32 |
/// |---|---|---|---|---|---|---|
/// | what | class + 1 | ms since [`Packed::ORIGIN`] | event id | kind inside its class | rating | item |
///
/// What stands above the kind is the event's identity ([`Packed::identity`]); kind and rating are its version. Times outside
/// 1922–2201 saturate. Two more things have this form: an erase floor (class 0) and where the key is (class 7, with the region in the
/// place of the event id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Packed(u128);

const ITEM_BITS: u32 = 32;
const RATING_BITS: u32 = 8;
const KIND_BITS: u32 = 2;
const VERSION_SHIFT: u32 = ITEM_BITS;
const EVENT_SHIFT: u32 = ITEM_BITS + RATING_BITS + KIND_BITS;
const TIME_SHIFT: u32 = EVENT_SHIFT + EventId::BITS;
const TIME_BITS: u32 = 43;
const CLASS_SHIFT: u32 = TIME_SHIFT + TIME_BITS;
const _: () = assert!(CLASS_SHIFT + 3 == u128::BITS && RegionId::BITS <= EventId::BITS);
/// In the place of a class: orders after every behaviour.
const REGION_CODE: u128 = 7;

impl Packed {
    /// The first time that can be held, ms since 1970 UTC (in 1922).
    pub const ORIGIN: i64 = -1_500_000_000_000;
    const TIME_MAX: i64 = (1 << TIME_BITS) - 1;

    /// The packed form.
    #[must_use]
    pub fn new(behaviour: &Behaviour) -> Self {
        let class = behaviour.class();
        let kind = behaviour.kind as u8 - class.first_kind() as u8;
        let rating = behaviour.rating_tenths.map_or(0, NonZeroU8::get);
        let version = u128::from(kind) << RATING_BITS | u128::from(rating);
        let low = version << VERSION_SHIFT | u128::from(behaviour.item.number());
        Self(Self::first_at(class, behaviour.time).0 | u128::from(behaviour.event.raw()) << EVENT_SHIFT | low)
    }

    /// The smallest of its class and time.
    #[must_use]
    pub fn first_at(class: BehaviourClass, time: EventTime) -> Self {
        Self(u128::from(class as u8 + 1) << CLASS_SHIFT | time_code(time) << TIME_SHIFT)
    }

    /// No behaviour but an erase floor: orders before every behaviour.
    #[must_use]
    pub fn floor(time: EventTime) -> Self {
        Self(time_code(time) << TIME_SHIFT)
    }

    /// Whether it is an erase floor.
    #[must_use]
    pub const fn is_floor(self) -> bool {
        self.0 >> CLASS_SHIFT == 0
    }

    /// No behaviour but where the key was seen last, and when: orders after every behaviour, and by time.
    #[must_use]
    pub fn seen_in(region: RegionId, time: EventTime) -> Self {
        Self(REGION_CODE << CLASS_SHIFT | time_code(time) << TIME_SHIFT | u128::from(region.raw()) << EVENT_SHIFT)
    }

    /// Where the key was seen last; `None` for anything else.
    #[must_use]
    pub const fn region(self) -> Option<RegionId> {
        if self.0 >> CLASS_SHIFT == REGION_CODE { Some(RegionId::from_raw((self.0 >> EVENT_SHIFT) as u64)) } else { None }
    }

    /// Event time (of a floor: up to when everything is erased).
    #[must_use]
    pub const fn time(self) -> EventTime {
        EventTime::from_millis(((self.0 >> TIME_SHIFT) as i64 & Self::TIME_MAX) + Self::ORIGIN)
    }

    /// Class, time and event id: equal for versions of one event.
    #[must_use]
    pub const fn identity(self) -> u128 {
        self.0 >> EVENT_SHIFT
    }

    /// Everything but the item, which is a number of this process: what replicas agree on.
    #[must_use]
    pub const fn without_item(self) -> u128 {
        self.0 >> ITEM_BITS
    }

    /// The item.
    #[must_use]
    pub const fn item(self) -> ItemId {
        ItemId::new(self.0 as u32)
    }

    /// The same with another item: for images, whose items are numbered by another process.
    #[must_use]
    pub const fn with_item(self, item: ItemId) -> Self {
        Self(self.0 >> ITEM_BITS << ITEM_BITS | item.number() as u128)
    }

    /// The class; `None` for a floor, a region, and what is no packed behaviour.
    #[must_use]
    pub fn class(self) -> Option<BehaviourClass> {
        let code = (self.0 >> CLASS_SHIFT) as usize;
        BehaviourClass::ALL.get(code.checked_sub(1)?).copied()
    }

    /// The behaviour; `None` for a floor, a region, and what is no packed behaviour.
    #[must_use]
    pub fn behaviour(self) -> Option<Behaviour> {
        let number = self.class()?.first_kind() as u8 + (self.0 >> (VERSION_SHIFT + RATING_BITS)) as u8 % (1 << KIND_BITS);
        let (kind, _) = EventKind::NAMES.get(usize::from(number) - 1)?;
        Some(Behaviour {
            time: self.time(),
            event: EventId::from_raw((self.0 >> EVENT_SHIFT) as u64),
            item: self.item(),
            kind: *kind,
            rating_tenths: NonZeroU8::new((self.0 >> VERSION_SHIFT) as u8),
        })
    }

    /// The bare number, for stored forms.
    #[must_use]
    pub const fn raw(self) -> u128 {
        self.0
    }

    /// From a stored form; `None` for what is neither a behaviour nor a floor nor a region.
    #[must_use]
    pub fn from_raw(raw: u128) -> Option<Self> {
        let packed = Self(raw);
        let same = packed.behaviour().is_some_and(|behaviour| Self::new(&behaviour) == packed);
        let is_region = packed.region().is_some_and(|region| packed == Self::seen_in(region, packed.time()));
        (same || is_region || packed == Self::floor(packed.time())).then_some(packed)
    }
}

fn time_code(time: EventTime) -> u128 {
    time.millis().saturating_sub(Packed::ORIGIN).clamp(0, Packed::TIME_MAX) as u128
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_lead_back_to_their_kind() {
        for (kind, names) in EventKind::NAMES {
            names.iter().for_each(|name| assert_eq!(EventKind::from_name(&name.to_uppercase()), Some(kind)));
        }
        assert_eq!(EventKind::from_name("teleport"), None);
    }

    fn behaviour() -> impl Strategy<Value = Behaviour> {
        let time = prop_oneof![
            0..3_i64,
            Just(1_700_000_000_000),
            Packed::ORIGIN..Packed::ORIGIN + 2,
            7_258_118_399_998..7_258_118_400_000_i64
        ];
        (time, any::<u64>(), any::<u32>(), 0..EventKind::NAMES.len(), any::<u8>()).prop_map(
            |(time, event, item, kind, rating)| Behaviour {
                time: EventTime::from_millis(time),
                event: EventId::from_raw(event),
                item: ItemId::new(item),
                kind: EventKind::NAMES[kind].0,
                rating_tenths: NonZeroU8::new(rating),
            },
        )
    }

    proptest! {
        #[test]
        fn packing_keeps_everything_and_its_order(a in behaviour(), b in behaviour()) {
            prop_assert_eq!(Packed::new(&a).behaviour(), Some(a));
            prop_assert_eq!(Packed::from_raw(Packed::new(&a).raw()), Some(Packed::new(&a)));
            let full = |of: &Behaviour| (of.key(), of.kind, of.rating_tenths, of.item);
            prop_assert_eq!(Packed::new(&a).cmp(&Packed::new(&b)), full(&a).cmp(&full(&b)));
            prop_assert_eq!(Packed::new(&a).identity() == Packed::new(&b).identity(), a.key() == b.key());
            prop_assert!(Packed::floor(a.time) < Packed::new(&b));
            let seen = Packed::seen_in(RegionId::from_raw(a.event.raw()), b.time);
            prop_assert!(Packed::new(&a) < seen && seen.behaviour().is_none() && Packed::from_raw(seen.raw()) == Some(seen));
            prop_assert_eq!((seen.region(), seen.time()), (Some(RegionId::from_raw(a.event.raw())), b.time));
        }

        #[test]
        fn any_number_is_read_or_refused(raw in any::<u128>()) {
            if let Some(packed) = Packed::from_raw(raw) {
                prop_assert_eq!(packed.raw(), raw);
            }
        }
    }

    #[test]
    fn numbers_of_kinds_follow_their_class() {
        for (kind, _) in EventKind::NAMES {
            let first = kind.class().first_kind();
            assert!(first.class() == kind.class() && (kind as u8 - first as u8) < 1 << KIND_BITS, "{kind:?}");
        }
        assert!(EventKind::NAMES.iter().zip(1..).all(|((kind, _), number)| *kind as u8 == number));
    }

    #[test]
    fn times_saturate_at_the_ends() {
        let held = |millis| Packed::floor(EventTime::from_millis(millis)).time().millis();
        assert_eq!([held(i64::MIN), held(5)], [Packed::ORIGIN, 5]);
        assert!(held(i64::MAX) > 7_258_118_400_000);
    }
}
