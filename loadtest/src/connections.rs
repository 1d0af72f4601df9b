//! HTTP/2 connections to the target, and the one call the load is made of.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use faces_proto::v1::{RecommendRequest, RecommendResponse, recommendation_service_client::RecommendationServiceClient};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};

use crate::{error::LoadError, target::Target};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for any answer, so that who takes connections and never answers holds nothing up for good. No deadline allowed here is longer.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Above what a busy connection has under way, so that HTTP/2's own flow control is not what gets measured.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// Something that answers Recommend: a deployment, or a script in a test.
pub trait Recommender: Clone + Send + Sync + 'static {
    /// One call.
    fn recommend(
        &self,
        request: Request<RecommendRequest>,
    ) -> impl Future<Output = Result<RecommendResponse, Status>> + Send + use<Self>;
}

/// Opens one connection.
///
/// # Errors
/// [`LoadError::Connect`] when nothing answers within five seconds.
pub async fn connect(target: &Target) -> Result<Channel, LoadError> {
    let endpoint = Endpoint::from(target.uri().clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .tcp_nodelay(true);
    endpoint.connect().await.map_err(|source| LoadError::Connect { target: target.uri().to_string(), source })
}

/// Several connections, used in turn. A broken one is opened again by the next call on it.
#[derive(Clone, Debug)]
pub struct Connections {
    clients: Arc<[RecommendationServiceClient<Channel>]>,
    calls: Arc<AtomicUsize>,
}

impl Connections {
    /// Opens `count` connections, at least one.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn open(target: &Target, count: usize) -> Result<Self, LoadError> {
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count.max(1) {
            clients.push(RecommendationServiceClient::new(connect(target).await?));
        }
        Ok(Self { clients: clients.into(), calls: Arc::default() })
    }
}

impl Recommender for Connections {
    fn recommend(
        &self,
        request: Request<RecommendRequest>,
    ) -> impl Future<Output = Result<RecommendResponse, Status>> + Send + use<> {
        let turn = self.calls.fetch_add(1, Ordering::Relaxed) % self.clients.len();
        let client = self.clients.get(turn).cloned();
        async move {
            let mut client = client.ok_or_else(|| Status::internal("no connection"))?;
            client.recommend(request).await.map(tonic::Response::into_inner)
        }
    }
}
