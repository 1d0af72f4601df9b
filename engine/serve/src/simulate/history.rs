//! What a shopper did: sessions in one business unit and mostly one niche, each a row of visits to items.

use std::collections::HashSet;

use faces_proto::v1::{Event, EventType, Item, KeyKind, SourceKey};
use rand::{Rng, RngExt, seq::IndexedRandom};

use super::{
    DAY_MS, HISTORY_DAYS, Shopper, Unit, WorldSize,
    assortment::Assortment,
    crowd::{Persona, Taste},
    draw,
    vocabulary::Vocabulary,
};

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600 * SECOND_MS;

/// Japan is nine hours ahead of UTC, all year.
const UTC_OFFSET_MS: i64 = 9 * HOUR_MS;

/// Hours of the day at which sessions begin, repeated by weight: lunch and the evening.
const HOURS: [i64; 20] = [7, 8, 9, 10, 11, 12, 12, 13, 15, 17, 18, 19, 19, 20, 20, 21, 21, 21, 22, 22];

/// No session lasts longer, so that one begun this long before the end of history ends in time.
const SESSION_MS_MAX: i64 = 2 * HOUR_MS;

/// Share of visits that go to what everybody looks at, whatever the taste.
const NOISE_SHARE: f64 = 0.10;

/// Share of visits in a session that drift to another niche of the theme.
const DRIFT_SHARE: f64 = 0.12;

/// Shares of a taste's sessions in its favourite niche, its second, and any of the theme's.
const NICHE_SHARES: [f32; 3] = [0.65, 0.25, 0.10];

/// Share of sessions under a device or session key, where there is one.
const OTHER_KEY_SHARE: f64 = 0.35;

/// Draws of an item before one that the person has already seen will do.
const FRESH_DRAWS: usize = 5;

/// The group as a shopper finds it.
pub(super) struct Shop<'world> {
    pub(super) vocabulary: &'world Vocabulary,
    pub(super) assortment: &'world Assortment,
    pub(super) size: &'world WorldSize,
    pub(super) now_ms: i64,
}

/// What a shopper's history comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Footprint {
    pub(super) events: usize,
    pub(super) events_by_unit: [usize; Unit::ALL.len()],
    /// Visits to items of each theme, second themes of items included.
    pub(super) visits_by_theme: Vec<u32>,
}

/// Shares of visits that go on to more than a view.
struct Habits {
    favourite: f64,
    cart: f64,
    /// Of what was put in the cart; of every visit where there is no cart.
    purchase: f64,
    rating: f64,
    returned: f64,
    dislike: f64,
}

impl Habits {
    /// What people do in a unit with what suits their taste, and with what doesn't.
    const fn of(unit: Unit, in_taste: bool) -> Self {
        let suits = match unit {
            Unit::Marketplace => {
                Self { favourite: 0.15, cart: 0.22, purchase: 0.55, rating: 0.40, returned: 0.08, dislike: 0.01 }
            }
            Unit::Groceries => Self { favourite: 0.08, cart: 0.45, purchase: 0.75, rating: 0.10, returned: 0.0, dislike: 0.01 },
            Unit::Video => Self { favourite: 0.20, cart: 0.0, purchase: 0.45, rating: 0.35, returned: 0.0, dislike: 0.02 },
            Unit::Payments => Self { favourite: 0.10, cart: 0.0, purchase: 0.30, rating: 0.05, returned: 0.0, dislike: 0.01 },
        };
        if in_taste {
            return suits;
        }
        Self { favourite: 0.02, cart: suits.cart * 0.3, purchase: suits.purchase * 0.3, dislike: 0.05, ..suits }
    }
}

