//! Accepts connections and speaks HTTP/2 on them.
//!
//! Done here rather than by tonic's server because requests must be counted as they are read (see [`super::door`]), connections be
//! bounded in number and streams in each, and reading be put off. What is past the bound is closed at once.

use std::{error::Error as _, future, io, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::door::{Door, Visitor};
use crate::{metrics, overload::Gate, overload::gate::Gated};

/// How often a quiet connection is asked whether it still is one, and how long it may say nothing at first.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Calls given up before they were looked at, on one connection: so many for each stream it may have. Some hundred bytes each.
const RESETS_A_STREAM: usize = 20;
/// Pause after the system could not accept (no file descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections open at once.
    pub connections_max: usize,
    /// Requests under way on one.
    pub streams_max: u32,
}

/// Serves until `stop` turns true, then lets requests under way finish.
///
/// # Errors
/// A listener that the runtime can't use.
pub async fn serve(
    listener: std::net::TcpListener,
    door: Arc<Door>,
    gate: Arc<Gate>,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new()).keep_alive_interval(KEEPALIVE).max_concurrent_streams(limits.streams_max);
    // While reading is put off, callers give up what they sent, by the hundred, and those who send more than they may have streams are
    // refused, call by call. The usual bounds on both take that for an attack and end the connection with all calls on it; the second
    // counts over a connection's whole life. What callers may send is bounded by admission and by how fast they are read from.
    http.max_pending_accept_reset_streams(RESETS_A_STREAM * limits.streams_max as usize);
    http.max_local_error_reset_streams(None);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => {
                metrics::connections(connections.len());
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(_) if connections.len() >= limits.connections_max => metrics::connection_refused(),
            Ok((stream, address)) => {
                let visitor = Visitor { door: Arc::clone(&door), address: address.ip(), traffic: Arc::default() };
                connections.spawn(one(http.clone(), stream, Arc::clone(&gate), visitor, stop.clone()));
                metrics::connections(connections.len());
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// One connection, until it is closed or drained.
async fn one(
    http: http2::Builder<TokioExecutor>,
    stream: TcpStream,
    gate: Arc<Gate>,
    visitor: Visitor,
    mut stop: watch::Receiver<bool>,
) {
    _ = stream.set_nodelay(true); // slower without, not wrong
    // Callers of HTTP/2 speak first. Who does not would have its place for ever, and be waited for at the end.
    let mut first = [0];
    let has_spoken = tokio::select! {
        peeked = tokio::time::timeout(KEEPALIVE, stream.peek(&mut first)) => matches!(peeked, Ok(Ok(1..))),
        _ = stop.wait_for(|stop| *stop) => false,
    };
    if !has_spoken {
        return;
    }
    let gated = Gated::new(stream, gate, Arc::clone(&visitor.traffic));
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(gated), visitor));
    let mut stopped = std::pin::pin!(async { drop(stop.wait_for(|stop| *stop).await) });
    let mut is_stopping = false;
    let ended = future::poll_fn(|context| {
        if !is_stopping && stopped.as_mut().poll(context).is_ready() {
            is_stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, cause = error.source(), "a connection ended");
    }
}
