//! Boosts and burials: what rules do to scores and order.

use std::borrow::Cow;

use crate::ranking::{candidate::Candidate, query::Query, rules::Seen};

/// Candidates in the order that rules give them.
pub(super) struct Adjusted<'a> {
    /// Best first, those buried at the end.
    pub(super) candidates: Cow<'a, [Candidate]>,
    /// How many there are before the buried ones.
    pub(super) unburied: usize,
}

/// Applies boosts to scores and puts what is buried behind everything else. Cost without such rules: none; else a look at every
/// candidate for every rule, and a sort.
pub(super) fn adjusted<'a>(query: &Query<'_>, sorted: &'a [Candidate]) -> Adjusted<'a> {
    let (boosts, burials, catalogue) = (&query.rules.boosts, &query.rules.burials, query.state.catalogue());
    if boosts.is_empty() && burials.is_empty() {
        return Adjusted { candidates: Cow::Borrowed(sorted), unburied: sorted.len() };
    }
    let (mut kept, mut buried) = (Vec::with_capacity(sorted.len()), Vec::new());
    for candidate in sorted {
        let (mut candidate, seen) = (*candidate, Seen::new(catalogue, candidate.item));
        for boost in boosts.iter().filter(|boost| boost.what.items.holds(&seen)) {
            candidate.score = boost.what.change.of(candidate.score);
        }
        let is_buried = burials.iter().any(|rule| rule.what.holds(&seen));
        if is_buried { &mut buried } else { &mut kept }.push(candidate);
    }
    let unburied = kept.len();
    for part in [&mut kept, &mut buried] {
        part.sort_unstable_by(Candidate::best_first(catalogue));
    }
    kept.append(&mut buried);
    Adjusted { candidates: Cow::Owned(kept), unburied }
}
