//! Records of the log: links.
#![no_main]

mod records;

use faces_ingest::TopicKind;

libfuzzer_sys::fuzz_target!(|input: &[u8]| records::decode(&TopicKind::Identity, input));
