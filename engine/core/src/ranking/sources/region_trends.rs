//! What is wanted right now where the person is, as far as the request says where. Cost: a walk over a short list.

use crate::{
    ids::RegionId,
    ranking::{candidate::CandidateSet, query::Query, scratch::Scratch, source_kind::SourceKind, stage::Source},
};

/// Retrieval of what trends in the request's region.
#[derive(Debug)]
pub struct RegionTrends;

impl Source for RegionTrends {
    fn kind(&self) -> SourceKind {
        SourceKind::TrendingInRegion
    }

    fn retrieve(&self, query: &Query<'_>, _scratch: &mut Scratch, into: &mut CandidateSet) {
        let Some(region) = query.region else { return };
        query.state.trending_in_region(query.bu, RegionId::of(region), |item, share| {
            into.add(item, SourceKind::TrendingInRegion, share);
            true
        });
    }
}
