//! The groups that figures are given for: everything, segments, units, kinds of target.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use faces_core::event::EventKind;

use super::{
    bootstrap::Sample,
    kinds::kind_name,
    measures::Scores,
    outcome::{Outcome, Outcomes},
};

/// A group of answered queries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// All of them.
    All,
    /// Those of a segment.
    Segment(Arc<str>),
    /// Those of persons with few events in the unit, whatever their segment.
    Thin,
    /// Those asked for a unit.
    Unit(Arc<str>),
    /// Those whose targets are of a kind; other targets do not count.
    Kind(EventKind),
}

/// Groups by what they have in common.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// Segments: the warm first, then the thin, the cold, and others by name.
    pub segments: Vec<Group>,
    /// Units, by name.
    pub units: Vec<Group>,
    /// Kinds of target.
    pub kinds: Vec<Group>,
}

impl Group {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::All => "all",
            Self::Segment(name) | Self::Unit(name) => name,
            Self::Thin => "thin",
            Self::Kind(kind) => kind_name(*kind),
        }
    }

    /// Is an answer in it?
    #[must_use]
    pub fn holds(&self, outcome: &Outcome) -> bool {
        match self {
            Self::All => true,
            Self::Segment(name) => outcome.segment == *name,
            Self::Thin => outcome.past.is_thin(),
            Self::Unit(name) => outcome.unit == *name,
            Self::Kind(kind) => outcome.targets.iter().any(|target| target.kinds.holds(*kind)),
        }
    }

    /// What an answer is worth here; `None` when it is not in the group or has no target that counts.
    #[must_use]
    pub fn scores(&self, outcome: &Outcome) -> Option<Scores> {
        match self {
            Self::Kind(kind) => outcome.scores(|kinds| kinds.holds(*kind)),
            _ if self.holds(outcome) => outcome.scores(|_| true),
            _ => None,
        }
    }

    /// Scores of the group by person, and how many queries they are of.
    #[must_use]
    pub fn sample(&self, outcomes: &Outcomes) -> (Sample, usize) {
        let scored: Vec<_> =
            outcomes.outcomes.iter().filter_map(|outcome| Some((outcome.person, self.scores(outcome)?))).collect();
        let queries = scored.len();
        (Sample::new(scored), queries)
    }

    /// How many items could have been recommended; `None` when the catalogue is not known.
    #[must_use]
    pub fn catalogue(&self, catalogue: &BTreeMap<Arc<str>, usize>) -> Option<usize> {
        match self {
            Self::Unit(name) => catalogue.get(name).copied(),
            _ => (!catalogue.is_empty()).then(|| catalogue.values().sum()),
        }
    }
}

impl Groups {
    /// The groups that have a scored answer. Thin profiles are a segment too, unless the file has one of that name.
    #[must_use]
    pub fn of(outcomes: &Outcomes) -> Self {
        let scored = || outcomes.outcomes.iter().filter(|outcome| !outcome.targets.is_empty());
        let mut segments: BTreeSet<Group> = scored().map(|outcome| Group::Segment(Arc::clone(&outcome.segment))).collect();
        if !segments.iter().any(|group| group.name() == "thin") && scored().any(|outcome| outcome.past.is_thin()) {
            segments.insert(Group::Thin);
        }
        let mut segments: Vec<Group> = segments.into_iter().collect();
        let known = ["warm", "thin", "cold"];
        segments.sort_by_key(|group| known.iter().position(|name| *name == group.name()).unwrap_or(known.len()));
        let units: BTreeSet<Group> = scored().map(|outcome| Group::Unit(Arc::clone(&outcome.unit))).collect();
        let has = |kind: EventKind| scored().any(|outcome| Group::Kind(kind).holds(outcome));
        let kinds = EventKind::NAMES.iter().map(|(kind, _)| *kind).filter(|kind| has(*kind)).map(Group::Kind);
        Self { segments, units: units.into_iter().collect(), kinds: kinds.collect() }
    }
}
