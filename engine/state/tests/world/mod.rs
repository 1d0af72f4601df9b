//! Random records, states made of them, and what they look like.
#![allow(dead_code, reason = "every test uses a part")]

use std::sync::Arc;

use faces_core::{
    catalogue::{ItemAttributes, ItemChange},
    digest::Digest,
    event::EventKind,
    identity::{Confidence, Evidence, Operation, Statement},
    ids::{EventId, EventTime},
    key::{KeyKind, SourceKey},
    record::{Apply, Event, Record},
    state::{Cut, State, StateOptions},
};
use faces_state::{ImageStore, Options, StateError};
use proptest::prelude::*;

pub const DAY: i64 = 86_400_000;

fn key(n: u32) -> SourceKey {
    let kind = if n.is_multiple_of(3) { KeyKind::Device } else { KeyKind::Account };
    SourceKey::new(if n.is_multiple_of(2) { "shop" } else { "food" }, kind, &format!("u{n}")).unwrap()
}

pub fn event(who: u32, item: u32, kind: usize, time: i64) -> Record {
    let source = key(who);
    let bu = if item.is_multiple_of(2) { "shop" } else { "food" };
    let (name, time) = (format!("i{item}"), EventTime::from_millis(time));
    let kind = EventKind::NAMES[kind % EventKind::NAMES.len()].0;
    let id = EventId::from_content(time, bu, &name, kind as u8, None);
    let value = (kind == EventKind::Rating).then_some(4.5);
    Record::Event(Event { source, bu: bu.to_owned(), item_id: Some(name), kind, time, id, value, region: None })
}

fn link(a: u32, b: u32, time: i64, is_link: bool) -> Option<Record> {
    let operation = if is_link { Operation::Link } else { Operation::Unlink };
    let time = EventTime::from_millis(time);
    Statement::new(key(a), key(b), Evidence::Login, operation, Confidence::new(0.7)?, time).map(Record::Link)
}

fn item(item: u32, time: i64, price: Option<u8>, gone: bool) -> Record {
    let attributes = ItemAttributes {
        title: format!("title {item} é"),
        categories: vec!["a".into(), format!("c{}", item % 3)],
        price: price.map(f64::from),
        tags: vec!["t".into()],
        sold_out: time % 3 == 0,
        embedding: vec![0.5, -1.0],
        ..ItemAttributes::default()
    };
    let bu = if item.is_multiple_of(2) { "shop" } else { "food" };
    let time = EventTime::from_millis(time);
    Record::Item(ItemChange { bu: bu.into(), item_id: format!("i{item}"), time, attributes: (!gone).then_some(attributes) })
}

pub fn record() -> impl Strategy<Value = Record> {
    // Times over 40 days, so that a retention of 30 lets go of some.
    prop_oneof![
        20 => (0..60_u32, 0..30_u32, 0..11_usize, 0..40 * DAY).prop_map(|(who, what, kind, time)| event(who, what, kind, time)),
        4 => (0..60_u32, 0..60_u32, 0..1000_i64, any::<bool>()).prop_filter_map("differ", |(a, b, t, is)| link(a, b, t, is)),
        3 => (0..40_u32, 0..100_i64, any::<Option<u8>>(), any::<bool>()).prop_map(|(n, t, price, gone)| item(n, t, price, gone)),
    ]
}

pub fn records(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Record>> {
    proptest::collection::vec(record(), count)
}

pub fn state() -> Arc<State> {
    Arc::new(State::new(StateOptions { retention_days: 30, ..StateOptions::default() }))
}

pub fn apply(state: &State, records: &[Record]) {
    let mut writer = state.writer();
    for record in records {
        match record {
            Record::Event(event) => _ = writer.event(&event.view()),
            Record::Link(statement) => _ = writer.link(statement),
            Record::Item(change) => _ = writer.item(change),
        }
    }
    writer.flush();
}

pub fn cut(state: &Arc<State>) -> Cut {
    state.cut().expect("nobody else cuts")
}

pub fn digest(state: &Arc<State>) -> Digest {
    Digest::of(&cut(state))
}

pub fn digest_of(records: &[Record]) -> Digest {
    let state = state();
    apply(&state, records);
    digest(&state)
}

/// A store, and a state it was loaded into.
pub fn open(
    folder: &std::path::Path,
    options: Options,
) -> Result<(ImageStore, Arc<State>, Option<faces_state::Loaded>), StateError> {
    let mut store = ImageStore::open(folder, options)?;
    let state = state();
    let loaded = store.load(&state, &|_| ())?;
    Ok((store, state, loaded))
}
