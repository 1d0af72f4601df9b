//! What all targets of log records share: the input's first byte picks the format, and whether a registry's frame goes around the rest.

use faces_core::ids::EventTime;
use faces_ingest::{
    TopicKind,
    decode::{Decoder, Format, Limits},
};

const NOW: EventTime = EventTime::from_millis(1_700_000_000_000);

/// Decodes and checks; nothing may panic, and a decoder that was used before must say the same as a new one.
pub fn decode(topic: &TopicKind, input: &[u8]) {
    let _ = Format::from_content_type(input);
    let Some((choice, rest)) = input.split_first() else { return };
    let format = if choice & 1 == 0 { Format::Protobuf } else { Format::Json };
    let framed = [&[0, 0, 0, 0, 1], rest].concat();
    let payload = if choice & 2 == 0 { rest } else { &framed };
    let mut used = Decoder::new(Limits::default());
    let _ = used.decode(topic, format, &payload[..payload.len() / 2], NOW);
    let _ = used.decode(topic, format, payload, NOW);
    let again = used.decode(topic, format, payload, NOW);
    assert_eq!(again, Decoder::new(Limits::default()).decode(topic, format, payload, NOW));
}
