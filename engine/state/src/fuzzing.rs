//! The decoders, for the fuzzer alone.

use crate::{
    manifest::Manifest,
    section::{
        items::read_items,
        keys::{counts, read_keys},
    },
};

/// Reads bytes as everything that a folder holds. The first byte picks what, so that the fuzzer can learn each form.
pub fn decode(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    match choice % 3 {
        0 => {
            _ = counts(bytes);
            let fragment = |_, stored: crate::section::keys::StoredFragment<'_>| {
                stored.items_end()?;
                stored.fragment().map(drop)
            };
            _ = read_keys(bytes, fragment, |_, stored| stored.node().map(drop));
        }
        1 => _ = read_items(bytes, |_| Some(())),
        _ => {
            _ = Manifest::decode(bytes);
            // Past the checksum, which the fuzzer can't guess.
            let listed = serde_json::from_slice::<Manifest>(bytes).ok().and_then(|manifest| manifest.encode().ok());
            _ = listed.map(|file| Manifest::decode(&file));
        }
    }
}
