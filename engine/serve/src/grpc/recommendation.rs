//! `RecommendationService`.

use faces_core::{
    event::EventKind,
    ids::{BuId, ItemId},
    key::SourceKey,
    ranking::Condition,
};
use faces_ingest::{Reason, validate};
use faces_proto::v1::{self, recommendation_service_server::RecommendationService};
use tonic::{Request, Response, Status};
use xxhash_rust::xxh3::xxh3_64;

use super::{Services, answer, deadline::Due, page, parse, refusal::Refusal};
use crate::{
    clock,
    engine::{Answer, Ask},
};

const BATCH_MAX: usize = 256;
const RERANK_MAX: usize = 1_000;
/// Requests of a batch that are answered together, in some milliseconds at most: they share passes over the index.
const TOGETHER: usize = 16;

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
            for (chunk, first) in requests.chunks(TOGETHER).zip((0..).step_by(TOGETHER)) {
                if first > 0 {
                    tokio::task::yield_now().await;
                }
                entries.extend(self.recommend_each(chunk, first, due));
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

/// A request for a slate in the engine's terms.
pub(super) struct Asked {
    keys: Vec<SourceKey>,
    wanted: usize,
    bu: BuId,
    placement: String,
    context: Vec<(ItemId, EventKind)>,
    condition: Option<Condition>,
    region: Option<String>,
    question: u64,
    served: Vec<u64>,
    suppress_owned: Option<bool>,
    explain: bool,
}

impl Asked {
    pub(super) fn ask(&self, due: Due) -> Ask<'_> {
        Ask {
            wanted: self.wanted,
            placement: Some(&self.placement),
            context: &self.context,
            condition: self.condition.as_ref(),
            region: self.region.as_deref(),
            served: &self.served,
            suppress_owned: self.suppress_owned,
            explain: self.explain,
            deadline: Some(due.instant()),
            ..Ask::new(&self.keys, self.bu, clock::now())
        }
    }
}

impl Services {
    fn recommend_one(&self, request: &v1::RecommendRequest, due: Due) -> Result<v1::RecommendResponse, Refusal> {
        let asked = self.read(request, due)?;
        self.recent.note(&asked.keys, asked.bu, asked.wanted);
        let answer = self.engine.recommend(&asked.ask(due));
        self.count_slate(&answer, asked.wanted);
        Ok(self.respond(&asked, &answer))
    }

    /// The entries of some requests of a batch, the first of which is at place `first`.
    fn recommend_each(&self, requests: &[v1::RecommendRequest], first: usize, due: Due) -> Vec<v1::BatchRecommendEntry> {
        let read: Vec<_> = requests.iter().map(|request| self.read(request, due)).collect();
        let asks: Vec<Ask<'_>> = read.iter().flatten().map(|asked| asked.ask(due)).collect();
        let mut answers = self.engine.recommend_each(&asks).into_iter();
        drop(asks);
        let mut respond = |asked: &Asked| {
            let answer = answers.next()?;
            self.count_slate(&answer, asked.wanted);
            Some(v1::batch_recommend_entry::Outcome::Response(self.respond(asked, &answer)))
        };
        let outcome = |(asked, n): (Result<Asked, Refusal>, usize)| match asked {
            Ok(asked) => respond(&asked),
            Err(refusal) => Some(v1::batch_recommend_entry::Outcome::Error(refusal.under(&format!("requests[{n}]")).into())),
        };
        read.into_iter().zip(first..).map(outcome).map(|outcome| v1::BatchRecommendEntry { outcome }).collect()
    }

    /// Checks a request and takes over what it says.
    pub(super) fn read(&self, request: &v1::RecommendRequest, due: Due) -> Result<Asked, Refusal> {
        due.check()?;
        let state = self.engine.state();
        let keys = parse::keys(&request.keys, 0)?;
        let wanted = parse::page_size(request.page_size)?;
        let placement = parse::placement(&request.placement)?.to_owned();
        let bu = parse::known_bu(state, &request.bu)?;
        let context = parse::context(state, &request.context)?;
        let condition = parse::filter(state, bu, request.filter.as_ref())?;
        let region = parse::region(&request.region)?.map(str::to_owned);
        let question = question_hash(&request.bu, "", &keys);
        let served = sorted(page::decode(&request.page_token, question)?);
        let (suppress_owned, explain) = (request.suppress_owned, request.explain);
        Ok(Asked { keys, wanted, bu, placement, context, condition, region, question, served, suppress_owned, explain })
    }

    pub(super) fn respond(&self, asked: &Asked, answer: &Answer) -> v1::RecommendResponse {
        v1::RecommendResponse {
            items: answer::items(self.engine.state().catalogue(), answer),
            next_page_token: self.next_page(asked.question, asked.served.clone(), answer, asked.wanted),
            answer_token: answer::token(),
            generation_id: answer::generation_id(answer),
            freshness: Some(self.freshness(answer.newest)),
            filtered: if asked.explain { answer::filtered(answer) } else { Vec::new() },
        }
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
        self.count_slate(&answer, wanted);
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
