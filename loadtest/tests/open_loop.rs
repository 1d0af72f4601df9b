//! The load loop under tokio's paused clock: time moves only when every task waits, so each figure is exact and none depends on
//! the machine. Calls go through the real client and the real service of tonic, without a socket between them.
#![forbid(unsafe_code)]
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod scripted;

use std::{
    future::{Future, pending},
    time::Duration,
};

use faces_loadtest::{
    connections::Recommender,
    open_loop::{Driven, LoadPlan, drive},
    pace::Arrivals,
    people::People,
    tally::{GENERATOR_LATE, GENERATOR_SATURATED},
};
use faces_proto::v1::{
    RecommendRequest, RecommendResponse, recommendation_service_client::RecommendationServiceClient,
    recommendation_service_server::RecommendationServiceServer,
};
use scripted::{Line, Scripted};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tonic::{Request, Response, Status};

#[derive(Clone)]
struct InProcess(RecommendationServiceClient<RecommendationServiceServer<Scripted>>);

impl Recommender for InProcess {
    fn recommend(
        &self,
        request: Request<RecommendRequest>,
    ) -> impl Future<Output = Result<RecommendResponse, Status>> + Send + use<> {
        let mut client = self.0.clone();
        async move { client.recommend(request).await.map(Response::into_inner) }
    }
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn plan() -> LoadPlan {
    LoadPlan {
        bu: "marketplace".to_owned(),
        placement: String::new(),
        page_size: 2,
        deadline: ms(5_000),
        in_flight_max: 1_000,
        seed: 1,
    }
}

/// `count` arrivals, one every 10 ms from 10 ms on, each handed over `late` after it was due.
fn every_10_ms(count: u32, late: Duration) -> Arrivals {
    let start = Instant::now();
    let (sender, due) = mpsc::channel(16);
    tokio::spawn(async move {
        for number in 1..=count {
            let arrival = start + ms(10) * number;
            sleep_until(arrival + late).await;
            if sender.send(arrival).await.is_err() {
                return;
            }
        }
    });
    Arrivals { start, due }
}

async fn run(plan: &LoadPlan, arrivals: Arrivals, stop: impl Future<Output = ()>, scripted: Scripted) -> Driven {
    let people = People::numbered("marketplace", 10, 1.0).unwrap();
    let client = InProcess(RecommendationServiceClient::new(RecommendationServiceServer::new(scripted)));
    drive(plan, &people, &client, arrivals, stop, |_, _| {}).await.unwrap()
}

/// Answers at once, but from 500 to 1,000 ms after its making it holds everything until 1,000 ms.
fn stalling_server() -> Scripted {
    let start = Instant::now();
    Scripted::new(move |_, _| {
        let stalled = (ms(500)..ms(1_000)).contains(&start.elapsed());
        let delay = if stalled { ms(1_000).saturating_sub(start.elapsed()) } else { Duration::ZERO };
        Line::slate(&["a", "b"], "g1").after(delay)
    })
}

#[track_caller]
fn about(actual_ms: Option<f64>, expected_ms: f64) {
    // The timer of tokio rounds up to whole milliseconds, the histogram to three digits.
    let actual_ms = actual_ms.unwrap();
    assert!((actual_ms - expected_ms).abs() <= 2.0, "{actual_ms} ms instead of {expected_ms} ms");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_server_shows_in_every_request_that_it_held_up() {
    let driven = run(&plan(), every_10_ms(200, Duration::ZERO), pending(), stalling_server()).await;
    let latencies = &driven.tally.latencies;
    assert_eq!((driven.tally.sent, driven.tally.answered, latencies.count()), (200, 200, 200));
    // Due at 500, 510, .. 990 ms, answered at 1,000: fifty latencies of 500, 490, .. 10 ms. A generator that waits for each answer
    // before it sends the next request would have one slow request in 200, and a p99 of nothing.
    about(latencies.quantile_ms(0.5), 0.0);
    about(latencies.quantile_ms(0.9), 300.0);
    about(latencies.quantile_ms(0.99), 480.0);
    about(latencies.max_ms(), 500.0);
    assert!(!driven.stopped_early);
    about(Some(driven.offered_for.as_secs_f64() * 1_000.0), 2_000.0);
}

#[tokio::test(start_paused = true)]
async fn the_generators_own_delay_counts_and_is_owned_up_to() {
    let quick = Scripted::new(|_, _| Line::slate(&["a", "b"], "g1"));
    let driven = run(&plan(), every_10_ms(50, ms(30)), pending(), quick).await;
    about(driven.tally.latencies.quantile_ms(0.5), 30.0);
    about(driven.tally.send_lags.quantile_ms(0.99), 30.0);
}

#[tokio::test(start_paused = true)]
async fn a_generator_that_cannot_keep_up_says_so_instead_of_running_on() {
    let scripted = Scripted::new(|_, _| Line::slate(&["a", "b"], "g1"));
    let driven = run(&plan(), every_10_ms(50, ms(6_000)), pending(), scripted.clone()).await;
    assert_eq!((driven.tally.due, driven.tally.sent, scripted.calls()), (50, 0, 0));
    assert_eq!(driven.tally.errors.get(GENERATOR_LATE), Some(&50));
    about(driven.tally.send_lags.quantile_ms(0.99).map(|lag_ms| lag_ms / 1_000.0), 6.0);
}

#[tokio::test(start_paused = true)]
async fn what_exceeds_the_bound_is_not_sent_and_not_forgotten() {
    let plan = LoadPlan { in_flight_max: 20, ..plan() };
    let scripted = stalling_server();
    let driven = run(&plan, every_10_ms(200, Duration::ZERO), pending(), scripted.clone()).await;
    // Fifty are due during the stall, twenty of them may wait for it to end.
    assert_eq!(driven.tally.errors.get(GENERATOR_SATURATED), Some(&30));
    assert_eq!((driven.tally.due, driven.tally.sent, driven.tally.answered), (200, 170, 170));
    assert_eq!(scripted.calls(), 170);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_at_its_deadline_is_over_and_stays_in_the_percentiles() {
    let plan = LoadPlan { deadline: ms(100), ..plan() };
    let driven = run(&plan, every_10_ms(200, Duration::ZERO), pending(), stalling_server()).await;
    let late = driven.tally.errors.get("DEADLINE_EXCEEDED").copied().unwrap();
    // Due at 500 to 890 ms: more than 100 ms to wait; the one due at 900 ends in the same millisecond as its deadline.
    assert!((40..=41).contains(&late), "{late}");
    assert_eq!(driven.tally.errors_total(), late);
    assert_eq!(driven.tally.answered + late, 200);
    assert_eq!(driven.tally.latencies.count(), 200);
    about(driven.tally.latencies.quantile_ms(0.9), 100.0);
    about(driven.tally.latencies.max_ms(), 100.0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_run_early_and_waits_for_what_is_under_way() {
    let slow = Scripted::new(|_, _| Line::slate(&["a", "b"], "g1").after(ms(40)));
    let driven = run(&plan(), every_10_ms(1_000_000, Duration::ZERO), sleep(ms(55)), slow).await;
    assert!(driven.stopped_early);
    assert_eq!((driven.tally.due, driven.tally.answered), (5, 5));
    about(Some(driven.offered_for.as_secs_f64() * 1_000.0), 55.0);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_asks_for_the_same_people_and_keys_are_accounts() {
    let asked = |seed: u64| async move {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let scripted = Scripted::new(move |_, request| {
            sender.send(request.clone()).unwrap();
            Line::slate(&["a", "b"], "g1")
        });
        run(&LoadPlan { seed, ..plan() }, every_10_ms(50, Duration::ZERO), pending(), scripted).await;
        let mut people = Vec::new();
        while let Ok(request) = receiver.try_recv() {
            assert_eq!((request.bu.as_str(), request.page_size, request.keys.len()), ("marketplace", 2, 1));
            people.extend(request.keys.into_iter().map(|key| (key.bu, key.kind, key.id)));
        }
        people
    };
    assert_eq!(asked(1).await.len(), 50);
    assert_eq!(asked(1).await, asked(1).await);
    assert_ne!(asked(1).await, asked(2).await);
}
