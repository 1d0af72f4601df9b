//! What a model must show before it may answer: finite scores, each of its own row, for as many candidates as a request has, in time.

use std::time::{Duration, Instant};

use faces_core::ranking::{NoScores, features::COUNT};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{CHUNK_ROWS, Problem, RowScorer, columns::Columns, guarded::ask};

/// Candidates of a large request: what the sources give at most is some hundreds.
pub(super) const CANDIDATES: usize = 300;
/// Times that they are scored; the time in the middle counts, so that a busy moment does not.
const ROUNDS: usize = 15;
/// Trying ends after this time, when at least one round is done.
const TRIED_MAX: Duration = Duration::from_secs(2);
/// How far a score may change with the rows beside it, in shares of itself: matrices are multiplied in blocks.
const TOLERANCE: f32 = 1e-4;

/// Tries a model on candidates made up, with features between 0 and 1, half of them 0, as most sources say nothing of most. Without a budget, time does not matter. Cost: some 20 requests'
/// scoring; of a slow model, one's, or two seconds.
///
/// # Errors
/// What keeps it from serving.
pub(super) fn try_out(
    scorer: &dyn RowScorer,
    columns: &Columns,
    budget: Option<Duration>,
    clock: &dyn Fn() -> Instant,
) -> Result<(), Problem> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let features: Vec<f32> = (0..COUNT * CANDIDATES).map(|_| random.random_range(-1.0..1.0_f32).max(0.0)).collect();
    let row = |feature: usize| features.get(feature * CANDIDATES..(feature + 1) * CANDIDATES).unwrap_or_default();
    let mut scores = Vec::new();
    ask(scorer, columns, CANDIDATES, row, None, clock, &mut scores).map_err(|why| match why {
        NoScores::NotFinite => Problem::NotFinite,
        _ => Problem::Failed(failure(scorer, columns)),
    })?;
    if !stand_alone(scorer, columns, row, clock, &scores) {
        return Err(Problem::NotByRow);
    }
    let Some(budget) = budget else { return Ok(()) };
    let (began, mut took) = (clock(), Vec::with_capacity(ROUNDS));
    while took.len() < ROUNDS && (took.is_empty() || clock().saturating_duration_since(began) < TRIED_MAX) {
        let round = clock();
        _ = ask(scorer, columns, CANDIDATES, row, None, clock, &mut scores);
        took.push(clock().saturating_duration_since(round));
    }
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    if median < budget { Ok(()) } else { Err(Problem::Slow { took_us: median.as_micros(), budget_us: budget.as_micros() }) }
}

/// Whether candidates get the same scores when others stand beside them: as the last ones of a request, and as the only ones.
fn stand_alone<'a>(
    scorer: &dyn RowScorer,
    columns: &Columns,
    row: impl Fn(usize) -> &'a [f32],
    clock: &dyn Fn() -> Instant,
    scores: &[f32],
) -> bool {
    const FIRST: usize = CANDIDATES - CHUNK_ROWS / 2;
    let mut alone = Vec::new();
    let row = |feature| row(feature).get(FIRST..).unwrap_or_default();
    let asked = ask(scorer, columns, CHUNK_ROWS / 2, row, None, clock, &mut alone);
    let is_same = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE * (1.0 + a.abs());
    asked.is_ok() && alone.iter().zip(scores.iter().skip(FIRST)).all(is_same)
}

/// What a model says when it fails.
fn failure(scorer: &dyn RowScorer, columns: &Columns) -> anyhow::Error {
    let rows = vec![0.5; CHUNK_ROWS * columns.width()];
    let failed = scorer.score(&rows, &mut Vec::new()).err();
    failed.unwrap_or_else(|| anyhow::anyhow!("it does not give a score for each of {CHUNK_ROWS} rows"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Fake<F>(F);

    impl<F: Fn(&[f32]) -> Vec<f32> + Send + Sync> RowScorer for Fake<F> {
        fn score(&self, rows: &[f32], scores: &mut Vec<f32>) -> anyhow::Result<()> {
            scores.extend(self.0(rows));
            Ok(())
        }
    }

    fn sums(rows: &[f32]) -> Vec<f32> {
        rows.chunks_exact(COUNT).map(|row| row.iter().sum()).collect()
    }

    fn try_fake(fake: impl Fn(&[f32]) -> Vec<f32> + Send + Sync) -> Result<(), Problem> {
        let now = Instant::now();
        try_out(&Fake(fake), &Columns::named(&[]).unwrap(), Some(Duration::from_micros(100)), &|| now)
    }

    #[test]
    fn a_model_that_scores_each_row_passes() {
        try_fake(sums).unwrap();
    }

    #[test]
    fn one_that_looks_at_other_rows_or_says_nan_or_too_little_does_not() {
        let by_share = |rows: &[f32]| {
            let (sums, all) = (sums(rows), rows.iter().sum::<f32>());
            sums.iter().map(|sum| sum / all).collect()
        };
        assert!(matches!(try_fake(by_share), Err(Problem::NotByRow)));
        assert!(matches!(try_fake(|rows| vec![f32::NAN; rows.len() / COUNT]), Err(Problem::NotFinite)));
        assert!(matches!(try_fake(|rows| rows.to_vec()), Err(Problem::Failed(_))));
    }

    #[test]
    fn the_round_in_the_middle_must_be_within_the_budget() {
        // Chunks take so long, but for every third round's, which are slow. The first six are not timed.
        let tried = |chunk_us: u64| {
            let (began, clock_us, chunks) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
            let fake = Fake(|rows: &[f32]| {
                let round = chunks.fetch_add(1, Ordering::Relaxed).saturating_sub(6) / 5;
                let takes_us = if round.is_multiple_of(3) { 1_000 } else { chunk_us };
                clock_us.fetch_add(takes_us, Ordering::Relaxed);
                sums(rows)
            });
            let clock = || began + Duration::from_micros(clock_us.load(Ordering::Relaxed));
            try_out(&fake, &Columns::named(&[]).unwrap(), Some(Duration::from_micros(100)), &clock)
        };
        tried(10).unwrap();
        let slow = tried(60).unwrap_err().to_string();
        assert!(slow.contains("300 µs") && slow.contains("100 µs") && slow.contains("ranking.own_model.budget_us"), "{slow}");
    }
}
