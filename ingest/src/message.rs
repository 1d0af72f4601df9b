//! What is read of a record beside its payload.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{SystemTime, UNIX_EPOCH},
};

use faces_core::ids::EventTime;
use rdkafka::{
    Message as _, Timestamp,
    message::{BorrowedMessage, Headers as _},
};

use crate::{
    Reason,
    decode::{CONTENT_TYPE, Format, Rejection},
};

/// How a record's payload is written.
pub(crate) fn format(message: &BorrowedMessage<'_>) -> Result<Format, (Rejection, Option<Vec<u8>>)> {
    let Some(named) = header(message, CONTENT_TYPE).map_err(|rejection| (rejection, None))? else { return Ok(Format::default()) };
    match Format::from_content_type(&named) {
        Some(format) => Ok(format),
        None => {
            let rejection = Rejection::new(Reason::UnsupportedFormat, "content-type is neither protobuf nor json");
            Err((rejection, Some(named)))
        }
    }
}

/// The value of a header, if there is one.
pub(crate) fn header(message: &BorrowedMessage<'_>, name: &str) -> Result<Option<Vec<u8>>, Rejection> {
    let Some(headers) = message.headers() else { return Ok(None) };
    // The client library panics on a header whose name is not UTF-8, and any producer may write one.
    let found = catch_unwind(AssertUnwindSafe(|| {
        headers.iter().find(|header| header.key.eq_ignore_ascii_case(name))?.value.map(<[u8]>::to_vec)
    }));
    found.map_err(|_| Rejection::new(Reason::Undecodable, "the name of a header is not utf-8"))
}

/// When the log took the record. A producer's own stamp may lie in the future; our clock bounds it.
pub(crate) fn append_time(stamp: Timestamp, now_ms: i64) -> EventTime {
    EventTime::from_millis(match stamp {
        Timestamp::LogAppendTime(ms) if ms >= 0 => ms,
        Timestamp::CreateTime(ms) if ms >= 0 => ms.min(now_ms),
        _ => now_ms,
    })
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
