//! The name of a generation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::GenerationError;

const PREFIX: &str = "gen-";
const HEX_DIGITS: usize = 16;

/// `gen-` and 16 hexadecimal digits: 11 of the time it was made (milliseconds since 1970) and 5 of its content, so
/// that names sort by age. It is also the name of the generation's folder, and therefore checked strictly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GenerationId(String);

impl GenerationId {
    /// The id of content with this checksum, made at this time.
    pub(crate) fn new(created_at_ms: i64, content: u32) -> Self {
        let time = created_at_ms.max(0) as u64 & ((1 << 44) - 1);
        Self(format!("{PREFIX}{time:011x}{:05x}", content & 0xf_ffff))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for GenerationId {
    type Err = GenerationError;

    fn from_str(text: &str) -> Result<Self, GenerationError> {
        let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        let digits = text.strip_prefix(PREFIX).map(str::as_bytes).unwrap_or_default();
        if digits.len() == HEX_DIGITS && digits.iter().copied().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(GenerationError::BadId { text: text.chars().take(64).collect() })
        }
    }
}

impl TryFrom<String> for GenerationId {
    type Error = GenerationError;

    fn try_from(text: String) -> Result<Self, GenerationError> {
        text.parse()
    }
}

impl From<GenerationId> for String {
    fn from(id: GenerationId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_nothing_else_parses() {
        let early = GenerationId::new(1_700_000_000_000, u32::MAX);
        let late = GenerationId::new(1_700_000_000_001, 0);
        assert!(early < late);
        assert_eq!(early.as_str().parse::<GenerationId>().unwrap(), early);
        for text in ["", "gen-", "gen-0123456789abcde", "gen-0123456789abcdeF", "gen-../../etc/passwd", "0123456789abcdef"] {
            assert!(text.parse::<GenerationId>().is_err(), "{text}");
        }
    }
}
