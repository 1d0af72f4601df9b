//! How sure a figure is: percentile intervals from resampled persons (Efron 1979).
//!
//! Persons are drawn with replacement, each with all their queries: queries of one person are not independent. The generator is
//! seeded, so the same outcomes give the same intervals. One person says nothing of others, so there is no interval of one.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use serde::Serialize;

use super::{
    measures::{Measure, Scores},
    persons::Person,
};

const SEED: u64 = 7;

/// How often to resample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds(u32);

impl Rounds {
    /// The default number.
    pub const USUAL: u32 = 300;

    /// So many rounds; 0 for no intervals.
    #[must_use]
    pub const fn new(rounds: u32) -> Self {
        Self(rounds)
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0
    }
}

/// Where a figure lies in 95 of 100 resamplings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(into = "(f64, f64)")]
pub struct Interval {
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile; infinite where more resamplings than that are of an uplift over nothing.
    pub high: f64,
}

impl From<Interval> for (f64, f64) {
    fn from(interval: Interval) -> Self {
        (interval.low, interval.high)
    }
}

/// A figure and how sure it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The figure; `None` when nothing was measured.
    pub value: Option<f64>,
    /// Its interval; `None` without rounds, of a single person, or when nothing was measured.
    pub interval: Option<Interval>,
}

impl Estimate {
    /// The same in other units; `scale` must not turn larger into smaller.
    #[must_use]
    pub fn map(self, scale: impl Fn(f64) -> f64) -> Self {
        let interval = self.interval.map(|Interval { low, high }| Interval { low: scale(low), high: scale(high) });
        Self { value: self.value.map(scale), interval }
    }
}

/// A value for each measure.
pub type ByMeasure<Value> = [Value; Measure::COUNT];

/// Scores of one person, added up.
#[derive(Clone, Copy, Debug, Default)]
struct PersonSums {
    sums: ByMeasure<f64>,
    counts: ByMeasure<f64>,
}

impl PersonSums {
    fn add(&mut self, scores: &Scores) {
        for ((sum, count), value) in self.sums.iter_mut().zip(&mut self.counts).zip(scores.values()) {
            if let Some(value) = value {
                *sum += value;
                *count += 1.0;
            }
        }
    }

    fn join(&mut self, other: &Self) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| *sum += more);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
    }

    fn means(&self) -> ByMeasure<Option<f64>> {
        let mut means = [None; Measure::COUNT];
        for (mean, (sum, count)) in means.iter_mut().zip(self.sums.iter().zip(&self.counts)) {
            *mean = (*count > 0.0).then(|| sum / count);
        }
        means
    }
}

/// Scores by person. Two runs over the same queries have the same persons in the same order.
#[derive(Clone, Debug, Default)]
pub struct Sample(Vec<PersonSums>);

impl Sample {
    /// From the scores of queries.
    #[must_use]
    pub fn new(scored: impl IntoIterator<Item = (Person, Scores)>) -> Self {
        let mut persons: BTreeMap<Person, PersonSums> = BTreeMap::new();
        for (person, scores) in scored {
            persons.entry(person).or_default().add(&scores);
        }
        Self(persons.into_values().collect())
    }

    /// How many persons.
    #[must_use]
    pub fn persons(&self) -> usize {
        self.0.len()
    }

    fn whole(&self) -> PersonSums {
        let mut sums = PersonSums::default();
        self.0.iter().for_each(|person| sums.join(person));
        sums
    }

    fn of(&self, drawn: &[usize]) -> PersonSums {
        let mut sums = PersonSums::default();
        drawn.iter().filter_map(|place| self.0.get(*place)).for_each(|person| sums.join(person));
        sums
    }

    /// Means over queries. Cost: persons times rounds.
    #[must_use]
    pub fn means(&self, rounds: Rounds) -> ByMeasure<Estimate> {
        estimates(self.whole().means(), self.persons(), rounds, |drawn| self.of(drawn).means())
    }

