//! Stretches of the replay, so that quality can be seen over time.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::outcome::{Outcome, Outcomes};

const DAY_MS: i64 = 86_400_000;

/// How long a stretch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A UTC day.
    Day,
    /// From Monday to Sunday.
    Week,
    /// A month of the calendar.
    Month,
}

impl Period {
    /// One that cuts a time into a number of stretches that can be looked at.
    #[must_use]
    pub const fn for_span(days: i64) -> Self {
        match days {
            ..=21 => Self::Day,
            22..=210 => Self::Week,
            _ => Self::Month,
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The first day of the stretch that a moment lies in, as `2026-11-23`; a month as `2026-11`.
    #[must_use]
    pub fn label(self, ts_ms: i64) -> String {
        let day = ts_ms.div_euclid(DAY_MS);
        let start = match self {
            // 1 January 1970 was a Thursday.
            Self::Week => day - (day + 3).rem_euclid(7),
            _ => day,
        };
        let Some(date) = date_of(start) else { return String::new() };
        match self {
            Self::Month => format!("{:04}-{:02}", date.year(), date.month()),
            _ => date.to_string(),
        }
    }
}

/// Answers by stretch, in order of time; the label sorts as the time does.
#[must_use]
pub fn by_period(outcomes: &Outcomes) -> (Period, BTreeMap<String, Vec<&Outcome>>) {
    let times = || outcomes.outcomes.iter().map(|outcome| outcome.ts_ms);
    let span_ms = times().max().unwrap_or(0) - times().min().unwrap_or(0);
    let period = Period::for_span(span_ms / DAY_MS);
    let mut stretches: BTreeMap<String, Vec<&Outcome>> = BTreeMap::new();
    for outcome in &outcomes.outcomes {
        stretches.entry(period.label(outcome.ts_ms)).or_default().push(outcome);
    }
    (period, stretches)
}

fn date_of(day: i64) -> Option<Date> {
    let time = Timestamp::from_millisecond(day.checked_mul(DAY_MS)?).ok()?;
    Some(time.to_zoned(TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_begin_on_mondays_and_firsts() {
        let wednesday = 1_795_564_800_000; // 2026-11-25
        assert_eq!(Period::Day.label(wednesday + 5), "2026-11-25");
        assert_eq!(Period::Week.label(wednesday), "2026-11-23");
        assert_eq!(Period::Week.label(wednesday - 2 * DAY_MS), "2026-11-23", "Monday");
        assert_eq!(Period::Week.label(wednesday - 2 * DAY_MS - 1), "2026-11-16", "Sunday");
        assert_eq!(Period::Month.label(wednesday), "2026-11");
        assert_eq!(
            [Period::for_span(1), Period::for_span(60), Period::for_span(900)],
            [Period::Day, Period::Week, Period::Month]
        );
    }
}
