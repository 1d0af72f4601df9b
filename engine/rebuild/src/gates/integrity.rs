//! Whether the candidate is whole, and what it says it is.

use super::{Bound, Case, Finding, Gate};
use crate::{EmbeddingSource, generation::Generation};

/// Problems of the parts: those that don't fit each other, and vectors that point nowhere.
pub(super) fn integrity(candidate: &Generation) -> Finding {
    let judged = |problems: usize, detail| Finding::judged(Gate::Integrity, Bound::AtMost, problems as f64, 0.0, detail);
    if let Err(reason) = candidate.check() {
        return judged(1, format!("{reason}; rebuild"));
    }
    let (mut values, mut pointless, mut first) = (Vec::new(), 0, None);
    for space in &candidate.spaces {
        for row in 0..space.rows.len() as u32 {
            let is_read = space.index.row_into(row, &mut values);
            let length: f32 = values.iter().map(|value| value * value).sum();
            if !is_read || !length.is_finite() || length <= f32::MIN_POSITIVE {
                pointless += 1;
                let item = space.item_row(row).and_then(|row| candidate.items.get(row as usize));
                first = first.or(item.map(|item| format!("{}/{}", item.bu, item.item_id)));
            }
        }
    }
    let counts = candidate.manifest.counts;
    match first {
        Some(item) => judged(pointless, format!("{pointless} vectors have no direction, the first of them {item}'s")),
        None => judged(
            0,
            format!(
                "{} items, {} vectors, {} pairs fit each other",
                counts.items,
                counts.embedded_items,
                counts.co_visited_pairs + counts.content_pairs
            ),
        ),
    }
}

/// Numbers in a vector, against those asked for; where the catalogue decides, against those served, which live items have.
pub(super) fn dimension(case: &Case<'_>) -> Finding {
    let found = case.candidate.manifest.dimension;
    let is_own = |generation: &&Generation| generation.manifest.embeddings == EmbeddingSource::Catalogue;
    let served = case.serving.filter(is_own).filter(|_| is_own(&case.candidate)).map(|serving| serving.manifest.dimension);
    let Some(expected) = case.dimension.or(served) else {
        return Finding::skipped(Gate::Dimension, "the catalogue decides, and none of its vectors are served yet");
    };
    let detail = format!("vectors of {found} numbers where {expected} are expected");
    let apart = found.abs_diff(expected);
    Finding::judged(Gate::Dimension, Bound::AtMost, apart as f64, 0.0, detail)
}
