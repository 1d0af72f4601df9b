//! Why records are refused: stable codes, for the `faces-reason` header of dead letters and for metrics.

use std::fmt;

/// Why a record or a field of a request is refused. The codes are public: never rename one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes are not a message of the topic's type (truncated protobuf, wrong UTF-8, broken JSON).
    Undecodable,
    /// The record has no payload (a tombstone), or an empty one.
    EmptyPayload,
    /// The `content-type` header names a format that is not spoken here.
    UnsupportedFormat,
    /// The topic is none of ours.
    UnknownTopic,
    /// The payload is larger than allowed.
    TooLarge,
    /// A required field is not set.
    MissingField,
    /// A field holds something that is not allowed there.
    InvalidField,
    /// A text or a list is longer than allowed.
    TooLong,
    /// A number is NaN, infinite, negative or out of range.
    BadValue,
    /// A time before the year 1990, or after 2199.
    BadTime,
    /// A time too far ahead of the log's append time.
    FutureTime,
    /// A link from a key to itself.
    SelfLink,
    /// The event's business unit is not the topic's.
    BuMismatch,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Undecodable,
        Self::EmptyPayload,
        Self::UnsupportedFormat,
        Self::UnknownTopic,
        Self::TooLarge,
        Self::MissingField,
        Self::InvalidField,
        Self::TooLong,
        Self::BadValue,
        Self::BadTime,
        Self::FutureTime,
        Self::SelfLink,
        Self::BuMismatch,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::EmptyPayload => "empty_payload",
            Self::UnsupportedFormat => "unsupported_format",
            Self::UnknownTopic => "unknown_topic",
            Self::TooLarge => "too_large",
            Self::MissingField => "missing_field",
            Self::InvalidField => "invalid_field",
            Self::TooLong => "too_long",
            Self::BadValue => "bad_value",
            Self::BadTime => "bad_time",
            Self::FutureTime => "future_time",
            Self::SelfLink => "self_link",
            Self::BuMismatch => "bu_mismatch",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why a record went to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why, as a code.
    pub reason: Reason,
    /// Why, for people.
    pub detail: String,
}

impl Rejection {
    /// A rejection.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
