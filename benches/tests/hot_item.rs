//! One item that everybody is after takes nothing from those whose other items are normal, and is not forgotten either.

use faces_benches::hot_item::{HotSize, figures};

const SIZE: HotSize = HotSize {
    tastes: 20,
    items_a_taste: 40,
    persons: 2_000,
    takes: 8,
    hot_minutes: 40,
    takers_a_second: 1_000,
    seconds_a_minute: 1,
    asked: 600,
};

#[test]
fn neighbours_hold_beside_a_hot_item() {
    let quiet = figures(HotSize { takers_a_second: 0, ..SIZE });
    let hot = figures(SIZE);
    assert!(hot.events > quiet.events + 39_000, "{hot:?}");
    // Half of the slate at least is of the person's taste, where chance would give a twentieth.
    for (before, after) in quiet.compact.into_iter().zip(hot.compact) {
        assert!(before.asked > 100 && before.hr_20 > 0.2 && before.of_taste > 0.5, "{before:?}");
        assert!(after.hr_20 > 0.95 * before.hr_20 && after.of_taste > 0.95 * before.of_taste, "{before:?} {after:?}");
    }
    for (compact, textbook) in hot.compact.into_iter().zip(hot.textbook) {
        assert!(compact.hr_20 > 0.95 * textbook.hr_20 && compact.mrr_20 > 0.95 * textbook.mrr_20, "{compact:?} {textbook:?}");
    }
    assert!(hot.takers >= 100 && hot.minutes_of_30 >= 28, "{hot:?}");
    assert_eq!(hot, figures(SIZE), "the same world, the same answers");
}
