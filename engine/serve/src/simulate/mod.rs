//! A simulated group of shops, for `faces demo` and for load without data: what it sells, who shops there, what they did.
//!
//! Four business units share customers. Every item belongs to one hidden *theme* (camping, tea, detective stories), some to
//! two, and to a *niche* of a few dozen items inside it; themes and niches cross the units. Every shopper has a hidden taste:
//! two to four themes with weights, and favourite niches in each. History follows taste, with some attention to what everybody
//! looks at, in sessions that stay in one niche, so that everything an engine may find out is there to be found.
//!
//! **Must not know**: Kafka, the engine, the wall clock. A world is a function of its seed, its size and `now_ms`; shoppers
//! and assortment draw from streams of their own, so that a larger crowd leaves the first shoppers as they were.

mod assortment;
mod casting;
mod crowd;
mod draw;
mod history;
#[cfg(test)]
mod tests;
mod title;
mod vocabulary;

use faces_proto::v1::{Event, EventType, IdentityLink, Item, KeyKind, SourceKey};

use assortment::Assortment;
use crowd::Persona;
use draw::{Stream, stream};
use history::Footprint;
use vocabulary::Vocabulary;

const DAY_MS: i64 = 86_400_000;

/// Length of the simulated history, days.
pub const HISTORY_DAYS: i64 = 60;

/// How much of everything to simulate.
///
/// The default makes about 100,000 events; with 4 partitions a business unit that is well below what an in-process broker
/// holds (100,000 records or 5 MiB a partition). Memory: about 400 bytes an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldSize {
    /// People.
    pub shoppers: usize,
    /// Items of the marketplace.
    pub marketplace: usize,
    /// Items of the groceries unit.
    pub groceries: usize,
    /// Items of the video unit.
    pub video: usize,
    /// Items of the payments unit: offers, coupons, cards, cover.
    pub payments: usize,
    /// Fewest events of a shopper.
    pub events_min: usize,
    /// Most events of a shopper; taken as `events_min` when below it.
    pub events_max: usize,
}

impl Default for WorldSize {
    fn default() -> Self {
        Self { shoppers: 2_500, marketplace: 1_400, groceries: 900, video: 900, payments: 288, events_min: 20, events_max: 60 }
    }
}

impl WorldSize {
    const fn items(&self, unit: Unit) -> usize {
        match unit {
            Unit::Marketplace => self.marketplace,
            Unit::Groceries => self.groceries,
            Unit::Video => self.video,
            Unit::Payments => self.payments,
        }
    }
}

/// One simulated person, hidden taste included.
#[derive(Clone, Debug, PartialEq)]
pub struct Shopper {
    /// For the display; not unique.
    pub name: String,
    /// Every key of the person: accounts first, at most one a business unit, then devices and sessions. All are linked.
    pub keys: Vec<SourceKey>,
    /// Themes with their weights, heaviest first; the weights sum to 1.
    pub tastes: Vec<(&'static str, f32)>,
    /// The favourite niche inside each theme of `tastes`, in the same order.
    pub niches: Vec<&'static str>,
}

impl Shopper {
    /// The person's account in a business unit.
    #[must_use]
    pub fn account(&self, bu: &str) -> Option<&SourceKey> {
        self.keys.iter().find(|key| key.bu == bu && key.kind() == KeyKind::Account)
    }
}

/// Something a shopper has never touched, and where to begin with it.
#[derive(Clone, Debug)]
pub struct NewInterest<'world> {
    /// The theme.
    pub theme: &'static str,
    /// The niche inside the theme.
    pub niche: &'static str,
    /// Where to browse: a unit in which the shopper has an account.
    pub bu: &'static str,
    /// Three items of the niche to browse, all in stock (fewer only in a world too small to have them).
    pub items: Vec<&'world Item>,
}

/// The simulated group.
#[derive(Debug)]
pub struct World {
    seed: u64,
    vocabulary: Vocabulary,
    assortment: Assortment,
    shoppers: Vec<Shopper>,
    personas: Vec<Persona>,
    footprints: Vec<Footprint>,
    links: Vec<IdentityLink>,
    history: Vec<Event>,
}

impl World {
    /// Simulates a group whose history ends at `now_ms` (milliseconds since 1970 UTC). Equal arguments give equal worlds.
    ///
    /// Cost: about 3 µs an event at opt-level 1.
    #[must_use]
    pub fn new(seed: u64, size: WorldSize, now_ms: i64) -> Self {
        let vocabulary = Vocabulary::read();
        let assortment = Assortment::stock(&vocabulary, &size, &mut stream(seed, Stream::Assortment));
        let mut world = Self {
            seed,
            vocabulary,
            assortment,
            shoppers: Vec::with_capacity(size.shoppers),
            personas: Vec::with_capacity(size.shoppers),
            footprints: Vec::with_capacity(size.shoppers),
            links: Vec::new(),
            history: Vec::new(),
        };
        for number in 0..size.shoppers {
            let mut rng = stream(seed, Stream::Shopper(number));
            let (shopper, persona) = crowd::meet(number, &world.vocabulary, &mut rng);
            world.links.extend(crowd::link(&shopper, now_ms, &mut rng));
            let shop = history::Shop { vocabulary: &world.vocabulary, assortment: &world.assortment, size: &size, now_ms };
            let (events, footprint) = shop.follow(number, &shopper, &persona, &mut rng);
            world.history.extend(events);
            world.footprints.push(footprint);
            world.shoppers.push(shopper);
            world.personas.push(persona);
        }
        // Stable sorts: equal times keep the order of shoppers, and of a shopper's own events.
        world.links.sort_by_key(|link| link.event_time_ms);
        world.history.sort_by_key(|event| event.event_time_ms);
        world
    }

