//! Stable hashes of several texts in a row, without an allocation or a large streaming state for texts of usual length.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

const USUAL_BYTES: usize = 512;

/// xxh3, 64 bits, of the parts in a row.
pub(crate) fn hash_64(parts: &[&[u8]]) -> u64 {
    joined(parts, xxh3_64)
}

/// xxh3, 128 bits, of the parts in a row.
pub(crate) fn hash_128(parts: &[&[u8]]) -> u128 {
    joined(parts, xxh3_128)
}

fn joined<H>(parts: &[&[u8]], hash: fn(&[u8]) -> H) -> H {
    let mut row = [0; USUAL_BYTES];
    let mut length = 0;
    for part in parts {
        let end = length + part.len();
        match row.get_mut(length..end) {
            Some(room) => room.copy_from_slice(part),
            None => return hash(&parts.concat()),
        }
        length = end;
    }
    hash(row.get(..length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_makes_no_difference() {
        for bytes in [0, 1, 255, 256, 257, 5_000] {
            let part = vec![7; bytes];
            assert_eq!(hash_64(&[&part, b"x", &part]), xxh3_64(&[&part[..], b"x", &part].concat()), "{bytes}");
            assert_eq!(hash_128(&[&part, b"x", &part]), xxh3_128(&[&part[..], b"x", &part].concat()), "{bytes}");
        }
    }
}
