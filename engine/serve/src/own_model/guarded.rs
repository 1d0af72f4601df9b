//! A model behind core's port: asked in chunks, for no longer than its budget, and left alone when that is in vain.

use std::{
    fmt,
    time::{Duration, Instant},
};

use faces_core::ranking::{Features, NoScores, OwnModel};

use super::{CHUNK_ROWS, RowScorer, breaker::Breaker, columns::Columns};
use crate::{causes::causes, metrics};

/// Says what time it is.
pub(super) type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// A model with its guards.
pub(super) struct Guarded<S> {
    scorer: S,
    columns: Columns,
    budget: Option<Duration>,
    breaker: Option<Breaker>, // none without a budget: how often it is asked must not hang on how much time passes
    clock: Clock,
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { columns, budget, breaker, .. } = self;
        f.debug_struct("Guarded")
            .field("columns", columns)
            .field("budget", budget)
            .field("breaker", breaker)
            .finish_non_exhaustive()
    }
}

impl<S: RowScorer> Guarded<S> {
    /// Guards a model; without a budget it may take as long as the request may, and never rests.
    pub(super) fn new(scorer: S, columns: Columns, budget: Option<Duration>, clock: Clock) -> Self {
        let breaker = budget.map(|_| Breaker::new(clock()));
        Self { scorer, columns, budget, breaker, clock }
    }

    /// Asks the model if it is awake, and notes what came of it.
    fn answer<'a>(
        &self,
        candidates: usize,
        row: impl Fn(usize) -> &'a [f32],
        deadline: Option<Instant>,
        scores: &mut Vec<f32>,
    ) -> Result<(), NoScores> {
        let now = (self.clock)();
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Err(NoScores::Late); // which is not its fault
        }
        if self.breaker.as_ref().is_some_and(|breaker| !breaker.lets_pass(now)) {
            return Err(NoScores::Resting);
        }
        let budget_ends = self.budget.map(|budget| now + budget);
        let due = budget_ends.into_iter().chain(deadline).min();
        let asked = ask(&self.scorer, &self.columns, candidates, row, due, &*self.clock, scores);
        match (asked, &self.breaker) {
            (Ok(()), Some(breaker)) => breaker.note_scores(),
            // Cut off by the request's deadline, within its own budget: that says nothing of the model.
            (Err(NoScores::Late), _) if due != budget_ends => {}
            (Err(why), Some(breaker)) => {
                if breaker.note_in_vain((self.clock)()) {
                    tracing::warn!(%why, "the own ranking model gives no scores; it rests, and slates are ranked without it");
                }
            }
            (_, None) => {}
        }
        asked
    }
}

impl<S: RowScorer> OwnModel for Guarded<S> {
    fn score(&self, features: &Features, deadline: Option<Instant>, scores: &mut Vec<f32>) -> Result<(), NoScores> {
        let began = (self.clock)();
        let answer = self.answer(features.candidates(), |feature| features.row(feature), deadline, scores);
        metrics::own_model(answer, (self.clock)().saturating_duration_since(began));
        answer
    }
}

