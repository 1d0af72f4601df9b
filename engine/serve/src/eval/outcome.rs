//! What is kept of each answered query: enough for every figure, some hundred bytes.

use std::{collections::BTreeMap, num::NonZeroU8, sync::Arc};

use super::{items::ItemNumber, kinds::KindSet, measures::Scores, persons::Person, popularity::BitsHistogram};

/// An item that was taken at the moment of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// As what: viewed, bought, …
    pub kinds: KindSet,
    /// Where it stood among the first 20 of the answer.
    pub rank: Option<NonZeroU8>,
}

/// What the person had done in the asked unit before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Events in the asked unit.
    pub here: usize,
    /// Is there one elsewhere?
    pub elsewhere: bool,
}

impl Past {
    /// Most events in the unit with which a profile is thin.
    pub const THIN_MAX: usize = 4;

    /// Is it a thin profile: something, but not much?
    #[must_use]
    pub const fn is_thin(self) -> bool {
        self.here >= 1 && self.here <= Self::THIN_MAX
    }

    /// The segment of a query whose file names none.
    #[must_use]
    pub const fn segment(self) -> &'static str {
        match (self.here, self.elsewhere) {
            (1.., _) => "warm",
            (0, true) => "cold",
            (0, false) => "none",
        }
    }
}

/// An answered query.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Names the query.
    pub query_id: Box<str>,
    /// When it was asked.
    pub ts_ms: i64,
    /// Who asked.
    pub person: Person,
    /// Whose items were wanted.
    pub unit: Arc<str>,
    /// The group that the queries file names, or [`Past::segment`].
    pub segment: Arc<str>,
    /// What the person had done before.
    pub past: Past,
    /// What was taken, each item once.
    pub targets: Box<[Target]>,
    /// The first 20 of the answer.
    pub recommended: Box<[ItemNumber]>,
    /// Mean surprise of those, bits.
    pub novelty: Option<f64>,
}

impl Outcome {
    /// Its worth when targets of these kinds count; `None` when there are none.
    #[must_use]
    pub fn scores(&self, counts: impl Fn(KindSet) -> bool) -> Option<Scores> {
        let targets = self.targets.iter().filter(|target| counts(target.kinds));
        let ranks: Vec<Option<NonZeroU8>> = targets.map(|target| target.rank).collect();
        let hits = ranks.iter().flatten().copied().collect();
        (!ranks.is_empty()).then(|| Scores::new(hits, ranks.len(), self.novelty))
    }

    /// The rank of the first target.
    #[must_use]
    pub fn first_hit(&self) -> Option<NonZeroU8> {
        self.targets.iter().filter_map(|target| target.rank).min()
    }
}

/// All answered queries of a run, in an order that does not depend on when they were answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// By time, then by name.
    pub outcomes: Vec<Outcome>,
    /// Items of each unit, those that only events name among them (they are served like any other); empty when the catalogue is not known.
    pub catalogue: BTreeMap<Arc<str>, usize>,
    /// How popular were the items in the answers?
    pub recommended_bits: BitsHistogram,
    /// And those that were taken?
    pub taken_bits: BitsHistogram,
}

impl Outcomes {
    /// Is there anything that an answer can be held against?
    #[must_use]
    pub fn has_targets(&self) -> bool {
        self.outcomes.iter().any(|outcome| !outcome.targets.is_empty())
    }
}
