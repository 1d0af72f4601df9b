//! Source keys: the handles under which business units know people.

use std::fmt;

use thiserror::Error;

use crate::joined::hash_128;

/// Longest name of a business unit, bytes.
pub const BU_NAME_BYTES_MAX: usize = 64;
/// Longest id inside a business unit (of a key or an item), bytes.
pub const LOCAL_ID_BYTES_MAX: usize = 256;

/// Sorts of source key. The number is part of the key's hash and of every stored form: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyKind {
    /// A registered account.
    Account = 1,
    /// An installation of an app or a browser.
    Device = 2,
    /// One visit.
    Session = 3,
    /// A salted hash of a phone number.
    HashedPhone = 4,
    /// A salted hash of a mail address.
    HashedEmail = 5,
}

impl KeyKind {
    /// Every sort.
    pub const ALL: [Self; 5] = [Self::Account, Self::Device, Self::Session, Self::HashedPhone, Self::HashedEmail];

    /// Whether such keys come and go by the million: most of them are never seen twice.
    #[must_use]
    pub const fn is_fleeting(self) -> bool {
        matches!(self, Self::Device | Self::Session)
    }
}

/// Why a name or an id is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Too long.
    #[error("has {bytes} bytes; at most {bytes_max} are allowed")]
    TooLong {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// A character that does not belong.
    #[error("may hold only a-z, 0-9, '_' and '-'")]
    Character,
}

/// Checks the name of a business unit: 1 to 64 of `[a-z0-9_-]`, so that it fits a topic's name.
///
/// # Errors
/// [`NameError`] says what is wrong.
pub fn check_bu_name(name: &str) -> Result<(), NameError> {
    check_length(name, BU_NAME_BYTES_MAX)?;
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if name.bytes().all(allowed) { Ok(()) } else { Err(NameError::Character) }
}

/// Checks a local id: 1 to 256 bytes.
///
/// # Errors
/// [`NameError`] says what is wrong.
pub fn check_local_id(id: &str) -> Result<(), NameError> {
    check_length(id, LOCAL_ID_BYTES_MAX)
}

fn check_length(text: &str, bytes_max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        bytes if bytes > bytes_max => Err(NameError::TooLong { bytes, bytes_max }),
        _ => Ok(()),
    }
}

/// One handle under which a business unit knows somebody.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey {
    bu: Box<str>,
    kind: KeyKind,
    id: Box<str>,
}

impl SourceKey {
    /// A checked key.
    ///
    /// # Errors
    /// The part at fault (`"bu"` or `"id"`) and what is wrong with it.
    pub fn new(bu: &str, kind: KeyKind, id: &str) -> Result<Self, (&'static str, NameError)> {
        check_bu_name(bu).map_err(|error| ("bu", error))?;
        check_local_id(id).map_err(|error| ("id", error))?;
        Ok(Self { bu: bu.into(), kind, id: id.into() })
    }

    /// Business unit that issued the id.
    #[must_use]
    pub fn bu(&self) -> &str {
        &self.bu
    }

    /// Sort of id.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The id inside the business unit.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Stable 128-bit hash of the key: what stores and graphs use in its place.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.bu, self.kind, &self.id)
    }
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:?}/{}", self.bu, self.kind, self.id)
    }
}

/// Stable hash of a [`SourceKey`] (xxh3, 128 bits): among 10¹⁰ keys a collision has probability below 10⁻¹⁸.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub(crate) u128);

impl KeyHash {
    /// The hash that the [`SourceKey`] of these parts has, without making one. Whoever calls it has checked the parts.
    #[must_use]
    pub fn of(bu: &str, kind: KeyKind, id: &str) -> Self {
        Self(hash_128(&[bu.as_bytes(), &[0, kind as u8], id.as_bytes()]))
    }

    /// The bare number, for display and stored forms.
    #[must_use]
    pub const fn raw(self) -> u128 {
        self.0
    }

    /// From a bare number.
    #[must_use]
    pub const fn from_raw(raw: u128) -> Self {
        Self(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let long = "x".repeat(300);
        for (bu, id, expected) in [
            ("groceries", "u1", None),
            ("", "u1", Some("bu")),
            ("Groceries", "u1", Some("bu")),
            ("groceries", "", Some("id")),
            ("groceries", long.as_str(), Some("id")),
        ] {
            let found = SourceKey::new(bu, KeyKind::Account, id).err().map(|(field, _)| field);
            assert_eq!(found, expected, "{bu:?} {}", id.len());
        }
    }

    #[test]
    fn the_hash_tells_parts_apart() -> Result<(), (&'static str, NameError)> {
        let keys = [
            SourceKey::new("ab", KeyKind::Account, "c")?,
            SourceKey::new("a", KeyKind::Account, "bc")?,
            SourceKey::new("ab", KeyKind::Device, "c")?,
        ];
        let hashes: std::collections::HashSet<_> = keys.iter().map(SourceKey::hash).collect();
        assert_eq!(hashes.len(), keys.len());
        Ok(())
    }

    #[test]
    fn the_hash_of_parts_is_that_of_their_bytes_in_a_row() {
        for (bu, id) in [("shop", "u1"), ("a", ""), ("shop", &"x".repeat(256)), (&"b".repeat(64), &"x".repeat(9_000))] {
            let row = [bu.as_bytes(), &[0, KeyKind::Device as u8], id.as_bytes()].concat();
            assert_eq!(KeyHash::of(bu, KeyKind::Device, id).raw(), xxhash_rust::xxh3::xxh3_128(&row), "{bu} {}", id.len());
        }
    }
}
