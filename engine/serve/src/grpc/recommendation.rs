//! `RecommendationService`.

use std::time::Instant;

use faces_core::{
    ids::{EventTime, ItemId},
    key::SourceKey,
};
use faces_ingest::{Reason, validate};
use faces_proto::v1::{self, recommendation_service_server::RecommendationService};
use prost::Message as _;
use tonic::{Request, Response, Status};
use xxhash_rust::xxh3::xxh3_64;

use super::{Services, answer, asked::Asked, deadline::Due, levels, page, parse, refusal::Refusal, route::Reply, turn::Turn};
use crate::{
    clock,
    engine::{Answer, Ask},
    overload::Level,
};

const BATCH_MAX: usize = 256;
const RERANK_MAX: usize = 1_000;
/// Requests of a batch that are answered together, in some milliseconds at most: they share passes over the index.
const TOGETHER: usize = 16;

#[tonic::async_trait]
impl RecommendationService for Services {
    async fn recommend(&self, request: Request<v1::RecommendRequest>) -> Result<Response<v1::RecommendResponse>, Status> {
        Ok(self.reply(&request)?.map(Reply::into_message))
    }

    async fn batch_recommend(
        &self,
        request: Request<v1::BatchRecommendRequest>,
    ) -> Result<Response<v1::BatchRecommendResponse>, Status> {
        let turn = turn_of(&request);
        // A batch can take milliseconds: others go first now and then, as each part gets a turn of its own.
        self.timed_async("BatchRecommend", async {
            let (turn, requests) = (turn?, &request.get_ref().requests);
            parse::bounded("requests", requests, 1, BATCH_MAX)?;
            if !self.overload.callers.may_send_with_it(turn.caller, requests.len() - 1, Instant::now()) {
                return Err(Refusal::RateLimited);
            }
            let mut entries = Vec::with_capacity(requests.len());
            for (chunk, first) in requests.chunks(TOGETHER).zip((0..).step_by(TOGETHER)) {
                if first > 0 {
                    tokio::task::yield_now().await;
                }
                entries.extend(self.recommend_each(chunk, first, turn));
            }
            Ok(v1::BatchRecommendResponse { entries })
        })
        .await
    }

    async fn similar_items(
        &self,
        request: Request<v1::SimilarItemsRequest>,
    ) -> Result<Response<v1::SimilarItemsResponse>, Status> {
        self.timed("SimilarItems", || self.similar_to(request.get_ref(), turn_of(&request)?))
    }

    async fn rerank_items(&self, request: Request<v1::RerankItemsRequest>) -> Result<Response<v1::RerankItemsResponse>, Status> {
        self.timed("RerankItems", || self.rerank(request.get_ref(), turn_of(&request)?))
    }
}

/// Its place in the order of things, which the door gave it.
fn turn_of<T>(request: &Request<T>) -> Result<Turn, Refusal> {
    let turn = Turn::of(request.extensions()).ok_or(Refusal::DeadlineExceeded)?;
    turn.due.check()?;
    Ok(turn)
}

impl Services {
    /// Answers Recommend.
    pub(super) fn reply(&self, request: &Request<v1::RecommendRequest>) -> Result<Response<Reply>, Status> {
        self.timed("Recommend", || {
            let turn = turn_of(request)?;
            self.slate(&self.read(request.get_ref(), turn.due)?, turn)
        })
    }

