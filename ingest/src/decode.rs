//! From a log record's bytes to a domain record, or to the reason for its dead letter.
//!
//! Two formats, told apart by the `content-type` header: protobuf (also without a header) and proto3 JSON, each bare or in the frame of a
//! schema registry (`framing.rs`). Unknown fields pass in both.
//!
//! The rule on future times lives here, because it needs the time at which the log took the record: a record that claims to be from the
//! future would stay the newest of its fragment or register for as long as it claims.

use faces_core::{catalogue::ItemChange, identity::Statement, ids::EventTime, record::EventView};
use faces_proto::v1;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Reason, TopicKind, framing,
    validate::{self, Violation},
    wire::EventFields,
};
pub use crate::{
    format::{CONTENT_TYPE, Format},
    reason::Rejection,
};

/// Limits on records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload, bytes.
    pub record_bytes_max: usize,
    /// How far ahead of its append time a record may claim to be, ms.
    pub future_tolerance_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { record_bytes_max: 1_048_576, future_tolerance_ms: 300_000 }
    }
}

/// A record of the log, decoded and checked; an event's texts lie in the payload, or in the decoder.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded<'a> {
    /// Somebody did something.
    Event(EventView<'a>),
    /// Two keys are, or are not, one person.
    Link(Statement),
    /// An item changed.
    Item(ItemChange),
}

/// A record of the log as its producer wrote it, for those who keep copies.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// Somebody did something.
    Event(v1::Event),
    /// Two keys are, or are not, one person.
    Link(v1::IdentityLink),
    /// An item changed.
    Item(v1::CatalogRecord),
}

/// Decodes and checks payloads, one thread's worth.
#[derive(Debug, Default)]
pub struct Decoder {
    json: v1::Event, // an event in JSON lies here while it is looked at; one in protobuf, in its payload
    limits: Limits,
}

impl Decoder {
    /// A decoder.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Decodes and checks the payload of one record; an empty one and none are the same.
    ///
    /// # Errors
    /// Why it belongs to the dead letters.
    pub fn decode<'a>(
        &'a mut self,
        topic: &TopicKind,
        format: Format,
        payload: &'a [u8],
        append_time: EventTime,
    ) -> Result<Decoded<'a>, Rejection> {
        let limits = self.limits;
        if payload.is_empty() {
            return Err(Rejection::new(Reason::EmptyPayload, "the record has no payload"));
        }
        if payload.len() > limits.record_bytes_max {
            let detail = format!("payload has {} bytes; at most {} are taken", payload.len(), limits.record_bytes_max);
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        let payload = framing::strip(format, payload)?;
        match topic {
            TopicKind::Events { bu } => {
                let fields = match format {
                    Format::Protobuf => EventFields::read(payload)?,
                    Format::Json => {
                        self.json = message(format, payload)?;
                        EventFields::from(&self.json)
                    }
                };
                let event = validate::event_fields(fields)?;
                if event.bu != bu {
                    let detail = format!("bu: is {:?} in the topic of {bu:?}", event.bu);
                    return Err(Rejection::new(Reason::BuMismatch, detail));
                }
                not_future("event_time_ms", event.time, append_time, &limits)?;
                Ok(Decoded::Event(event))
            }
            TopicKind::Identity => {
                let statement = validate::link(&message::<v1::IdentityLink>(format, payload)?)?;
                not_future("event_time_ms", statement.time, append_time, &limits)?;
                Ok(Decoded::Link(statement))
            }
            TopicKind::Catalog => {
                let change = validate::item_change(&message::<v1::CatalogRecord>(format, payload)?)?;
                not_future("updated_time_ms", change.time, append_time, &limits)?;
                Ok(Decoded::Item(change))
            }
            TopicKind::DeadLetters => Err(Rejection::new(Reason::UnknownTopic, "dead letters are not read")),
        }
    }

    /// As [`Self::decode`], for the whole record: with all that no profile keeps.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn written(
        &mut self,
        topic: &TopicKind,
        format: Format,
        payload: &[u8],
        append_time: EventTime,
    ) -> Result<Written, Rejection> {
        self.decode(topic, format, payload, append_time)?;
        let payload = framing::strip(format, payload)?;
        match topic {
            TopicKind::Events { .. } => message(format, payload).map(Written::Event),
            TopicKind::Identity => message(format, payload).map(Written::Link),
            TopicKind::Catalog => message(format, payload).map(Written::Item),
            TopicKind::DeadLetters => Err(Rejection::new(Reason::UnknownTopic, "dead letters are not read")),
        }
    }
}

/// Checks that a time is not further ahead of `append_time` than allowed. The server calls it with its own clock.
///
/// # Errors
/// [`Reason::FutureTime`] on `field`.
pub fn not_future(field: &str, time: EventTime, append_time: EventTime, limits: &Limits) -> Result<(), Violation> {
    let ahead_ms = time.millis().saturating_sub(append_time.millis());
    let tolerance_ms = i64::try_from(limits.future_tolerance_ms).unwrap_or(i64::MAX);
    if ahead_ms > tolerance_ms {
        let description = format!("is {ahead_ms} ms ahead of the log's clock; at most {tolerance_ms} are allowed");
        return Err(Violation::new(field, Reason::FutureTime, description));
    }
    Ok(())
}

fn message<M: Message + Default + DeserializeOwned>(format: Format, payload: &[u8]) -> Result<M, Rejection> {
    match format {
        Format::Protobuf => M::decode(payload).map_err(undecodable),
        Format::Json => json(payload).map_err(undecodable),
    }
}

/// In proto3 JSON a null says the same as no field at all, which the generated code knows of messages and optional fields only.
fn json<M: DeserializeOwned>(payload: &[u8]) -> serde_json::Result<M> {
    serde_json::from_slice(payload).or_else(|error| {
        let mut value = serde_json::from_slice(payload).unwrap_or_default();
        if drop_nulls(&mut value) > 0 { serde_json::from_value(value) } else { Err(error) }
    })
}

/// Takes fields that are null out; says how many there were.
fn drop_nulls(value: &mut Value) -> usize {
    match value {
        Value::Object(fields) => {
            let before = fields.len();
            fields.retain(|_, field| !field.is_null());
            before - fields.len() + fields.values_mut().map(drop_nulls).sum::<usize>()
        }
        Value::Array(values) => values.iter_mut().map(drop_nulls).sum(),
        _ => 0,
    }
}

fn undecodable(error: impl std::fmt::Display) -> Rejection {
    Rejection::new(Reason::Undecodable, error.to_string())
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
