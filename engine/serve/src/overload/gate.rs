//! Push-back on connections: when even refusing takes too much of the processors, they are not read from for a moment.
//!
//! A refusal costs some microseconds that answers don't get: a quarter of what the cheapest answer costs, on any machine, as both are spent on
//! the protocol. So they are counted against answers: once those of the present window of [`WINDOW`] have used up their share, no connection
//! is read from until it ends; what callers send then waits on their side, where their deadlines end it. Windows are short against
//! deadlines, and what was read is worked on meanwhile.
//!
//! Whatever the load, a connection is read from in small portions, between which it is the others' turn: where hundreds of requests wait
//! on some, those of another don't wait for all of these.

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

use super::Criticality;

/// How long refusals are added up, and connections are left alone at most.
pub const WINDOW: Duration = Duration::from_millis(10);
/// What refusing one request costs, in answers at the lowest level (benches/RESULTS.md).
const REFUSAL_COST: f64 = 0.25;
/// Refusals that every window may hold, however few answers there are.
const REFUSALS_MIN: f64 = 16.0;
/// Most bytes that a connection is read from before it is the others' turn: some ten requests.
const PORTION: usize = 2_048;

/// Says whether connections are read from.
#[derive(Debug)]
pub struct Gate {
    start: Instant,
    /// Refusals that an answer makes up for; infinite: the gate never closes.
    refusals_per_answer: f64,
    window: AtomicU64,
    refusals: AtomicU32,
    answers: AtomicU32,
    answers_before: AtomicU32,
    closed_window: AtomicU64, // plus one; 0 for none yet
    closings: AtomicU64,
}

impl Gate {
    /// A gate that closes once refusals take more than `share` of the time. A share of 1: never.
    #[must_use]
    pub fn new(share: f64, now: Instant) -> Self {
        let refusals_per_answer = if share < 1.0 { share / (1.0 - share) / REFUSAL_COST } else { f64::INFINITY };
        Self {
            start: now,
            refusals_per_answer,
            window: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            answers: AtomicU32::new(0),
            answers_before: AtomicU32::new(0),
            closed_window: AtomicU64::new(0),
            closings: AtomicU64::new(0),
        }
    }

    /// Notes an answer.
    pub fn answered(&self, now: Instant) {
        self.turn_to(self.window_of(now));
        self.answers.fetch_add(1, Relaxed);
    }

    /// Notes a refusal.
    pub fn refused(&self, now: Instant) {
        let window = self.window_of(now);
        self.turn_to(window);
        let refusals = f64::from(self.refusals.fetch_add(1, Relaxed) + 1);
        // A window that has just begun has hardly any answers yet.
        let answers = f64::from(self.answers.load(Relaxed).max(self.answers_before.load(Relaxed)));
        let is_over = refusals > REFUSALS_MIN + answers * self.refusals_per_answer;
        if is_over && self.closed_window.swap(window + 1, Relaxed) != window + 1 {
            self.closings.fetch_add(1, Relaxed);
        }
    }

