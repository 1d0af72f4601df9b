//! How a payload is written, and the header that says so.

/// The header that names a payload's format.
pub const CONTENT_TYPE: &str = "content-type";

/// How a payload is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Protobuf.
    #[default]
    Protobuf,
    /// Proto3 JSON.
    Json,
}

impl Format {
    /// From the `content-type` header's value; `None` for a format that is not spoken here.
    #[must_use]
    pub fn from_content_type(value: &[u8]) -> Option<Self> {
        let essence = std::str::from_utf8(value).ok()?.split(';').next()?.trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        if is("application/x-protobuf") || is("application/protobuf") {
            return Some(Self::Protobuf);
        }
        is("application/json").then_some(Self::Json)
    }

    /// The `content-type` header's value.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}
