//! Threads that work beside the requests until they are told to stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use faces_ingest::give_way;

/// How soon a thread that waits notices that it should stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// A thread that runs until this is dropped; dropping waits for it.
pub struct Background {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// The wish to stop.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Background {
    /// Starts a thread that gives way to those that answer. `body` returns soon after it is asked to stop.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start_aside(name: &str, body: impl FnOnce(&Stop) + Send + 'static) -> std::io::Result<Self> {
        Self::start(name, |stop| {
            give_way();
            body(stop);
        })
    }

    /// The same for one that requests wait for.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(name: &str, body: impl FnOnce(&Stop) + Send + 'static) -> std::io::Result<Self> {
        let stop = Arc::<Stop>::default();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn({
            let stop = Arc::clone(&stop);
            move || body(&stop)
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

/// Does `work` on a thread of its own that gives way to those that answer.
///
/// # Errors
/// When the system has no thread left, or the work panicked.
pub async fn aside<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        give_way();
        let _ = done.send(work()); // who asked may be gone
    })?;
    Ok(result.await?)
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.0.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        let name = thread.thread().name().unwrap_or_default().to_owned();
        if thread.join().is_err() {
            tracing::error!(thread = name, "a background thread had panicked");
        }
    }
}

impl Stop {
    /// Whether it is time to end.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits, but not long past a request to stop. `false` then.
    pub fn sleep(&self, duration: Duration) -> bool {
        let until = Instant::now().checked_add(duration); // none: for ever
        while !self.is_requested() {
            let left = until.map_or(PATIENCE, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(PATIENCE));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn who_waits_longer_than_clocks_can_tell_still_hears_the_wish_to_stop() {
        let (sender, result) = mpsc::channel();
        drop(Background::start("waits", move |stop| sender.send(stop.sleep(Duration::MAX)).unwrap()).unwrap());
        assert_eq!(result.recv(), Ok(false));
    }
}