    /// Relative uplift of these means over a baseline's, mean / baseline - 1, both over the same drawn persons; `None` where the
    /// baseline is 0.
    #[must_use]
    pub fn uplifts(&self, baseline: &Self, rounds: Rounds) -> ByMeasure<Estimate> {
        let uplift = |new: PersonSums, old: PersonSums| {
            let mut uplifts = [None; Measure::COUNT];
            for (uplift, (new, old)) in uplifts.iter_mut().zip(new.means().into_iter().zip(old.means())) {
                *uplift = new.zip(old).filter(|(_, old)| *old != 0.0).map(|(new, old)| new / old - 1.0);
            }
            uplifts
        };
        let persons = self.persons().max(baseline.persons());
        estimates(uplift(self.whole(), baseline.whole()), persons, rounds, |drawn| uplift(self.of(drawn), baseline.of(drawn)))
    }
}

fn estimates(
    values: ByMeasure<Option<f64>>,
    persons: usize,
    rounds: Rounds,
    of_drawn: impl Fn(&[usize]) -> ByMeasure<Option<f64>>,
) -> ByMeasure<Estimate> {
    let mut samples: ByMeasure<Vec<f64>> = Default::default();
    let mut generator = ChaCha8Rng::seed_from_u64(SEED);
    let mut drawn = vec![0; persons];
    for _ in 0..if persons < 2 { 0 } else { rounds.0 } {
        drawn.iter_mut().for_each(|place| *place = generator.random_range(0..persons));
        // An uplift over nothing is beyond all bounds; were it left out, the interval would be narrower than it is.
        samples.iter_mut().zip(of_drawn(&drawn)).for_each(|(samples, value)| samples.push(value.unwrap_or(f64::INFINITY)));
    }
    let mut estimates = [Estimate::default(); Measure::COUNT];
    for (estimate, (value, samples)) in estimates.iter_mut().zip(values.into_iter().zip(samples)) {
        *estimate = Estimate { value, interval: value.and_then(|_| interval(samples)) };
    }
    estimates
}

fn interval(mut samples: Vec<f64>) -> Option<Interval> {
    samples.sort_unstable_by(f64::total_cmp);
    Some(Interval { low: percentile(&samples, 0.025)?, high: percentile(&samples, 0.975)? })
}

