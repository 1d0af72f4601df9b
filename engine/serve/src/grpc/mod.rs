//! The gRPC API: wire messages in, domain calls, wire messages out. One file per service.
//!
//! Knows wire types and status codes; knows nothing of how a slate is made. Every refusal goes through one table, `refusal.rs`.

mod admin;
mod answer;
mod asked;
mod catalog;
pub mod connections;
mod deadline;
mod door;
mod events;
mod identity;
mod levels;
mod page;
pub(crate) mod parse;
mod profile;
mod recommendation;
mod refusal;
mod route;
mod trial;
mod turn;

use std::sync::Arc;

use arc_swap::ArcSwap;
use faces_core::ids::EventTime;
use faces_ingest::{
    Boundary, LogRecord, LogWriter, Progress, Topics,
    decode::{Limits, not_future},
    validate::Violation,
};
use faces_proto::v1;
use tonic::service::Routes;

pub use self::door::Door;
use self::{refusal::Refusal, route::Recommendations};
use crate::{
    engine::{Answer, Engine},
    metrics,
    overload::Overload,
    oversight::{Health, RecentQueries},
    swap::GenerationSwap,
};
pub use profile::event_type;

/// What the services share.
pub struct Services {
    /// Answers.
    pub engine: Arc<Engine>,
    /// How far the consumer is.
    pub progress: Arc<Progress>,
    /// Business units behind the log, as of the last look.
    pub lags: Arc<ArcSwap<Vec<v1::UnitLag>>>,
    /// Sees the state between batches.
    pub boundary: Boundary,
    /// Appends to the log.
    pub writer: Arc<LogWriter>,
    /// Topic names.
    pub topics: Topics,
    /// Loads generations.
    pub swap: Arc<GenerationSwap>,
    /// Counts calls, for who watches over generations.
    pub health: Arc<Health>,
    /// Who asked lately.
    pub recent: Arc<RecentQueries>,
    /// Who is answered when more is asked than can be, and how well.
    pub overload: Arc<Overload>,
    /// How far ahead of now an event may claim to be.
    pub future_tolerance_ms: u64,
    /// Longest deadline granted, and the one of requests that bring none.
    pub deadline_ms_max: u64,
    /// Largest request message, bytes.
    pub request_bytes_max: usize,
}

/// All services behind one door, health and reflection included.
///
/// # Errors
/// When the descriptor set can't be read: a defect of the build.
pub fn door(services: Arc<Services>) -> anyhow::Result<(Door, tonic_health::server::HealthReporter)> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let bytes_max = services.request_bytes_max;
    let (overload, deadline_ms_max) = (Arc::clone(&services.overload), services.deadline_ms_max);
    let recommendations = Recommendations::new(Arc::clone(&services));
    let routes = Routes::new(health)
        .add_service(reflection)
        .add_service(
            v1::event_service_server::EventServiceServer::from_arc(Arc::clone(&services)).max_decoding_message_size(bytes_max),
        )
        .add_service(
            v1::catalog_service_server::CatalogServiceServer::from_arc(Arc::clone(&services))
                .max_decoding_message_size(bytes_max),
        )
        .add_service(
            v1::identity_service_server::IdentityServiceServer::from_arc(Arc::clone(&services))
                .max_decoding_message_size(bytes_max),
        )
        .add_service(
            v1::profile_service_server::ProfileServiceServer::from_arc(Arc::clone(&services))
                .max_decoding_message_size(bytes_max),
        )
        .add_service(v1::admin_service_server::AdminServiceServer::from_arc(services).max_decoding_message_size(bytes_max));
    Ok((Door::new(recommendations, routes, overload, deadline_ms_max), reporter))
}

impl Services {
    /// The view's age and the person's newest behaviour, as the wire has it.
    fn freshness(&self, newest: Option<EventTime>) -> v1::Freshness {
        let view_age_ms = i64::try_from(self.progress.view_age_ms()).unwrap_or(i64::MAX);
        v1::Freshness { newest_event_time_ms: newest.map(EventTime::millis), view_age_ms, lags: self.lags.load().to_vec() }
    }

    /// What the consumer would refuse as too far ahead is refused here too, or whoever wrote it would take it for said.
    fn not_future(&self, field: &str, time: EventTime, now: EventTime) -> Result<(), Violation> {
        let limits = Limits { future_tolerance_ms: self.future_tolerance_ms, ..Limits::default() };
        not_future(field, time, now, &limits)
    }

    /// Appends one record to the log and waits for its acknowledgement, or for the deadline.
    async fn append(&self, records: Vec<LogRecord>, due: deadline::Due) -> Result<(), Refusal> {
        let results = due.within(self.writer.write(records)).await?;
        match results.into_iter().find_map(Result::err) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Counts and times one call.
    fn timed<T>(
        &self,
        method: &'static str,
        call: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<tonic::Response<T>, tonic::Status> {
        let started = std::time::Instant::now();
        let result = call();
        self.count(method, started, result.as_ref().err().map(Refusal::code));
        result.map(tonic::Response::new).map_err(Into::into)
    }

    /// As [`Self::timed`], for calls that wait.
    async fn timed_async<T>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<tonic::Response<T>, tonic::Status> {
        let started = std::time::Instant::now();
        let result = call.await;
        self.count(method, started, result.as_ref().err().map(Refusal::code));
        result.map(tonic::Response::new).map_err(Into::into)
    }

    fn count(&self, method: &'static str, started: std::time::Instant, refused: Option<tonic::Code>) {
        metrics::rpc(method, started, refused);
        if OF_GENERATIONS.contains(&method) {
            // What the caller got wrong says nothing of a generation.
            let has_failed = refused.is_some_and(|code| FAILURES.contains(&code));
            self.health.call(started.elapsed(), has_failed);
        }
    }

    /// Counts what an answer came to.
    fn count_slate(&self, answer: &Answer, wanted: usize) {
        metrics::slate(answer, wanted);
        self.health.slate(answer.slate.items.len());
    }
}

/// Calls that a generation answers.
const OF_GENERATIONS: [&str; 4] = ["Recommend", "BatchRecommend", "SimilarItems", "RerankItems"];

/// Codes for which the server is to blame.
const FAILURES: [tonic::Code; 5] =
    [tonic::Code::DeadlineExceeded, tonic::Code::Internal, tonic::Code::Unavailable, tonic::Code::Unknown, tonic::Code::DataLoss];
