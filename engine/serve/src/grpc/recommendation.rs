//! `RecommendationService`.

use faces_core::key::SourceKey;
use faces_ingest::{
    Reason,
    validate::{self, Violation},
};
use faces_proto::v1::{self, recommendation_service_server::RecommendationService};
use tonic::{Request, Response, Status};
use xxhash_rust::xxh3::xxh3_64;

use super::{Services, answer, deadline::Due, page, parse, refusal::Refusal};
use crate::{
    clock,
    engine::{Answer, Ask},
    metrics,
};

const BATCH_MAX: usize = 256;
const RERANK_MAX: usize = 1_000;

#[tonic::async_trait]
impl RecommendationService for Services {
    async fn recommend(&self, request: Request<v1::RecommendRequest>) -> Result<Response<v1::RecommendResponse>, Status> {
        self.timed("Recommend", || {
            let due = Due::of(request.metadata(), self.deadline_ms_max)?;
            self.recommend_one(request.get_ref(), due)
        })
    }

    async fn batch_recommend(
        &self,
        request: Request<v1::BatchRecommendRequest>,
    ) -> Result<Response<v1::BatchRecommendResponse>, Status> {
        let due = Due::of(request.metadata(), self.deadline_ms_max);
        // A batch can take milliseconds: let other tasks of this thread go first now and then.
        self.timed_async("BatchRecommend", async {
            let (due, requests) = (due?, &request.get_ref().requests);
            parse::bounded("requests", requests, 1, BATCH_MAX)?;
            let mut entries = Vec::with_capacity(requests.len());
            for (n, one) in requests.iter().enumerate() {
                if n % 8 == 7 {
                    tokio::task::yield_now().await;
                }
                let outcome = match self.recommend_one(one, due) {
                    Ok(response) => v1::batch_recommend_entry::Outcome::Response(response),
                    Err(refusal) => v1::batch_recommend_entry::Outcome::Error(under_requests(refusal, n).into()),
                };
                entries.push(v1::BatchRecommendEntry { outcome: Some(outcome) });
            }
            Ok(v1::BatchRecommendResponse { entries })
        })
        .await
    }

    async fn similar_items(
        &self,
        request: Request<v1::SimilarItemsRequest>,
    ) -> Result<Response<v1::SimilarItemsResponse>, Status> {
        self.timed("SimilarItems", || {
            let due = Due::of(request.metadata(), self.deadline_ms_max)?;
            self.similar_to(request.get_ref(), due)
        })
    }

    async fn rerank_items(&self, request: Request<v1::RerankItemsRequest>) -> Result<Response<v1::RerankItemsResponse>, Status> {
        self.timed("RerankItems", || {
            let due = Due::of(request.metadata(), self.deadline_ms_max)?;
            self.rerank(request.get_ref(), due)
        })
    }
}

impl Services {
    fn recommend_one(&self, request: &v1::RecommendRequest, due: Due) -> Result<v1::RecommendResponse, Refusal> {
        due.check()?;
        let state = self.engine.state();
        let keys = parse::keys(&request.keys, 0)?;
        let wanted = parse::page_size(request.page_size)?;
        parse::placement(&request.placement)?;
        let bu = parse::known_bu(state, &request.bu)?;
        let context = parse::context(state, &request.context)?;
        let condition = parse::filter(state, bu, request.filter.as_ref())?;
        let question = question_hash(&request.bu, "", &keys);
        let served = sorted(page::decode(&request.page_token, question)?);
        let answer = self.engine.recommend(&Ask {
            wanted,
            context: &context,
            condition: condition.as_ref(),
            served: &served,
            suppress_owned: request.suppress_owned,
            explain: request.explain,
            deadline: Some(due.instant()),
            ..Ask::new(&keys, bu, clock::now())
        });
        metrics::slate(&answer, wanted);
        Ok(v1::RecommendResponse {
            items: answer::items(state.catalogue(), &answer),
            next_page_token: self.next_page(question, served, &answer, wanted),
            answer_token: answer::token(),
            generation_id: answer::generation_id(&answer),
            freshness: Some(self.freshness(answer.newest)),
            filtered: if request.explain { answer::filtered(&answer) } else { Vec::new() },
        })
    }

