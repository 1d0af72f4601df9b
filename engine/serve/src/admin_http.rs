//! Admin HTTP: `/livez`, `/readyz`, `/metrics`.

use std::sync::{Arc, OnceLock};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use faces_ingest::Progress;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{engine::Engine, images::Loading, metrics, overload::Overload};

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// Counts of the state.
    pub engine: Arc<Engine>,
    /// How far loading the state is.
    pub loading: Arc<Loading>,
    /// How far the consumer is, once it has started.
    pub progress: Arc<OnceLock<Arc<Progress>>>,
    /// Who is answered, and how well.
    pub overload: Arc<Overload>,
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
    let Some(progress) = pages.progress.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", pages.loading.text()));
    };
    // Once it has caught up, it answers even if the log can't be read on: with a view whose age is in every answer.
    if !progress.was_caught_up() {
        if let Some(why) = progress.failure() {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("the log can't be read on: {why}\n"));
        }
        if !progress.brokers_answer() {
            return (StatusCode::SERVICE_UNAVAILABLE, "waiting for the log: no broker of kafka.brokers answers\n".into());
        }
        if let Some((topic, partition)) = progress.leaderless() {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for the log: {topic}[{partition}] has no leader\n"));
        }
        let behind: i64 = progress.partitions().iter().map(|partition| partition.lag()).sum();
        return (StatusCode::SERVICE_UNAVAILABLE, format!("catching up with the log: {behind} records behind\n"));
    }
    (StatusCode::OK, "ready\n".into())
}

async fn exposition(State(pages): State<Pages>) -> String {
    if let Some(progress) = pages.progress.get() {
        metrics::refresh(&pages.engine, progress);
    }
    metrics::refresh_load(&pages.overload);
    pages.recorder.render()
}
