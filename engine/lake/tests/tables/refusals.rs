//! Bad input: what is wrong is said with the file's name, and nothing stands there that looks prepared.

use std::{fs, sync::Arc};

use crate::lake::{Lake, contents, event, write};
use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use faces_rebuild::{TrainParams, tables::EventRow};

const START_MS: i64 = 1_767_225_600_000;

fn rows() -> Vec<EventRow> {
    (0..20).map(|n| event(START_MS + n, "shop", &format!("u{}", n % 4), ["a", "b"][n as usize % 2], "view")).collect()
}

fn lake() -> Lake {
    let lake = Lake::new(&["a,shop", "b,shop"], &[]);
    lake.write_day(1, &rows());
    lake
}

/// What is refused names everything of `parts`.
fn refused(lake: &Lake, parts: &[&str]) {
    let error = lake.prepare(&lake.request(&TrainParams::default())).unwrap_err();
    let message = format!("{:#}", anyhow::Error::new(error));
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    assert!(!lake.path("prepared/manifest.json").exists(), "something stands there that looks prepared");
}

fn columns(times: ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    let text = |text: &str| Arc::new(StringArray::from(vec![text; 2])) as ArrayRef;
    vec![
        ("ts_ms", times),
        ("bu", text("shop")),
        ("local_user_id", text("u1")),
        ("item_id", text("a")),
        ("event_type", text("view")),
    ]
}

fn times(values: [i64; 2]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

#[test]
fn a_column_that_is_missing_or_of_another_type_is_named_with_its_file() {
    let lake = lake();
    let mut without = columns(times([START_MS; 2]));
    without.remove(3);
    write(&lake.day(2), without);
    refused(&lake, &["day=2026-01-02/faces.events.shop-0-2.parquet, column `item_id`", "it is missing", "local_user_id"]);
    let mut wrong = columns(times([START_MS; 2]));
    wrong[1].1 = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    write(&lake.day(2), wrong);
    refused(&lake, &["shop-0-2.parquet, column `bu`", "Float64"]);
}

#[test]
fn mixed_units_of_time_are_refused() {
    let lake = lake();
    write(&lake.day(2), columns(Arc::new(TimestampMicrosecondArray::from(vec![START_MS * 1_000; 2]))));
    refused(&lake, &["shop-0-2.parquet, column `ts_ms`", "times in microseconds here, whole numbers in", "shop-0-1.parquet"]);
    for seconds_or_micros in [START_MS / 1_000, START_MS * 1_000] {
        write(&lake.day(2), columns(times([START_MS, seconds_or_micros])));
        refused(&lake, &["shop-0-2.parquet has the time", &seconds_or_micros.to_string(), "milliseconds"]);
    }
}

#[test]
fn times_in_seconds_are_refused_however_they_are_stored() {
    let seconds = START_MS / 1_000;
    let stored: [ArrayRef; 3] = [
        Arc::new(Int32Array::from(vec![seconds as i32; 2])),
        Arc::new(TimestampMillisecondArray::from(vec![seconds; 2])),
        Arc::new(TimestampMicrosecondArray::from(vec![seconds * 1_000; 2])),
    ];
    for times in stored {
        let lake = Lake::new(&["a,shop", "b,shop"], &[]);
        write(&lake.day(1), columns(times));
        refused(&lake, &["shop-0-1.parquet has the time", &seconds.to_string(), "is it in seconds"]);
    }
}

#[test]
fn a_name_that_a_url_spells_otherwise_is_found() {
    let lake = lake();
    for folder in ["hour=10%3A00", "a#b", "c?d"] {
        let path = lake.path("events").join(folder).join("part 1.parquet");
        write(&path, columns(times([START_MS; 2])));
    }
    let manifest = lake.prepare(&lake.request(&TrainParams::default())).unwrap();
    assert_eq!((manifest.report.events_read, manifest.report.interactions), (26, 26));
    assert!(manifest.inputs.iter().any(|input| input.name.ends_with("events/hour=10%3A00/part 1.parquet")));
}

#[test]
fn a_value_that_is_missing_is_refused() {
    let lake = lake();
    let mut missing = columns(times([START_MS; 2]));
    missing[2].1 = Arc::new(StringArray::from(vec![Some("u1"), None]));
    write(&lake.day(2), missing);
    refused(&lake, &["shop-0-2.parquet, column `local_user_id`", "1 values are missing"]);
}

#[test]
fn a_file_that_was_half_written_is_named() {
    let lake = lake();
    lake.write_day(2, &rows());
    let whole = fs::read(lake.day(2)).unwrap();
    for length in [0, 3, whole.len() / 2, whole.len() - 1] {
        fs::write(lake.day(2), &whole[..length]).unwrap();
        refused(&lake, &["shop-0-2.parquet is not a whole Parquet file"]);
    }
}

#[test]
fn an_item_given_twice_is_named_with_both_places() {
    let lake = lake();
    fs::write(lake.path("items.csv"), "item_id,bu\na,shop\nb,shop\na,shop\n").unwrap();
    refused(&lake, &["item shop/a is in", "items.csv, row 1 and again in", "items.csv, row 3"]);
}

#[test]
fn nothing_to_read_or_to_train_on_is_an_error() {
    let lake = lake();
    fs::write(lake.path("items.csv"), "item_id,bu\nother,shop\n").unwrap();
    refused(&lake, &["none of 20 events", "name items of the items table"]);
    fs::remove_dir_all(lake.path("events")).unwrap();
    refused(&lake, &["events names no file"]);
}

#[test]
fn empty_days_and_unknown_items_are_passed_over() {
    let lake = lake();
    lake.write_day(2, &[]);
    fs::create_dir(lake.path("events/day=2026-01-03")).unwrap();
    lake.write_day(4, &[event(START_MS, "shop", "u1", "nowhere", "view"), event(START_MS, "Shop!", "u1", "a", "view")]);
    let manifest = lake.prepare(&lake.request(&TrainParams::default())).unwrap();
    assert_eq!((manifest.report.events_read, manifest.report.interactions, manifest.report.of_unknown_item), (22, 20, 2));
    assert_eq!(manifest.inputs.iter().map(|input| input.rows).collect::<Vec<_>>(), [20, 0, 2, 2, 0]);
}

#[test]
fn what_a_wrong_clock_dated_decides_nothing() {
    let of = |lake: &Lake| lake.prepare(&lake.request(&TrainParams::default())).unwrap();
    let lake = lake();
    let before = of(&lake);
    lake.write_day(2, &[event(4_102_444_800_000, "shop", "u1", "a", "view")]); // the year 2100
    let after = of(&lake);
    assert_eq!((after.report.events_read, after.report.interactions, after.report.after_cut_off), (21, 20, 1));
    assert_eq!((after.cut_off_ms, contents(&after)), (before.cut_off_ms, contents(&before)));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let lake = lake();
    fs::write(lake.path("prepared"), "a file stands here").unwrap();
    refused(&lake, &["cannot make the folder", "prepared"]);
}