    /// The business units.
    #[must_use]
    pub fn bus(&self) -> &[&'static str] {
        &Unit::NAMES
    }

    /// The catalogue, unit after unit.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.assortment.items
    }

    /// What says which keys are one person, oldest first.
    #[must_use]
    pub fn links(&self) -> &[IdentityLink] {
        &self.links
    }

    /// What everybody did in the last [`HISTORY_DAYS`] days, oldest first.
    #[must_use]
    pub fn history(&self) -> &[Event] {
        &self.history
    }

    /// The people.
    #[must_use]
    pub fn shoppers(&self) -> &[Shopper] {
        &self.shoppers
    }

    /// An item by name.
    #[must_use]
    pub fn item(&self, bu: &str, item_id: &str) -> Option<&Item> {
        self.items().get(self.position(bu, item_id)?)
    }

    /// The hidden theme of an item; of one with two, the main one.
    #[must_use]
    pub fn theme_of(&self, bu: &str, item_id: &str) -> Option<&'static str> {
        let niche = self.vocabulary.niches.get(self.assortment.niche(self.position(bu, item_id)?)?)?;
        self.vocabulary.themes.get(niche.theme).map(|theme| theme.name)
    }

    /// The hidden niche of an item.
    #[must_use]
    pub fn niche_of(&self, bu: &str, item_id: &str) -> Option<&'static str> {
        let niche = self.vocabulary.niches.get(self.assortment.niche(self.position(bu, item_id)?)?)?;
        Some(niche.name)
    }

    /// Two shoppers with no theme in common, both at home in at least three business units and with much history, as far
    /// as the crowd has such. `(0, 0)` for a crowd of fewer than two.
    #[must_use]
    pub fn contrasting_pair(&self) -> (usize, usize) {
        casting::contrasting_pair(&self.shoppers, &self.personas, &self.footprints)
    }

    /// A theme that the shopper never touched, with three items to begin with. A number beyond the crowd counts as a stranger.
    #[must_use]
    pub fn new_interest(&self, shopper: usize) -> NewInterest<'_> {
        let mut rng = stream(self.seed, Stream::NewInterest(shopper));
        let persona = self.personas.get(shopper).zip(self.footprints.get(shopper));
        casting::new_interest(&self.vocabulary, &self.assortment, persona, &mut rng)
    }

    /// The event that the storefront of `bu` writes when the shopper opens an item's page there: under the account, or
    /// under a session of their own where they have none.
    #[must_use]
    pub fn view(&self, shopper: usize, bu: &str, item_id: &str, event_time_ms: i64, event_id: String) -> Event {
        let account = self.shoppers.get(shopper).and_then(|person| person.account(bu)).cloned();
        let source = account.unwrap_or_else(|| SourceKey {
            bu: bu.to_owned(),
            kind: KeyKind::Session.into(),
            id: format!("guest-{shopper}"),
        });
        Event {
            event_id,
            event_time_ms,
            bu: bu.to_owned(),
            source: Some(source),
            r#type: EventType::View.into(),
            item_id: item_id.to_owned(),
            placement: "item.page".to_owned(),
            ..Event::default()
        }
    }

    fn position(&self, bu: &str, item_id: &str) -> Option<usize> {
        self.assortment.position(Unit::named(bu)?, item_id)
    }
}

/// A business unit of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Unit {
    Marketplace,
    Groceries,
    Video,
    Payments,
}

impl Unit {
    const ALL: [Self; 4] = [Self::Marketplace, Self::Groceries, Self::Video, Self::Payments];
    const NAMES: [&'static str; 4] =
        [Self::Marketplace.name(), Self::Groceries.name(), Self::Video.name(), Self::Payments.name()];

    const fn name(self) -> &'static str {
        match self {
            Self::Marketplace => "marketplace",
            Self::Groceries => "groceries",
            Self::Video => "video",
            Self::Payments => "payments",
        }
    }

    const fn item_prefix(self) -> &'static str {
        match self {
            Self::Marketplace => "mk",
            Self::Groceries => "gr",
            Self::Video => "vd",
            Self::Payments => "py",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == name)
    }

    /// This unit's entry of a table by unit.
    fn of<T>(self, table: &[T; Self::ALL.len()]) -> Option<&T> {
        table.get(self as usize)
    }

    /// This unit's entry of a table by unit.
    fn of_mut<T>(self, table: &mut [T; Self::ALL.len()]) -> Option<&mut T> {
        table.get_mut(self as usize)
    }
}
