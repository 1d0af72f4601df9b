//! Releases each request when it is due.
//!
//! A thread of its own sleeps between arrivals: the timer of tokio counts in milliseconds, which is longer than most answers take,
//! while the kernel wakes a sleeping thread within some 60 microseconds. Spinning would be finer still and would take a core away
//! from a server on the same machine.

use std::{io, thread, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use crate::schedule::Schedule;

/// Arrivals that may wait for the dispatcher; beyond it they wait in the schedule, late but not lost.
const WAITING_MAX: usize = 65_536;
/// Longest sleep at a stretch, so that the thread notices soon that nobody waits for it any more.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Instants at which requests are due, delivered then.
#[derive(Debug)]
pub struct Arrivals {
    /// What offsets of the schedule count from.
    pub start: Instant,
    /// One instant an arrival, ascending; closed at the schedule's end.
    pub due: mpsc::Receiver<Instant>,
}

/// Starts the pace of `schedule`, from now on. Ends with the schedule, or soon after the receiver is dropped.
///
/// # Errors
/// If the system has no thread to give.
pub fn start(schedule: Schedule) -> io::Result<Arrivals> {
    let start = Instant::now();
    let (sender, due) = mpsc::channel(WAITING_MAX);
    thread::Builder::new().name("pace".to_owned()).spawn(move || release(schedule, start, &sender))?;
    Ok(Arrivals { start, due })
}

fn release(schedule: Schedule, start: Instant, sender: &mpsc::Sender<Instant>) {
    let end = start + schedule.length();
    for offset in schedule {
        let due = start + offset;
        if !wait(due, sender) || sender.blocking_send(due).is_err() {
            return;
        }
    }
    wait(end, sender); // that nothing more comes due is part of the rate
}

/// Sleeps until then; false as soon as nobody waits for it any more.
fn wait(until: Instant, sender: &mpsc::Sender<Instant>) -> bool {
    while !sender.is_closed() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(SLEEP_MAX));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Rate, RunLength};

    #[test]
    fn a_run_is_as_long_as_its_schedule_however_little_comes_due() {
        let schedule = Schedule::new(Rate::new(1e-6).unwrap(), RunLength::from_seconds(0.05).unwrap(), 1);
        let mut arrivals = start(schedule).unwrap();
        assert_eq!(arrivals.due.blocking_recv(), None);
        assert!(arrivals.start.elapsed() >= Duration::from_millis(50));
    }
}
