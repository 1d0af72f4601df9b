//! Stored images of the state: sections of keys and of items, and the file that lists them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| faces_state::fuzzing::decode(input));
