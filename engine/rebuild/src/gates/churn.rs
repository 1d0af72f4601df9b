//! How much of what is served would be gone, or would keep other company.

use foldhash::{HashMap, HashMapExt as _};

use super::{Bound, Case, Finding, Gate, GateLimits, NOTHING_SERVED, share};
use crate::{generation::Generation, training::TrainingItem};

/// Neighbours of an item that are compared.
const NEIGHBOURS: usize = 10;
/// Items whose neighbours are compared, spread evenly.
const ITEMS_MAX: usize = 5_000;

/// Share of the served items that the candidate does not have.
pub(super) fn churn(case: &Case<'_>, limits: &GateLimits) -> Finding {
    let Some(serving) = case.serving else { return Finding::skipped(Gate::Churn, NOTHING_SERVED) };
    let rows = rows_of(case.candidate);
    let lost = serving.items.iter().filter(|item| !rows.contains_key(item)).count();
    let new = case.candidate.items.len().saturating_sub(serving.items.len() - lost);
    let value = if lost == 0 { 0.0 } else { share(lost, serving.items.len()) };
    let detail = format!("{lost} of {} served items are gone, {new} are new", serving.items.len());
    Finding::judged(Gate::Churn, Bound::AtMost, value, limits.items_lost_share_max, detail)
}

/// Share of the served items' ten heaviest neighbours that are not among the candidate's, over items with neighbours in both.
pub(super) fn neighbours(case: &Case<'_>, limits: &GateLimits) -> Finding {
    let Some(serving) = case.serving else { return Finding::skipped(Gate::Neighbours, NOTHING_SERVED) };
    let rows = rows_of(case.candidate);
    let (mut kept, mut all, mut items) = (0, 0, 0);
    for served_row in (0..serving.items.len() as u32).step_by(serving.items.len() / ITEMS_MAX + 1) {
        let Some(row) = serving.items.get(served_row as usize).and_then(|item| rows.get(item)) else { continue };
        let (before, now) = (company(serving, served_row), company(case.candidate, *row));
        if !before.is_empty() && !now.is_empty() {
            kept += before.iter().filter(|item| now.contains(item)).count();
            all += before.len();
            items += 1;
        }
    }
    if items == 0 {
        return Finding::skipped(Gate::Neighbours, "no item has neighbours in both generations");
    }
    let detail = format!("{} of {all} neighbours of {items} items are others", all - kept);
    Finding::judged(Gate::Neighbours, Bound::AtMost, share(all - kept, all), limits.neighbours_changed_share_max, detail)
}

fn rows_of(generation: &Generation) -> HashMap<&TrainingItem, u32> {
    let mut rows = HashMap::with_capacity(generation.items.len());
    rows.extend(generation.items.iter().zip(0..));
    rows
}

fn company(generation: &Generation, row: u32) -> Vec<&TrainingItem> {
    let mut neighbours: Vec<(u32, f32)> = generation.co_visited.neighbours(row).collect();
    neighbours.sort_by(|left, right| right.1.total_cmp(&left.1));
    neighbours.truncate(NEIGHBOURS);
    neighbours.iter().filter_map(|(row, _)| generation.items.get(*row as usize)).collect()
}