/// Sets `scores` to one a candidate, a chunk at a time, until all are scored or it is late. The last chunk may end late, too: scores that
/// are there are as good as others, but a model that always needs more than its budget should show.
pub(super) fn ask<'a>(
    scorer: &dyn RowScorer,
    columns: &Columns,
    candidates: usize,
    row: impl Fn(usize) -> &'a [f32],
    due: Option<Instant>,
    clock: &dyn Fn() -> Instant,
    scores: &mut Vec<f32>,
) -> Result<(), NoScores> {
    scores.clear();
    let mut rows = Vec::new();
    for first in (0..candidates).step_by(CHUNK_ROWS) {
        columns.fill(first, &row, &mut rows);
        scorer.score(&rows, scores).map_err(|error| {
            tracing::debug!(error = causes(&error), "the own ranking model failed");
            NoScores::Failed
        })?;
        if scores.len() != first + CHUNK_ROWS {
            return Err(NoScores::Failed);
        }
        scores.truncate(candidates);
        if !scores.iter().skip(first).all(|score| score.is_finite()) {
            return Err(NoScores::NotFinite);
        }
        if due.is_some_and(|due| clock() > due) {
            return Err(NoScores::Late);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::{
        super::breaker::{IN_VAIN_MAX, REST},
        *,
    };

    /// Says the first number of each row, takes its time by a clock that only it moves, and counts chunks.
    #[derive(Clone, Default)]
    struct Fake(Arc<Inside>);

    #[derive(Default)]
    struct Inside {
        clock_us: AtomicU64,
        takes_us: AtomicU64,
        chunks: AtomicU64,
        fails: AtomicU64,
        says_nan_of: AtomicU64, // 0 for none, else this value
    }

    impl RowScorer for Fake {
        fn score(&self, rows: &[f32], scores: &mut Vec<f32>) -> anyhow::Result<()> {
            let inside = &self.0;
            inside.chunks.fetch_add(1, Ordering::Relaxed);
            inside.clock_us.fetch_add(inside.takes_us.load(Ordering::Relaxed), Ordering::Relaxed);
            anyhow::ensure!(inside.fails.load(Ordering::Relaxed) == 0, "as it was told to");
            let odd = inside.says_nan_of.load(Ordering::Relaxed) as f32;
            let firsts = rows.iter().step_by(rows.len() / CHUNK_ROWS);
            scores.extend(firsts.map(|value| if odd > 0.0 && *value == odd { f32::NAN } else { *value }));
            Ok(())
        }
    }

    impl Fake {
        fn guarded(&self, budget_us: u64) -> Guarded<Self> {
            self.with_budget(Some(Duration::from_micros(budget_us)))
        }

        fn with_budget(&self, budget: Option<Duration>) -> Guarded<Self> {
            let (began, inside) = (Instant::now(), Arc::clone(&self.0));
            let clock = move || began + Duration::from_micros(inside.clock_us.load(Ordering::Relaxed));
            Guarded::new(self.clone(), Columns::named(&[]).unwrap(), budget, Box::new(clock))
        }

        fn set(&self, of: impl Fn(&Inside) -> &AtomicU64, value: u64) {
            of(&self.0).store(value, Ordering::Relaxed);
        }

        fn chunks(&self) -> u64 {
            self.0.chunks.swap(0, Ordering::Relaxed)
        }
    }

    /// Candidate n has n + 1 for its first feature.
    fn ask_for(model: &Guarded<Fake>, candidates: usize, deadline: Option<Instant>) -> Result<Vec<f32>, NoScores> {
        let values: Vec<f32> = (0..candidates).map(|n| (n + 1) as f32).collect();
        let mut scores = vec![9.0; 4];
        let row = |feature: usize| if feature == 0 { values.as_slice() } else { &[0.0; 0] };
        model.answer(candidates, row, deadline, &mut scores).map(|()| scores)
    }

    #[test]
    fn every_candidate_gets_its_own_score_whatever_their_number() {
        let fake = Fake::default();
        let model = fake.guarded(100);
        for candidates in [0, 1, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 300] {
            let expected: Vec<f32> = (0..candidates).map(|n| (n + 1) as f32).collect();
            assert_eq!(ask_for(&model, candidates, None), Ok(expected));
            assert_eq!(fake.chunks(), candidates.div_ceil(CHUNK_ROWS) as u64);
        }
    }

    #[test]
    fn over_its_budget_it_is_stopped_at_the_next_chunk() {
        let fake = Fake::default();
        let model = fake.guarded(100);
        fake.set(|inside| &inside.takes_us, 20);
        assert!(ask_for(&model, 300, None).is_ok(), "five chunks of 20 µs are just within 100");
        assert_eq!(fake.chunks(), 5);
        fake.set(|inside| &inside.takes_us, 60);
        assert_eq!(ask_for(&model, 300, None), Err(NoScores::Late));
        assert_eq!(fake.chunks(), 2);
    }

    #[test]
    fn what_is_not_finite_or_fails_is_no_answer() {
        let fake = Fake::default();
        let model = fake.guarded(100);
        fake.set(|inside| &inside.says_nan_of, 70);
        assert_eq!(ask_for(&model, 100, None), Err(NoScores::NotFinite));
        assert!(ask_for(&model, 69, None).is_ok(), "what stands beyond the candidates does not matter");
        fake.set(|inside| &inside.fails, 1);
        assert_eq!(ask_for(&model, 100, None), Err(NoScores::Failed));
    }

    #[test]
    fn a_model_that_is_slow_again_and_again_rests_and_is_tried_again() {
        let fake = Fake::default();
        let model = fake.guarded(100);
        fake.set(|inside| &inside.takes_us, 101);
        for _ in 0..IN_VAIN_MAX {
            assert_eq!(ask_for(&model, 300, None), Err(NoScores::Late));
        }
        fake.chunks();
        assert_eq!(ask_for(&model, 300, None), Err(NoScores::Resting));
        assert_eq!(fake.chunks(), 0, "it is not asked");
        fake.0.clock_us.fetch_add(REST.as_micros() as u64, Ordering::Relaxed);
        assert_eq!(ask_for(&model, 300, None), Err(NoScores::Late), "one tries");
        assert_eq!(ask_for(&model, 300, None), Err(NoScores::Resting));
        fake.set(|inside| &inside.takes_us, 1);
        fake.0.clock_us.fetch_add(REST.as_micros() as u64, Ordering::Relaxed);
        assert!((0..3).all(|_| ask_for(&model, 300, None).is_ok()), "it is fast again");
    }

    #[test]
    fn without_a_budget_it_is_asked_whatever_it_said_before() {
        let fake = Fake::default();
        let model = fake.with_budget(None);
        fake.set(|inside| &inside.fails, 1);
        for _ in 0..2 * IN_VAIN_MAX {
            assert_eq!(ask_for(&model, 10, None), Err(NoScores::Failed));
        }
        fake.set(|inside| &inside.fails, 0);
        assert!(ask_for(&model, 10, None).is_ok());
    }

    #[test]
    fn a_request_that_is_due_says_nothing_of_the_model() {
        let fake = Fake::default();
        let model = fake.guarded(100);
        let now = (model.clock)();
        for _ in 0..2 * IN_VAIN_MAX {
            assert_eq!(ask_for(&model, 300, Some(now)), Err(NoScores::Late));
        }
        assert_eq!(fake.chunks(), 0, "it is not asked");
        fake.set(|inside| &inside.takes_us, 10);
        for _ in 0..2 * IN_VAIN_MAX {
            let soon = (model.clock)() + Duration::from_micros(15);
            assert_eq!(ask_for(&model, 300, Some(soon)), Err(NoScores::Late));
            assert_eq!(fake.chunks(), 2);
        }
        assert!(ask_for(&model, 300, None).is_ok());
    }
}
