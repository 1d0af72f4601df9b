//! A server that does what a test tells it, through the real services of `faces.v1`.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use faces_proto::v1::{
    BatchRecommendEntry, BatchRecommendRequest, BatchRecommendResponse, Behaviour, EntryError, GetProfileRequest,
    GetProfileResponse, ItemRef, RecommendRequest, RecommendResponse, Recommendation, RerankItemsRequest, RerankItemsResponse,
    SimilarItemsRequest, SimilarItemsResponse, WriteEventResult, WriteEventsRequest, WriteEventsResponse, batch_recommend_entry,
    event_service_server::{EventService, EventServiceServer},
    profile_service_server::{ProfileService, ProfileServiceServer},
    recommendation_service_server::{RecommendationService, RecommendationServiceServer},
};
use tokio::{net::TcpListener, time::sleep};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// What the script says about one call of Recommend.
pub struct Line {
    /// Wait so long first.
    pub delay: Duration,
    /// Then answer this.
    pub answer: Result<RecommendResponse, Status>,
}

impl Line {
    pub fn slate(ids: &[&str], generation_id: &str) -> Self {
        Self { delay: Duration::ZERO, answer: Ok(slate(ids, generation_id)) }
    }

    pub fn error(status: Status) -> Self {
        Self { delay: Duration::ZERO, answer: Err(status) }
    }

    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

pub fn slate(ids: &[&str], generation_id: &str) -> RecommendResponse {
    let items = ids.iter().map(|id| Recommendation { item_id: (*id).to_owned(), ..Recommendation::default() }).collect();
    RecommendResponse { items, generation_id: generation_id.to_owned(), ..RecommendResponse::default() }
}

type Script = dyn Fn(u64, &RecommendRequest) -> Line + Send + Sync;

/// Answers call number n (from 0) as the script says.
#[derive(Clone)]
pub struct Scripted {
    script: Arc<Script>,
    calls: Arc<AtomicU64>,
}

impl Scripted {
    pub fn new(script: impl Fn(u64, &RecommendRequest) -> Line + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), calls: Arc::default() }
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

#[tonic::async_trait]
impl RecommendationService for Scripted {
    async fn recommend(&self, request: Request<RecommendRequest>) -> Result<Response<RecommendResponse>, Status> {
        let line = (self.script)(self.calls.fetch_add(1, Ordering::Relaxed), request.get_ref());
        if !line.delay.is_zero() {
            sleep(line.delay).await;
        }
        line.answer.map(Response::new)
    }

    async fn batch_recommend(&self, request: Request<BatchRecommendRequest>) -> Result<Response<BatchRecommendResponse>, Status> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let each = request.get_ref().requests.iter().map(|request| {
            let response = (self.script)(call, request).answer?;
            Ok(BatchRecommendEntry { outcome: Some(batch_recommend_entry::Outcome::Response(response)) })
        });
        Ok(Response::new(BatchRecommendResponse { entries: each.collect::<Result<_, Status>>()? }))
    }

    async fn similar_items(&self, _request: Request<SimilarItemsRequest>) -> Result<Response<SimilarItemsResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn rerank_items(&self, _request: Request<RerankItemsRequest>) -> Result<Response<RerankItemsResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }
}

/// A log that shows a written item in the profile only at the `visible_at_look`-th look of its session.
#[derive(Clone)]
pub struct SlowLog {
    pub visible_at_look: u32,
    pub refuse: bool,
    sessions: Arc<Mutex<HashMap<String, (String, u32)>>>,
}

impl SlowLog {
    pub fn new(visible_at_look: u32) -> Self {
        Self { visible_at_look, refuse: false, sessions: Arc::default() }
    }

    pub fn refusing() -> Self {
        Self { refuse: true, ..Self::new(1) }
    }

    pub fn has_written(&self, session: &str) -> bool {
        self.sessions.lock().unwrap().contains_key(session)
    }

    pub fn sessions(&self) -> usize {
        self.sessions.lock().unwrap().len()
    }
}

#[tonic::async_trait]
impl EventService for SlowLog {
    async fn write_events(&self, request: Request<WriteEventsRequest>) -> Result<Response<WriteEventsResponse>, Status> {
        let event = request.into_inner().events.pop().unwrap();
        let error = self.refuse.then(|| EntryError { code: 14, message: "no log".to_owned(), ..EntryError::default() });
        if error.is_none() {
            self.sessions.lock().unwrap().insert(event.source.unwrap().id, (event.item_id, 0));
        }
        let results = vec![WriteEventResult { error, ..WriteEventResult::default() }];
        Ok(Response::new(WriteEventsResponse { results }))
    }
}

#[tonic::async_trait]
impl ProfileService for SlowLog {
    async fn get_profile(&self, request: Request<GetProfileRequest>) -> Result<Response<GetProfileResponse>, Status> {
        let key = request.into_inner().keys.pop().unwrap();
        let mut sessions = self.sessions.lock().unwrap();
        let mut response = GetProfileResponse::default();
        if let Some((item_id, looks)) = sessions.get_mut(&key.id) {
            *looks += 1;
            if *looks >= self.visible_at_look {
                let item = ItemRef { bu: key.bu, item_id: item_id.clone() };
                response.behaviours.push(Behaviour { r#ref: Some(item), ..Behaviour::default() });
            }
        }
        Ok(Response::new(response))
    }
}

/// An admin page that says `metrics` until the process ends; its address.
pub fn admin(metrics: &'static str) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let (mut reader, mut line) = (BufReader::new(connection.try_clone().unwrap()), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", metrics.len());
            connection.write_all((head + metrics).as_bytes()).ok();
        }
    });
    address
}

/// Serves both on a free port of loopback until the test's runtime ends.
pub async fn serve(scripted: Scripted, log: SlowLog) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .add_service(RecommendationServiceServer::new(scripted))
        .add_service(EventServiceServer::new(log.clone()))
        .add_service(ProfileServiceServer::new(log));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}
