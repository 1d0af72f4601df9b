//! The events of a preloaded log: a crowd that acts evenly, so that no cache of the server's is flattered by a few busy people.

use std::fmt::Write as _;

use faces_proto::v1::{Event, EventType, KeyKind, SourceKey};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Who acts on what.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Business unit of people and items.
    pub bu: String,
    /// How many people; each has an account, named as [`crate::people::People::numbered`] does, and a device.
    pub people: u32,
    /// On what.
    pub items: Items,
}

/// What is acted on, evenly.
#[derive(Clone, Debug)]
pub enum Items {
    /// So many items of made-up names.
    Numbered(u32),
    /// Items by their names; at least one.
    Named(Vec<String>),
}

/// Encoded events, one after the other, about 120 bytes each. The same seed gives the same events.
#[derive(Debug)]
pub struct Events {
    crowd: Crowd,
    random: ChaCha8Rng,
    start_ms: i64,
    span_ms: i64,
    total: u64,
    number: u64,
    event: Event,
    key: String,
    payload: Vec<u8>,
}

impl Events {
    /// `total` events whose times rise from `start_ms` over `span_ms`.
    #[must_use]
    pub fn new(crowd: Crowd, total: u64, start_ms: i64, span_ms: i64, seed: u64) -> Self {
        let source = SourceKey { bu: crowd.bu.clone(), ..SourceKey::default() };
        let event = Event { bu: crowd.bu.clone(), source: Some(source), placement: "home.top".to_owned(), ..Event::default() };
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { crowd, random, start_ms, span_ms, total, number: 0, event, key: String::new(), payload: Vec::new() }
    }

    /// The next event as key and payload; `None` after the last.
    pub fn advance(&mut self) -> Option<(&str, &[u8])> {
        if self.number == self.total {
            return None;
        }
        let share = self.number as f64 / self.total as f64;
        self.event.event_time_ms = self.start_ms + (share * self.span_ms as f64) as i64;
        Some(self.draw())
    }

    /// One more event, at `time_ms`, whatever the total is.
    pub fn next_at(&mut self, time_ms: i64) -> (&str, &[u8]) {
        self.event.event_time_ms = time_ms;
        self.draw()
    }

    fn draw(&mut self) -> (&str, &[u8]) {
        self.number += 1;
        let person: u32 = self.random.random_range(0..self.crowd.people.max(1));
        let (kind, kind_name, letter) =
            if self.random.random() { (KeyKind::Account, "account", 'u') } else { (KeyKind::Device, "device", 'd') };
        let source = self.event.source.get_or_insert_default();
        source.kind = kind.into();
        source.id.clear();
        self.key.clear();
        self.event.item_id.clear();
        self.event.event_id.clear();
        self.event.answer_token.clear();
        match &self.crowd.items {
            Items::Numbered(count) => write!(self.event.item_id, "item-{:08}", self.random.random_range(0..(*count).max(1))).ok(),
            Items::Named(names) => {
                let place = self.random.random_range(0..names.len().max(1));
                names.get(place).map(|name| self.event.item_id.push_str(name))
            }
        };
        let (high, low): (u64, u64) = (self.random.random(), self.random.random());
        // Strings take everything.
        write!(source.id, "{letter}{}", person.saturating_add(1)).ok();
        write!(self.key, "{}/{kind_name}/{}", self.crowd.bu, source.id).ok();
        write!(self.event.event_id, "{high:016x}{low:016x}{:x}", self.number).ok();
        write!(self.event.answer_token, "{:016x}", high ^ low.rotate_left(17)).ok();
        self.event.set_type(match self.number % 16 {
            0 => EventType::Purchase,
            1 | 2 => EventType::Cart,
            3..=6 => EventType::Click,
            _ => EventType::View,
        });
        self.payload.clear();
        self.event.encode(&mut self.payload).ok(); // a vector takes everything
        (&self.key, &self.payload)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn events_are_as_promised() {
        let crowd = Crowd { bu: "shop".to_owned(), people: 50, items: Items::Numbered(10) };
        let mut events = Events::new(crowd.clone(), 5_000, 1_700_000_000_000, 1_000_000, 7);
        let (mut bytes, mut keys, mut items, mut ids, mut last) = (0, BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), 0);
        while let Some((key, payload)) = events.advance() {
            bytes += payload.len();
            let event = Event::decode(payload).unwrap();
            assert!(event.event_time_ms >= last && event.event_time_ms < 1_700_001_000_000);
            last = event.event_time_ms;
            assert!(key.starts_with("shop/") && key.ends_with(&event.source.clone().unwrap().id), "{key}");
            keys.insert(key.to_owned());
            items.insert(event.item_id);
            ids.insert(event.event_id);
        }
        assert_eq!((keys.len(), items.len(), ids.len()), (100, 10, 5_000), "two keys each, and no id twice");
        assert!((108..=130).contains(&(bytes / 5_000)), "{} bytes an event", bytes / 5_000);
        let named = Crowd { items: Items::Named(vec!["i1".to_owned()]), ..crowd.clone() };
        let mut events = Events::new(named, 1, 0, 1, 1);
        assert_eq!(events.advance().map(|(_, payload)| Event::decode(payload).unwrap().item_id).as_deref(), Some("i1"));
        let first = |seed| Events::new(crowd.clone(), 1, 0, 1, seed).advance().map(|(_, payload)| payload.to_vec());
        assert!(first(1) == first(1) && first(1) != first(2));
    }
}
