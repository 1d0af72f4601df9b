//! Items and business units: dense ids that are never reused, attributes by last-writer-wins, and the bits the request path reads.
//!
//! An item exists from the moment anything names it (an event may precede its catalogue record); it can be *served* once it is
//! neither deleted nor sold out. Records of an item may come in any order: the largest `(time, deleted, content hash)` stands.
//!
//! Reads take no lock that a writer holds for long: ids come from a sharded map, hot bits are atomics, attributes an `Arc`.

mod seed;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;
use parking_lot::RwLock;

use crate::{
    cards::{Card, Cards},
    cut::{CutClock, CutTime},
    ids::{BuId, CategoryId, EventTime, ItemId},
    journal::Journal,
};

/// What a catalogue record says of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemAttributes {
    /// For people.
    pub title: String,
    /// From general to special.
    pub categories: Vec<String>,
    /// Empty if none.
    pub brand: String,
    /// Finite, not negative.
    pub price: Option<f64>,
    /// ISO 4217, empty if no price.
    pub currency: String,
    /// Free labels.
    pub tags: Vec<String>,
    /// Where it may be shown; empty means everywhere.
    pub regions: Vec<String>,
    /// Whether it is sold out.
    pub sold_out: bool,
    /// The caller's own embedding; empty if none.
    pub embedding: Vec<f32>,
}

/// One change of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemChange {
    /// Business unit of the item.
    pub bu: String,
    /// Id inside the business unit.
    pub item_id: String,
    /// When it changed.
    pub time: EventTime,
    /// The item from now on; `None`: gone.
    pub attributes: Option<ItemAttributes>,
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The item is now as the change says.
    Applied,
    /// The same change stands already.
    Duplicate,
    /// A later change stands.
    Superseded,
}

const NAMED: u8 = 1;
const KNOWN: u8 = 2; // a catalogue record stands
const DELETED: u8 = 4;
const SOLD_OUT: u8 = 8;

/// What a card has no room for.
#[derive(Debug)]
struct Slot {
    name_hash: u64,
    bu: BuId,
    rest: Box<Rest>,
}

#[derive(Debug)]
struct Rest {
    id: Box<str>,
    standing: RwLock<Standing>,
}

/// What ranking asks of an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// See [`Catalogue::category`].
    pub category: Option<CategoryId>,
    /// See [`Catalogue::price`].
    pub price: Option<f32>,
    /// See [`Catalogue::listed_at`].
    pub listed_at: Option<EventTime>,
}

#[derive(Debug, Default)]
struct Standing {
    record: ItemRecord,
    changed: u32,
    before: Option<Box<(u32, ItemRecord)>>, // as it was at the cut being read, and when it had changed
}

/// What the catalogue holds of an item: the largest record, and when it was first listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemRecord {
    /// Time, whether it says "gone", and hash of the content of the record that stands; `None` if there is none.
    pub version: Option<(EventTime, bool, u64)>,
    /// Time of the oldest record that listed the item.
    pub listed_at: Option<EventTime>,
    /// What the standing record says.
    pub attributes: Arc<ItemAttributes>,
}

#[derive(Debug)]
struct Bu {
    name: Box<str>,
    name_hash: u64,
    item_ids: DashMap<Box<str>, ItemId, Hasher>,
    items: boxcar::Vec<ItemId>,
}

type Hasher = foldhash::fast::RandomState;

/// All items of all business units.
#[derive(Debug, Default)]
pub struct Catalogue {
    bus: boxcar::Vec<Bu>,
    bu_ids: RwLock<HashMap<Box<str>, BuId, Hasher>>,
    slots: boxcar::Vec<Slot>,
    cards: Arc<Cards>,
    categories: DashMap<Box<str>, CategoryId, Hasher>,
    category_count: AtomicU32,
    listed: AtomicUsize,
    without_record: AtomicUsize,
    journal: Journal,
    clock: Arc<CutClock>,
}

impl Catalogue {
    /// An empty catalogue that is cut together with whatever shares its clock, and writes on these cards.
    pub(crate) fn new(clock: Arc<CutClock>, cards: Arc<Cards>) -> Self {
        Self { clock, cards, ..Self::default() }
    }

    /// The id of a business unit, if anything has named it.
    #[must_use]
    pub fn bu(&self, name: &str) -> Option<BuId> {
        self.bu_ids.read().get(name).copied()
    }