    /// The entries of some requests of a batch, the first of which is at place `first`.
    fn recommend_each(&self, requests: &[v1::RecommendRequest], first: usize, turn: Turn) -> Vec<v1::BatchRecommendEntry> {
        let read: Vec<_> = requests.iter().map(|request| self.read(request, turn.due)).collect();
        let asked: Vec<&Asked> = read.iter().flatten().collect();
        let mut responses = self.respond_each(&asked, turn).into_iter();
        let outcome = |(read, n): (Result<Asked, Refusal>, usize)| {
            let answered = match read {
                Ok(_) => responses.next()?,
                Err(refusal) => Err(refusal),
            };
            Some(match answered {
                Ok(response) => v1::batch_recommend_entry::Outcome::Response(response),
                Err(refusal) => v1::batch_recommend_entry::Outcome::Error(refusal.under(&format!("requests[{n}]")).into()),
            })
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
        let filter_hash = request.filter.as_ref().map_or(0, |filter| xxh3_64(&filter.encode_to_vec()));
        let region = parse::region(&request.region)?.map(str::to_owned);
        let question = question_hash(&[&request.bu], &keys);
        let served = sorted(page::decode(&request.page_token, question)?);
        let (suppress_owned, explain) = (request.suppress_owned, request.explain);
        let is_flood = !self.overload.persons.may_have(&keys, Instant::now());
        Ok(Asked {
            keys,
            wanted,
            bu,
            placement,
            context,
            condition,
            filter_hash,
            region,
            question,
            served,
            suppress_owned,
            is_flood,
            explain,
        })
    }

    pub(super) fn respond(&self, asked: &Asked, answer: &Answer, level: Level) -> v1::RecommendResponse {
        let shown = answer.slate.items.iter().map(|candidate| candidate.item);
        v1::RecommendResponse {
            items: answer::items(self.engine.state().catalogue(), answer),
            filtered: if asked.explain { answer::filtered(answer) } else { Vec::new() },
            ..self.response(asked, shown, answer::generation_id(answer), answer.newest, level)
        }
    }

    /// A response that lacks its items.
    pub(super) fn response(
        &self,
        asked: &Asked,
        shown: impl ExactSizeIterator<Item = ItemId>,
        generation_id: String,
        newest: Option<EventTime>,
        level: Level,
    ) -> v1::RecommendResponse {
        v1::RecommendResponse {
            next_page_token: self.next_page(asked.question, asked.served.clone(), shown, asked.wanted),
            answer_token: answer::token(),
            generation_id,
            freshness: Some(self.freshness(newest)),
            level: levels::on_the_wire(level) as i32,
            ..v1::RecommendResponse::default()
        }
    }

    fn similar_to(&self, request: &v1::SimilarItemsRequest, turn: Turn) -> Result<v1::SimilarItemsResponse, Refusal> {
        let level = self.level(turn)?.min(Level::CoVisitation);
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
        let question = question_hash(&[state.catalogue().bu_name(bu), of_bu, item_id], &keys);
        let served = sorted(page::decode(&request.page_token, question)?);
        let answer = self.engine.similar(
            item,
            &Ask {
                wanted,
                condition: condition.as_ref(),
                served: &served,
                explain: request.explain,
                sources: level.sources(),
                deadline: Some(turn.due.instant()),
                ..Ask::new(&keys, bu, clock::now())
            },
        );
        self.count_slate(&answer, wanted);
        self.overload.ladder.answered(level);
        let shown = answer.slate.items.iter().map(|candidate| candidate.item);
        Ok(v1::SimilarItemsResponse {
            items: answer::items(state.catalogue(), &answer),
            next_page_token: self.next_page(question, served.clone(), shown, wanted),
            generation_id: answer::generation_id(&answer),
            level: levels::on_the_wire(level) as i32,
        })
    }

    fn rerank(&self, request: &v1::RerankItemsRequest, turn: Turn) -> Result<v1::RerankItemsResponse, Refusal> {
        let level = self.level(turn)?.min(Level::CoVisitation);
        let state = self.engine.state();
        let keys = parse::keys(&request.keys, 0)?;
        let bu = parse::known_bu(state, &request.bu)?;
        parse::bounded("item_ids", &request.item_ids, 1, RERANK_MAX)?;
        let mut seen = std::collections::HashSet::new();
        if let Some(n) = request.item_ids.iter().position(|id| !seen.insert(id.as_str())) {
            return Err(parse::refused(&format!("item_ids[{n}]"), Reason::InvalidField, "stands in the list already").into());
        }
        let context = parse::context(state, &request.context)?;
        let (mut known, mut unknown) = (Vec::with_capacity(request.item_ids.len()), Vec::new());
        for id in &request.item_ids {
            match state.catalogue().item(bu, id) {
                Some(item) => known.push(item),
                None => unknown.push(id), // looked up once: it may be named meanwhile
            }
        }
        let answer = self.engine.rerank(
            &known,
            &Ask {
                context: &context,
                explain: request.explain,
                sources: level.sources(),
                deadline: Some(turn.due.instant()),
                ..Ask::new(&keys, bu, clock::now())
            },
        );
        self.overload.ladder.answered(level);
        let mut items = answer::items(state.catalogue(), &answer);
        items.extend(unknown.into_iter().map(|id| v1::Recommendation { item_id: id.clone(), ..Default::default() }));
        Ok(v1::RerankItemsResponse {
            items,
            generation_id: answer::generation_id(&answer),
            freshness: Some(self.freshness(answer.newest)),
            level: levels::on_the_wire(level) as i32,
        })
    }

    /// A short page is the last one.
    fn next_page(
        &self,
        question: u64,
        mut served: Vec<u64>,
        shown: impl ExactSizeIterator<Item = ItemId>,
        wanted: usize,
    ) -> String {
        if shown.len() < wanted {
            return String::new();
        }
        let catalogue = self.engine.state().catalogue();
        served.extend(shown.map(|item| catalogue.name_hash(item)));
        page::encode(question, &served)
    }
}

fn sorted(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    hashes
}

/// Ties a page token to what was asked.
fn question_hash(names: &[&str], keys: &[SourceKey]) -> u64 {
    let mut bytes = Vec::with_capacity(64);
    for name in names {
        bytes.extend(name.as_bytes());
        bytes.push(0);
    }
    let mut hashes: Vec<u128> = keys.iter().map(|key| key.hash().raw()).collect();
    hashes.sort_unstable();
    hashes.iter().for_each(|hash| bytes.extend(hash.to_le_bytes()));
    xxh3_64(&bytes)
}
