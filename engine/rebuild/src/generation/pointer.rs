//! Which generation is to be served, and which were before.
//!
//! ```text
//! CURRENT    gen-0123456789abcdef 17      the generation and the number of its turn
//! HISTORY    one JSON object a line       the turns so far: what became current, when, why, and what was current before
//! ```
//!
//! The pointer moves by compare-and-set: under a lock of the operating system (`.lock`, held for the time of two small writes, and
//! let go by itself when its holder dies) it is read, compared with what the mover expects, and replaced. The history is written first;
//! a turn in it that `CURRENT` has not reached did not happen. `CURRENT` without a number is a hand's, and is taken for what it says.

use std::{
    fs::{File, OpenOptions},
    io,
};

use serde::{Deserialize, Serialize};

use super::{
    GenerationError, GenerationId, Store,
    files::{io_error, read_bounded, replace},
};

const CURRENT: &str = "CURRENT";
const HISTORY: &str = "HISTORY";
const LOCK: &str = ".lock";
/// Longest `CURRENT` that is read.
const POINTER_BYTES_MAX: u64 = 256;
/// Longest history that is read.
const HISTORY_BYTES_MAX: u64 = 4 << 20;
/// Turns that are kept.
const TURNS_MAX: usize = 1_000;

/// What `CURRENT` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The generation to serve.
    pub id: GenerationId,
    /// The number of its turn; 0 when a hand wrote it.
    pub turn: u64,
}

/// What a mover of the pointer takes to be current.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// Whatever it is.
    Any,
    /// This, still.
    Still(Option<&'a Pointer>),
}

/// How a generation became current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It was made and published.
    Published,
    /// It was chosen.
    Activated,
    /// What came after it was taken back.
    RolledBack,
}

/// One move of the pointer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Its number, ascending from 1.
    pub turn: u64,
    /// When, RFC 3339.
    pub at: String,
    /// What became current.
    pub id: GenerationId,
    /// What was current before.
    pub before: Option<GenerationId>,
    /// How.
    pub how: How,
    /// Why, where somebody said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl Turn {
    /// The turn that put a generation where it is, of all turns, the latest first: roll-backs go down the history, not back and forth, so
    /// each of them takes back the latest turn before it that is not taken back yet.
    ///
    /// # Errors
    /// Those of the turns.
    pub fn that_put_there<E>(
        latest_first: impl IntoIterator<Item = Result<Self, E>>,
        id: &GenerationId,
    ) -> Result<Option<Self>, E> {
        let mut taken_back = 0_usize;
        for turn in latest_first {
            let turn = turn?;
            match turn.how {
                How::RolledBack => taken_back += 1,
                How::Published | How::Activated if taken_back > 0 => taken_back -= 1,
                How::Published | How::Activated if turn.id == *id => return Ok(Some(turn)),
                How::Published | How::Activated => {}
            }
        }
        Ok(None)
    }
}

impl Store {
    /// The id of the generation to serve; `None` in a store without one. Whether it can be loaded shows on loading.
    ///
    /// # Errors
    /// As [`Store::pointer`].
    pub fn current(&self) -> Result<Option<GenerationId>, GenerationError> {
        Ok(self.pointer()?.map(|pointer| pointer.id))
    }

    /// What is current, to be compared later.
    ///
    /// # Errors
    /// [`GenerationError::Io`], [`GenerationError::BadPointer`] when `CURRENT` holds no id.
    pub fn pointer(&self) -> Result<Option<Pointer>, GenerationError> {
        let path = self.root().join(CURRENT);
        let Some(text) = unless_missing(read_bounded(&path, POINTER_BYTES_MAX))? else { return Ok(None) };
        let text = String::from_utf8_lossy(&text);
        let (id, turn) = text.trim_end().split_once(' ').unwrap_or((text.trim_end(), "0"));
        let bad = |reason: String| GenerationError::BadPointer { path: path.clone(), reason };
        let id = id.parse().map_err(|_| bad(format!("{id:?} is no generation")))?;
        let turn = turn.parse().map_err(|_| bad(format!("{turn:?} is no number of a turn")))?;
        Ok(Some(Pointer { id, turn }))
    }

    /// The turns so far, oldest first; the latest thousand are kept.
    ///
    /// # Errors
    /// [`GenerationError::Io`], [`GenerationError::Corrupt`].
    pub fn history(&self) -> Result<Vec<Turn>, GenerationError> {
        let path = self.root().join(HISTORY);
        let Some(text) = unless_missing(read_bounded(&path, HISTORY_BYTES_MAX))? else { return Ok(Vec::new()) };
        let corrupt = |error: serde_json::Error| GenerationError::Corrupt { path: path.clone(), reason: error.to_string() };
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut turns: Vec<Turn> = lines.map(serde_json::from_slice).collect::<Result<_, _>>().map_err(corrupt)?;
        // A pointer that can't be read takes none of them back.
        if let Some(reached) = self.pointer().ok().flatten().map(|pointer| pointer.turn).filter(|turn| *turn > 0) {
            turns.retain(|turn| turn.turn <= reached);
        }
        Ok(turns)
    }