    /// The id of a business unit, new if need be; `None` when 65,536 are known already.
    pub fn bu_or_new(&self, name: &str) -> Option<BuId> {
        if let Some(id) = self.bu(name) {
            return Some(id);
        }
        let mut ids = self.bu_ids.write();
        if let Some(id) = ids.get(name) {
            return Some(*id);
        }
        let next = BuId(u16::try_from(self.bus.count()).ok()?);
        let name_hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
        self.bus.push(Bu { name: name.into(), name_hash, item_ids: DashMap::default(), items: boxcar::Vec::new() });
        ids.insert(name.into(), next);
        Some(next)
    }

    /// All business units by id.
    pub fn bus(&self) -> impl Iterator<Item = (BuId, &str)> {
        self.bus.iter().map(|(n, bu)| (BuId(n as u16), &*bu.name))
    }

    /// Name of a business unit.
    #[must_use]
    pub fn bu_name(&self, bu: BuId) -> &str {
        self.bus.get(usize::from(bu.0)).map_or("", |bu| &bu.name)
    }

    /// The id of an item, if anything has named it.
    #[must_use]
    pub fn item(&self, bu: BuId, item_id: &str) -> Option<ItemId> {
        self.bus.get(usize::from(bu.0))?.item_ids.get(item_id).map(|id| *id)
    }

    /// The id of an item, new if need be; `None` for an unknown business unit or when 2³² − 1 items are known already.
    pub fn item_or_new(&self, bu: BuId, item_id: &str) -> Option<ItemId> {
        if let Some(id) = self.item(bu, item_id) {
            return Some(id);
        }
        let of_bu = self.bus.get(usize::from(bu.0))?;
        if self.slots.count() >= u32::MAX as usize {
            return None;
        }
        let mut is_new = false;
        let id = *of_bu.item_ids.entry(item_id.into()).or_insert_with(|| {
            let position = self.slots.push(Slot::unknown(bu, item_id));
            let id = ItemId::new(position as u32);
            if let Some(card) = self.cards.of_or_new(id) {
                card.bu.store(bu.0, Ordering::Relaxed);
                card.bits.store(NAMED, Ordering::Release);
            }
            of_bu.items.push(id);
            self.without_record.fetch_add(1, Ordering::Relaxed);
            is_new = true;
            id
        });
        if is_new {
            self.journal.push(id);
        }
        Some(id)
    }

    /// Applies one change. Order, repeats and delays between changes of an item don't matter.
    ///
    /// `None` when the business unit or the item can't be numbered any more (see [`Self::item_or_new`]).
    pub fn apply(&self, change: &ItemChange) -> Option<Changed> {
        let bu = self.bu_or_new(&change.bu)?;
        let item = self.item_or_new(bu, &change.item_id)?;
        let slot = self.slot(item)?;
        let version = (change.time, change.attributes.is_none(), content_hash(change.attributes.as_ref()));
        let mut standing = slot.rest.standing.write();
        let held = &standing.record;
        let is_earlier = change.attributes.is_some() && held.listed_at.is_none_or(|at| change.time < at);
        let changed = match held.version {
            Some(held) if held == version => Changed::Duplicate,
            Some(held) if held > version => Changed::Superseded,
            _ => Changed::Applied,
        };
        if changed != Changed::Applied && !is_earlier {
            return Some(changed);
        }
        let mut record = held.clone();
        if is_earlier {
            record.listed_at = Some(change.time); // whether or not the record stands
        }
        if changed == Changed::Applied {
            record.version = Some(version);
            record.attributes = Arc::new(change.attributes.clone().unwrap_or_default());
        }
        standing.keep_for(&self.clock);
        self.set(item, &mut standing, record);
        drop(standing);
        if changed != Changed::Applied {
            return Some(changed);
        }
        self.journal.push(item);
        Some(Changed::Applied)
    }

    /// Puts a record in place, and the bits that requests read.
    fn set(&self, item: ItemId, standing: &mut Standing, record: ItemRecord) {
        let bits = match record.version {
            None => NAMED,
            Some((_, true, _)) => NAMED | KNOWN | DELETED,
            Some(_) if record.attributes.sold_out => NAMED | KNOWN | SOLD_OUT,
            Some(_) => NAMED | KNOWN,
        };
        if let Some(card) = self.cards.of_or_new(item) {
            let was_listed = card.is_listed();
            card.listed_at.store(record.listed_at.map_or(i64::MAX, EventTime::millis), Ordering::Relaxed);
            card.category.store(self.category_code(&record.attributes), Ordering::Relaxed);
            card.price.store(record.attributes.price.map_or(f32::NAN, |price| price as f32).to_bits(), Ordering::Relaxed);
            card.bits.store(bits, Ordering::Release);
            match (was_listed, card.is_listed()) {
                (false, true) => _ = self.listed.fetch_add(1, Ordering::Relaxed),
                (true, false) => _ = self.listed.fetch_sub(1, Ordering::Relaxed),
                _ => {}
            }
        }
        if standing.record.version.is_none() && record.version.is_some() {
            self.without_record.fetch_sub(1, Ordering::Relaxed);
        }
        standing.record = record;
    }