impl Shop<'_> {
    /// The events of one shopper in the order in which they came about, and what they come to.
    pub(super) fn follow(
        &self,
        number: usize,
        shopper: &Shopper,
        persona: &Persona,
        rng: &mut impl Rng,
    ) -> (Vec<Event>, Footprint) {
        let events_max = self.size.events_max.max(self.size.events_min);
        let target = rng.random_range(self.size.events_min..=events_max);
        let footprint = Footprint { visits_by_theme: vec![0; self.vocabulary.themes.len()], ..Footprint::default() };
        let mut walk = Walk { shop: self, number, shopper, events: Vec::new(), seen: HashSet::new(), footprint };
        for session in 0..target {
            if walk.events.len() >= target {
                break;
            }
            // Every account is used before habit decides.
            let habit = draw::weighted(rng, persona.units.iter().map(|unit| unit.traffic()));
            let choice = if session < persona.units.len() { session } else { habit };
            let taste = persona.tastes.get(draw::weighted(rng, persona.tastes.iter().map(|taste| taste.weight)));
            if let (Some(unit), Some(taste)) = (persona.units.get(choice), taste) {
                walk.session(*unit, taste, target, rng);
            }
        }
        walk.footprint.events = walk.events.len();
        (walk.events, walk.footprint)
    }

    fn item(&self, position: usize) -> Option<&Item> {
        self.assortment.items.get(position)
    }

    /// Themes of an item, by position.
    fn themes(&self, position: usize) -> impl Iterator<Item = usize> {
        let niche = self.assortment.niche(position).and_then(|niche| self.vocabulary.niches.get(niche));
        let also = niche.and_then(|niche| niche.also);
        niche.map(|niche| niche.theme).into_iter().chain(also)
    }

    /// When a session begins: a day of the history, and an hour of that day in Japan.
    fn begin_ms(&self, rng: &mut impl Rng) -> i64 {
        let midnight_ms = (self.now_ms + UTC_OFFSET_MS).div_euclid(DAY_MS) * DAY_MS - UTC_OFFSET_MS;
        let hour = HOURS.choose(rng).copied().unwrap_or_default();
        let days_ago = rng.random_range(0..HISTORY_DAYS - 1);
        let begin_ms = midnight_ms - days_ago * DAY_MS + hour * HOUR_MS + rng.random_range(0..HOUR_MS);
        if begin_ms + SESSION_MS_MAX > self.now_ms { begin_ms - DAY_MS } else { begin_ms }
    }
}

/// One shopper's history as it grows.
struct Walk<'world> {
    shop: &'world Shop<'world>,
    number: usize,
    shopper: &'world Shopper,
    events: Vec<Event>,
    seen: HashSet<usize>,
    footprint: Footprint,
}

/// An item, looked at under one key.
struct Visit<'world> {
    unit: Unit,
    source: &'world SourceKey,
    item: &'world Item,
}

impl<'world> Walk<'world> {
    fn session(&mut self, unit: Unit, taste: &Taste, target: usize, rng: &mut impl Rng) {
        let shop = self.shop;
        let Some(source) = self.source(unit, rng) else { return };
        let visits = match unit {
            Unit::Payments => rng.random_range(1..=3),
            Unit::Marketplace | Unit::Groceries | Unit::Video => rng.random_range(3..=7),
        };
        let niche = match draw::weighted(rng, NICHE_SHARES) {
            favourite @ (0 | 1) => taste.niches.get(favourite),
            _ => taste.niches.choose(rng),
        };
        let mut time_ms = shop.begin_ms(rng);
        for _ in 0..visits {
            if self.events.len() >= target {
                return;
            }
            let in_taste = !rng.random_bool(NOISE_SHARE);
            let here = if rng.random_bool(DRIFT_SHARE) { taste.niches.choose(rng) } else { niche };
            let Some(position) = self.pick(unit, here.filter(|_| in_taste).copied(), rng) else { continue };
            let Some(item) = shop.item(position) else { continue };
            self.seen.insert(position);
            for theme in shop.themes(position) {
                self.footprint.visits_by_theme.get_mut(theme).into_iter().for_each(|visits| *visits += 1);
            }
            time_ms = self.visit(&Visit { unit, source, item }, &Habits::of(unit, in_taste), time_ms, rng);
            time_ms += rng.random_range(20..240) * SECOND_MS;
        }
    }

    /// An item of a niche, or of the whole unit without one; rather one that the person hasn't seen.
    fn pick(&self, unit: Unit, niche: Option<usize>, rng: &mut impl Rng) -> Option<usize> {
        let shelf = niche.map(|niche| self.shop.assortment.shelf(niche, unit)).filter(|shelf| !shelf.is_empty());
        let mut position = None;
        for _ in 0..FRESH_DRAWS {
            position = match shelf {
                Some(shelf) => shelf.get(draw::rank_gentle(rng, shelf.len())).copied(),
                None => {
                    let popular = self.shop.assortment.popular(unit);
                    popular.get(draw::rank_steep(rng, popular.len())).copied()
                }
            };
            if position.is_some_and(|position| !self.seen.contains(&position)) {
                break;
            }
        }
        position
    }

