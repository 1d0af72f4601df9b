//! Other answers to the same queries, out of the same state at the same moment: what each source is worth.
//!
//! A *level* is what the server gives under load: fewer sources, which the ranker orders as it does at full service.
//! *Only* a source: it alone is retrieved from, and what it holds of an item orders the slate; nothing fills up a slate that stays
//! short. *Without* a source: it is not retrieved from and the ranker's features of it are 0. The ranker's weights are not fitted
//! anew, so this is an ablation of the model that serves: what would be missing if the source fell silent.

use std::collections::BTreeSet;

use faces_core::{neighbours::TAKERS_MIN, ranking::SourceSet};
use serde_json::{Map, Value};

use super::{bootstrap::Rounds, compare::GroupUplift, outcome::Outcomes};
use crate::overload::Level;

/// How a query is answered as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As the server answers at this level.
    Level(Level),
    /// By these sources alone: one orders by itself, several by the ranker.
    Only(SourceSet),
    /// By all but these.
    Without(SourceSet),
    /// By the textbook's neighbours ([`super::SessionKnn`]), which may name an item that so many sessions hold.
    Textbook {
        /// Sessions that an item must have been taken in.
        takers_min: usize,
    },
}

impl Variant {
    /// Every source alone, the served answer without each, and without those that say much the same.
    #[must_use]
    pub fn ablations() -> Vec<Self> {
        let each = || SourceSet::NAMES.iter().map(|(kind, _)| SourceSet::of(*kind));
        let alike = Self::Without(sources("together+latest").unwrap_or_default());
        each().map(Self::Only).chain(each().map(Self::Without)).chain([alike]).collect()
    }

    /// The levels below full service that are retrieved. What is cached is what full service said a moment ago.
    #[must_use]
    pub fn levels() -> Vec<Self> {
        [Level::Lean, Level::CoVisitation, Level::Popular].map(Self::Level).into()
    }

    /// The live neighbours alone, and the textbook's: under the rule of [`TAKERS_MIN`] takers, and without it.
    #[must_use]
    pub fn textbook() -> Vec<Self> {
        let neighbours = Self::Only(sources("neighbours").unwrap_or_default());
        vec![neighbours, Self::Textbook { takers_min: TAKERS_MIN }, Self::Textbook { takers_min: 1 }]
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Level(level) => format!("level {}", level.name()),
            Self::Only(set) => format!("only {}", names(*set)),
            Self::Without(set) => format!("without {}", names(*set)),
            Self::Textbook { takers_min: 1 } => "textbook neighbours".into(),
            Self::Textbook { takers_min } => format!("textbook neighbours, {takers_min} takers"),
        }
    }

    /// The sources that speak; `None` where none of the engine's does.
    #[must_use]
    pub fn sources(&self) -> Option<SourceSet> {
        match self {
            Self::Level(level) => Some(level.sources()),
            Self::Only(set) => Some(*set),
            Self::Without(set) => Some(SourceSet::ALL.without(*set)),
            Self::Textbook { .. } => None,
        }
    }
}

fn names(set: SourceSet) -> String {
    let held = SourceSet::NAMES.iter().filter(|(kind, _)| set.holds(*kind));
    held.map(|(_, name)| *name).collect::<Vec<_>>().join("+")
}

/// The sources of a text like `neighbours+latest`.
///
/// # Errors
/// A name that no source has, with those that are known.
pub fn sources(text: &str) -> Result<SourceSet, String> {
    text.split('+').try_fold(SourceSet::NONE, |set, name| {
        match SourceSet::NAMES.iter().find(|(_, known)| *known == name.trim()) {
            Some((kind, _)) => Ok(set.with(SourceSet::of(*kind))),
            None => Err(format!("no source is called {name:?}; there are {}", names(SourceSet::ALL))),
        }
    })
}

/// What a variant comes to beside the served answers.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantFigures {
    /// Which one.
    pub variant: Variant,
    /// Everything, then segments: the served answers are the baseline.
    pub segments: Vec<GroupUplift>,
}

impl VariantFigures {
    /// Of the served answers and a variant's to the same queries.
    #[must_use]
    pub fn new(variant: Variant, served: &Outcomes, of_variant: &Outcomes, rounds: Rounds) -> Self {
        Self { variant, segments: GroupUplift::by_segment(served, of_variant, rounds) }
    }

    /// The figures of a segment.
    #[must_use]
    pub fn of(&self, segment: &str) -> Option<&GroupUplift> {
        self.segments.iter().find(|group| group.name == segment)
    }
}

/// The live neighbours over each of the textbook's, by segment, where both were asked for: the uplift of the former over the latter.
#[must_use]
pub fn live_over_textbook(variants: &[Variant], of_variants: &[Outcomes], rounds: Rounds) -> Vec<(String, Vec<GroupUplift>)> {
    let alone = sources("neighbours").map(Variant::Only);
    let each = || variants.iter().zip(of_variants);
    let Some((_, live)) = each().find(|(variant, _)| alone.as_ref() == Ok(*variant)) else { return Vec::new() };
    let textbooks = each().filter(|(variant, _)| matches!(variant, Variant::Textbook { .. }));
    textbooks.map(|(variant, textbook)| (variant.name(), GroupUplift::by_segment(textbook, live, rounds))).collect()
}

/// The segments that variants have figures of, in their order.
#[must_use]
pub fn segments_of(variants: &[VariantFigures]) -> Vec<String> {
    let mut known = BTreeSet::new();
    let names = variants.iter().flat_map(|figures| &figures.segments).map(|group| group.name.clone());
    names.filter(|name| known.insert(name.clone())).collect()
}

/// By the variants' names, then by segment, for machines: the served answers are the baseline.
#[must_use]
pub fn variants_json(variants: &[VariantFigures]) -> Value {
    let segments = |figures: &VariantFigures| {
        figures.segments.iter().map(|group| (group.name.clone(), group.to_json())).collect::<Map<_, _>>()
    };
    Value::Object(variants.iter().map(|figures| (figures.variant.name(), Value::Object(segments(figures)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_they_are_written() {
        for (kind, name) in SourceSet::NAMES {
            assert_eq!(sources(name), Ok(SourceSet::of(kind)));
        }
        let both = sources("latest + together").unwrap();
        assert_eq!(Variant::Without(both).name(), "without together+latest");
        assert!(sources("gossip").unwrap_err().contains("interest+co_visitation"));
    }

    #[test]
    fn ablations_are_each_once_and_leave_something() {
        let names: BTreeSet<String> = Variant::ablations().iter().map(Variant::name).collect();
        assert_eq!(names.len(), 2 * SourceSet::NAMES.len() + 1);
        assert!(Variant::ablations().iter().all(|variant| variant.sources().is_some_and(|set| set != SourceSet::NONE)));
    }
}
