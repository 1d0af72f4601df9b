//! Times one setting of one index on the calling thread.
//!
//! All queries are asked in turn, and again until enough CPU time was spent; the fastest pass counts, and for every query its
//! fastest answer. What else runs on the machine then disturbs little.

use std::{hint::black_box, time::Instant};

use anyhow::Result;
use faces_index::Vectors;
use rustix::time::{ClockId, clock_gettime};

use super::truth::Truth;

/// Passes over the queries, unless one alone takes long.
const PASSES_MIN: usize = 3;

/// Passes at most, however short.
const PASSES_MAX: usize = 50;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Share of the true answers found; 1 where there are none.
    pub recall: f64,
    /// Queries per second of this thread's CPU time.
    pub qps_cpu: f64,
    /// Median time of a query.
    pub p50_us: f64,
    /// Time that 99 of 100 queries don't exceed.
    pub p99_us: f64,
}

/// Asks all `queries` through `ask`, which writes rows to its last argument.
///
/// # Errors
/// Whatever `ask` says.
pub fn measure(
    queries: &Vectors,
    truth: &Truth<'_>,
    cpu_seconds_min: f64,
    mut ask: impl FnMut(&[f32], &mut Vec<u32>) -> Result<()>,
) -> Result<Measured> {
    let (mut found, mut answers) = (Vec::new(), Vec::new());
    let mut fastest_us = vec![f64::INFINITY; queries.len()];
    let (mut pass_seconds_min, mut spent) = (f64::INFINITY, 0.0);
    for pass in 0..PASSES_MAX {
        let before = thread_cpu_seconds();
        for (query, fastest) in queries.iter().zip(&mut fastest_us) {
            let started = Instant::now();
            ask(query, &mut found)?;
            *fastest = fastest.min(started.elapsed().as_secs_f64() * 1e6);
            black_box(&found);
            if pass == 0 {
                answers.push(found.clone());
            }
        }
        let seconds = thread_cpu_seconds() - before;
        pass_seconds_min = pass_seconds_min.min(seconds);
        spent += seconds;
        if spent >= cpu_seconds_min && (pass + 1 >= PASSES_MIN || seconds > cpu_seconds_min) {
            break;
        }
    }
    let hits: usize = queries.iter().zip(&answers).enumerate().map(|(at, (query, found))| truth.hits(at, query, found)).sum();
    fastest_us.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| fastest_us.get(((fastest_us.len() as f64 * share).ceil() as usize).saturating_sub(1));
    Ok(Measured {
        recall: if truth.rows() == 0 { 1.0 } else { hits as f64 / truth.rows() as f64 },
        qps_cpu: queries.len() as f64 / pass_seconds_min.max(1e-9),
        p50_us: quantile(0.5).copied().unwrap_or_default(),
        p99_us: quantile(0.99).copied().unwrap_or_default(),
    })
}

/// CPU time of this thread so far.
fn thread_cpu_seconds() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// CPU time of this process so far: of all threads.
#[must_use]
pub fn process_cpu_seconds() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

#[cfg(test)]
mod tests {
    use faces_index::Metric;

    use super::*;

    #[test]
    fn recall_and_times_come_from_the_answers() {
        let rows = Vectors::new(2, vec![1.0, 0.0, 0.0, 1.0]).unwrap();
        let truth = Truth::of(&rows, &rows, Metric::InnerProduct, 1, None, &|| ());
        let mut asked = 0;
        let measured = measure(&rows, &truth, 0.0, |_, found| {
            asked += 1;
            found.clear();
            found.push(0);
            Ok(())
        });
        let measured = measured.unwrap();
        assert_eq!((measured.recall, asked), (0.5, 2));
        assert!(measured.qps_cpu > 0.0 && measured.p50_us <= measured.p99_us);
        assert!(measure(&rows, &truth, 0.0, |_, _| anyhow::bail!("no")).is_err());
    }
}
