//! Sends each request when it is due and keeps the books, however the server fares.

use std::{future::Future, pin::pin, time::Duration};

use faces_proto::v1::{RecommendRequest, RecommendResponse};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tonic::{Code, Request, Status};

use crate::{
    connections::Recommender,
    error::LoadError,
    pace::Arrivals,
    people::People,
    slate::SlateFaults,
    status::{code_name, normalised},
    tally::{Finished, GENERATOR_FAILED, GENERATOR_SATURATED, Outcome, Tally},
};

const TICK: Duration = Duration::from_millis(200);
/// Who asks must not follow from when, though both come from one seed: the schedule has stream 0.
const PEOPLE_STREAM: u64 = 1;

/// What every request of a run has in common.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Business unit whose items are asked for.
    pub bu: String,
    /// Where the slate is said to be shown; may be empty.
    pub placement: String,
    /// Items asked for, 1 to 200.
    pub page_size: u8,
    /// From when a request is due to when nobody waits for its answer any more.
    pub deadline: Duration,
    /// Requests under way at once, at most; what is due beyond is an error of the kind [`GENERATOR_SATURATED`].
    pub in_flight_max: usize,
    /// Seed of the draw of people.
    pub seed: u64,
}

/// The books of a run, and how it ended.
#[derive(Clone, Debug)]
pub struct Driven {
    /// The books.
    pub tally: Tally,
    /// From the start to the schedule's end, or to the stop.
    pub offered_for: Duration,
    /// Whether `stop` came before the schedule's end.
    pub stopped_early: bool,
}

/// What a loop keeps of its requests.
pub trait Books {
    /// How a request ended.
    type Finished: Send + 'static;

    /// One came due.
    fn due(&mut self, due: Instant);
    /// It left.
    fn sent(&mut self);
    /// The generator got to it so late that sending it was pointless.
    fn too_late(&mut self, send_lag: Duration);
    /// It did not leave, or its end is not known.
    fn error(&mut self, kind: &'static str, message: &str);
    /// It is over.
    fn finish(&mut self, finished: Self::Finished);
}

impl Books for Tally {
    type Finished = Finished;

    fn due(&mut self, _due: Instant) {
        self.due += 1;
    }

    fn sent(&mut self) {
        self.sent += 1;
    }

    fn too_late(&mut self, send_lag: Duration) {
        Self::too_late(self, send_lag);
    }

    fn error(&mut self, kind: &'static str, message: &str) {
        Self::error(self, kind, message);
    }

    fn finish(&mut self, finished: Finished) {
        Self::finish(self, finished);
    }
}

/// Bounds on what a loop has under way.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From when a request is due to when nobody waits for its answer any more.
    pub deadline: Duration,
    /// Requests under way at once.
    pub in_flight_max: usize,
}

/// Sends what `send` makes of each instant that `arrivals` releases, until they end or `stop` completes; then waits for what is under
/// way, which `send` must end at its deadline. `on_tick` sees the books five times a second. Returns for how long requests came due, and
/// whether `stop` came first.
pub async fn run<B: Books, F: Future<Output = B::Finished> + Send + 'static>(
    bounds: Bounds,
    books: &mut B,
    mut send: impl FnMut(Instant) -> F,
    mut arrivals: Arrivals,
    stop: impl Future<Output = ()>,
    mut on_tick: impl FnMut(&B, Duration),
) -> (Duration, bool) {
    let mut under_way = JoinSet::new();
    let mut stop = pin!(stop);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let start = arrivals.start;

    let stopped_early = loop {
        let due = tokio::select! {
            arrival = arrivals.due.recv() => match arrival {
                Some(due) => due,
                None => break false,
            },
            () = &mut stop => break true,
            _ = tick.tick() => {
                enter_finished(&mut under_way, books);
                on_tick(books, start.elapsed());
                continue;
            }
        };
        books.due(due);
        enter_finished(&mut under_way, books);
        let send_lag = due.elapsed();
        if send_lag >= bounds.deadline {
            // Also what ends a run on time whose rate is beyond the generator.
            books.too_late(send_lag);
            continue;
        }
        if under_way.len() >= bounds.in_flight_max {
            books.error(GENERATOR_SATURATED, "as many requests as allowed (--in-flight-max) were under way");
            continue;
        }
        books.sent();
        under_way.spawn(send(due));
    };
    let offered_for = start.elapsed();

    drop(arrivals);
    while let Some(joined) = under_way.join_next().await {
        enter(joined, books);
    }
    on_tick(books, start.elapsed());
    (offered_for, stopped_early)
}

/// Sends what `arrivals` releases to `recommender` until they end or `stop` completes; then waits for what is under way, at most
/// a deadline long. `on_tick` sees the books five times a second.
///
/// # Errors
/// As [`Tally::new`]; nothing that the server does is an error here.
pub async fn drive<R: Recommender>(
    plan: &LoadPlan,
    people: &People,
    recommender: &R,
    arrivals: Arrivals,
    stop: impl Future<Output = ()>,
    on_tick: impl FnMut(&Tally, Duration),
) -> Result<Driven, LoadError> {
    let mut tally = Tally::new()?;
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    random.set_stream(PEOPLE_STREAM);
    let start = arrivals.start;
    let send = |due| {
        let request = RecommendRequest {
            keys: vec![people.draw(&mut random)],
            bu: plan.bu.clone(),
            placement: plan.placement.clone(),
            page_size: i32::from(plan.page_size),
            ..RecommendRequest::default()
        };
        one_request(recommender.clone(), request, start, due, plan.deadline)
    };
    let bounds = Bounds { deadline: plan.deadline, in_flight_max: plan.in_flight_max };
    let (offered_for, stopped_early) = run(bounds, &mut tally, send, arrivals, stop, on_tick).await;
    Ok(Driven { tally, offered_for, stopped_early })
}

async fn one_request<R: Recommender>(
    recommender: R,
    message: RecommendRequest,
    start: Instant,
    due: Instant,
    deadline: Duration,
) -> Finished {
    let page_size = usize::try_from(message.page_size).unwrap_or(0);
    let sent = Instant::now();
    let deadline_at = due + deadline;
    let mut request = Request::new(message);
    request.set_timeout(deadline_at.saturating_duration_since(sent));
    let answer = timeout_at(deadline_at, recommender.recommend(request)).await;
    let over = Instant::now();
    let outcome = match answer {
        Ok(result) => outcome_of(result, page_size),
        Err(_) => Outcome::DeadlineExceeded,
    };
    Finished { send_lag: sent - due, latency: over - due, at: over - start, outcome }
}

fn outcome_of(result: Result<RecommendResponse, Status>, page_size: usize) -> Outcome {
    match result.map_err(normalised) {
        Ok(response) => {
            let faults = SlateFaults::of(&response.items, page_size);
            Outcome::Slate { generation_id: response.generation_id, faults }
        }
        Err(status) if status.code() == Code::DeadlineExceeded => Outcome::DeadlineExceeded,
        Err(status) => Outcome::Error { code: code_name(status.code()), message: status.message().to_owned() },
    }
}

fn enter_finished<B: Books>(under_way: &mut JoinSet<B::Finished>, books: &mut B) {
    while let Some(joined) = under_way.try_join_next() {
        enter(joined, books);
    }
}

fn enter<B: Books>(joined: Result<B::Finished, JoinError>, books: &mut B) {
    match joined {
        Ok(finished) => books.finish(finished),
        Err(error) => books.error(GENERATOR_FAILED, &error.to_string()),
    }
}
