//! How much a request matters to the business that sends it.

use serde::{Deserialize, Serialize};

/// How much a request matters, least first. A caller says so in the metadata `x-faces-criticality`; its ceiling caps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// Nobody waits for it: prefetching, e-mail, crawlers.
    Sheddable,
    /// A person waits for it.
    #[default]
    Default,
    /// The page is broken without it.
    Critical,
}

impl Criticality {
    /// How many there are.
    pub const COUNT: usize = 3;
    /// All, the least critical first.
    pub const ALL: [Self; Self::COUNT] = [Self::Sheddable, Self::Default, Self::Critical];

    /// Its name, as in metadata, configuration and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sheddable => "sheddable",
            Self::Default => "default",
            Self::Critical => "critical",
        }
    }

    /// By its name; `None` for any other text.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|criticality| criticality.name().as_bytes() == name)
    }

    /// Its place in lists that have one entry for each.
    #[must_use]
    pub const fn position(self) -> usize {
        self as usize
    }
}
