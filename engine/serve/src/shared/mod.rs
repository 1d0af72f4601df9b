//! Generations in an object store, for machines that share no folder.
//!
//! ```text
//! prefix/turns/000000000017.json     what became current, when, how and why; the highest number is what is current
//! prefix/gen-0123456789abcdef/       a generation's files, the manifest last
//! prefix/mirrored/faces-0.jsonl      what a server was asked lately
//! ```
//!
//! A turn is a file that is created only if there is none of its name: so the pointer moves by compare-and-set on any store, and its
//! history is what is there. Files of a generation never change; one without a manifest is half-sent, and nobody looks at it.
//!
//! A folder stays what everything else works on: publishing puts a generation there and then here, servers fetch what is current here
//! into theirs, where it is checked before it counts. Everything asynchronous stays inside.

mod follow;
mod mirrored;
mod transfer;

use anyhow::{Context as _, Result, bail};
use faces_rebuild::{
    GenerationId, Store,
    generation::{Expected, How, Turn},
};
use faces_state::ObjectPlace;
use futures::TryStreamExt as _;
use object_store::{ObjectStoreExt as _, PutMode, PutOptions, path::Path};
use tokio::runtime::Runtime;

use crate::config::Config;
pub use follow::start;

const TURNS: &str = "turns";

/// A place in an object store where generations lie.
#[derive(Debug)]
pub struct Shared {
    place: ObjectPlace,
    runtime: Runtime,
}

