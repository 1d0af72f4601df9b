//! One job at a time: a lease of the store, renewed while the job runs, free again soon after it died.
//!
//! `LEASE` is a JSON object: who holds it, from when, until when. It is read and written under the store's lock, so that two jobs never
//! both find it free; it counts on every host that sees the folder, as far as their clocks agree to within the lease's length. A
//! job asks for it once more ([`Lease::check`]) before it publishes, so one that was stopped for too long does no harm.

use std::{
    fs,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    GenerationError, Store,
    files::{io_error, read_bounded, replace, unique},
    pointer::unless_missing,
};

const LEASE: &str = "LEASE";
/// Longest lease file that is read.
const LEASE_BYTES_MAX: u64 = 4_096;
/// Renewals in the length of a lease.
const RENEWALS: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    job: String,
    host: String,
    pid: u32,
    /// Tells two leases of one process apart.
    token: String,
    taken_at_ms: i64,
    expires_at_ms: i64,
}

/// The store is this job's until this is dropped.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    token: String,
    renewer: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Store {
    /// Takes the lease for a job, for `length` at a time (at least three seconds), renewed from a thread.
    ///
    /// # Errors
    /// [`GenerationError::Leased`] while another job has it, [`GenerationError::Io`].
    pub fn lease(&self, job: &str, length: Duration) -> Result<Lease, GenerationError> {
        let length = length.max(Duration::from_secs(u64::from(RENEWALS)));
        let holder = self.take(job, length, now_ms())?;
        let token = holder.token.clone();
        let (stop, stopped) = mpsc::channel();
        let store = self.clone();
        let thread = std::thread::Builder::new().name("faces-lease".into()).spawn(move || {
            let mut holder = holder;
            while stopped.recv_timeout(length / RENEWALS) == Err(RecvTimeoutError::Timeout) {
                // A renewal that fails is tried again; the check before publishing is what counts.
                if let Ok(renewed) = store.renew(&holder, length, now_ms()) {
                    holder = renewed;
                }
            }
        });
        let thread = thread.map_err(io_error("renew", &self.root().join(LEASE)))?;
        Ok(Lease { store: self.clone(), token, renewer: Some((stop, thread)) })
    }

    fn take(&self, job: &str, length: Duration, now_ms: i64) -> Result<Holder, GenerationError> {
        let _locked = self.lock()?;
        if let Some(other) = self.holder()?.filter(|other| other.expires_at_ms > now_ms) {
            let time =
                |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string());
            let holder = format!("`{}` of process {} on {}", other.job, other.pid, other.host);
            let (since, until) = (time(other.taken_at_ms), time(other.expires_at_ms));
            return Err(GenerationError::Leased { root: self.root().into(), holder, since, until });
        }
        let holder = Holder {
            job: job.into(),
            host: host(),
            pid: std::process::id(),
            token: format!("{}-{now_ms}", unique()),
            taken_at_ms: now_ms,
            expires_at_ms: now_ms.saturating_add(length.as_millis() as i64),
        };
        self.write(&holder)?;
        Ok(holder)
    }

    fn renew(&self, holder: &Holder, length: Duration, now_ms: i64) -> Result<Holder, GenerationError> {
        let _locked = self.lock()?;
        if self.holder()?.is_none_or(|found| found.token != holder.token) {
            return Err(GenerationError::LeaseLost { root: self.root().into() });
        }
        let renewed = Holder { expires_at_ms: now_ms.saturating_add(length.as_millis() as i64), ..holder.clone() };
        self.write(&renewed)?;
        Ok(renewed)
    }

    /// Who has the lease, expired or not. What can't be read is nobody's.
    fn holder(&self) -> Result<Option<Holder>, GenerationError> {
        let text = unless_missing(read_bounded(&self.root().join(LEASE), LEASE_BYTES_MAX))?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    fn write(&self, holder: &Holder) -> Result<(), GenerationError> {
        let text = serde_json::to_string(holder).map_err(|error| GenerationError::Io {
            action: "write",
            path: self.root().join(LEASE),
            source: std::io::Error::other(error),
        })?;
        replace(self.root(), LEASE, &text)
    }
}

impl Lease {
    /// Whether the store is still this job's.
    ///
    /// # Errors
    /// [`GenerationError::LeaseLost`], [`GenerationError::Io`].
    pub fn check(&self) -> Result<(), GenerationError> {
        let is_held = self.store.holder()?.is_some_and(|holder| holder.token == self.token);
        if is_held { Ok(()) } else { Err(GenerationError::LeaseLost { root: self.store.root().into() }) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.renewer.take() {
            drop(stop);
            let _ = thread.join();
        }
        // Best effort: a lease that stays expires by itself.
        if let (Ok(_locked), Ok(())) = (self.store.lock(), self.check()) {
            let _ = fs::remove_file(self.store.root().join(LEASE));
        }
    }
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

/// The name of this machine, for people.
fn host() -> String {
    let named = fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).ok().or_else(|| std::env::var("HOSTNAME").ok());
    named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "an unknown host".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn one_job_has_the_store_and_the_other_is_told_which() {
        let (_folder, store) = store();
        let lease = store.lease("rebuild", MINUTE).unwrap();
        lease.check().unwrap();
        let refused = store.lease("gc", MINUTE).unwrap_err().to_string();
        let holder = format!("`rebuild` of process {}", std::process::id());
        assert!(refused.contains(&holder) && refused.contains("--wait"), "{refused}");
        drop(lease);
        store.lease("gc", MINUTE).unwrap();
    }

    #[test]
    fn of_jobs_that_ask_at_once_one_gets_it() {
        let (_folder, store) = store();
        let asking: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn({
                    let store = store.clone();
                    move || store.lease("rebuild", MINUTE).ok()
                })
            })
            .collect();
        let leases: Vec<_> = asking.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(leases.iter().flatten().count(), 1);
    }

    #[test]
    fn what_is_not_renewed_expires_and_what_is_renewed_does_not() {
        let (_folder, store) = store();
        let first = store.take("rebuild", MINUTE, 1_000).unwrap();
        assert!(store.take("rebuild", MINUTE, 60_999).is_err());
        let first = store.renew(&first, MINUTE, 50_000).unwrap();
        assert!(store.take("rebuild", MINUTE, 109_999).is_err());
        let second = store.take("rebuild", MINUTE, 110_000).unwrap();
        assert!(matches!(store.renew(&first, MINUTE, 110_001), Err(GenerationError::LeaseLost { .. })));
        assert_eq!(store.holder().unwrap(), Some(second));
    }

    #[test]
    fn a_job_that_lost_its_lease_hears_of_it_and_leaves_the_others_alone() {
        let (_folder, store) = store();
        let lease = store.lease("rebuild", MINUTE).unwrap();
        fs::remove_file(store.root().join(LEASE)).unwrap(); // as if it had expired ...
        let other = store.take("rebuild", MINUTE, now_ms()).unwrap(); // ... and another had come
        assert!(matches!(lease.check(), Err(GenerationError::LeaseLost { .. })));
        drop(lease);
        assert_eq!(store.holder().unwrap(), Some(other));
    }

    #[test]
    fn a_file_that_is_no_lease_keeps_nobody_out() {
        let (_folder, store) = store();
        fs::write(store.root().join(LEASE), "{").unwrap();
        store.lease("rebuild", MINUTE).unwrap();
    }
}
