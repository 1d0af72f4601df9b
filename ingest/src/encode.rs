//! From wire messages to what goes into the log: topic, key and payload.
//!
//! Keys only spread load and keep one person's records in one partition; nothing rests on them, so they are written to be read by people.
//! Messages are taken as they are: whoever writes checks them first with [`crate::validate`].

use faces_proto::v1;
use prost::Message;
use serde::Serialize;

use crate::{Topics, decode::Format, producer::LogRecord};

/// A record for the topic of the event's business unit, keyed by its source key.
#[must_use]
pub fn event(topics: &Topics, event: &v1::Event, format: Format) -> LogRecord {
    let key = event.source.as_ref().map_or_else(String::new, key_text);
    LogRecord { topic: topics.events(&event.bu), key: key.into_bytes(), payload: payload(event, format), format }
}

/// A record for the identity topic, keyed by the pair in canonical order, so that statements on a pair stay in one partition.
#[must_use]
pub fn link(topics: &Topics, link: &v1::IdentityLink, format: Format) -> LogRecord {
    let mut ends = [&link.a, &link.b].map(|key| key.as_ref().map_or_else(String::new, key_text));
    ends.sort_unstable();
    LogRecord { topic: topics.identity(), key: ends.join("|").into_bytes(), payload: payload(link, format), format }
}

/// A record for the catalogue topic, keyed by the item.
#[must_use]
pub fn catalog(topics: &Topics, record: &v1::CatalogRecord, format: Format) -> LogRecord {
    let item = match &record.change {
        Some(v1::catalog_record::Change::Upsert(item)) => item.r#ref.as_ref(),
        Some(v1::catalog_record::Change::Delete(item)) => Some(item),
        None => None,
    };
    let key = item.map_or_else(String::new, |item| format!("{}/{}", item.bu, item.item_id));
    LogRecord { topic: topics.catalog(), key: key.into_bytes(), payload: payload(record, format), format }
}

/// A source key as text, e.g. `groceries/account/u1`. Unambiguous: only the id, which comes last, may hold a slash.
#[must_use]
pub fn key_text(key: &v1::SourceKey) -> String {
    let kind = match key.kind() {
        v1::KeyKind::Unspecified => "unspecified",
        v1::KeyKind::Account => "account",
        v1::KeyKind::Device => "device",
        v1::KeyKind::Session => "session",
        v1::KeyKind::HashedPhone => "hashed_phone",
        v1::KeyKind::HashedEmail => "hashed_email",
    };
    format!("{}/{kind}/{}", key.bu, key.id)
}

/// A message's bytes. JSON of these types can't fail except for an enum number out of range, which protobuf can carry: then it is empty.
fn payload<M: Message + Serialize>(message: &M, format: Format) -> Vec<u8> {
    match format {
        Format::Protobuf => message.encode_to_vec(),
        Format::Json => serde_json::to_vec(message).unwrap_or_default(),
    }
}
