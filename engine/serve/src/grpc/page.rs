//! Opaque page tokens: the items that earlier pages held, by name hash. The next page is the best of the rest, so it neither repeats
//! nor skips, even if another replica or another generation makes it.
//!
//! Form: base64url of `1 | xxh3(question) 8 bytes | name hash 8 bytes … | xxh3 of all before, 4 bytes`. The question's hash ties a
//! token to its business unit and keys; the last bytes tell damage from age. Limit: [`SERVED_MAX`] items, then a walk ends.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use faces_ingest::{Reason, validate::Violation};
use xxhash_rust::xxh3::xxh3_64;

/// Most items that a walk over pages may hold.
pub const SERVED_MAX: usize = 1_000;
const VERSION: u8 = 1;
const HEAD: usize = 9;
const TAIL: usize = 4;

/// The token after a page, or an empty text when the walk has reached its limit.
pub fn encode(question: u64, served: &[u64]) -> String {
    if served.len() > SERVED_MAX {
        return String::new();
    }
    let mut bytes = Vec::with_capacity(HEAD + served.len() * 8 + TAIL);
    bytes.push(VERSION);
    bytes.extend(question.to_le_bytes());
    served.iter().for_each(|hash| bytes.extend(hash.to_le_bytes()));
    bytes.extend((xxh3_64(&bytes) as u32).to_le_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Name hashes of what earlier pages held, in no order; empty for an empty token.
///
/// # Errors
/// A violation of `page_token` if it is not one of ours, or not for this question.
pub fn decode(token: &str, question: u64) -> Result<Vec<u64>, Violation> {
    if token.is_empty() {
        return Ok(Vec::new());
    }
    let refused = |why: &str| Violation::new("page_token", Reason::InvalidField, why);
    let foreign = || refused("is not a token of this service; send back next_page_token unchanged");
    if token.len() > (HEAD + SERVED_MAX * 8 + TAIL) * 4 / 3 + 4 {
        return Err(foreign());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| foreign())?;
    let (body, sum) = bytes.split_last_chunk::<TAIL>().ok_or_else(foreign)?;
    if (xxh3_64(body) as u32).to_le_bytes() != *sum {
        return Err(foreign());
    }
    let (head, hashes) = body.split_first_chunk::<HEAD>().ok_or_else(foreign)?;
    let [version, tie @ ..] = *head;
    if version != VERSION || hashes.len() % 8 != 0 {
        return Err(foreign());
    }
    if u64::from_le_bytes(tie) != question {
        return Err(refused("belongs to another question; keep keys, bu and item as they were"));
    }
    let (hashes, _) = hashes.as_chunks::<8>();
    Ok(hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_what_was_served_and_nothing_else_does() {
        let served = [3, 1, 2];
        let token = encode(7, &served);
        assert_eq!(decode(&token, 7), Ok(served.to_vec()));
        assert_eq!(decode("", 7), Ok(Vec::new()));
        assert!(decode(&token, 8).is_err(), "another question");
        for n in 0..token.len() {
            let mut damaged = token.clone().into_bytes();
            damaged[n] = if damaged[n] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(damaged == token || decode(&damaged, 7).is_err(), "byte {n}");
            assert!(decode(&token[..n], 7).is_err() || n == 0, "cut at {n}");
        }
    }

    #[test]
    fn a_walk_ends_at_its_limit() {
        let full: Vec<u64> = (0..SERVED_MAX as u64).collect();
        assert_eq!(decode(&encode(1, &full), 1).map(|served| served.len()), Ok(SERVED_MAX));
        let over: Vec<u64> = (0..=SERVED_MAX as u64).collect();
        assert_eq!(encode(1, &over), "");
    }
}
