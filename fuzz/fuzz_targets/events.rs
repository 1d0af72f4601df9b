//! Records of the log: events.
#![no_main]

mod records;

use faces_ingest::TopicKind;

libfuzzer_sys::fuzz_target!(|input: &[u8]| records::decode(&TopicKind::Events { bu: "shop".to_owned() }, input));