    /// Calls `visit` with every item from `first` on, in order, as it was at `cut`: its record if that changed after cut `since`
    /// (always, without one), else `None`. Once per cut. Items named after the cut may be among them, without a record.
    pub(crate) fn visit_cut(&self, cut: u32, since: Option<u32>, mut visit: impl FnMut(ItemId, &str, &str, Option<&ItemRecord>)) {
        for (position, slot) in self.slots.iter() {
            let mut standing = slot.rest.standing.write();
            let before = standing.before.take().filter(|_| standing.changed > cut);
            let (changed, record) = before.as_deref().map_or((standing.changed, &standing.record), |(at, record)| (*at, record));
            let is_news = changed <= cut && since.is_none_or(|since| changed > since);
            let of_cut = is_news.then_some(record);
            visit(ItemId::new(position as u32), self.bu_name(slot.bu), &slot.rest.id, of_cut);
        }
    }

    /// Puts a stored item back. `None` if it can't have the id it had: items must be put back in order, into an empty catalogue.
    pub(crate) fn restore(&self, item: ItemId, bu: &str, item_id: &str, record: Option<ItemRecord>) -> Option<()> {
        let bu = self.bu_or_new(bu)?;
        let found = self.item_or_new(bu, item_id)?;
        let slot = self.slot(found).filter(|_| found == item)?;
        if let Some(record) = record {
            self.set(item, &mut slot.rest.standing.write(), record);
        }
        Some(())
    }

