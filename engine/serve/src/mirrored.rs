//! What servers were asked lately, left for the next rebuild: it asks the same of the candidate and of what is served.
//!
//! ```text
//! <generations>/mirrored/<server>.jsonl      a line a query, oldest first; as many as the server keeps to warm generations up with
//! {"at_ms":1767225600000,"bu":"market","wanted":10,"keys":[["market",1,"u1"]]}      when, whose items, how many, who (unit, kind, id)
//! ```
//!
//! A file is replaced at one stroke, and goes stale by itself: queries count for a day. Kinds of keys are the numbers that they have in every
//! stored form. This module must not know gates: who reads a file that can't be read is told so, and decides.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail, ensure};
use faces_core::{
    ids::EventTime,
    key::{KeyKind, SourceKey, check_bu_name},
    state::State,
};
use serde::{Deserialize, Serialize};

use crate::{
    background::Background,
    causes::causes,
    config::Config,
    grpc::parse::PAGE_SIZE_MAX,
    oversight::{Asked, RecentQueries},
    shared::Shared,
};

/// The folder inside that of generations, and inside the place in an object store.
pub const FOLDER: &str = "mirrored";
/// How long a query counts, and how long a file that nobody replaces stays.
pub const AGE_MAX: Duration = Duration::from_secs(86_400);
/// Longest file that is read.
pub const BYTES_MAX: u64 = 16 << 20;
const EXTENSION: &str = "jsonl";
/// Longest name of a server in a file's name.
const NAME_BYTES_MAX: usize = 200;

/// A query that a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirroredQuery {
    /// When.
    pub at: EventTime,
    /// Whose items.
    pub bu: String,
    /// How many.
    pub wanted: usize,
    /// Who.
    pub keys: Vec<SourceKey>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    at_ms: i64,
    bu: String,
    wanted: usize,
    keys: Vec<(String, u8, String)>,
}

/// Starts the thread that leaves what was asked, every so often, if there is anything new. Where nothing is to be left, what an earlier run
/// left goes.
///
/// # Errors
/// When the system has no thread left.
pub fn start(recent: Arc<RecentQueries>, state: Arc<State>, config: &Config) -> io::Result<Option<Background>> {
    let folder = config.generations.folder.join(FOLDER);
    let name = file_name(&config.kafka.group_id);
    let period = Duration::from_secs(config.generations.mirror_seconds);
    if period.is_zero() || config.generations.warm_queries == 0 {
        let _ = fs::remove_file(folder.join(name)); // mostly it is not there
        return Ok(None);
    }
    let config = config.clone();
    let thread = Background::start_aside("faces-mirror", move |stop| {
        let shared = Shared::of(&config).ok().flatten(); // that it can be opened, following it has shown
        let (mut left, mut is_failing) = (Vec::new(), false);
        while stop.sleep(period) {
            let now = recent.all();
            if now == left {
                continue;
            }
            match mirror(&text(&now, &state), &folder, &name, shared.as_ref()) {
                Ok(()) => (left, is_failing) = (now, false),
                Err(error) => {
                    let error = causes(&error);
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(
                            error,
                            "recent queries can't be left for the next rebuild (generations.mirror_seconds); trying on"
                        );
                    }
                }
            }
        }
    });
    thread.map(Some)
}

fn mirror(text: &str, folder: &Path, name: &str, shared: Option<&Shared>) -> Result<()> {
    leave(folder, name, text).with_context(|| format!("cannot write {}", folder.join(name).display()))?;
    shared.map_or(Ok(()), |shared| shared.leave_mirrored(name, text))
}

/// A name that no server's name can make a path or a hidden file of.
fn file_name(server: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let name: String = server.chars().map(plain).take(NAME_BYTES_MAX).collect();
    format!("{name}.{EXTENSION}")
}

