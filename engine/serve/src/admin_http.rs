//! Admin HTTP: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, routing::get};
use faces_ingest::Progress;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{engine::Engine, metrics};

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// Counts of the state.
    pub engine: Arc<Engine>,
    /// How far the consumer is.
    pub progress: Arc<Progress>,
    /// The recorder.
    pub recorder: PrometheusHandle,
    /// Whether the server is draining.
    pub draining: tokio::sync::watch::Receiver<bool>,
}

/// The pages as a router.
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .with_state(pages)
}

async fn ready(State(pages): State<Pages>) -> (StatusCode, String) {
    if *pages.draining.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into());
    }
    if let Some(why) = pages.progress.failure() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("the log is not read any more: {why}\n"));
    }
    if !pages.progress.caught_up() {
        let behind: i64 = pages.progress.partitions().iter().map(|partition| partition.lag()).sum();
        return (StatusCode::SERVICE_UNAVAILABLE, format!("catching up with the log: {behind} records behind\n"));
    }
    (StatusCode::OK, "ready\n".into())
}

async fn exposition(State(pages): State<Pages>) -> String {
    metrics::refresh(&pages.engine, &pages.progress);
    pages.recorder.render()
}
