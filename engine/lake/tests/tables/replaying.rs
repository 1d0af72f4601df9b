//! Of a log that is too long to be gone through, the latest part is, and before it those who are examples.

use crate::lake::{Lake, event};
use faces_rebuild::{Prepared, TrainParams};

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 490_896 * HOUR_MS;

/// An event an hour, of one user after the other; the latest four moments are of `u6` to `u9`.
fn lake() -> Lake {
    let lake = Lake::new(&["a,shop", "b,food"], &["1767225600001,shop,u9,food,f9"]);
    let mut rows: Vec<_> =
        (0..100).map(|n| event(START_MS + n * HOUR_MS, "shop", &format!("u{}", n % 10), "a", "view")).collect();
    rows.extend((0..100).map(|n| event(START_MS + n * HOUR_MS, "food", &format!("f{}", n % 10), "b", "impression")));
    rows.push(event(START_MS + 9 * HOUR_MS + 1, "food", "f9", "b", "view"));
    lake.write_day(1, &rows);
    lake
}

/// Hour and user of what is gone through, after a check that times ascend.
fn replayed(replayed_max: usize) -> Vec<(i64, String)> {
    let (lake, mut params) = (lake(), TrainParams::default());
    (params.ranker.examples_max, params.ranker.replayed_max) = (1, replayed_max);
    lake.prepare(&lake.request(&params)).unwrap();
    let prepared = Prepared::open(lake.path("prepared")).unwrap();
    assert_eq!(prepared.log().interactions().len(), 101, "training has all of them, whatever is gone through");
    let users: Vec<String> = prepared.moments().unwrap().into_iter().map(|row| row.local_user_id).collect();
    assert_eq!(users, ["u6", "u7", "u8", "u9"], "four times as many as are wanted are looked at");
    let rows: Vec<_> = prepared.events().unwrap().map(Result::unwrap).collect();
    assert!(rows.is_sorted_by_key(|row| row.ts_ms));
    rows.into_iter().map(|row| ((row.ts_ms - START_MS) / HOUR_MS, row.local_user_id)).collect()
}

#[test]
fn a_short_log_is_gone_through_whole() {
    assert_eq!(replayed(201).len(), 201);
    assert_eq!(replayed(1_000).len(), 201);
}

#[test]
fn of_a_long_one_the_latest_part_is_and_before_it_the_people_of_the_moments() {
    let found = replayed(40);
    let (earlier, latest): (Vec<_>, Vec<_>) = found.into_iter().partition(|(hour, _)| *hour < 80);
    assert_eq!(latest.len(), 40, "all of the latest twenty hours");
    let mut users: Vec<&str> = earlier.iter().map(|(_, user)| user.as_str()).collect();
    users.sort_unstable();
    users.dedup();
    assert_eq!(users, ["f9", "u6", "u7", "u8", "u9"], "the linked account too");
    let of = |wanted: &str| earlier.iter().filter(|(_, user)| user == wanted).count();
    assert_eq!((of("u9"), of("f9")), (8, 9));
}
