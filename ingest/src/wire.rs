//! Events as they lie in a record's bytes, read without copying: they are nearly all of the log, and one costs less to read so than to
//! copy its texts out of it.
//!
//! Reads what `prost` reads, and refuses what it refuses (properties in `decode_tests.rs`, and the fuzz target `events`): unknown fields
//! pass, of a field that comes twice the last counts, and a source that comes twice is merged.

use faces_proto::v1;
use prost::encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field};

use crate::reason::{Reason, Rejection};

/// The fields of a [`v1::Event`], their texts where they lie.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct EventFields<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) event_time_ms: i64,
    pub(crate) bu: &'a str,
    pub(crate) source: Option<KeyFields<'a>>,
    pub(crate) kind: i32,
    pub(crate) item_id: &'a str,
    pub(crate) value: Option<f64>,
    pub(crate) currency: &'a str,
    pub(crate) placement: &'a str,
    pub(crate) answer_token: &'a str,
    pub(crate) query: &'a str,
    pub(crate) region: &'a str,
}

/// The fields of a [`v1::SourceKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyFields<'a> {
    pub(crate) bu: &'a str,
    pub(crate) kind: i32,
    pub(crate) id: &'a str,
}

impl<'a> From<&'a v1::Event> for EventFields<'a> {
    fn from(event: &'a v1::Event) -> Self {
        Self {
            event_id: &event.event_id,
            event_time_ms: event.event_time_ms,
            bu: &event.bu,
            source: event.source.as_ref().map(KeyFields::from),
            kind: event.r#type,
            item_id: &event.item_id,
            value: event.value,
            currency: &event.currency,
            placement: &event.placement,
            answer_token: &event.answer_token,
            query: &event.query,
            region: &event.region,
        }
    }
}

impl<'a> From<&'a v1::SourceKey> for KeyFields<'a> {
    fn from(key: &'a v1::SourceKey) -> Self {
        Self { bu: &key.bu, kind: key.kind, id: &key.id }
    }
}

impl<'a> EventFields<'a> {
    /// The event in a protobuf message.
    ///
    /// # Errors
    /// [`Reason::Undecodable`].
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, Rejection> {
        let mut event = Self::default();
        let mut bytes = Bytes(message);
        while let Some((field, wire)) = bytes.next_field()? {
            match field {
                1 => event.event_id = bytes.text(wire)?,
                2 => event.event_time_ms = bytes.number(wire)?.cast_signed(),
                3 => event.bu = bytes.text(wire)?,
                4 => event.source.get_or_insert_default().merge(bytes.part(wire)?)?,
                5 => event.kind = bytes.number(wire)? as i32,
                6 => event.item_id = bytes.text(wire)?,
                7 => event.value = Some(bytes.double(wire)?),
                8 => event.currency = bytes.text(wire)?,
                9 => event.placement = bytes.text(wire)?,
                10 => event.answer_token = bytes.text(wire)?,
                11 => event.query = bytes.text(wire)?,
                12 => event.region = bytes.text(wire)?,
                _ => bytes.skip(field, wire)?,
            }
        }
        Ok(event)
    }
}

impl<'a> KeyFields<'a> {
    fn merge(&mut self, message: &'a [u8]) -> Result<(), Rejection> {
        let mut bytes = Bytes(message);
        while let Some((field, wire)) = bytes.next_field()? {
            match field {
                1 => self.bu = bytes.text(wire)?,
                2 => self.kind = bytes.number(wire)? as i32,
                3 => self.id = bytes.text(wire)?,
                _ => bytes.skip(field, wire)?,
            }
        }
        Ok(())
    }
}

/// What is left to read of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Number and form of the next field; `None` at the end.
    fn next_field(&mut self) -> Result<Option<(u32, WireType)>, Rejection> {
        if self.0.is_empty() { Ok(None) } else { decode_key(&mut self.0).map(Some).map_err(refused) }
    }

    fn number(&mut self, wire: WireType) -> Result<u64, Rejection> {
        check_wire_type(WireType::Varint, wire).map_err(refused)?;
        decode_varint(&mut self.0).map_err(refused)
    }

    fn double(&mut self, wire: WireType) -> Result<f64, Rejection> {
        check_wire_type(WireType::SixtyFourBit, wire).map_err(refused)?;
        let (number, rest) = self.0.split_first_chunk().ok_or_else(torn)?;
        self.0 = rest;
        Ok(f64::from_le_bytes(*number))
    }

    fn part(&mut self, wire: WireType) -> Result<&'a [u8], Rejection> {
        check_wire_type(WireType::LengthDelimited, wire).map_err(refused)?;
        let length = decode_varint(&mut self.0).map_err(refused)?;
        let length = usize::try_from(length).map_err(|_| torn())?;
        let (part, rest) = self.0.split_at_checked(length).ok_or_else(torn)?;
        self.0 = rest;
        Ok(part)
    }

    fn text(&mut self, wire: WireType) -> Result<&'a str, Rejection> {
        std::str::from_utf8(self.part(wire)?).map_err(refused)
    }

    #[cold]
    fn skip(&mut self, field: u32, wire: WireType) -> Result<(), Rejection> {
        skip_field(wire, field, &mut self.0, DecodeContext::default()).map_err(refused)
    }
}

#[cold]
fn torn() -> Rejection {
    Rejection::new(Reason::Undecodable, "the message breaks off")
}

#[cold]
fn refused(error: impl std::fmt::Display) -> Rejection {
    Rejection::new(Reason::Undecodable, error.to_string())
}
