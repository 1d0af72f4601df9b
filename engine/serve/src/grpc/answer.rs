//! Answers from domain to wire.

use std::sync::atomic::{AtomicU64, Ordering};

use faces_core::{
    catalogue::Catalogue,
    ids::ItemId,
    ranking::{Candidate, Model as _, SourceKind, explain::Reason},
};
use faces_proto::v1;

use crate::engine::Answer;

/// The items of an answer, with reasons where there are any.
pub fn items(catalogue: &Catalogue, answer: &Answer) -> Vec<v1::Recommendation> {
    let items = answer.slate.items.iter().enumerate();
    items.map(|(n, candidate)| item(catalogue, candidate, answer.reasons.get(n))).collect()
}

fn item(catalogue: &Catalogue, candidate: &Candidate, why: Option<&Reason>) -> v1::Recommendation {
    v1::Recommendation {
        item_id: catalogue.item_name(candidate.item).unwrap_or_default().to_owned(),
        score: candidate.score.value(),
        reason: why.map(|why| reason(catalogue, why)),
        propensity: candidate.propensity().unwrap_or_default(),
    }
}

fn reason(catalogue: &Catalogue, why: &Reason) -> v1::Reason {
    let because_title = why.because.first().map(|item| catalogue.attributes(*item).title.clone()).unwrap_or_default();
    v1::Reason {
        source: source(why.source) as i32,
        because: why.because.iter().map(|item| item_ref(catalogue, *item)).collect(),
        because_title,
        trends_in: why.trends_in.as_deref().unwrap_or_default().to_owned(),
        rules: why.rules.iter().map(|name| name.to_string()).collect(),
    }
}

/// An item by its names.
pub fn item_ref(catalogue: &Catalogue, item: ItemId) -> v1::ItemRef {
    let bu = catalogue.bu_of(item).map(|bu| catalogue.bu_name(bu)).unwrap_or_default();
    v1::ItemRef { bu: bu.to_owned(), item_id: catalogue.item_name(item).unwrap_or_default().to_owned() }
}

const fn source(kind: SourceKind) -> v1::CandidateSource {
    match kind {
        SourceKind::Interest => v1::CandidateSource::Interest,
        SourceKind::CoVisitation | SourceKind::Together | SourceKind::Latest => v1::CandidateSource::CoVisitation,
        SourceKind::Content => v1::CandidateSource::Content,
        SourceKind::Trending => v1::CandidateSource::Trending,
        SourceKind::TrendingInCategory => v1::CandidateSource::TrendingInCategory,
        SourceKind::TrendingInRegion => v1::CandidateSource::TrendingInRegion,
        SourceKind::TurnedDown => v1::CandidateSource::Unspecified, // speaks against, so nothing stands on a slate for it
        SourceKind::New => v1::CandidateSource::New,
        SourceKind::Popular => v1::CandidateSource::Popular,
        SourceKind::Neighbours | SourceKind::NeighboursElsewhere => v1::CandidateSource::Neighbours,
        SourceKind::History => v1::CandidateSource::History,
        SourceKind::Request => v1::CandidateSource::Request,
    }
}

/// The generation that answered.
pub fn generation_id(answer: &Answer) -> String {
    answer.generation.as_ref().map(|generation| generation.id().to_owned()).unwrap_or_default()
}

/// What filters removed.
pub fn filtered(answer: &Answer) -> Vec<v1::FilterCount> {
    let counts = answer.slate.removed.iter();
    counts.map(|(filter, removed)| v1::FilterCount { filter: (*filter).to_owned(), removed: *removed as i32 }).collect()
}

/// A name for an answer: unique inside the process, and with overwhelming chance among processes.
pub fn token() -> String {
    static PROCESS: std::sync::LazyLock<u32> = std::sync::LazyLock::new(rand::random);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{:08x}-{:x}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}
