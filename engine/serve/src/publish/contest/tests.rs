//! A usual day passes, an answer that got worse or slower is refused, and too little to go by judges nothing.

use faces_rebuild::{gates::Outcome, tables::ItemRow, train};

use super::*;
use crate::{config::Config, publish::replay_options};

const NOW_MS: i64 = 1_767_225_600_000;
const ITEMS: u32 = 300;
const CIRCLE: u32 = 10;
const PEOPLE: u32 = 80;
const DAYS: i64 = 12;

/// People who go through circles of ten items that belong together, another circle each day.
fn log(scrambled_until_ms: i64) -> Log {
    let mut log = Log::default();
    for id in 0..ITEMS {
        log.items.push(ItemRow { item_id: id.to_string(), bu: "shop".into(), ..ItemRow::default() });
    }
    for day in 0..DAYS {
        for person in 0..PEOPLE {
            let circle = (person * 7 + day as u32 * 11) % (ITEMS / CIRCLE);
            for step in 0..5 {
                let ts_ms = NOW_MS - (DAYS - day) * DAY_MS + i64::from(person * 60 + step * 7) * 10_000;
                let item = circle * CIRCLE + (person + step * 3) % CIRCLE;
                let item = if ts_ms < scrambled_until_ms { (item * 97 + step * 31 + person) % ITEMS } else { item };
                log.events.push(EventRow {
                    ts_ms,
                    bu: "shop".into(),
                    local_user_id: person.to_string(),
                    item_id: item.to_string(),
                    event_type: "view".into(),
                    value: None,
                    currency: None,
                });
            }
        }
    }
    log.events.sort_by_key(|row| row.ts_ms);
    log
}

fn options() -> ReplayOptions {
    let mut config = Config::default();
    config.training.embedding.dimension = 16;
    replay_options(&config)
}

fn generation(log: &Log, until_ms: i64) -> Generation {
    let Tables { events, items, .. } = log.tables();
    let items = items.iter().map(|row| Ok(row.clone()));
    let assembled = assemble(events.iter().map(|row| Ok(row.clone())), items, [], Some(until_ms)).unwrap();
    train(&assembled.log, &options().training, &|_, _| {}).unwrap()
}

fn run(log: Log, serving: Generation, candidate: Generation, limits: GateLimits) -> [Finding; 2] {
    run_with(Vec::new(), log, serving, candidate, limits)
}

fn run_with(
    mirrored: Vec<MirroredQuery>,
    log: Log,
    serving: Generation,
    candidate: Generation,
    limits: GateLimits,
) -> [Finding; 2] {
    let options = options();
    Contest { log, lake: None, mirrored, options: &options, limits: &limits, end_ms: NOW_MS }.run(serving, candidate).unwrap()
}

/// Latency must not decide here: it is a clock's.
fn limits() -> GateLimits {
    GateLimits { quality_moments_min: 100, quality_moments_max: 200, latency_ratio_max: 1e9, ..GateLimits::default() }
}

const YESTERDAY_MS: i64 = NOW_MS - DAY_MS;

#[test]
fn a_day_more_passes_and_is_rehearsed_without_it() {
    let log = log(0);
    let (serving, candidate) = (generation(&log, YESTERDAY_MS), generation(&log, NOW_MS));
    let [quality, latency] = run(log, serving, candidate, limits());
    assert_eq!((quality.outcome, latency.outcome), (Outcome::Passed, Outcome::Passed), "{quality:?} {latency:?}");
    assert!(quality.detail.contains("trained like the candidate, but without them"), "{quality:?}");
    assert!(latency.value > Some(0.0) && latency.parts.len() == 2, "{latency:?}");
    assert!(latency.detail.contains("median of 200 moments of the log"), "{latency:?}");
}

/// Of people of the log, of strangers, and of a unit that the log does not know.
fn asked(of_shop: u32, elsewhere: u32) -> Vec<MirroredQuery> {
    let query = |bu: &str, n: u32| {
        let keys = vec![rows::account(bu, &(n * 2).to_string()).unwrap()];
        MirroredQuery { at: EventTime::from_millis(NOW_MS), bu: bu.into(), wanted: 10, keys }
    };
    (0..of_shop).map(|n| query("shop", n)).chain((0..elsewhere).map(|n| query("elsewhere", n))).collect()
}

#[test]
fn enough_mirrored_queries_are_asked_instead_of_moments() {
    let log = log(0);
    let pair = || (generation(&log, YESTERDAY_MS), generation(&log, NOW_MS));
    let of = |mirrored, limits| {
        let (serving, candidate) = pair();
        run_with(mirrored, log.clone(), serving, candidate, limits)
    };
    let [quality, latency] = of(asked(100, 0), limits());
    assert_eq!((quality.outcome, latency.outcome), (Outcome::Passed, Outcome::Passed), "{quality:?} {latency:?}");
    assert!(latency.value > Some(0.0) && latency.detail.contains("median of 100 mirrored queries"), "{latency:?}");
    let [_, latency] = of(asked(99, 50), limits());
    assert!(latency.detail.contains("median of 200 moments of the log"), "too few of known units: {latency:?}");
    // Too few moments for quality do not keep latency from being judged.
    let [quality, latency] = of(asked(120, 7), GateLimits { quality_moments_min: 401, ..limits() });
    assert_eq!((quality.outcome, latency.outcome), (Outcome::Skipped, Outcome::Passed), "{quality:?} {latency:?}");
    assert!(quality.detail.contains("fewer than 401 moments"), "{quality:?}");
    assert!(latency.detail.contains("median of 120 mirrored queries"), "{latency:?}");
}