    /// Makes a stored generation the current one. It is loaded and checked first.
    ///
    /// # Errors
    /// What [`Store::load`] and [`Store::swing`] say. `CURRENT` is unchanged then.
    pub fn activate(&self, id: &GenerationId) -> Result<(), GenerationError> {
        self.load(id)?;
        self.swing(id, Expected::Any, How::Activated, "")
    }

    /// Goes back to what was current before the current generation was: further with each call. Gives what was left and what is
    /// current now.
    ///
    /// # Errors
    /// [`GenerationError::NothingCurrent`], [`GenerationError::NothingBefore`], and what [`Store::load`] and [`Store::swing`] say. `CURRENT` is unchanged then.
    pub fn rollback(&self, why: &str) -> Result<(GenerationId, GenerationId), GenerationError> {
        let root = || self.root().into();
        let pointer = self.pointer()?.ok_or_else(|| GenerationError::NothingCurrent { root: root() })?;
        let nothing = || GenerationError::NothingBefore { id: pointer.id.to_string(), root: root() };
        let before = self.before(&pointer)?.ok_or_else(nothing)?;
        self.load(&before)?;
        self.swing(&before, Expected::Still(Some(&pointer)), How::RolledBack, why)?;
        Ok((pointer.id, before))
    }

    /// What a roll-back would go to: what was current when this one was put there, or else the next older one that is stored.
    pub(super) fn before(&self, pointer: &Pointer) -> Result<Option<GenerationId>, GenerationError> {
        let latest_first = self.history()?.into_iter().rev().map(Ok::<_, GenerationError>);
        match Turn::that_put_there(latest_first, &pointer.id)? {
            Some(turn) => Ok(turn.before),
            None => Ok(self.list()?.into_iter().find(|id| *id < pointer.id)),
        }
    }

    /// Points at a stored generation if what is current is what the mover expects; the one that is current already stays so, whoever made
    /// it that.
    ///
    /// # Errors
    /// [`GenerationError::Moved`], [`GenerationError::Unknown`], [`GenerationError::Io`]. `CURRENT` is unchanged then.
    pub fn swing(&self, id: &GenerationId, expected: Expected<'_>, how: How, why: &str) -> Result<(), GenerationError> {
        let _locked = self.lock()?;
        self.existing_folder(id)?;
        // What can't be read is nobody's turn: it may be replaced, unless somebody expects something of it.
        let found = match (self.pointer(), expected) {
            (Ok(found), _) => found,
            (Err(_), Expected::Any) => None,
            (Err(error), Expected::Still(_)) => return Err(error),
        };
        if found.as_ref().is_some_and(|pointer| pointer.id == *id) {
            return Ok(());
        }
        if let Expected::Still(expected) = expected
            && expected != found.as_ref()
        {
            let named = |pointer: Option<&Pointer>| pointer.map_or("nothing".into(), |pointer| pointer.id.to_string());
            let (expected, found) = (named(expected), named(found.as_ref()));
            return Err(GenerationError::Moved { id: id.clone(), expected, found, root: self.root().into() });
        }
        let before = found.map(|pointer| pointer.id);
        // A history that can't be read must not keep anybody from rolling back; it begins anew.
        let mut turns = self.history().unwrap_or_default();
        let turn = turns.last().map_or(0, |last| last.turn) + 1;
        let at = jiff::Timestamp::now().to_string();
        turns.push(Turn { turn, at, id: id.clone(), before, how, why: why.into() });
        turns.drain(..turns.len().saturating_sub(TURNS_MAX));
        let mut text = String::new();
        for turn in &turns {
            let line = serde_json::to_string(turn).map_err(|error| {
                let source = io::Error::other(error);
                GenerationError::Io { action: "write", path: self.root().join(HISTORY), source }
            })?;
            text.push_str(&line);
            text.push('\n');
        }
        replace(self.root(), HISTORY, &text)?;
        replace(self.root(), CURRENT, &format!("{id} {turn}\n"))
    }

    /// Keeps other movers out until the file is dropped.
    pub(super) fn lock(&self) -> Result<File, GenerationError> {
        let path = self.root().join(LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io_error("open", &path))?;
        file.lock().map_err(io_error("lock", &path))?;
        Ok(file)
    }
}

/// What was read; `None` for a file that is not there.
pub(super) fn unless_missing<T>(read: Result<T, GenerationError>) -> Result<Option<T>, GenerationError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(GenerationError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