    /// Begins a window, if it has not begun yet. What others count at that very moment may be lost: a few of many.
    fn turn_to(&self, window: u64) {
        let before = self.window.load(Relaxed);
        if before != window && self.window.compare_exchange(before, window, Relaxed, Relaxed).is_ok() {
            let answers = self.answers.swap(0, Relaxed);
            self.answers_before.store(if before + 1 == window { answers } else { 0 }, Relaxed);
            self.refusals.store(0, Relaxed);
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

/// What a connection asks for of late: one whose calls are mostly critical is read from although the gate is closed, as what is refused
/// is never theirs first.
#[derive(Debug, Default)]
pub struct Traffic {
    critical: AtomicU32,
    others: AtomicU32,
}

impl Traffic {
    /// Calls after which all that was counted counts half.
    const MEMORY: u32 = 64;

    /// Notes a call. By the task of the connection alone.
    pub fn note(&self, criticality: Criticality) {
        let count = if criticality == Criticality::Critical { &self.critical } else { &self.others };
        count.store(count.load(Relaxed) + 1, Relaxed);
        let [critical, others] = [&self.critical, &self.others].map(|count| count.load(Relaxed));
        if critical + others >= Self::MEMORY {
            self.critical.store(critical / 2, Relaxed);
            self.others.store(others / 2, Relaxed);
        }
    }

    fn is_critical(&self) -> bool {
        self.critical.load(Relaxed) > self.others.load(Relaxed)
    }
}

/// A connection behind a gate.
#[derive(Debug)]
pub struct Gated<C> {
    connection: C,
    gate: Arc<Gate>,
    traffic: Arc<Traffic>,
    pause: Option<Pin<Box<Sleep>>>,
    had_portion: bool,
}

impl<C> Gated<C> {
    /// Puts `connection`, which carries `traffic`, behind `gate`.
    pub const fn new(connection: C, gate: Arc<Gate>, traffic: Arc<Traffic>) -> Self {
        Self { connection, gate, traffic, pause: None, had_portion: false }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Gated<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.traffic.is_critical()
            && let Some(left) = self.gate.closed_for(Instant::now())
        {
            self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if std::mem::take(&mut self.had_portion) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = buffer.remaining().min(PORTION);
        let mut portion = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.connection).poll_read(context, &mut portion))?;
        let read = portion.filled().len();
        buffer.advance(read);
        self.had_portion = read == PORTION;
        Poll::Ready(Ok(()))
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
        let gate = Gate::new(0.5, now); // four refusals cost what an answer does, which they may: 4 each
        (0..21).for_each(|_| gate.answered(now));
        (0..100).for_each(|_| gate.refused(now)); // 16 + 21 x 4
        assert_eq!(gate.closed_for(now), None);
        gate.refused(now);
        let later = now + Duration::from_millis(4);
        assert_eq!(gate.closed_for(later), Some(Duration::from_millis(6)));
        assert_eq!((gate.closed_for(now + WINDOW), gate.closings()), (None, 1));
        (0..100).for_each(|_| gate.refused(now + WINDOW));
        assert_eq!(gate.closed_for(now + WINDOW), None, "refusals are counted anew, against the answers of the window before");
    }

    #[test]
    fn where_nothing_is_answered_a_few_are_refused_all_the_same() {
        let now = Instant::now();
        let gate = Gate::new(0.3, now);
        (0..17).for_each(|_| gate.refused(now));
        assert_eq!((gate.closed_for(now).is_some(), gate.closed_for(now + WINDOW)), (true, None));
    }

    #[test]
    fn a_share_of_one_never_closes() {
        let now = Instant::now();
        let gate = Gate::new(1.0, now);
        (0..1_000_000).for_each(|_| gate.refused(now));
        assert_eq!((gate.closed_for(now), gate.closings()), (None, 0));
    }

    #[tokio::test]
    async fn who_asks_for_what_is_critical_is_read_from_all_the_same() {
        let gate = Arc::new(Gate::new(0.0, Instant::now()));
        let traffic = Arc::<Traffic>::default();
        let (mut caller, ours) = tokio::io::duplex(64);
        let mut ours = Gated::new(ours, Arc::clone(&gate), Arc::clone(&traffic));
        let (mut context, mut bytes) = (Context::from_waker(std::task::Waker::noop()), [0; 8]);
        for (kind, is_read) in [(Criticality::Critical, true), (Criticality::Default, false)] {
            (0..Traffic::MEMORY).for_each(|_| traffic.note(kind));
            // Until both are done in one window, at whose end the gate opens.
            loop {
                caller.write_all(b"ask").await.unwrap();
                (0..20).for_each(|_| gate.refused(Instant::now()));
                let read = Pin::new(&mut ours).poll_read(&mut context, &mut ReadBuf::new(&mut bytes));
                if gate.closed_for(Instant::now()).is_some() {
                    assert_eq!(read.is_ready(), is_read, "{kind:?}");
                    break;
                }
            }
        }
    }

    #[tokio::test]
    async fn after_a_portion_it_is_the_others_turn() {
        let (mut caller, ours) = tokio::io::duplex(4 * PORTION);
        let mut ours = Gated::new(ours, Arc::new(Gate::new(0.3, Instant::now())), Arc::default());
        caller.write_all(&[1; 2 * PORTION + 1]).await.unwrap();
        let (mut context, mut bytes) = (Context::from_waker(std::task::Waker::noop()), [0; 4 * PORTION]);
        let mut read = || {
            let mut buffer = ReadBuf::new(&mut bytes);
            let polled = Pin::new(&mut ours).poll_read(&mut context, &mut buffer);
            polled.is_ready().then(|| buffer.filled().len())
        };
        assert_eq!([(); 6].map(|()| read()), [Some(PORTION), None, Some(PORTION), None, Some(1), None]);
    }

    #[tokio::test]
    async fn what_was_sent_meanwhile_is_read_afterwards() {
        let gate = Arc::new(Gate::new(0.0, Instant::now()));
        let (mut caller, ours) = tokio::io::duplex(64);
        let mut ours = Gated::new(ours, Arc::clone(&gate), Arc::default());
        caller.write_all(b"ask").await.unwrap();
        (0..20).for_each(|_| gate.refused(Instant::now()));
        let mut read = [0; 3];
        ours.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ask");
        ours.write_all(b"told").await.unwrap();
        let mut told = [0; 4];
        caller.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"told");
    }
}
