//! Which sources may speak: all of them when serving, fewer when it is measured what each is worth.
//!
//! A source that may not speak is not retrieved from, and the ranker's features of it are 0, as where it knows of no candidate.
//! The ranker's weights stay as they were learnt with it: this is an ablation of the model that serves, not of one fitted anew.

use crate::ranking::source_kind::SourceKind;

/// A set of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceSet(u16);

impl SourceSet {
    /// All sources.
    pub const ALL: Self = Self((1 << SourceKind::COUNT) - 1);

    /// None.
    pub const NONE: Self = Self(0);

    /// The sources that candidates are retrieved from, by name.
    pub const NAMES: [(SourceKind, &'static str); 12] = [
        (SourceKind::Interest, "interest"),
        (SourceKind::CoVisitation, "co_visitation"),
        (SourceKind::Content, "content"),
        (SourceKind::Trending, "trending"),
        (SourceKind::TrendingInCategory, "trending_in_category"),
        (SourceKind::TrendingInRegion, "trending_in_region"),
        (SourceKind::New, "new"),
        (SourceKind::Neighbours, "neighbours"),
        (SourceKind::NeighboursElsewhere, "neighbours_elsewhere"),
        (SourceKind::Together, "together"),
        (SourceKind::Latest, "latest"),
        (SourceKind::History, "history"),
    ];

    /// One source.
    #[must_use]
    pub const fn of(kind: SourceKind) -> Self {
        Self(1 << kind.position())
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These, but none of those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether a source is in it.
    #[must_use]
    pub const fn holds(self, kind: SourceKind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }

    /// Whether any of those is in it.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The source, if there is exactly one.
    #[must_use]
    pub fn single(self) -> Option<SourceKind> {
        Self::NAMES.iter().map(|(kind, _)| *kind).find(|kind| Self::of(*kind) == self)
    }
}

impl Default for SourceSet {
    fn default() -> Self {
        Self::ALL
    }
}

/// The source that a [feature](super::features::NAMES) is of; `None` for what is known of the item alone, and for what the person
/// was shown or turned down.
pub(crate) fn source_of_feature(name: &str) -> Option<SourceKind> {
    let begins = |start: &str| name.starts_with(start);
    match name {
        "owned" | "intended" => Some(SourceKind::History),
        "age" => Some(SourceKind::New),
        _ if begins("demand_category") => Some(SourceKind::TrendingInCategory),
        _ if begins("demand_region") => Some(SourceKind::TrendingInRegion),
        _ if begins("demand") => Some(SourceKind::Trending),
        _ if begins("had") => Some(SourceKind::History),
        // The longest name that it begins with, as "neighbours" also begins "neighbours_elsewhere".
        _ => SourceSet::NAMES.iter().filter(|(_, of)| begins(of)).max_by_key(|(_, of)| of.len()).map(|(kind, _)| *kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranking::features::NAMES;

    #[test]
    fn sets_do_as_sets_do() {
        let together = SourceSet::of(SourceKind::Together);
        assert_eq!(
            (together.single(), SourceSet::ALL.single(), SourceSet::NONE.single()),
            (Some(SourceKind::Together), None, None)
        );
        let rest = SourceSet::ALL.without(together);
        assert!(!rest.holds(SourceKind::Together) && rest.holds(SourceKind::Latest) && !rest.meets(together));
        assert_eq!(rest.with(together), SourceSet::ALL);
    }

    #[test]
    fn every_feature_is_of_a_source_or_known_to_be_of_none() {
        let none: Vec<&str> = NAMES.into_iter().filter(|name| source_of_feature(name).is_none()).collect();
        assert_eq!(none, ["turned_down", "shown", "category", "price", "like_turned_down"]);
        for (name, kind) in [
            ("neighbours_log", SourceKind::Neighbours),
            ("neighbours_elsewhere_log", SourceKind::NeighboursElsewhere),
            ("demand_7", SourceKind::Trending),
            ("demand_category_log", SourceKind::TrendingInCategory),
            ("had_age", SourceKind::History),
            ("interest_square", SourceKind::Interest),
            ("content", SourceKind::Content),
            ("content_strength", SourceKind::Content),
        ] {
            assert_eq!(source_of_feature(name), Some(kind), "{name}");
        }
    }
}
