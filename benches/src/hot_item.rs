//! One item that tens of thousands take every second, beside the usual trade: do live neighbours still find who is alike?
//!
//! Persons of distinct tastes take items for a month and go on doing so; for the last minutes everybody is after one item, most of
//! them visitors who take nothing else. Half of the persons take it too. What a person takes next, of their taste, is held out.
//!
//! Per minute only [`HotSize::seconds_a_minute`] are played at the full rate: postings keep the latest takers and one of every
//! minute, so those in between would change nothing but who exactly that is.

use std::sync::Arc;

use faces_core::{
    catalogue::{ItemAttributes, ItemChange},
    event::EventKind,
    ids::{EventId, EventTime, ItemId},
    key::{KeyKind, SourceKey},
    neighbours::{Fade, TAKERS_MIN},
    ranking::{Slate, SourceKind, SourceSet},
    record::{Apply as _, Event, Record, Writer},
    state::State,
};
use faces_serve::{
    engine::{Ask, Engine, EngineOptions},
    eval::SessionKnn,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::SEED;

const BU: &str = "market";
const HOT: &str = "hot";
const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
/// Days of usual trade before.
const DAYS: i64 = 30;
/// Of so many takes one is of another taste.
const STRAY: u32 = 5;
/// Of so many visitors one takes something else as well.
const CURIOUS: usize = 1_000;
/// Items an answer holds.
const WANTED: usize = 20;

/// How large a world is.
#[derive(Clone, Copy, Debug)]
pub struct HotSize {
    /// Tastes.
    pub tastes: usize,
    /// Items of one taste.
    pub items_a_taste: usize,
    /// Persons.
    pub persons: usize,
    /// Items that a person takes in the month before.
    pub takes: usize,
    /// How long the hot item has been hot, minutes.
    pub hot_minutes: i64,
    /// How many visitors take it a second; 0 for none.
    pub takers_a_second: usize,
    /// Seconds of every minute that are played.
    pub seconds_a_minute: i64,
    /// Persons who are asked for.
    pub asked: usize,
}

/// What answers were worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Persons asked for.
    pub asked: usize,
    /// Share whose next item is among the first 20.
    pub hr_20: f64,
    /// Mean of 1 / its rank, 0 where it is not.
    pub mrr_20: f64,
    /// Share of 20 places that items of the person's taste have.
    pub of_taste: f64,
}

/// What one world came to; persons who took the hot item apart from those who did not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HotFigures {
    /// Live neighbours; the persons who took the hot item first.
    pub compact: [Quality; 2],
    /// The textbook's.
    pub textbook: [Quality; 2],
    /// Events applied.
    pub events: usize,
    /// Takers of the hot item that postings hold.
    pub takers: usize,
    /// In how many of the last 30 minutes one of them took it.
    pub minutes_of_30: usize,
}

/// A person: taste, and what was taken.
struct Person {
    key: SourceKey,
    taste: usize,
    next: String,
    took_hot: bool,
}

struct World {
    engine: Engine,
    textbook: SessionKnn,
    events: usize,
}

impl World {
    fn take(&mut self, writer: &mut dyn Writer, who: &SourceKey, item: &str, time: EventTime) {
        let kind = EventKind::Purchase;
        let id = EventId::from_content(time, BU, item, kind as u8, None);
        let item_id = Some(item.to_owned());
        writer.record(&Record::Event(Event {
            source: who.clone(),
            bu: BU.into(),
            item_id,
            kind,
            time,
            id,
            value: None,
            region: None,
        }));
        self.events += 1;
        let catalogue = self.engine.state().catalogue();
        if let Some(item) = catalogue.bu(BU).and_then(|bu| catalogue.item(bu, item)) {
            self.textbook.take(who.hash(), item, time);
        }
    }
}

/// Plays the world of a size and asks. The persons and what they take are the same whatever the visitors do.
#[must_use]
pub fn figures(size: HotSize) -> HotFigures {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let engine = Engine::new(Arc::new(State::default()), EngineOptions::default());
    let state = Arc::clone(engine.state());
    let mut writer = state.writer();
    for name in (0..size.tastes * size.items_a_taste).map(|n| n.to_string()).chain([HOT.to_owned()]) {
        let attributes = ItemAttributes { title: name.clone(), ..ItemAttributes::default() };
        writer.record(&Record::Item(ItemChange {
            bu: BU.into(),
            item_id: name,
            time: NOW.plus_millis(-2 * DAYS * DAY_MS),
            attributes: Some(attributes),
        }));
    }
    let mut world = World { engine, textbook: SessionKnn::default(), events: 0 };
    let mut usual = Vec::new();
    let persons: Vec<Person> = (0..size.persons).map(|n| person(n, size, &mut usual, &mut random)).collect();
    usual.sort();
    let mut usual = usual.into_iter().peekable();
    for minute in (0..=size.hot_minutes).rev() {
        let end_ms = NOW.millis() - minute * MINUTE_MS;
        let mut due: Vec<(i64, SourceKey, String)> = Vec::new();
        while let Some((time_ms, place, item)) = usual.next_if(|(time_ms, ..)| *time_ms < end_ms) {
            due.extend(persons.get(place).map(|person| (time_ms, person.key.clone(), item)));
        }
        if minute < size.hot_minutes {
            visitors(end_ms, size, &mut random, &mut due);
        }
        due.sort_by_key(|(time_ms, ..)| *time_ms);
        for (time_ms, who, item) in &due {
            world.take(&mut *writer, who, item, EventTime::from_millis(*time_ms));
        }
    }
    drop(writer);
    state.settle();
    ask(&world, &persons, size)
}

