//! The frame that serialisers for a schema registry put around a message (Confluent's wire format).
//!
//! A zero byte, the schema's number in four bytes, and for protobuf the way to the message's type inside the schema: a count and as many
//! indexes, zigzag varints; the common way `[0]` is written as a single zero. The registry is not asked: a topic says what lies in it, and
//! protobuf lets old and new producers differ. No bare message begins with a zero byte: protobuf has no field 0, JSON no such character.

use crate::{
    format::Format,
    reason::{Reason, Rejection},
};

const SCHEMA_BYTES: usize = 4;
/// Longest way to a type: messages nested deeper are not written by anybody.
const INDEXES_MAX: u64 = 16;

/// The message without its frame, if it has one.
///
/// # Errors
/// [`Reason::Undecodable`] for a frame that breaks off or makes no sense.
pub(crate) fn strip(format: Format, payload: &[u8]) -> Result<&[u8], Rejection> {
    let Some((0, framed)) = payload.split_first().map(|(first, rest)| (*first, rest)) else { return Ok(payload) };
    let broken = || Rejection::new(Reason::Undecodable, "a schema registry's frame breaks off or makes no sense");
    let mut message = framed.get(SCHEMA_BYTES..).ok_or_else(broken)?;
    if format == Format::Json {
        return Ok(message);
    }
    let count = zigzag(&mut message).ok_or_else(broken)?;
    if count > INDEXES_MAX {
        return Err(broken());
    }
    for _ in 0..count {
        zigzag(&mut message).ok_or_else(broken)?;
    }
    Ok(message)
}

/// A number that is not negative, and what follows it.
fn zigzag(bytes: &mut &[u8]) -> Option<u64> {
    let coded = prost::encoding::decode_varint(bytes).ok()?;
    (coded & 1 == 0).then_some(coded >> 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_taken_off() {
        let frame = [0, 0, 0, 0, 7];
        for (format, frame_end, message, expected) in [
            (Format::Protobuf, &[0][..], "m", Some("m")),
            (Format::Protobuf, &[2, 0], "m", Some("m")),
            (Format::Protobuf, &[4, 2, 0], "m", Some("m")), // the first type inside the second
            (Format::Protobuf, &[], "", None),
            (Format::Protobuf, &[4, 2], "", None),
            (Format::Protobuf, &[1], "m", None),    // a count of -1
            (Format::Protobuf, &[0x7E], "m", None), // a count of 63
            (Format::Protobuf, &[0x80], "", None),
            (Format::Json, &[], "{}", Some("{}")),
        ] {
            let payload = [&frame[..], frame_end, message.as_bytes()].concat();
            assert_eq!(strip(format, &payload).ok(), expected.map(str::as_bytes), "{payload:?}");
        }
        assert!(strip(Format::Json, &frame[..4]).is_err());
        for bare in ["", "m", "{}"] {
            assert_eq!(strip(Format::Protobuf, bare.as_bytes()), Ok(bare.as_bytes()));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            strip(Format::Protobuf, &bytes).ok();
            bytes.insert(0, 0);
            strip(Format::Protobuf, &bytes).ok();
            strip(Format::Json, &bytes).ok();
        }
    }
}