    /// The key under which a session runs.
    fn source(&self, unit: Unit, rng: &mut impl Rng) -> Option<&'world SourceKey> {
        let other = self.shopper.keys.iter().find(|key| key.bu == unit.name() && key.kind() != KeyKind::Account);
        other.filter(|_| rng.random_bool(OTHER_KEY_SHARE)).or_else(|| self.shopper.account(unit.name()))
    }

    /// One visit and what follows from it; returns when the visit itself was over.
    fn visit(&mut self, visit: &Visit<'_>, habits: &Habits, begin_ms: i64, rng: &mut impl Rng) -> i64 {
        let (lead, placement) = match draw::weighted(rng, [0.45, 0.25, 0.20, 0.10]) {
            0 => (None, "item.similar"),
            1 => (Some(EventType::Impression), "home.top"),
            2 => (Some(EventType::Click), "home.top"),
            _ => (Some(EventType::Search), "search.results"),
        };
        let mut steps: Vec<EventType> = lead.into_iter().chain([EventType::View]).collect();
        let has_cart = habits.cart > 0.0;
        let in_cart = rng.random_bool(habits.cart);
        let bought = (in_cart || !has_cart) && rng.random_bool(habits.purchase);
        let disliked = !in_cart && !bought && rng.random_bool(habits.dislike);
        steps.extend((!disliked && rng.random_bool(habits.favourite)).then_some(EventType::Favourite));
        steps.extend(in_cart.then_some(EventType::Cart));
        steps.extend(bought.then_some(EventType::Purchase));
        steps.extend(disliked.then_some(EventType::Dislike));
        let mut time_ms = begin_ms;
        for step in steps {
            self.record(visit, step, None, placement, time_ms);
            time_ms += rng.random_range(3..30) * SECOND_MS + rng.random_range(0..SECOND_MS);
        }
        if bought {
            self.follow_up(visit, habits, time_ms, rng);
        }
        time_ms
    }

    /// Days after a purchase: sent back, or rated. What would lie beyond the end of history has not happened yet.
    fn follow_up(&mut self, visit: &Visit<'_>, habits: &Habits, bought_ms: i64, rng: &mut impl Rng) {
        let later_ms = bought_ms + rng.random_range(DAY_MS..6 * DAY_MS);
        let returned = rng.random_bool(habits.returned);
        let rated = !returned && rng.random_bool(habits.rating);
        if later_ms > self.shop.now_ms {
            return;
        }
        if returned {
            self.record(visit, EventType::Return, None, "account.orders", later_ms);
        }
        if rated {
            let stars = [2.0, 3.0, 4.0, 4.0, 5.0, 5.0].choose(rng).copied();
            self.record(visit, EventType::Rating, stars, "account.orders", later_ms);
        }
    }

    fn record(&mut self, visit: &Visit<'_>, kind: EventType, stars: Option<f64>, placement: &str, event_time_ms: i64) {
        let paid = visit.item.price.filter(|_| kind == EventType::Purchase);
        let searched = if kind == EventType::Search { visit.item.categories.last() } else { None };
        visit.unit.of_mut(&mut self.footprint.events_by_unit).into_iter().for_each(|events| *events += 1);
        self.events.push(Event {
            event_id: format!("sim-{}-{}", self.number, self.events.len()),
            event_time_ms,
            bu: visit.unit.name().to_owned(),
            source: Some(visit.source.clone()),
            r#type: kind.into(),
            item_id: visit.item.r#ref.as_ref().map(|item| item.item_id.clone()).unwrap_or_default(),
            value: paid.or(stars),
            currency: paid.map(|_| visit.item.currency.clone()).unwrap_or_default(),
            placement: placement.to_owned(),
            answer_token: String::new(),
            query: searched.map(|words| words.to_lowercase()).unwrap_or_default(),
            region: String::new(),
        });
    }
}
