//! Dead letters for people: reading what was refused, judging it anew, and writing it back to where it came from.
//!
//! The format is that of the consumer's writer of letters: the refused record whole, its address and the reason in headers. Each replica
//! writes its own copy of a letter, so letters are told apart by the address of the refused record, and copies are counted.

mod read;
mod redrive;

use std::{
    collections::BTreeSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
};

use faces_core::ids::EventTime;
use faces_proto::v1;
use rdkafka::{Message, error::KafkaError, message::Headers};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

pub use self::{
    read::{Reading, Selection, read},
    redrive::{Delivery, Redriver},
};
use crate::{
    Reason, TopicKind, Topics,
    decode::{CONTENT_TYPE, Decoder, Format, Limits, Rejection},
    framing,
};

/// Header of a record that was written back: the address that its letter names.
pub const REDRIVEN_FROM: &str = "faces-redriven-from";

/// Why letters could not be read or written back.
#[derive(Debug, Error)]
pub enum LettersError {
    /// A client property is refused.
    #[error("a property of the kafka client is refused: check kafka.extra")]
    Client(#[source] KafkaError),
    /// The brokers did not answer.
    #[error("brokers {brokers} don't answer: check that they run and that kafka.brokers names them")]
    Unreachable {
        /// The brokers asked.
        brokers: String,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// There is no topic of dead letters.
    #[error("there is no topic {topic}: check kafka.topic_prefix; if it is right, no server has made its topics yet")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// Reading did not come to its end.
    #[error(
        "reading {topic} stopped after {read} records, {left} before the end: the brokers gave nothing for {seconds} s; try again"
    )]
    Stalled {
        /// Which topic.
        topic: String,
        /// Records read.
        read: u64,
        /// Records that should be there.
        left: i64,
        /// How long nothing came.
        seconds: u64,
    },
    /// More payload than is held in memory.
    #[error("the letters that match hold more than {bytes_max} bytes: narrow them by --topic, --reason, --since or --until")]
    TooMuch {
        /// The bound.
        bytes_max: usize,
    },
}

/// Where a refused record lies, written `topic/partition@offset`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Address {
    /// Topic of the refused record.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.rsplit_once('/').and_then(|(topic, place)| {
            let (partition, offset) = place.split_once('@')?;
            let (partition, offset): (i32, i64) = (partition.parse().ok()?, offset.parse().ok()?);
            let is_sound = !topic.is_empty() && partition >= 0 && offset >= 0;
            is_sound.then(|| Self { topic: topic.to_owned(), partition, offset })
        });
        parsed.ok_or_else(|| format!("{text:?} is no address: write it as topic/partition@offset, as `faces dlq list` does"))
    }
}

/// A refused record, as its letter has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where the refused record lies.
    pub address: Address,
    /// When the first copy of the letter was written.
    pub time: EventTime,
    /// Code of the reason, as the server gave it (it may be of a later version than this program).
    pub reason: String,
    /// The reason in words.
    pub detail: String,
    /// Groups of the replicas that wrote it.
    pub groups: BTreeSet<String>,
    /// How often it was written.
    pub copies: u64,
    /// Key of the record.
    pub key: Option<Vec<u8>>,
    /// Its `content-type` header.
    pub content_type: Option<Vec<u8>>,
    /// Bytes of its payload in the letter.
    pub size: usize,
    /// Bytes of its whole payload, where the letter holds only the beginning.
    pub truncated_from: Option<u64>,
    /// Its payload; `None` for a record without one, and where payloads were not asked for.
    pub payload: Option<Vec<u8>>,
}

/// A payload in readable form.
#[derive(Clone, Debug, PartialEq)]
pub enum Readable {
    /// The whole message as proto3 JSON.
    Whole(Value),
    /// What could be decoded before the fault.
    Part {
        /// Fields before the fault.
        message: Value,
        /// The fault.
        fault: String,
    },
    /// Nothing could be.
    Bytes,
}

