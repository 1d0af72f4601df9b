//! Which of the best make the slate: caps keep one category from filling it.

use std::collections::HashMap;

use crate::{
    ids::CategoryId,
    ranking::{candidate::Candidate, query::Query, stage::Selector},
};

/// Takes the best, at most a share of the slate from one category; what the cap held back fills up if nothing else is left.
#[derive(Clone, Copy, Debug)]
pub struct CategoryCap {
    /// Largest share of a slate that one category may hold, in (0, 1]; 1 switches the cap off.
    pub share_max: f32,
}

impl Selector for CategoryCap {
    fn select(&self, query: &Query<'_>, sorted: &[Candidate], slate: &mut Vec<Candidate>) {
        let places = (query.wanted as f32 * self.share_max).ceil().max(1.0) as usize;
        if places >= query.wanted {
            slate.extend(sorted.iter().take(query.wanted));
            return;
        }
        let start = slate.len();
        let mut taken: HashMap<CategoryId, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut held_back: Vec<Candidate> = Vec::new();
        for candidate in sorted {
            if slate.len() - start == query.wanted {
                break;
            }
            let Some(category) = query.state.catalogue().category(candidate.item) else {
                slate.push(*candidate);
                continue;
            };
            let count = taken.entry(category).or_default();
            if *count < places {
                *count += 1;
                slate.push(*candidate);
            } else if held_back.len() < query.wanted {
                held_back.push(*candidate);
            }
        }
        let missing = query.wanted - (slate.len() - start);
        slate.extend(held_back.into_iter().take(missing));
        // The cap decides who stands on the slate, not where: what was held back goes back to its place.
        if let (Some(chosen), true) = (slate.get_mut(start..), missing > 0) {
            chosen.sort_unstable_by(Candidate::best_first(query.state.catalogue()));
        }
    }
}