#[test]
fn the_same_log_again_passes_with_what_both_have_seen() {
    let log = log(0);
    let [quality, _] = run(log.clone(), generation(&log, NOW_MS), generation(&log, NOW_MS), limits());
    assert_eq!(quality.outcome, Outcome::Passed, "{quality:?}");
    assert!(quality.detail.contains("both have seen them") && quality.detail.contains("+0.0 %"), "{quality:?}");
}

#[test]
fn a_candidate_that_mistakes_items_is_refused() {
    let log = log(0);
    let (serving, mut candidate) = (generation(&log, YESTERDAY_MS), generation(&log, NOW_MS));
    candidate.items.rotate_left(ITEMS as usize / 2);
    candidate.check().unwrap(); // nothing but the answers tells
    let [quality, _] = run(log, serving, candidate, limits());
    assert_eq!(quality.outcome, Outcome::Refused, "{quality:?}");
    assert!(quality.value > Some(0.05) && quality.detail.contains("the candidate itself"), "{quality:?}");
}

#[test]
fn a_log_that_was_spoilt_is_refused_though_the_candidate_knows_the_day_by_heart() {
    let serving = generation(&log(0), YESTERDAY_MS);
    let spoilt = log(YESTERDAY_MS);
    let candidate = generation(&spoilt, NOW_MS);
    let [quality, _] = run(spoilt, serving, candidate, limits());
    assert_eq!(quality.outcome, Outcome::Refused, "{quality:?}");
    assert!(quality.detail.contains("trained like the candidate, but without them"), "{quality:?}");
}

#[test]
fn to_ask_at_fewer_moments_than_are_asked_for_is_no_want_of_them() {
    let log = log(0);
    let (serving, candidate) = (generation(&log, YESTERDAY_MS), generation(&log, NOW_MS));
    let fewer = GateLimits { quality_moments_min: 300, quality_moments_max: 150, ..limits() };
    let [quality, latency] = run_with(asked(120, 0), log.clone(), serving, candidate, fewer);
    assert_eq!(quality.outcome, Outcome::Passed, "{quality:?}");
    assert!(quality.detail.contains("at 150 moments"), "{quality:?}");
    assert!(latency.detail.contains("median of 120 mirrored queries"), "{latency:?}");
    let (serving, candidate) = (generation(&log, YESTERDAY_MS), generation(&log, NOW_MS));
    let [_, latency] = run_with(asked(220, 40), log, serving, candidate, fewer);
    assert!(latency.detail.contains("median of 150 mirrored queries"), "those of units that it knows: {latency:?}");
}

#[test]
fn too_few_moments_judge_nothing() {
    let log = log(0);
    let (serving, candidate) = (generation(&log, YESTERDAY_MS), generation(&log, NOW_MS));
    let findings = run(log, serving, candidate, GateLimits { quality_moments_min: 401, ..limits() });
    for finding in findings {
        assert_eq!(finding.outcome, Outcome::Skipped);
        assert!(finding.detail.contains("fewer than 401 moments"), "{finding:?}");
    }
}

#[test]
fn answers_that_cost_too_much_are_refused() {
    let names = ["old".to_owned(), "new".to_owned()];
    let times = |new_us: [u64; 3]| new_us.map(|new| [Duration::from_micros(40), Duration::from_micros(new)]);
    let judged = |new_us| latency(&times(new_us), "moments of the log", 2.0, &names);
    let passed = judged([30, 80, 5_000]);
    assert_eq!((passed.outcome, passed.value), (Outcome::Passed, Some(2.0)), "one that was disturbed does not count");
    let refused = judged([30, 81, 90]);
    assert_eq!(refused.outcome, Outcome::Refused);
    assert!(refused.detail.contains("81 µs of a processor against 40 µs"), "{refused:?}");
    assert_eq!(latency(&[[Duration::ZERO; 2]], "moments of the log", 2.0, &names).outcome, Outcome::Skipped);
}

#[test]
fn a_log_that_tells_next_to_nothing_before_its_last_day_is_not_rehearsed() {
    let mut log = log(0);
    let serving = generation(&log, YESTERDAY_MS);
    log.events.retain(|row| row.ts_ms >= YESTERDAY_MS);
    log.events.insert(0, EventRow { ts_ms: YESTERDAY_MS - 1, local_user_id: "alone".into(), ..log.events[0].clone() });
    let candidate = generation(&log, NOW_MS);
    for finding in run(log, serving, candidate, limits()) {
        assert_eq!(finding.outcome, Outcome::Skipped);
        assert!(finding.detail.contains("too poor to train on"), "{finding:?}");
    }
}
