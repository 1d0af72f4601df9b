//! A group of four business units that share their customers, after some months of trade.

use std::sync::Arc;

use faces_core::{
    catalogue::{ItemAttributes, ItemChange},
    event::EventKind,
    identity::{Confidence, Evidence, Operation, Statement},
    ids::{EventId, EventTime},
    key::{KeyKind, SourceKey},
    record::{Apply, Event, Record, Writer},
    state::State,
};
use rand::{Rng, RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::{SEED, vectors::TOPICS};

/// The business units.
pub const BUS: [&str; 4] = ["market", "grocer", "cinema", "travel"];
/// When the benches ask.
pub const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);
const DAY_MS: i64 = 86_400_000;

/// How large a group is.
#[derive(Clone, Copy, Debug)]
pub struct GroupSize {
    /// Items of all units together.
    pub items: usize,
    /// Persons; each has an account in two units, linked.
    pub persons: usize,
    /// Behaviours a person.
    pub behaviours: usize,
}

/// A group: the state, and what it was made of.
pub struct Group {
    /// What the log says.
    pub state: Arc<State>,
    /// Topic of each item by [`faces_core::ids::ItemId::position`].
    pub topics: Vec<usize>,
    /// The first account of each person; unit by unit in turn, as [`BUS`] has them.
    pub persons: Vec<SourceKey>,
}

impl Group {
    /// The group of a size, from [`SEED`].
    #[must_use]
    pub fn new(size: GroupSize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let state = State::default();
        let mut writer = state.writer();
        let topics: Vec<usize> = (0..size.items).map(|_| random.random_range(0..TOPICS)).collect();
        for (n, topic) in topics.iter().enumerate() {
            writer.record(&Record::Item(item(n, *topic, &mut random)));
        }
        let mut shelves: Shelves = vec![Default::default(); TOPICS];
        for (n, topic) in topics.iter().enumerate() {
            let shelf = shelves.get_mut(*topic).and_then(|units| units.get_mut(n % BUS.len()));
            shelf.into_iter().for_each(|items| items.push(n));
        }
        let persons = (0..size.persons).map(|n| person(&mut *writer, n, size.behaviours, &shelves, &mut random)).collect();
        drop(writer);
        state.settle();
        Self { state: Arc::new(state), topics, persons }
    }
}

fn unit_of(item: usize) -> &'static str {
    BUS.get(item % BUS.len()).copied().unwrap_or("market")
}

fn item(n: usize, topic: usize, random: &mut impl Rng) -> ItemChange {
    let age_days = random.random_range(0..700);
    let attributes = ItemAttributes {
        title: format!("thing {n} of topic {topic}"),
        categories: vec![format!("topic {}", topic / 8), format!("topic {topic}")],
        brand: format!("brand {}", random.random_range(0..500)),
        price: Some(f64::from(random.random_range(100..100_000)) / 100.0),
        currency: "EUR".into(),
        sold_out: random.random_bool(0.02),
        ..ItemAttributes::default()
    };
    let time = NOW.plus_millis(-age_days * DAY_MS);
    ItemChange { bu: unit_of(n).into(), item_id: format!("item-{n}"), time, attributes: Some(attributes) }
}

/// Items by topic and unit.
type Shelves = Vec<[Vec<usize>; BUS.len()]>;

/// One person: two accounts, two topics, most behaviours inside them and on what everybody wants.
fn person(log: &mut dyn Writer, n: usize, behaviours: usize, shelves: &Shelves, random: &mut impl Rng) -> SourceKey {
    const KINDS: [EventKind; 6] =
        [EventKind::View, EventKind::View, EventKind::View, EventKind::Click, EventKind::Cart, EventKind::Purchase];
    let account = |bu| SourceKey::new(bu, KeyKind::Account, &format!("user-{n}")).expect("a sound key");
    let keys = [account(unit_of(n)), account(unit_of(n + 1))];
    let [a, b] = keys.clone();
    let link = Statement::new(a, b, Evidence::Login, Operation::Link, Confidence::FULL, NOW.plus_millis(-90 * DAY_MS));
    log.record(&Record::Link(link.expect("two keys")));
    let tastes = [random.random_range(0..TOPICS), random.random_range(0..TOPICS)];
    for at in 0..behaviours {
        let topic = if random.random_bool(0.8) { tastes[at / 2 % 2] } else { random.random_range(0..TOPICS) };
        let shelf = shelves.get(topic).and_then(|units| units.get((n + at % 2) % BUS.len()));
        let items = shelf.map(Vec::as_slice).unwrap_or_default();
        // The square leans to the head: what is popular.
        let place = random.random_range(0.0..1.0_f64).powi(2) * items.len() as f64;
        let Some(item) = items.get(place as usize) else { continue };
        let (bu, item_id) = (unit_of(*item).to_owned(), format!("item-{item}"));
        let id = EventId::from_text(&format!("{n}-{at}"), &bu, &item_id);
        let source = keys[at % 2].clone();
        let kind = KINDS.choose(random).copied().unwrap_or(EventKind::View);
        let time = NOW.plus_millis(-random.random_range(0..60 * DAY_MS));
        log.record(&Record::Event(Event { source, bu, item_id: Some(item_id), kind, time, id, value: None, region: None }));
    }
    let [first, _] = keys;
    first
}
