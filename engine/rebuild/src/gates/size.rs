//! Whether about as many items are there as are served.

use super::{Bound, Case, Finding, Gate, GateLimits, NOTHING_SERVED, share};
use crate::generation::Generation;

/// Items and items with a vector, of the group and of each unit, as a share of those served: the smallest share counts.
pub(super) fn size(case: &Case<'_>, limits: &GateLimits) -> Finding {
    let Some(serving) = case.serving else { return Finding::skipped(Gate::Size, NOTHING_SERVED) };
    let mut parts = vec![
        ("items".to_owned(), share(case.candidate.items.len(), serving.items.len())),
        ("with a vector".to_owned(), share(embedded(case.candidate), embedded(serving))),
    ];
    for space in &serving.spaces {
        let rows = case.candidate.space(&space.bu).map_or(0, |space| space.rows.len());
        parts.push((format!("{} with a vector", space.bu), share(rows, space.rows.len())));
    }
    let mut units: Vec<&str> = serving.items.iter().map(|item| item.bu.as_str()).collect();
    units.sort_unstable();
    for of_unit in units.chunk_by(|left, right| left == right) {
        let bu = of_unit.first().copied().unwrap_or_default();
        let here = case.candidate.items.iter().filter(|item| item.bu == bu).count();
        parts.push((format!("{bu} items"), share(here, of_unit.len())));
    }
    let (name, least) = parts.iter().min_by(|left, right| left.1.total_cmp(&right.1)).cloned().unwrap_or_default();
    let detail = format!(
        "{} items, {} before; least of all {name}: {:.1} % of those before",
        case.candidate.items.len(),
        serving.items.len(),
        least * 100.0
    );
    Finding::judged(Gate::Size, Bound::AtLeast, least, limits.items_share_min, detail).with_parts(parts)
}

fn embedded(generation: &Generation) -> usize {
    generation.spaces.iter().map(|space| space.rows.len()).sum()
}
