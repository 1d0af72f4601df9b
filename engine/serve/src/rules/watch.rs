//! Rules from a file, again whenever it changes, without a restart.
//!
//! A file that can't be read or has a problem is refused with all its problems, and the rules in force stay. A change is taken once
//! the file stands still from one look to the next, so that half a file is not taken for a whole one.

use std::{
    fmt,
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::sync::watch;

use super::{FILE_BYTES_MAX, Parsed, Problem, parse};
use crate::{causes::causes, engine::Engine, metrics};

/// Time between two looks at the file.
const PERIOD: Duration = Duration::from_millis(500);
/// Most names told in one line of the log.
const TOLD_MAX: usize = 10;

/// Why rules are refused.
#[derive(Debug, Error)]
pub enum RulesError {
    /// The file can't be read.
    #[error("can't read the rules in {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file has problems.
    #[error("the rules in {path} are refused:{}", Listed(problems))]
    Refused {
        /// The file.
        path: PathBuf,
        /// All of them.
        problems: Vec<Problem>,
    },
}

struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// What tells one state of a file from another: its number, when anything of it changed (seconds and nanoseconds), its length. Not when it
/// was written: that stays where permission to read it is given, and may be told of another file that takes its place.
/// `None`: it is not there.
type Stamp = Option<(u64, (i64, i64), u64)>;

/// A file of rules.
#[derive(Debug)]
pub struct RulesFile {
    path: PathBuf,
    taken: Stamp,
    seen: Stamp,
}

impl RulesFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// [`RulesError`]: a server does not start without the rules it was told to follow.
    pub fn open(path: &Path) -> Result<(Self, Parsed), RulesError> {
        let stamp = stamp(path); // before reading: a change in between is seen at the next look
        let parsed = read(path)?;
        Ok((Self { path: path.to_owned(), taken: stamp, seen: stamp }, parsed))
    }

    /// Watches the file until `stop` says so.
    pub async fn watch(mut self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let path = self.path.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || stamp(&path)).await else { return };
            if !self.is_due(now) {
                continue;
            }
            let path = self.path.clone();
            let Ok(result) = tokio::task::spawn_blocking(move || read(&path)).await else { return };
            match result {
                Ok(parsed) => put_in_force(&engine, parsed, &self.path),
                Err(error) => {
                    metrics::rules_refused();
                    let error = causes(&error.into());
                    tracing::error!(error, "rules refused; those in force stay");
                }
            }
        }
    }

    /// Whether the file is another than the one taken, and stands still.
    fn is_due(&mut self, now: Stamp) -> bool {
        let is_still = now == self.seen;
        self.seen = now;
        let is_due = is_still && now != self.taken;
        if is_due {
            self.taken = now; // well or not: what is refused is not tried again until it changes
        }
        is_due
    }
}

/// Puts rules in force and says so.
pub fn put_in_force(engine: &Engine, parsed: Parsed, path: &Path) {
    let (unknown, count) = (parsed.unknown(engine.state().catalogue()), parsed.rules.count());
    engine.swap_rules(parsed.rules);
    metrics::rules_in_force(count);
    tracing::info!(rules = count, file = %path.display(), "rules in force");
    if !unknown.is_empty() {
        let told: Vec<String> = unknown.iter().take(TOLD_MAX).map(Problem::to_string).collect();
        tracing::warn!(names = unknown.len(), first = told.join("; "), "rules name what nothing else has named yet");
    }
}

/// Reads and checks the rules in a file.
///
/// # Errors
/// [`RulesError`] with all problems.
pub fn read(path: &Path) -> Result<Parsed, RulesError> {
    let unreadable = |source| RulesError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    parse(&text).map_err(|problems| RulesError::Refused { path: path.to_owned(), problems })
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), (metadata.ctime(), metadata.ctime_nsec()), metadata.len()))
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, time::SystemTime};

    use super::*;

    #[test]
    fn a_change_is_taken_once_and_only_when_it_stands_still() {
        let at = |seconds, bytes| Some((1, (seconds, 0), bytes));
        let mut file = RulesFile { path: PathBuf::new(), taken: at(1, 10), seen: at(1, 10) };
        let looks = [
            (at(1, 10), false),
            (at(2, 5), false), // being written
            (at(2, 9), false),
            (at(2, 9), true),
            (at(2, 9), false),
            (None, false), // gone for the blink of a replacement
            (at(3, 9), false),
            (at(3, 9), true),
            (None, false),
            (None, true), // gone: told once
            (None, false),
            (at(3, 9), false),
            (at(3, 9), true),
        ];
        for (n, (now, expected)) in looks.into_iter().enumerate() {
            assert_eq!(file.is_due(now), expected, "look {n}");
        }
    }

    #[test]
    fn what_takes_its_place_is_told_from_it_though_as_old_and_as_long_and_so_is_a_change_of_who_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let [rules, others] = ["rules", "others"].map(|name| folder.path().join(name));
        for (path, text) in [(&rules, "a"), (&others, "b")] {
            fs::write(path, text).unwrap();
            File::options().write(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let before = stamp(&rules);
        fs::rename(&others, &rules).unwrap();
        assert_ne!(stamp(&rules), before);
        let before = stamp(&rules);
        // The clock of a file system goes on by some milliseconds at once.
        let is_seen = (0..1_000_000).any(|n| {
            fs::set_permissions(&rules, Permissions::from_mode(if n % 2 == 0 { 0o600 } else { 0o644 })).unwrap();
            stamp(&rules) != before
        });
        assert!(is_seen);
    }
}
