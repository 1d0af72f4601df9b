//! What is wanted right now in the categories that the person likes best. Cost: a walk over the signals and over the heads of a few short
//! lists.

use crate::{
    ids::CategoryId,
    ranking::{
        candidate::CandidateSet, filters::is_wanted, query::Query, scratch::Scratch, source_kind::SourceKind, stage::Source,
        weights,
    },
};

/// Signals looked at, and categories told apart among them.
const SIGNALS_MAX: usize = 32;
const CATEGORIES_SEEN_MAX: usize = 16;

/// Retrieval of what trends in the person's top categories.
#[derive(Debug)]
pub struct CategoryTrends {
    /// Categories, the heaviest by signals.
    pub categories: usize,
    /// Items taken of each.
    pub items: usize,
}

impl Source for CategoryTrends {
    fn kind(&self) -> SourceKind {
        SourceKind::TrendingInCategory
    }

    fn retrieve(&self, query: &Query<'_>, _scratch: &mut Scratch, into: &mut CandidateSet) {
        let (catalogue, state) = (query.state.catalogue(), query.state);
        for (category, _) in top_categories(query).into_iter().take(self.categories) {
            let mut taken = 0;
            state.trending_in_category(query.bu, category, |item, share| {
                let is_due = taken < self.items;
                // What is wanted most there is often what the person has already.
                let stands = || catalogue.is_servable(item) && catalogue.category(item) == Some(category);
                if is_due && stands() && is_wanted(query, item) {
                    into.add(item, SourceKind::TrendingInCategory, share);
                    taken += 1;
                }
                is_due
            });
        }
    }
}

/// The categories of the person's items in the unit, the heaviest first; of equal ones, that of the later item.
fn top_categories(query: &Query<'_>) -> Vec<(CategoryId, f32)> {
    let mut seen = Vec::with_capacity(CATEGORIES_SEEN_MAX);
    for signal in query.signals.iter().filter(|signal| !signal.is_elsewhere).take(SIGNALS_MAX) {
        let category = query.state.catalogue().category(signal.item);
        category.into_iter().for_each(|category| weights::add(&mut seen, category, signal.weight));
    }
    seen.truncate(CATEGORIES_SEEN_MAX);
    seen.sort_by(|a, b| b.1.total_cmp(&a.1)); // stable
    seen
}
