//! The large log is what it says, and the same every time.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;

use faces_benches::lake_log::{LogSize, UNITS, write};
use faces_rebuild::tables::{EventRow, read_events, read_items, read_links};

const SIZE: LogSize = LogSize { events: 4_000, people: 500, items: 800, days: 3 };

fn events(root: &std::path::Path) -> Vec<EventRow> {
    let mut rows = Vec::new();
    for unit in UNITS {
        let days = fs::read_dir(root.join(format!("events/faces.events.{unit}"))).unwrap();
        let mut days: Vec<_> = days.map(|day| day.unwrap().path()).collect();
        days.sort();
        assert!(days.len() == 3 && days[2].ends_with("day=2026-01-03"), "{days:?}");
        for file in days.iter().flat_map(|day| fs::read_dir(day).unwrap()) {
            rows.extend(read_events(file.unwrap().path()).unwrap().map(Result::unwrap));
        }
    }
    rows
}

#[test]
fn a_log_is_what_its_size_says_and_comes_out_the_same() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&SIZE, one.path(), |_| ()).unwrap();
    write(&SIZE, other.path(), |_| ()).unwrap();
    let rows = events(one.path());
    assert_eq!(rows.len(), 4_000);
    assert_eq!(rows, events(other.path()));
    let items: Vec<_> = read_items(one.path().join("items.csv")).unwrap().map(Result::unwrap).collect();
    let known = |row: &EventRow| items.iter().any(|item| item.bu == row.bu && item.item_id == row.item_id);
    assert!(items.len() == 800 && rows.iter().all(known));
    assert_eq!(read_links(one.path().join("links.csv")).unwrap().map(Result::unwrap).count(), 50 * 3);
}