/// Linear between neighbours, which may be infinite; `None` of nothing.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(if low == high { *low } else { low + (high - low) * place.fract() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::persons::Persons;

    fn person(number: usize) -> Person {
        Persons::default().of_account("shop", &number.to_string()).unwrap()
    }

    fn scored(person_number: usize, is_hit: bool) -> (Person, Scores) {
        let hits = if is_hit { vec![std::num::NonZeroU8::MIN] } else { Vec::new() };
        (person(person_number), Scores::new(hits, 1, None))
    }

    #[test]
    fn percentiles_by_hand() {
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.5), Some(3.0));
        assert_eq!(percentile(&[1.0, 2.0], 0.25), Some(1.25));
        assert_eq!(percentile(&[], 0.5), None);
        let unbounded = [1.0, f64::INFINITY, f64::INFINITY];
        assert_eq!(
            [0.0, 0.25, 0.5, 0.75].map(|share| percentile(&unbounded, share)),
            [1.0, f64::INFINITY, f64::INFINITY, f64::INFINITY].map(Some)
        );
    }

    #[test]
    fn the_same_scores_give_the_same_interval_and_it_is_as_wide_as_theory_says() {
        let sample = Sample::new((0..400).map(|n| scored(n, n % 4 == 0)));
        let hr_20 = sample.means(Rounds::new(1_000))[Measure::Hr20 as usize];
        assert_eq!(hr_20, sample.means(Rounds::new(1_000))[Measure::Hr20 as usize]);
        assert_eq!(hr_20.value, Some(0.25));
        let half_width = 1.96 * (0.25_f64 * 0.75 / 400.0).sqrt();
        let Interval { low, high } = hr_20.interval.unwrap();
        assert!((low - (0.25 - half_width)).abs() < 0.006 && (high - (0.25 + half_width)).abs() < 0.006, "{low} {high}");
        assert_eq!(sample.means(Rounds::new(1_000))[Measure::Novelty20 as usize], Estimate::default());
        assert_eq!(sample.means(Rounds::new(0))[Measure::Hr20 as usize].interval, None);
    }

    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_say() {
        let mut generator = ChaCha8Rng::seed_from_u64(11);
        let (trials, truth) = (200, 0.3);
        let mut held = 0;
        for _ in 0..trials {
            let sample = Sample::new((0..150).map(|n| scored(n, generator.random_range(0.0..1.0) < truth)));
            let Interval { low, high } = sample.means(Rounds::new(200))[Measure::Hr20 as usize].interval.unwrap();
            held += u32::from(low <= truth && truth <= high);
        }
        assert!((180..=199).contains(&held), "{held} of {trials}");
    }

    #[test]
    fn persons_are_drawn_not_queries() {
        // 20 persons with 50 queries each, all alike: as unsure as 20 queries, not as 1,000.
        let many = Sample::new((0..1_000).map(|n| scored(n % 20, n % 2 == 0)));
        let few = Sample::new((0..20).map(|n| scored(n, n % 2 == 0)));
        assert_eq!((many.persons(), few.persons()), (20, 20));
        let width = |sample: &Sample| sample.means(Rounds::new(500))[Measure::Hr20 as usize].interval.unwrap();
        assert_eq!(width(&many), width(&few));
    }

    #[test]
    fn one_person_has_no_interval() {
        let sample = Sample::new((0..9).map(|n| scored(1, n % 3 == 0)));
        let hr_20 = sample.means(Rounds::new(100))[Measure::Hr20 as usize];
        assert_eq!(hr_20, Estimate { value: Some(1.0 / 3.0), interval: None });
        assert_eq!(sample.uplifts(&sample, Rounds::new(100))[Measure::Hr20 as usize].interval, None);
    }

    #[test]
    fn resamplings_over_nothing_are_not_left_out() {
        // One of 40 persons has the baseline's hits: it is in only some 64 of 100 resamplings, and over nothing there is no bound.
        let old = Sample::new((0..40).map(|n| scored(n, n == 0)));
        let new = Sample::new((0..40).map(|n| scored(n, n % 5 == 0)));
        let uplift = new.uplifts(&old, Rounds::new(200))[Measure::Hr20 as usize];
        let interval = uplift.interval.unwrap();
        assert_eq!((uplift.value, interval.high), (Some(7.0), f64::INFINITY));
        assert!(interval.low.is_finite() && interval.low < 7.0, "{interval:?}");
        // Of nine such persons hardly any resampling is without.
        let old = Sample::new((0..40).map(|n| scored(n, n < 9)));
        assert!(new.uplifts(&old, Rounds::new(200))[Measure::Hr20 as usize].interval.unwrap().high.is_finite());
    }

    #[test]
    fn uplift_is_paired() {
        let old = Sample::new((0..100).map(|n| scored(n, n % 4 == 0)));
        let same = old.uplifts(&old, Rounds::new(100))[Measure::Hr20 as usize];
        assert_eq!(same, Estimate { value: Some(0.0), interval: Some(Interval { low: 0.0, high: 0.0 }) });
        let new = Sample::new((0..100).map(|n| scored(n, n % 2 == 0)));
        let doubled = new.uplifts(&old, Rounds::new(100))[Measure::Hr20 as usize];
        assert_eq!(doubled.value, Some(1.0));
        assert!(doubled.interval.unwrap().low > 0.4 && doubled.interval.unwrap().high > 1.0);
        let nothing = Sample::new((0..100).map(|n| scored(n, false)));
        assert_eq!(new.uplifts(&nothing, Rounds::new(100))[Measure::Hr20 as usize], Estimate::default());
    }
}
