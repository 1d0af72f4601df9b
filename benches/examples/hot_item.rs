//! Live neighbours beside an item that tens of thousands take every second: `RESULTS.md` has its figures.
//!
//! ```text
//! cargo run --release -p faces-benches --example hot_item [takers a second] [seconds of every minute that are played]
//! ```

use std::env;

use faces_benches::hot_item::{HotFigures, HotSize, Quality, figures};

fn main() {
    let number = |place: usize, usual: usize| env::args().nth(place).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let size = HotSize {
        tastes: 100,
        items_a_taste: 60,
        persons: 20_000,
        takes: 10,
        hot_minutes: 40,
        takers_a_second: number(1, 40_000),
        seconds_a_minute: number(2, 1) as i64,
        asked: 2_000,
    };
    for (title, size) in [("without visitors", HotSize { takers_a_second: 0, ..size }), ("with", size)] {
        let HotFigures { compact, textbook, events, takers, minutes_of_30 } = figures(size);
        println!("{title}: {events} events; {takers} takers of the hot item held, of {minutes_of_30} of the last 30 minutes");
        for (name, [took, others]) in [("compact", compact), ("textbook", textbook)] {
            println!("  {name:<9} took it {}   others {}", line(took), line(others));
        }
    }
}

fn line(quality: Quality) -> String {
    let Quality { asked, hr_20, mrr_20, of_taste } = quality;
    let percent = |share: f64| share * 100.0;
    format!("HR@20 {:5.2} MRR@20 {:5.2} of taste {:5.1} % (n = {asked})", percent(hr_20), percent(mrr_20), percent(of_taste))
}
