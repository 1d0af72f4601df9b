//! When a shard is written whole again, not only what changed.
//!
//! Three reasons: there is nothing yet to add changes to; reading would take too long (changes add up to the whole); or segments
//! would live for ever, each for the sake of a few sections. Shards differ in their thresholds, so that the work of writing them
//! whole spreads over cycles. A shard is read once per cycle, so that this is decided before it is known how much changed: the
//! change before stands in for it.

use std::collections::BTreeMap;

use crate::manifest::{Manifest, Section};

/// Segments after which a shard is written whole, if not before; up to twice as many for some shards.
const AGE_MAX: u64 = 16;
/// Shards with different thresholds.
const STAGGER: u64 = 16;
/// Dead bytes per live byte that are put up with.
const DEAD_SHARE_MAX: f64 = 0.6;

/// What is to be written whole in one cycle.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    segment_count: u64,
    orders: Vec<u64>,
    /// By position: segments to be emptied.
    emptied: Vec<bool>,
}

impl Plan {
    /// For the cycle after `before`.
    pub(crate) fn after(before: &Manifest) -> Self {
        let orders: Vec<u64> = before.segments.iter().map(|segment| segment.order).collect();
        let mut live = BTreeMap::<usize, u64>::new();
        for section in before.sections() {
            *live.entry(section.segment).or_default() += section.bytes;
        }
        // The deadest first, until what is dead is within bounds.
        let mut by_deadness: Vec<(usize, u64, u64)> = before
            .segments
            .iter()
            .enumerate()
            .map(|(position, segment)| {
                let live = live.get(&position).copied().unwrap_or_default();
                (position, live, segment.bytes.saturating_sub(live))
            })
            .collect();
        by_deadness.sort_by(|a, b| (u128::from(b.2) * u128::from(a.1)).cmp(&(u128::from(a.2) * u128::from(b.1))));
        let live_bytes = before.live_bytes() as f64;
        let mut dead_bytes: u64 = by_deadness.iter().map(|(_, _, dead)| dead).sum();
        let mut emptied = vec![false; orders.len()];
        for (position, _, dead) in by_deadness {
            if dead_bytes as f64 <= live_bytes * DEAD_SHARE_MAX {
                break;
            }
            dead_bytes -= dead;
            if let Some(is_emptied) = emptied.get_mut(position) {
                *is_emptied = true;
            }
        }
        Self { segment_count: before.segment_count, orders, emptied }
    }

    /// Whether something is to be written whole. `number` tells shards apart.
    pub(crate) fn is_base_due(&self, number: usize, sections: &[Section]) -> bool {
        if sections.is_empty() {
            return true;
        }
        let place = number as u64 % STAGGER;
        let is_old = |section: &Section| {
            let order = self.orders.get(section.segment).copied().unwrap_or_default();
            self.segment_count.saturating_sub(order) > AGE_MAX + place
        };
        let is_emptied = |section: &Section| self.emptied.get(section.segment).copied().unwrap_or_default();
        let (base, deltas): (Vec<&Section>, Vec<&Section>) = sections.iter().partition(|section| section.is_base);
        let sum = |sections: &[&Section]| sections.iter().map(|section| section.bytes).sum::<u64>();
        let expected = deltas.last().map_or(0, |last| last.bytes);
        let is_long = (sum(&deltas) + expected) * 2 * STAGGER > sum(&base) * (STAGGER + place);
        is_long || sections.iter().any(|section| is_old(section) || is_emptied(section))
    }
}