    /// Which items are new or changed, in order.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    fn category_code(&self, attributes: &ItemAttributes) -> u32 {
        let Some(leaf) = attributes.categories.last() else { return 0 };
        if let Some(id) = self.categories.get(leaf.as_str()) {
            return id.0 + 1;
        }
        let next = || CategoryId(self.category_count.fetch_add(1, Ordering::Relaxed));
        self.categories.entry(leaf.as_str().into()).or_insert_with(next).0 + 1
    }

    fn slot(&self, item: ItemId) -> Option<&Slot> {
        self.slots.get(item.position())
    }

    /// Business unit of an item.
    #[must_use]
    pub fn bu_of(&self, item: ItemId) -> Option<BuId> {
        self.cards.of(item)?.bu()
    }

    /// Has the external ids of some items come from memory at once: each is two looks that hang on each other, those of several items don't.
    pub fn fetch_names(&self, items: impl Iterator<Item = ItemId> + Clone) {
        std::hint::black_box(items.clone().fold(0, |sum, item| sum ^ self.name_hash(item)));
        let first = |item| self.item_name(item).and_then(|name| name.bytes().next()).unwrap_or_default();
        std::hint::black_box(items.fold(0, |sum, item| sum ^ first(item)));
    }

    /// External id of an item.
    #[must_use]
    pub fn item_name(&self, item: ItemId) -> Option<&str> {
        self.slot(item).map(|slot| &*slot.rest.id)
    }

    /// Stable hash of the item's external id: its name across processes, in 8 bytes. Unique inside a business unit but for a
    /// chance of 10⁻⁸ at half a million items.
    #[must_use]
    pub fn name_hash(&self, item: ItemId) -> u64 {
        self.slot(item).map_or(0, |slot| slot.name_hash)
    }

    /// What [`Self::name_hash`] says of an item with this external id, whether anything has named it or not.
    #[must_use]
    pub fn hash_of_name(item_id: &str) -> u64 {
        xxhash_rust::xxh3::xxh3_64(item_id.as_bytes())
    }

    /// An order of items that every process agrees on, whichever it met first: what breaks ties.
    #[must_use]
    pub fn by_name(&self, a: ItemId, b: ItemId) -> std::cmp::Ordering {
        if a == b { std::cmp::Ordering::Equal } else { self.name_hash(a).cmp(&self.name_hash(b)).then(a.cmp(&b)) }
    }

    /// Stable hash of business unit and id: the item's name across processes and business units.
    #[must_use]
    pub fn full_name_hash(&self, item: ItemId) -> u64 {
        let Some(slot) = self.slot(item) else { return 0 };
        let bu = self.bus.get(slot.bu.position()).map_or(0, |bu| bu.name_hash);
        slot.name_hash ^ bu.rotate_left(32)
    }

    /// Whether the item may stand on a slate: not deleted, not sold out.
    #[must_use]
    pub fn is_servable(&self, item: ItemId) -> bool {
        self.cards.of(item).is_some_and(Card::is_servable)
    }

    /// Whether the item is of this unit and may stand on a slate.
    #[must_use]
    pub fn is_servable_in(&self, bu: BuId, item: ItemId) -> bool {
        self.cards.of(item).is_some_and(|card| card.is_servable() && card.bu() == Some(bu))
    }

    /// Whether a catalogue record stands and does not say "gone".
    #[must_use]
    pub fn is_listed(&self, item: ItemId) -> bool {
        self.cards.of(item).is_some_and(Card::is_listed)
    }

    /// The item's most special category.
    #[must_use]
    pub fn category(&self, item: ItemId) -> Option<CategoryId> {
        self.cards.of(item)?.category()
    }

    /// The item's price, as near as ranking needs it.
    #[must_use]
    pub fn price(&self, item: ItemId) -> Option<f32> {
        self.cards.of(item)?.price()
    }

    /// Time of the oldest record that listed the item.
    #[must_use]
    pub fn listed_at(&self, item: ItemId) -> Option<EventTime> {
        self.cards.of(item)?.listed_at()
    }

    /// The three of them in one look; none for an item that nothing has named.
    #[must_use]
    pub fn facts(&self, item: ItemId) -> Facts {
        let none = Facts { category: None, price: None, listed_at: None };
        self.cards.of(item).map_or(none, |card| Facts {
            category: card.category(),
            price: card.price(),
            listed_at: card.listed_at(),
        })
    }

    /// Has what the other calls say of some items come from memory at once: for who is going to ask of one after the other.
    pub fn fetch(&self, items: impl Iterator<Item = ItemId>) {
        self.cards.fetch(items);
    }

    /// Everything the standing record says; empty for an item without one.
    #[must_use]
    pub fn attributes(&self, item: ItemId) -> Arc<ItemAttributes> {
        self.slot(item).map(|slot| Arc::clone(&slot.rest.standing.read().record.attributes)).unwrap_or_default()
    }

    /// Items of a business unit, oldest first. Walks memory that only grows; cost O(1) a step.
    pub fn items_of(&self, bu: BuId) -> impl DoubleEndedIterator<Item = ItemId> {
        let items = self.bus.get(usize::from(bu.0)).map(|bu| &bu.items);
        let count = items.map_or(0, boxcar::Vec::count);
        (0..count).filter_map(move |n| items?.get(n).copied())
    }

    /// Items of a business unit ever named.
    #[must_use]
    pub fn item_count_of(&self, bu: BuId) -> usize {
        self.bus.get(bu.position()).map_or(0, |bu| bu.items.count())
    }

    /// Items ever named: dense ids run from 0 to this.
    #[must_use]
    pub fn item_count(&self) -> usize {
        self.slots.count()
    }

    /// Items with a standing record that are not deleted.
    #[must_use]
    pub fn listed_count(&self) -> usize {
        self.listed.load(Ordering::Relaxed)
    }

    /// Items that are known by name only: no catalogue has said anything of them.
    #[must_use]
    pub fn without_record_count(&self) -> usize {
        self.without_record.load(Ordering::Relaxed)
    }
}

impl Slot {
    fn unknown(bu: BuId, item_id: &str) -> Self {
        let rest = Rest { id: item_id.into(), standing: RwLock::default() };
        Self { name_hash: Catalogue::hash_of_name(item_id), bu, rest: Box::new(rest) }
    }
}

/// What the catalogue has on a card.
impl Card {
    fn bits(&self) -> u8 {
        self.bits.load(Ordering::Acquire)
    }

    fn bu(&self) -> Option<BuId> {
        (self.bits() & NAMED != 0).then(|| BuId(self.bu.load(Ordering::Relaxed)))
    }

    fn category(&self) -> Option<CategoryId> {
        self.category.load(Ordering::Relaxed).checked_sub(1).map(CategoryId)
    }

    fn price(&self) -> Option<f32> {
        Some(f32::from_bits(self.price.load(Ordering::Relaxed))).filter(|price| price.is_finite())
    }

