//! Statements about pairs of keys, and the register that decides which one stands.

use crate::{
    ids::EventTime,
    key::{KeyHash, SourceKey},
};

/// What a statement rests on. The number is part of stored forms: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Evidence {
    /// The person logged in on both.
    Login = 1,
    /// The person asked for it.
    Declared = 2,
    /// The same hashed phone number or mail address.
    SharedContact = 3,
    /// A payment instrument used in both.
    Payment = 4,
    /// A model's guess.
    Inferred = 5,
}

impl Evidence {
    /// Every sort.
    pub const ALL: [Self; 5] = [Self::Login, Self::Declared, Self::SharedContact, Self::Payment, Self::Inferred];

    /// The name that files use for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Declared => "declared",
            Self::SharedContact => "shared_contact",
            Self::Payment => "payment",
            Self::Inferred => "inferred",
        }
    }
}

/// Whether the pair is linked from now on. Unlink is the larger: at equal times it stands (caution wins).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Operation {
    /// The keys are one person.
    Link = 1,
    /// They are not, as far as this evidence goes.
    Unlink = 2,
}

/// An unordered pair of different keys, in canonical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPair {
    low: KeyHash,
    high: KeyHash,
}

impl KeyPair {
    /// The pair, or `None` for a key with itself.
    #[must_use]
    pub fn new(a: KeyHash, b: KeyHash) -> Option<Self> {
        (a != b).then(|| Self { low: a.min(b), high: a.max(b) })
    }

    /// Both ends, the smaller hash first.
    #[must_use]
    pub const fn ends(self) -> (KeyHash, KeyHash) {
        (self.low, self.high)
    }
}

/// A statement: these two keys are (or are not) one person. Invariant: the keys differ, confidence is in (0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    a: SourceKey,
    b: SourceKey,
    pair: KeyPair,
    /// What it rests on.
    pub evidence: Evidence,
    /// Link or unlink.
    pub operation: Operation,
    /// When it was stated.
    pub time: EventTime,
    confidence: Confidence,
}

impl Statement {
    /// A checked statement; `None` if the keys are the same.
    #[must_use]
    pub fn new(
        a: SourceKey,
        b: SourceKey,
        evidence: Evidence,
        operation: Operation,
        confidence: Confidence,
        time: EventTime,
    ) -> Option<Self> {
        let pair = KeyPair::new(a.hash(), b.hash())?;
        Some(Self { a, b, pair, evidence, operation, time, confidence })
    }

    /// The keys as text.
    #[must_use]
    pub const fn keys(&self) -> (&SourceKey, &SourceKey) {
        (&self.a, &self.b)
    }

    /// The keys as a canonical pair.
    #[must_use]
    pub const fn pair(&self) -> KeyPair {
        self.pair
    }

    /// The register's content if this statement stands.
    #[must_use]
    pub const fn register(&self) -> Register {
        Register { time: self.time, operation: self.operation, confidence: self.confidence }
    }
}

/// Trust in a statement, parts per thousand: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Confidence(u16);

impl Confidence {
    /// Full trust.
    pub const FULL: Self = Self(1000);

    /// From parts per thousand; `None` outside 1 to 1000.
    #[must_use]
    pub fn from_thousandths(thousandths: u16) -> Option<Self> {
        (1..=1000).contains(&thousandths).then_some(Self(thousandths))
    }

    /// Parts per thousand.
    #[must_use]
    pub const fn thousandths(self) -> u16 {
        self.0
    }

    /// From a share above 0 up to 1; `None` outside, and for NaN.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 1.0).then(|| Self(((share * 1000.0).round() as u16).max(1)))
    }
}

/// Last writer wins; at equal times unlink, then the larger confidence. A total order on contents, so joins commute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Register {
    /// When it was stated.
    pub time: EventTime,
    /// Link or unlink.
    pub operation: Operation,
    /// How far it is trusted.
    pub confidence: Confidence,
}

impl Register {
    pub(super) fn live_confidence(self) -> Option<Confidence> {
        (self.operation == Operation::Link).then_some(self.confidence)
    }
}