impl Shared {
    /// The place that is configured, if one is.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(config: &Config) -> Result<Option<Self>> {
        let url = &config.generations.shared_url;
        (!url.is_empty()).then(|| Self::open(url)).transpose()
    }

    /// Opens the place that a URL names: `file:///folder`, `s3://bucket/prefix` and the like.
    ///
    /// # Errors
    /// What is no URL, or names a store that was not built in.
    pub fn open(url: &str) -> Result<Self> {
        let place = ObjectPlace::open(url).context("generations.shared_url can't be used")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { place, runtime })
    }

    /// What became current last; `None` in a place without a turn.
    ///
    /// # Errors
    /// A store that can't be reached; a file that is no turn.
    pub fn latest(&self) -> Result<Option<Turn>> {
        let Some(number) = self.turns()?.into_iter().max() else { return Ok(None) };
        self.turn(number).map(Some)
    }

    /// Sends a generation of `store`, and makes it current if what is current is still what the caller saw; what that is already stays so.
    ///
    /// # Errors
    /// A store that can't be reached or written: then nothing is current that was not. Somebody else who was quicker.
    pub fn publish(&self, store: &Store, id: &GenerationId, seen: Option<&Turn>, how: How, why: &str) -> Result<Turn> {
        self.send(store, id)?;
        // A turn from itself to itself would be all that a roll-back takes back.
        if let Some(seen) = seen.filter(|seen| seen.id == *id)
            && self.latest()?.as_ref() == Some(seen)
        {
            return Ok(seen.clone());
        }
        let turn = Turn {
            turn: seen.map_or(0, |turn| turn.turn) + 1,
            at: jiff::Timestamp::now().to_string(),
            id: id.clone(),
            before: seen.map(|turn| turn.id.clone()),
            how,
            why: why.to_owned(),
        };
        let (path, text) = (self.path_of(turn.turn), serde_json::to_vec(&turn)?);
        match self.runtime.block_on(self.place.store.put_opts(&path, text.into(), PutOptions::from(PutMode::Create))) {
            Ok(_) => Ok(turn),
            // Its own: the answer was lost, and the client asked again by itself.
            Err(object_store::Error::AlreadyExists { .. }) if self.turn(turn.turn)? == turn => Ok(turn),
            Err(object_store::Error::AlreadyExists { .. }) => bail!(
                "{} was moved by somebody else meanwhile; {id} is there but not current, so compare the two and activate the one you want",
                self.place.url
            ),
            Err(error) => Err(error).with_context(|| self.failed("write", &path)),
        }
    }

    /// Makes `store` hold and point at what is current here; gives the turn it is of. Nothing is done where that is as `known` says.
    ///
    /// # Errors
    /// A store that can't be reached; a generation that is not whole, or not signed as `store` wants it. Nothing changes then.
    pub fn follow(&self, store: &Store, known: Option<u64>) -> Result<Option<Turn>> {
        let Some(latest) = self.latest()?.filter(|latest| known != Some(latest.turn)) else { return Ok(None) };
        self.fetch(store, &latest.id)?;
        store.swing(&latest.id, Expected::Any, latest.how, &latest.why)?;
        Ok(Some(latest))
    }

    /// Goes back to what was current before, here and in `store`. Gives what was left and what is current now.
    ///
    /// # Errors
    /// Nothing to go back to, or as [`Self::publish`].
    pub fn rollback(&self, store: &Store, why: &str) -> Result<(GenerationId, GenerationId)> {
        let now = self.latest()?.with_context(|| format!("there is no generation in {} yet", self.place.url))?;
        let before = self
            .before(&now)?
            .with_context(|| format!("{} knows no generation before {}; choose one and activate it", self.place.url, now.id))?;
        self.fetch(store, &before)?;
        self.publish(store, &before, Some(&now), How::RolledBack, why)?;
        store.swing(&before, Expected::Any, How::RolledBack, why)?;
        Ok((now.id, before))
    }

    /// What was current before `now` was: where a roll-back goes to.
    fn before(&self, now: &Turn) -> Result<Option<GenerationId>> {
        let mut numbers = self.turns()?;
        numbers.retain(|number| *number <= now.turn);
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let put_there = Turn::that_put_there(numbers.into_iter().map(|number| self.turn(number)), &now.id)?;
        Ok(put_there.and_then(|turn| turn.before))
    }

    /// Deletes all but the `keep` newest generations here, what is current and what a roll-back would go to. Gives what went, or would go.
    ///
    /// # Errors
    /// A store that can't be reached or written.
    pub fn collect(&self, keep: usize, is_dry: bool) -> Result<Vec<GenerationId>> {
        let Some(latest) = self.latest()? else { return Ok(Vec::new()) };
        let before = self.before(&latest)?;
        let stays = |id: &GenerationId| *id == latest.id || before.as_ref() == Some(id);
        let gone: Vec<GenerationId> = self.generations()?.into_iter().skip(keep).filter(|id| !stays(id)).collect();
        for id in gone.iter().filter(|_| !is_dry) {
            self.delete(id)?;
        }
        Ok(gone)
    }

    fn turns(&self) -> Result<Vec<u64>> {
        let prefix = self.place.prefix.clone().join(TURNS);
        let listed = self.runtime.block_on(self.place.store.list(Some(&prefix)).try_collect::<Vec<_>>());
        let listed = listed.with_context(|| self.failed("list", &prefix))?;
        let number = |path: &Path| path.filename()?.strip_suffix(".json")?.parse().ok();
        Ok(listed.iter().filter_map(|file| number(&file.location)).collect())
    }

    fn turn(&self, number: u64) -> Result<Turn> {
        let path = self.path_of(number);
        let read = async { self.place.store.get(&path).await?.bytes().await };
        let text = self.runtime.block_on(read).with_context(|| self.failed("read", &path))?;
        let turn: Turn = serde_json::from_slice(&text)
            .with_context(|| format!("{path} in {} is no turn of a pointer; restore or remove it", self.place.url))?;
        Ok(Turn { turn: number, ..turn })
    }

    fn path_of(&self, turn: u64) -> Path {
        self.place.prefix.clone().join(TURNS).join(format!("{turn:012}.json"))
    }

    fn folder_of(&self, id: &GenerationId) -> Path {
        self.place.prefix.clone().join(id.as_str())
    }

    fn failed(&self, action: &str, path: &Path) -> String {
        format!("cannot {action} {path} in {}; check the connection, the permissions and the space left", self.place.url)
    }
}

#[cfg(test)]
mod tests;
