//! Why an item is on a slate; worked out on request only, for the items of the slate only.

use crate::{
    ids::ItemId,
    ranking::{candidate::Candidate, query::Query, rerank::rules_behind, sources, stage::SourceKind},
};

/// Most of the person's items named for one item of a slate.
pub const BECAUSE_MAX: usize = 3;

/// Why an item is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// The source that gave most.
    pub source: SourceKind,
    /// The person's items that led to it, strongest first, at most [`BECAUSE_MAX`].
    pub because: Vec<ItemId>,
    /// Names of the rules that changed its score or gave it its place.
    pub rules: Vec<Box<str>>,
}

/// A reason for one item. Cost: a walk over the neighbours of every signal.
#[must_use]
pub fn explain(query: &Query<'_>, candidate: &Candidate) -> Reason {
    let rules = rules_behind(query, candidate);
    let source = strongest_source(candidate);
    if !matches!(source, SourceKind::Interest | SourceKind::CoVisitation) {
        return Reason { source, because: Vec::new(), rules };
    }
    // The item itself, looked at before, is no reason to show it.
    let mut led: Vec<(f32, ItemId)> = Vec::new();
    if let Some(model) = query.model {
        let vector = |item| {
            let mut vector = vec![0.0; model.dimension()];
            model.add_vector(item, 1.0, &mut vector).then_some(vector)
        };
        let of_candidate = vector(candidate.item);
        for signal in query.signals.iter().filter(|signal| signal.item != candidate.item) {
            let mut strength = 0.0;
            if source == SourceKind::CoVisitation {
                model.co_visited(signal.item, query.bu, &mut |item, s| strength += if item == candidate.item { s } else { 0.0 });
            } else if let (Some(a), Some(b)) = (vector(signal.item), &of_candidate) {
                strength = sources::cosine(&a, b).max(0.0);
            }
            if strength > 0.0 {
                led.push((strength * signal.weight, signal.item));
            }
        }
    }
    if led.is_empty() {
        return Reason { source: impersonal_source(candidate), because: Vec::new(), rules };
    }
    led.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| query.state.catalogue().by_name(a.1, b.1)));
    Reason { source, because: led.into_iter().take(BECAUSE_MAX).map(|(_, item)| item).collect(), rules }
}

/// Personal sources lead if they gave anything of note; then what is new, what trends, what is left.
fn strongest_source(candidate: &Candidate) -> SourceKind {
    const OF_NOTE: f32 = 0.2;
    if candidate.part(SourceKind::CoVisitation) > 0.0 {
        SourceKind::CoVisitation
    } else if candidate.part(SourceKind::Interest) > OF_NOTE {
        SourceKind::Interest
    } else {
        impersonal_source(candidate)
    }
}

fn impersonal_source(candidate: &Candidate) -> SourceKind {
    if candidate.part(SourceKind::New) > 0.0 {
        SourceKind::New
    } else if candidate.part(SourceKind::Trending) > 0.0 {
        SourceKind::Trending
    } else {
        SourceKind::Popular
    }
}
