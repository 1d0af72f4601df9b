//! Whether slates of one category or brand can be filled from the indexes.

use std::collections::BTreeMap;

use faces_index::{RowSet, Scratch, Search};
use foldhash::{HashMap, HashMapExt as _};

use super::{Bound, Case, Finding, Gate, GateLimits, share};
use crate::{
    generation::{Generation, Space},
    tables::ItemRow,
    training::TrainingItem,
};

/// Places of a slate.
const SLATE: usize = 20;
/// Facets looked at, the largest ones.
const FACETS_MAX: usize = 500;

/// What filters may ask for: the items of each category and brand, by unit.
#[derive(Debug, Clone, Default)]
pub struct Facets(Vec<Facet>);

#[derive(Debug, Clone)]
struct Facet {
    bu: String,
    name: String,
    items: Vec<TrainingItem>,
}

impl Facets {
    /// The widest categories and the brands of a catalogue.
    pub fn of<'a>(items: impl IntoIterator<Item = &'a ItemRow>) -> Self {
        let mut facets: BTreeMap<(&str, &str, &str), Vec<TrainingItem>> = BTreeMap::new();
        for row in items {
            let category = row.category.first().map(|level| ("category", level.as_str()));
            for (kind, value) in category.into_iter().chain(row.brand.as_deref().map(|brand| ("brand", brand))) {
                let item = TrainingItem { bu: row.bu.clone(), item_id: row.item_id.clone() };
                facets.entry((&row.bu, kind, value)).or_default().push(item);
            }
        }
        let facet = |((bu, kind, value), items): ((&str, &str, &str), Vec<TrainingItem>)| Facet {
            bu: bu.to_owned(),
            name: format!("{bu} {kind} {value}"),
            items,
        };
        let mut facets: Vec<Facet> = facets.into_iter().map(facet).collect();
        facets.sort_by_key(|facet| std::cmp::Reverse(facet.items.len())); // stable: then by name
        facets.truncate(FACETS_MAX);
        Self(facets)
    }
}

/// Share of the facets for which a filtered search gives as many items as the served generation has, up to a slate; without
/// one, as the candidate has itself.
pub(super) fn filters(case: &Case<'_>, limits: &GateLimits) -> Finding {
    let served = case.serving.map(Reachable::new);
    let candidate = Reachable::new(case.candidate);
    let (mut asked, mut filled, mut parts) = (0, 0, Vec::new());
    for facet in &case.facets.0 {
        let here = candidate.rows_of(facet);
        let wanted = served.as_ref().map_or(here.len(), |served| served.rows_of(facet).len()).min(SLATE);
        if wanted == 0 {
            continue;
        }
        let found = case.candidate.space(&facet.bu).map_or(0, |space| found(space, &here)).min(wanted);
        asked += 1;
        filled += usize::from(found == wanted);
        parts.push((facet.name.clone(), share(found, wanted)));
    }
    if asked == 0 {
        return Finding::skipped(Gate::Filters, "the items have neither categories nor brands");
    }
    let worst = parts.iter().min_by(|left, right| left.1.total_cmp(&right.1));
    let worst =
        worst.filter(|(_, share)| *share < 1.0).map(|(name, share)| format!("; worst is {name} at {:.0} %", share * 100.0));
    let detail = format!("{filled} of {asked} categories and brands fill a slate as they do now{}", worst.unwrap_or_default());
    Finding::judged(Gate::Filters, Bound::AtLeast, share(filled, asked), limits.filter_coverage_min, detail).with_parts(parts)
}

/// Which items have a row in an index.
struct Reachable<'a> {
    rows: HashMap<&'a TrainingItem, u32>, // in their unit's index
}

impl<'a> Reachable<'a> {
    fn new(generation: &'a Generation) -> Self {
        let mut rows = HashMap::new();
        for space in &generation.spaces {
            let items = space.rows.iter().filter_map(|row| generation.items.get(*row as usize));
            rows.extend(items.zip(0..));
        }
        Self { rows }
    }

    fn rows_of(&self, facet: &Facet) -> Vec<u32> {
        facet.items.iter().filter_map(|item| self.rows.get(item).copied()).collect()
    }
}

/// How many items a filtered search gives, asked with the vector of the first of them.
fn found(space: &Space, rows: &[u32]) -> usize {
    let (mut query, mut scratch, mut answer) = (Vec::new(), Scratch::default(), Vec::new());
    let Some(first) = rows.first() else { return 0 };
    if !space.index.row_into(*first, &mut query) {
        return 0;
    }
    let mut allowed = RowSet::empty(space.rows.len());
    rows.iter().for_each(|row| _ = allowed.insert(*row));
    match space.index.search(&Search::new(&query, SLATE).within(&allowed), &mut scratch, &mut answer) {
        Ok(()) => answer.iter().filter(|neighbour| allowed.contains(neighbour.row)).count(),
        Err(_) => 0,
    }
}