/// Adds what a person takes: (time, person, item).
fn person(n: usize, size: HotSize, usual: &mut Vec<(i64, usize, String)>, random: &mut impl Rng) -> Person {
    let taste = n % size.tastes;
    let draw = |random: &mut dyn Rng| {
        let of_taste = if random.random_ratio(1, STRAY) { random.random_range(0..size.tastes) } else { taste };
        // Within a taste, some items are more popular.
        let item = (random.random_range(0.0_f64..1.0).powi(2) * size.items_a_taste as f64) as usize;
        (of_taste, (of_taste * size.items_a_taste + item).to_string())
    };
    let hot_ms = size.hot_minutes * MINUTE_MS;
    let mut taken = Vec::new();
    for at in 0..=size.takes {
        // The last one is of the time when everybody else is after something.
        let before_ms = if at < size.takes { random.random_range(hot_ms..DAYS * DAY_MS) } else { random.random_range(1..hot_ms) };
        let (_, item) = draw(random);
        usual.push((NOW.millis() - before_ms, n, item.clone()));
        taken.push(item);
    }
    let hot_before_ms = random.random_range(1..hot_ms);
    let took_hot = (n / size.tastes).is_multiple_of(2);
    if took_hot {
        usual.push((NOW.millis() - hot_before_ms, n, HOT.to_owned()));
    }
    let next = loop {
        let (of_taste, item) = draw(random);
        if of_taste == taste && !taken.contains(&item) {
            break item;
        }
    };
    let key = SourceKey::new(BU, KeyKind::Account, &format!("person {n}")).expect("a sound key");
    Person { key, taste, next, took_hot }
}

/// Adds the visitors of the minute that ends at `end_ms`.
fn visitors(end_ms: i64, size: HotSize, random: &mut impl Rng, due: &mut Vec<(i64, SourceKey, String)>) {
    let takers = size.takers_a_second * size.seconds_a_minute as usize;
    for n in 0..takers {
        let time_ms = end_ms - 1 - (n as i64 * size.seconds_a_minute * 1_000 / takers as i64);
        let key = SourceKey::new(BU, KeyKind::Account, &format!("visitor {end_ms} {n}")).expect("a sound key");
        if n.is_multiple_of(CURIOUS) {
            let other = random.random_range(0..size.tastes * size.items_a_taste);
            due.push((time_ms, key.clone(), other.to_string()));
        }
        due.push((time_ms, key, HOT.to_owned()));
    }
}

fn ask(world: &World, persons: &[Person], size: HotSize) -> HotFigures {
    let (engine, state) = (&world.engine, world.engine.state());
    let catalogue = state.catalogue();
    let bu = catalogue.bu(BU).expect("the unit has items");
    let mut figures = HotFigures { events: world.events, ..HotFigures::default() };
    for person in persons.iter().take(size.asked) {
        let keys = [person.key.clone()];
        let alone = SourceSet::of(SourceKind::Neighbours);
        let ask = Ask { sources: alone, wanted: WANTED + 1, ..Ask::new(&keys, bu, NOW) };
        let mut scores = world.textbook.scores(person.key.hash());
        scores.retain(|(item, _)| world.textbook.takers(*item) >= TAKERS_MIN);
        let slates = [engine.recommend(&ask).slate, engine.slate_of(&ask, &scores)];
        let side = usize::from(!person.took_hot);
        for (quality, slate) in [&mut figures.compact, &mut figures.textbook].into_iter().zip(&slates) {
            quality.get_mut(side).into_iter().for_each(|quality| quality.add(slate, person, size, state));
        }
    }
    figures.compact.iter_mut().chain(&mut figures.textbook).for_each(Quality::divide);
    let hot = catalogue.item(bu, HOT).expect("the hot item is known");
    (figures.takers, figures.minutes_of_30) = spread(state, hot);
    figures
}

impl Quality {
    fn add(&mut self, slate: &Slate, person: &Person, size: HotSize, state: &State) {
        let names = slate.items.iter().filter_map(|candidate| state.catalogue().item_name(candidate.item));
        // Whoever lacks it may well be offered the hot item; what else they are offered is the question here.
        let names: Vec<&str> = names.filter(|name| *name != HOT).take(WANTED).collect();
        let is_of_taste = |name: &&&str| name.parse::<usize>().is_ok_and(|item| item / size.items_a_taste == person.taste);
        self.asked += 1;
        self.of_taste += names.iter().filter(is_of_taste).count() as f64 / WANTED as f64;
        if let Some(place) = names.iter().position(|name| *name == person.next) {
            self.hr_20 += 1.0;
            self.mrr_20 += 1.0 / (place as f64 + 1.0);
        }
    }

    fn divide(&mut self) {
        let asked = self.asked.max(1) as f64;
        [&mut self.hr_20, &mut self.mrr_20, &mut self.of_taste].into_iter().for_each(|sum| *sum /= asked);
    }
}

/// How many takers of the hot item are held, and in how many of the last 30 minutes one of them took it.
fn spread(state: &State, hot: ItemId) -> (usize, usize) {
    const HALF_HOUR: f32 = 30.0;
    let fade = Fade::new(HALF_HOUR / 1_440.0, 0.0);
    let (mut takers, mut minutes) = (0, std::collections::BTreeSet::new());
    state.neighbours().takers(std::iter::once(hot), |_, line| {
        takers += 1;
        state.neighbours().faded(line, NOW, &fade, |item, faded| {
            let age_minutes = -faded.log2() * HALF_HOUR;
            if item == hot && age_minutes < 30.5 {
                minutes.insert(age_minutes.round() as usize);
            }
        });
    });
    (takers, minutes.range(1..=30).count())
}