    fn listed_at(&self) -> Option<EventTime> {
        let millis = self.listed_at.load(Ordering::Relaxed);
        (self.is_listed() && millis != i64::MAX).then(|| EventTime::from_millis(millis))
    }

    fn is_listed(&self) -> bool {
        self.bits() & (KNOWN | DELETED) == KNOWN
    }

    fn is_servable(&self) -> bool {
        self.bits() & (NAMED | DELETED | SOLD_OUT) == NAMED
    }
}

impl Standing {
    /// Notes a change to come; what it was stays for the cut being read.
    fn keep_for(&mut self, clock: &CutClock) {
        let CutTime { stamp, open } = clock.now();
        if open > 0 && self.changed <= open {
            self.before = Some(Box::new((self.changed, self.record.clone())));
        }
        self.changed = stamp;
    }
}

/// Stable hash of what a record says, to break ties of time the same way everywhere.
fn content_hash(attributes: Option<&ItemAttributes>) -> u64 {
    let Some(of) = attributes else { return 0 };
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    let mut text = |part: &str| {
        hasher.update(&(part.len() as u32).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    text(&of.title);
    text(&of.brand);
    text(&of.currency);
    for list in [&of.categories, &of.tags, &of.regions] {
        text("");
        list.iter().for_each(|part| text(part));
    }
    hasher.update(&of.price.map_or([0xFF; 8], f64::to_le_bytes));
    hasher.update(&[u8::from(of.sold_out)]);
    of.embedding.iter().for_each(|value| hasher.update(&value.to_le_bytes()));
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change() -> impl Strategy<Value = ItemChange> {
        (0..3_u8, 0..6_i64, proptest::option::of((0..3_u8, any::<bool>()))).prop_map(|(item, time, attributes)| ItemChange {
            bu: "shop".into(),
            item_id: format!("i{item}"),
            time: EventTime::from_millis(time),
            attributes: attributes.map(|(title, sold_out)| ItemAttributes {
                title: format!("t{title}"),
                categories: vec!["all".into(), format!("c{title}")],
                sold_out,
                ..ItemAttributes::default()
            }),
        })
    }

    type View = (bool, bool, Option<EventTime>, Arc<ItemAttributes>);

    fn view(changes: &[ItemChange]) -> Vec<Option<View>> {
        let catalogue = Catalogue::default();
        let bu = catalogue.bu_or_new("shop").unwrap();
        for change in changes {
            catalogue.apply(change).unwrap();
        }
        let listed = catalogue.items_of(bu).filter(|item| catalogue.is_listed(*item)).count();
        assert_eq!(catalogue.listed_count(), listed);
        assert_eq!(catalogue.item_or_new(bu, "named by an event").map(|_| catalogue.without_record_count()), Some(1));
        let items = (0..3).map(|n| catalogue.item(bu, &format!("i{n}")));
        items
            .map(|item| {
                item.map(|i| (catalogue.is_servable(i), catalogue.is_listed(i), catalogue.listed_at(i), catalogue.attributes(i)))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn order_and_repeats_change_nothing(
            (changes, shuffled) in proptest::collection::vec(change(), 0..30).prop_flat_map(|c| (Just(c.clone()), Just(c).prop_shuffle())),
        ) {
            let twice: Vec<_> = shuffled.iter().chain(&changes).cloned().collect();
            prop_assert_eq!(view(&changes), view(&twice));
        }
    }

    #[test]
    fn ids_are_dense_and_never_reused() {
        let catalogue = Catalogue::default();
        let (a, b) = (catalogue.bu_or_new("a").unwrap(), catalogue.bu_or_new("b").unwrap());
        let first = catalogue.item_or_new(a, "x").unwrap();
        let gone = ItemChange { bu: "a".into(), item_id: "x".into(), time: EventTime::from_millis(1), attributes: None };
        assert_eq!(catalogue.apply(&gone), Some(Changed::Applied));
        assert!(!catalogue.is_servable(first));
        let other_bu = catalogue.item_or_new(b, "x").unwrap();
        let back = ItemChange { time: EventTime::from_millis(2), attributes: Some(ItemAttributes::default()), ..gone.clone() };
        assert_eq!(catalogue.apply(&back), Some(Changed::Applied));
        assert_eq!(catalogue.apply(&gone), Some(Changed::Superseded));
        assert_eq!(catalogue.item_or_new(a, "x"), Some(first));
        assert_eq!((first.position(), other_bu.position(), catalogue.item_count()), (0, 1, 2));
        assert!(catalogue.is_servable(first));
    }
}
