//! A run that was killed goes on from its last step, and comes to the same.

use std::fs;

use crate::lake::{Lake, START_MS, contents};
use faces_lake::Request;
use faces_rebuild::TrainParams;

#[test]
fn steps_that_are_whole_are_kept_and_others_made_again() {
    let lake = Lake::of_one_day();
    // Small shares, so that there are several.
    let request = Request { pairs_bytes: 96 * 500, ..lake.request(&TrainParams::default()) };
    let whole = lake.prepare(&request).unwrap();
    let pairs = whole.tables.iter().find(|table| table.name == "pairs").unwrap();
    assert!(pairs.files.len() > 2 && pairs.rows > 0, "{pairs:?}");

    // As if killed: the last share half-made, a file torn, no manifest.
    let out = lake.path("prepared");
    let (kept, lost) = (out.join("interactions.json"), pairs.files.last().unwrap().name.split('/').next().unwrap());
    let written = fs::metadata(&kept).unwrap().modified().unwrap();
    fs::remove_file(out.join("manifest.json")).unwrap();
    fs::remove_file(out.join(format!("{lost}.json"))).unwrap();
    fs::rename(out.join(lost), out.join(format!("{lost}.partial"))).unwrap();
    let torn = out.join(&whole.tables.iter().find(|table| table.name == "popularity").unwrap().files[0].name);
    fs::write(&torn, "torn").unwrap();

    let resumed = lake.prepare(&Request { resumes: true, ..request.clone() }).unwrap();
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), written, "the step was kept");
    assert_eq!(contents(&resumed), contents(&whole));

    // Whatever the shares, and made anew: the same pairs.
    let anew = lake.prepare(&lake.request(&TrainParams::default())).unwrap();
    assert_eq!(contents(&anew), contents(&whole));
}

#[test]
fn steps_of_another_request_are_not_taken() {
    let lake = Lake::of_one_day();
    let request = lake.request(&TrainParams::default());
    lake.prepare(&request).unwrap();
    let other = Request { until_ms: Some(START_MS + 200), resumes: true, ..request };
    let refusal = lake.prepare(&other).unwrap_err().to_string();
    assert!(refusal.contains("steps made of other inputs") && refusal.contains("leave out --resume"), "{refusal}");
}