    fn similar_to(&self, request: &v1::SimilarItemsRequest, due: Due) -> Result<v1::SimilarItemsResponse, Refusal> {
        due.check()?;
        let state = self.engine.state();
        let Some(wire) = &request.r#ref else {
            return Err(parse::refused("ref", Reason::MissingField, "is required").into());
        };
        let (of_bu, item_id) = validate::item_ref(wire).map_err(|violation| violation.under("ref"))?;
        let keys = parse::keys(&request.keys, 0)?;
        let wanted = parse::page_size(request.page_size)?;
        let bu = parse::known_bu(state, if request.bu.is_empty() { of_bu } else { &request.bu })?;
        let unknown = || Refusal::UnknownItem { bu: of_bu.into(), item_id: item_id.into() };
        let item = state.catalogue().bu(of_bu).and_then(|bu| state.catalogue().item(bu, item_id)).ok_or_else(unknown)?;
        let condition = parse::filter(state, bu, request.filter.as_ref())?;
        let question = question_hash(&request.bu, item_id, &keys);
        let served = sorted(page::decode(&request.page_token, question)?);
        let answer = self.engine.similar(
            item,
            &Ask {
                wanted,
                condition: condition.as_ref(),
                served: &served,
                explain: request.explain,
                deadline: Some(due.instant()),
                ..Ask::new(&keys, bu, clock::now())
            },
        );
        metrics::slate(&answer, wanted);
        Ok(v1::SimilarItemsResponse {
            items: answer::items(state.catalogue(), &answer),
            next_page_token: self.next_page(question, served, &answer, wanted),
            generation_id: answer::generation_id(&answer),
        })
    }

    fn rerank(&self, request: &v1::RerankItemsRequest, due: Due) -> Result<v1::RerankItemsResponse, Refusal> {
        due.check()?;
        let state = self.engine.state();
        let keys = parse::keys(&request.keys, 0)?;
        let bu = parse::known_bu(state, &request.bu)?;
        parse::bounded("item_ids", &request.item_ids, 1, RERANK_MAX)?;
        let mut seen = std::collections::HashSet::new();
        if let Some(n) = request.item_ids.iter().position(|id| !seen.insert(id.as_str())) {
            return Err(parse::refused(&format!("item_ids[{n}]"), Reason::InvalidField, "stands in the list already").into());
        }
        let context = parse::context(state, &request.context)?;
        let known: Vec<_> = request.item_ids.iter().filter_map(|id| state.catalogue().item(bu, id)).collect();
        let unknown = request.item_ids.iter().filter(|id| state.catalogue().item(bu, id).is_none());
        let answer = self.engine.rerank(
            &known,
            &Ask {
                context: &context,
                explain: request.explain,
                deadline: Some(due.instant()),
                ..Ask::new(&keys, bu, clock::now())
            },
        );
        let mut items = answer::items(state.catalogue(), &answer);
        items.extend(unknown.map(|id| v1::Recommendation { item_id: id.clone(), ..Default::default() }));
        Ok(v1::RerankItemsResponse {
            items,
            generation_id: answer::generation_id(&answer),
            freshness: Some(self.freshness(answer.newest)),
        })
    }

    /// A short page is the last one.
    fn next_page(&self, question: u64, mut served: Vec<u64>, answer: &Answer, wanted: usize) -> String {
        if answer.slate.items.len() < wanted {
            return String::new();
        }
        let catalogue = self.engine.state().catalogue();
        served.extend(answer.slate.items.iter().map(|candidate| catalogue.name_hash(candidate.item)));
        page::encode(question, &served)
    }
}

fn sorted(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    hashes
}

/// Ties a page token to what was asked.
fn question_hash(bu: &str, item_id: &str, keys: &[SourceKey]) -> u64 {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(bu.as_bytes());
    bytes.push(0);
    bytes.extend(item_id.as_bytes());
    bytes.push(0);
    let mut hashes: Vec<u128> = keys.iter().map(|key| key.hash().raw()).collect();
    hashes.sort_unstable();
    hashes.iter().for_each(|hash| bytes.extend(hash.to_le_bytes()));
    xxh3_64(&bytes)
}

/// Field paths of a refused entry start at the batch.
fn under_requests(refusal: Refusal, n: usize) -> Refusal {
    match refusal {
        Refusal::Invalid(violations) => {
            let parent = format!("requests[{n}]");
            Refusal::Invalid(violations.into_iter().map(|violation: Violation| violation.under(&parent)).collect())
        }
        other => other,
    }
}