fn text(asked: &[Asked], state: &State) -> String {
    let line = |asked: &Asked| {
        let key = |key: &SourceKey| (key.bu().to_owned(), key.kind() as u8, key.id().to_owned());
        let bu = state.catalogue().bu_name(asked.bu).to_owned();
        let line = Line { at_ms: asked.at.millis(), bu, wanted: asked.wanted, keys: asked.keys.iter().map(key).collect() };
        serde_json::to_string(&line).map(|line| line + "\n").unwrap_or_default()
    };
    asked.iter().map(line).collect()
}

/// Replaces a server's file: whoever reads it sees the old queries or the new ones.
fn leave(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let staged = folder.join(format!(".{name}-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640); // who asked is nobody else's business
    let written = options.open(&staged).and_then(|mut file| file.write_all(text.as_bytes()));
    let replaced = written.and_then(|()| fs::rename(&staged, folder.join(name)));
    if replaced.is_err() {
        let _ = fs::remove_file(&staged); // best effort: what counts is why
    }
    replaced
}

/// Every file that servers left in a folder of generations, with its queries or why it can't be read.
pub fn read(generations: &Path) -> Vec<(PathBuf, Result<Vec<MirroredQuery>>)> {
    let folder = generations.join(FOLDER);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| !is_hidden(path) && path.extension().is_some_and(|extension| extension == EXTENSION));
    paths.sort_unstable();
    let queries = |path: &Path| {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
        parse(&bytes)
    };
    paths.into_iter().map(|path| (path.clone(), queries(&path))).collect()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'))
}

/// The queries of a file: all, or none if one of them is none.
pub fn parse(bytes: &[u8]) -> Result<Vec<MirroredQuery>> {
    ensure!(bytes.len() as u64 <= BYTES_MAX, "it has more than {BYTES_MAX} bytes");
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines.map(|(n, line)| query(line).with_context(|| format!("line {} is no query", n + 1))).collect()
}

fn query(line: &[u8]) -> Result<MirroredQuery> {
    let Some(line) = line.strip_suffix(b"\n") else { bail!("it breaks off") };
    let Line { at_ms, bu, wanted, keys } = serde_json::from_slice(line)?;
    check_bu_name(&bu)?;
    ensure!((1..=PAGE_SIZE_MAX as usize).contains(&wanted), "it asks for {wanted} items");
    let key = |(bu, kind, id): &(String, u8, String)| {
        let kind = KeyKind::ALL.into_iter().find(|known| *known as u8 == *kind).context("a key of an unknown kind")?;
        SourceKey::new(bu, kind, id).map_err(|(part, reason)| anyhow::anyhow!("{part} {reason}"))
    };
    Ok(MirroredQuery { at: EventTime::from_millis(at_ms), bu, wanted, keys: keys.iter().map(key).collect::<Result<_>>()? })
}

/// Those asked in the day before `now`, oldest first. A clock that is a day ahead counts as little.
pub fn lately(mut queries: Vec<MirroredQuery>, now: EventTime) -> Vec<MirroredQuery> {
    queries.retain(|query| u128::from(query.at.millis().abs_diff(now.millis())) <= AGE_MAX.as_millis());
    queries.sort_by_key(|query| query.at); // stable: of one time as files go by name
    queries
}

/// Deletes what no server has replaced for a day. Gives what went, or would go.
///
/// # Errors
/// A file that can't be deleted.
pub fn collect(generations: &Path, now: SystemTime, is_dry: bool) -> Result<Vec<PathBuf>> {
    let is_old = |entry: &fs::DirEntry| {
        let changed = entry.metadata().and_then(|file| file.modified());
        changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > AGE_MAX))
    };
    let entries = fs::read_dir(generations.join(FOLDER)).into_iter().flatten().flatten();
    let mut gone: Vec<PathBuf> = entries.filter(is_old).map(|entry| entry.path()).collect();
    gone.sort_unstable();
    for path in gone.iter().filter(|_| !is_dry) {
        fs::remove_file(path).with_context(|| format!("cannot delete {}", path.display()))?;
    }
    Ok(gone)
}

#[cfg(test)]
mod tests;
