//! Why an item is on a slate; worked out on request only, for the items of the slate only.

use std::iter;

use crate::{
    ids::ItemId,
    ranking::{candidate::Candidate, model::Relation, query::Query, rerank::rules_behind, source_kind::SourceKind, sources},
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
    /// The category or region in which it trends, where that is the source.
    pub trends_in: Option<Box<str>>,
    /// Names of the rules that changed its score or gave it its place.
    pub rules: Vec<Box<str>>,
}

/// A reason for one item. Cost: a walk over the neighbours of every signal.
#[must_use]
pub fn explain(query: &Query<'_>, candidate: &Candidate) -> Reason {
    let rules = rules_behind(query, candidate);
    let source = strongest_source(candidate);
    // The item itself, looked at before, is no reason to show it.
    let others = query.signals.iter().filter(|signal| signal.item != candidate.item);
    let led = others.map(|signal| (strength(query, source, signal.item, candidate.item) * signal.weight, signal.item));
    let mut led: Vec<(f32, ItemId)> = led.filter(|(strength, _)| *strength > 0.0).collect();
    let is_personal = !IMPERSONAL.contains(&source);
    let source = if is_personal && led.is_empty() { impersonal_source(candidate) } else { source };
    let trends_in = trends_in(query, source, candidate.item);
    led.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| query.state.catalogue().by_name(a.1, b.1)));
    Reason { source, because: led.into_iter().take(BECAUSE_MAX).map(|(_, item)| item).collect(), trends_in, rules }
}

/// Sources that look at none of the person's items, or only at the item itself.
const IMPERSONAL: [SourceKind; 7] = [
    SourceKind::New,
    SourceKind::Trending,
    SourceKind::TrendingInCategory,
    SourceKind::TrendingInRegion,
    SourceKind::Popular,
    SourceKind::Request,
    SourceKind::History,
];

/// The category or region in which an item trends.
fn trends_in(query: &Query<'_>, source: SourceKind, item: ItemId) -> Option<Box<str>> {
    match source {
        SourceKind::TrendingInCategory => {
            query.state.catalogue().attributes(item).categories.last().map(|name| name.as_str().into())
        }
        SourceKind::TrendingInRegion => query.region.map(Box::from),
        _ => None,
    }
}

/// How strongly one of the person's items leads to another item, as a source sees it; 0 for a source that looks at none.
fn strength(query: &Query<'_>, source: SourceKind, from: ItemId, to: ItemId) -> f32 {
    let neighbours = query.state.neighbours();
    let mut strength = 0.0;
    let mut add = |item: ItemId, value: f32| strength += if item == to { value } else { 0.0 };
    match (source, query.model) {
        (SourceKind::CoVisitation, Some(model)) => model.related(Relation::CoVisited, from, query.bu, &mut add),
        (SourceKind::Content, Some(model)) => model.related(Relation::Content, from, query.bu, &mut add),
        (SourceKind::Together, _) => neighbours.together(iter::once(from), query.bu, 0.0, |_, item, share| add(item, share)),
        (SourceKind::Neighbours, _) => neighbours.takers(iter::once(from), |_, line| {
            if query.profile.lines.contains(&line) {
                return; // nobody is their own neighbour
            }
            let mut look = |line| neighbours.items(line).for_each(|item| add(item, 1.0));
            look(line);
            neighbours.others(line).for_each(look);
        }),
        (SourceKind::Interest, Some(model)) => {
            let vector = |item| {
                let mut vector = vec![0.0; model.dimension()];
                model.add_vector(item, 1.0, &mut vector).then_some(vector)
            };
            if let (Some(a), Some(b)) = (vector(from), vector(to)) {
                strength = sources::cosine(&a, &b).max(0.0);
            }
        }
        _ => {}
    }
    strength
}

/// Personal sources lead if they gave anything of note; then what the person had, what is new, what trends, what is left.
fn strongest_source(candidate: &Candidate) -> SourceKind {
    const OF_NOTE: f32 = 0.2;
    let gave = |kinds: &[SourceKind]| kinds.iter().any(|kind| candidate.part(*kind) > 0.0);
    if gave(&[SourceKind::CoVisitation]) {
        SourceKind::CoVisitation
    } else if gave(&[SourceKind::Together, SourceKind::Latest]) {
        SourceKind::Together
    } else if gave(&[SourceKind::Neighbours, SourceKind::NeighboursElsewhere]) {
        SourceKind::Neighbours
    } else if gave(&[SourceKind::Content]) {
        SourceKind::Content
    } else if candidate.part(SourceKind::Interest) > OF_NOTE {
        SourceKind::Interest
    } else {
        impersonal_source(candidate)
    }
}

/// What the person had; what is new; else where it trends most, as a share of what is wanted most there: everywhere, in the region, or in
/// the category; else that the caller gave it.
fn impersonal_source(candidate: &Candidate) -> SourceKind {
    if let Some(kind) = [SourceKind::History, SourceKind::New].into_iter().find(|kind| candidate.part(*kind) > 0.0) {
        return kind;
    }
    let trends = [SourceKind::Trending, SourceKind::TrendingInRegion, SourceKind::TrendingInCategory];
    let most = trends.map(|kind| (candidate.part(kind), kind)).into_iter();
    let is_given = candidate.part(SourceKind::Request) > 0.0;
    let least = (0.0, if is_given { SourceKind::Request } else { SourceKind::Popular });
    let (_, kind) = most.fold(least, |most, one| if one.0 > most.0 { one } else { most });
    kind
}