impl Letter {
    /// A letter from a record of the dead-letter topic; `None` for a record that is none.
    fn of(message: &impl Message) -> Option<Self> {
        // The client library panics on a header whose name is not UTF-8, and any producer may write one.
        catch_unwind(AssertUnwindSafe(|| Self::from_headers(message))).ok().flatten()
    }

    fn from_headers(message: &impl Message) -> Option<Self> {
        let headers = message.headers()?;
        let value = |name: &str| headers.iter().find(|header| header.key.eq_ignore_ascii_case(name))?.value;
        let text = |name: &str| value(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let address = Address {
            topic: text("faces-topic")?,
            partition: text("faces-partition")?.parse().ok()?,
            offset: text("faces-offset")?.parse().ok()?,
        };
        Some(Self {
            address,
            time: EventTime::from_millis(message.timestamp().to_millis().unwrap_or(0)),
            reason: text("faces-reason")?,
            detail: text("faces-detail").unwrap_or_default(),
            groups: text("faces-group").into_iter().collect(),
            copies: 1,
            key: message.key().map(<[u8]>::to_vec),
            content_type: value(CONTENT_TYPE).map(<[u8]>::to_vec),
            size: message.payload().map_or(0, <[u8]>::len),
            truncated_from: text("faces-truncated").and_then(|bytes| bytes.parse().ok()),
            payload: message.payload().map(<[u8]>::to_vec),
        })
    }

    /// The key for people; keys of this system are text.
    #[must_use]
    pub fn key_text(&self) -> String {
        self.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default()
    }

    /// What validation says to the record now, were it written to `topic`. It would be appended now, so `now` is its append time.
    ///
    /// # Errors
    /// Why it would go to the dead letters again.
    pub fn judge(&self, topics: &Topics, topic: &str, now: EventTime, limits: &Limits) -> Result<(), Rejection> {
        let kind =
            topics.kind(topic).ok_or_else(|| Rejection::new(Reason::UnknownTopic, format!("{topic} is none of {topics}")))?;
        let payload = self.payload.as_deref().ok_or_else(|| Rejection::new(Reason::EmptyPayload, "the record has no payload"))?;
        let format = self
            .format()
            .ok_or_else(|| Rejection::new(Reason::UnsupportedFormat, "content-type is neither protobuf nor json"))?;
        validate(&kind, format, payload, now, limits)
    }

    /// The payload as far as it can be read.
    #[must_use]
    pub fn readable(&self, topics: &Topics) -> Readable {
        let (Some(payload), Some(format)) = (self.payload.as_deref(), self.format()) else { return Readable::Bytes };
        let payload = framing::strip(format, payload).unwrap_or(payload);
        match (format, topics.kind(&self.address.topic)) {
            (Format::Json, _) => serde_json::from_slice(payload).map_or(Readable::Bytes, Readable::Whole),
            (Format::Protobuf, Some(TopicKind::Events { .. })) => readable::<v1::Event>(payload),
            (Format::Protobuf, Some(TopicKind::Identity)) => readable::<v1::IdentityLink>(payload),
            (Format::Protobuf, Some(TopicKind::Catalog)) => readable::<v1::CatalogRecord>(payload),
            (Format::Protobuf, _) => Readable::Bytes,
        }
    }

    fn format(&self) -> Option<Format> {
        self.content_type.as_deref().map_or(Some(Format::default()), Format::from_content_type)
    }
}

/// The one place where letters meet decoding and validation.
fn validate(kind: &TopicKind, format: Format, payload: &[u8], append_time: EventTime, limits: &Limits) -> Result<(), Rejection> {
    Decoder::new(*limits).decode(kind, format, payload, append_time).map(drop)
}

fn readable<M: prost::Message + Default + Serialize + PartialEq>(payload: &[u8]) -> Readable {
    let mut message = M::default();
    let fault = message.merge(payload).err(); // what came before the fault stays
    let nothing = fault.is_some() && message == M::default();
    match serde_json::to_value(&message) {
        Ok(_) if nothing => Readable::Bytes,
        Ok(message) => match fault {
            None => Readable::Whole(message),
            Some(fault) => Readable::Part { message, fault: fault.to_string() },
        },
        Err(_) => Readable::Bytes, // an enum number that has no name
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn addresses_read_back() {
        let address: Address = "faces.events.video/3@17".parse().unwrap();
        assert_eq!((address.topic.as_str(), address.partition, address.offset), ("faces.events.video", 3, 17));
        assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        for wrong in ["", "t", "t/1", "t@1", "/1@2", "t/x@2", "t/1@", "t/-1@2", "t/1@-2"] {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(error.contains("topic/partition@offset"), "{error}");
        }
    }

    fn letter(payload: &[u8], content_type: Option<&str>) -> Letter {
        Letter {
            address: "faces.events.video/0@1".parse().unwrap(),
            time: EventTime::from_millis(1_700_000_000_000),
            reason: "undecodable".into(),
            detail: String::new(),
            groups: BTreeSet::new(),
            copies: 1,
            key: None,
            content_type: content_type.map(|text| text.as_bytes().to_vec()),
            size: payload.len(),
            truncated_from: None,
            payload: Some(payload.to_vec()),
        }
    }

    fn event() -> v1::Event {
        v1::Event {
            event_time_ms: 1_700_000_000_000,
            bu: "video".into(),
            source: Some(v1::SourceKey { bu: "video".into(), kind: v1::KeyKind::Account as i32, id: "u1".into() }),
            r#type: v1::EventType::View as i32,
            item_id: "i1".into(),
            ..v1::Event::default()
        }
    }

    #[test]
    fn payloads_are_read_as_far_as_they_go() {
        let topics = Topics::default();
        let whole = event().encode_to_vec();
        let Readable::Whole(json) = letter(&whole, None).readable(&topics) else { panic!("not whole") };
        assert_eq!(json["itemId"], "i1");
        let frame: &[u8] = &[0, 0, 0, 0, 7]; // a schema registry's
        let framed = letter(&[frame, &[0], &whole].concat(), None);
        assert_eq!(framed.readable(&topics), Readable::Whole(json));
        let framed = letter(&[frame, b"{\"a\": 1}"].concat(), Some("application/json"));
        assert_eq!(framed.readable(&topics), Readable::Whole(serde_json::json!({"a": 1})));
        let cut = &whole[..whole.len() - 1];
        let Readable::Part { message, fault } = letter(cut, None).readable(&topics) else { panic!("not a part") };
        assert!(message["bu"] == "video" && !fault.is_empty(), "{message}");
        assert_eq!(letter(b"\xff\xff\xff", None).readable(&topics), Readable::Bytes);
        assert_eq!(
            letter(b"{\"a\": 1}", Some("application/json")).readable(&topics),
            Readable::Whole(serde_json::json!({"a": 1}))
        );
        assert_eq!(letter(b"{", Some("application/json")).readable(&topics), Readable::Bytes);
        assert_eq!(letter(&whole, Some("text/csv")).readable(&topics), Readable::Bytes);
    }

    #[test]
    fn letters_are_judged_by_the_topic_and_the_time_they_would_be_written_to() {
        let (topics, limits) = (Topics::default(), Limits::default());
        let good = letter(&event().encode_to_vec(), None);
        let now = EventTime::from_millis(1_700_000_000_000);
        let judged = |letter: &Letter, topic: &str, now| letter.judge(&topics, topic, now, &limits).map_err(|no| no.reason);
        assert_eq!(judged(&good, "faces.events.video", now), Ok(()));
        assert_eq!(judged(&good, "faces.events.books", now), Err(Reason::BuMismatch));
        assert_eq!(judged(&good, "elsewhere", now), Err(Reason::UnknownTopic));
        let before = EventTime::from_millis(1_600_000_000_000);
        assert_eq!(judged(&good, "faces.events.video", before), Err(Reason::FutureTime));
        assert_eq!(judged(&letter(b"", Some("text/csv")), "faces.identity", now), Err(Reason::UnsupportedFormat));
        let tombstone = Letter { payload: None, ..good };
        assert_eq!(judged(&tombstone, "faces.events.video", now), Err(Reason::EmptyPayload));
    }
}
