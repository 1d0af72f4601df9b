//! Looks at the server's admin page while it is under load.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{error::LoadError, ingest::server::page};

const PERIOD: Duration = Duration::from_secs(1);
const NAP: Duration = Duration::from_millis(20);

/// What the page said at one moment. What it does not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the watch began.
    pub at_s: f64,
    /// Processor time of the server since its start.
    pub cpu_s: Option<f64>,
    /// Its memory.
    pub rss_bytes: Option<f64>,
    /// Level in force, 0 for full.
    pub level: Option<f64>,
    /// Times that connections were not read from.
    pub reading_pauses: Option<f64>,
    /// Age of its view of the log.
    pub view_age_s: Option<f64>,
    /// Records between its positions and the ends of the log.
    pub lag_records: Option<f64>,
}

impl Sample {
    /// Reads a page of metrics.
    #[must_use]
    pub fn of(text: &str, at_s: f64) -> Self {
        let values = |name: &str| {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let of_name = lines.filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with([' ', '{']));
            of_name.filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok()).collect::<Vec<_>>()
        };
        let value = |name: &str| values(name).first().copied();
        let lags = values("faces_ingest_lag_records");
        Self {
            at_s,
            cpu_s: value("process_cpu_seconds_total"),
            rss_bytes: value("process_resident_memory_bytes"),
            level: value("faces_service_level"),
            reading_pauses: value("faces_reading_pauses_total"),
            view_age_s: value("faces_view_age_seconds"),
            lag_records: (!lags.is_empty()).then(|| lags.iter().sum()),
        }
    }
}

/// A look once a second, in a thread of its own.
#[derive(Debug)]
pub struct Watch {
    admin: Option<SocketAddr>,
    began: Instant,
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts; without an address nothing is seen.
    #[must_use]
    pub fn start(admin: Option<SocketAddr>) -> Self {
        let (samples, stop, began) = (Arc::<Mutex<Vec<Sample>>>::default(), Arc::<AtomicBool>::default(), Instant::now());
        let thread = admin.map(|address| {
            let (samples, stop) = (Arc::clone(&samples), Arc::clone(&stop));
            thread::spawn(move || {
                let mut next = began;
                while !stop.load(Ordering::Relaxed) {
                    if Instant::now() >= next {
                        next += PERIOD;
                        let sample = look(address, began);
                        samples.lock().unwrap_or_else(PoisonError::into_inner).extend(sample);
                    }
                    thread::sleep(NAP);
                }
            })
        });
        Self { admin, began, samples, stop, thread }
    }

    /// Looks once before anything is measured by it; without an address there is nothing to look at.
    ///
    /// # Errors
    /// [`LoadError::Admin`] when nobody answers, or no server of faces.
    pub fn check(admin: Option<SocketAddr>) -> Result<(), LoadError> {
        let Some(address) = admin else { return Ok(()) };
        let refused = |why| Err(LoadError::Admin { address, why });
        match page(address, "/metrics") {
            None => refused("nobody answers /metrics there"),
            Some(text) if Sample::of(&text, 0.0) == Sample::default() => refused("its /metrics are not those of a faces server"),
            Some(_) => Ok(()),
        }
    }

    /// What the page says now.
    #[must_use]
    pub fn now(&self) -> Option<Sample> {
        look(self.admin?, self.began)
    }

    /// Seconds since the start.
    #[must_use]
    pub fn elapsed_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Stops; all that was seen.
    #[must_use]
    pub fn finish(mut self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            _ = thread.join(); // a look that broke is one that is missing
        }
        std::mem::take(&mut self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn look(address: SocketAddr, began: Instant) -> Option<Sample> {
    let text = page(address, "/metrics")?;
    Some(Sample::of(&text, began.elapsed().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_by_whole_names() {
        let text = "# TYPE process_cpu_seconds_total gauge\nprocess_cpu_seconds_total 1.5\nfaces_service_level 2\n\
                    faces_service_level_cost_seconds{level=\"full\"} 9\nfaces_ingest_lag_records{topic=\"a b\",partition=\"0\"} 3\n\
                    faces_ingest_lag_records{topic=\"a\",partition=\"1\"} 4\n";
        let expected = Sample { at_s: 7.0, cpu_s: Some(1.5), level: Some(2.0), lag_records: Some(7.0), ..Sample::default() };
        assert_eq!(Sample::of(text, 7.0), expected);
    }
}
