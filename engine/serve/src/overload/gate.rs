//! Push-back on connections: when even refusing takes too much of the processors, they are not read from for a moment.
//!
//! A refusal costs some microseconds that answers don't get. Once those of the present window of [`WINDOW`] have used up their share, no
//! connection is read from until it ends; what callers send then waits on their side, where their deadlines end it. Windows are short
//! against deadlines, and what was read is worked on meanwhile.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// How long refusals are added up, and connections are left alone at most.
pub const WINDOW: Duration = Duration::from_millis(10);
/// What refusing one request costs, measured (docs/capacity.md).
const REFUSAL: Duration = Duration::from_micros(6);

/// Says whether connections are read from.
#[derive(Debug)]
pub struct Gate {
    start: Instant,
    refusals_max: u32,
    window: AtomicU64,
    refusals: AtomicU32,
    closed_window: AtomicU64, // plus one; 0 for none yet
    closings: AtomicU64,
}

impl Gate {
    /// A gate that closes once refusals take more than `share` of `workers` threads. A share of 1 or more: never.
    #[must_use]
    pub fn new(share: f64, workers: usize, now: Instant) -> Self {
        let per_window = share * workers.max(1) as f64 * WINDOW.as_secs_f64() / REFUSAL.as_secs_f64();
        let refusals_max = if share < 1.0 { per_window.max(1.0) as u32 } else { u32::MAX };
        Self {
            start: now,
            refusals_max,
            window: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            closed_window: AtomicU64::new(0),
            closings: AtomicU64::new(0),
        }
    }

    /// Notes a refusal.
    pub fn refused(&self, now: Instant) {
        let window = self.window_of(now);
        if self.window.swap(window, Relaxed) != window {
            self.refusals.store(0, Relaxed);
        }
        let is_over = self.refusals.fetch_add(1, Relaxed) >= self.refusals_max;
        if is_over && self.closed_window.swap(window + 1, Relaxed) != window + 1 {
            self.closings.fetch_add(1, Relaxed);
        }
    }

    /// How long connections should be left alone; `None` while they are read from.
    #[must_use]
    pub fn closed_for(&self, now: Instant) -> Option<Duration> {
        let window = self.window_of(now);
        if self.closed_window.load(Relaxed) != window + 1 {
            return None;
        }
        let end = WINDOW * u32::try_from(window + 1).unwrap_or(u32::MAX);
        Some(end.saturating_sub(now.saturating_duration_since(self.start)))
    }

    /// How often it was closed.
    #[must_use]
    pub fn closings(&self) -> u64 {
        self.closings.load(Relaxed)
    }

    fn window_of(&self, now: Instant) -> u64 {
        (now.saturating_duration_since(self.start).as_nanos() / WINDOW.as_nanos()) as u64
    }
}

/// A connection behind a gate.
#[derive(Debug)]
pub struct Gated<C> {
    connection: C,
    gate: Arc<Gate>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<C> Gated<C> {
    /// Puts `connection` behind `gate`.
    pub const fn new(connection: C, gate: Arc<Gate>) -> Self {
        Self { connection, gate, pause: None }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Gated<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(left) = self.gate.closed_for(Instant::now()) {
            self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gated<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn it_closes_once_refusals_have_used_up_their_share_and_opens_with_the_next_window() {
        let now = Instant::now();
        let gate = Gate::new(0.3, 2, now); // 10 ms x 2 x 0.3 / 6 us = 1,000
        (0..1_000).for_each(|_| gate.refused(now));
        assert_eq!(gate.closed_for(now), None);
        gate.refused(now);
        let later = now + Duration::from_millis(4);
        assert_eq!(gate.closed_for(later), Some(Duration::from_millis(6)));
        assert_eq!((gate.closed_for(now + WINDOW), gate.closings()), (None, 1));
        gate.refused(now + WINDOW);
        assert_eq!(gate.closed_for(now + WINDOW), None, "refusals are counted anew");
    }

    #[test]
    fn a_share_of_one_never_closes() {
        let now = Instant::now();
        let gate = Gate::new(1.0, 1, now);
        (0..1_000_000).for_each(|_| gate.refused(now));
        assert_eq!((gate.closed_for(now), gate.closings()), (None, 0));
    }

    #[tokio::test]
    async fn what_was_sent_meanwhile_is_read_afterwards() {
        let gate = Arc::new(Gate::new(0.0, 1, Instant::now()));
        let (mut caller, ours) = tokio::io::duplex(64);
        let mut ours = Gated::new(ours, Arc::clone(&gate));
        caller.write_all(b"ask").await.unwrap();
        (0..3).for_each(|_| gate.refused(Instant::now()));
        let mut read = [0; 3];
        ours.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ask");
        ours.write_all(b"told").await.unwrap();
        let mut told = [0; 4];
        caller.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"told");
    }
}
