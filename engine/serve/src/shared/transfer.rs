//! Files of a generation from a folder to the object store, and back.

use std::{
    fs,
    io::{Read as _, Write as _},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use faces_rebuild::{GenerationId, Store};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectMeta, ObjectStoreExt as _, buffered::BufWriter, path::Path};
use tokio::io::AsyncWriteExt as _;

use super::Shared;

const MANIFEST: &str = "manifest.json";
/// Bytes sent in one piece.
const PIECE: usize = 8 << 20;

impl Shared {
    /// Sends a generation's files, those that are not there yet, the manifest last.
    pub(super) fn send(&self, store: &Store, id: &GenerationId) -> Result<()> {
        store.load(id)?; // what is damaged here must not be what everybody gets
        let (folder, target) = (store.root().join(id.as_str()), self.folder_of(id));
        let there = self.list(&target)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort_unstable_by_key(|name| (name == MANIFEST, name.clone()));
        for name in names {
            let (from, to) = (folder.join(&name), target.clone().join(name.as_str()));
            let bytes = fs::metadata(&from).with_context(|| format!("cannot read {}", from.display()))?.len();
            if there.iter().any(|file| file.location == to && file.size == bytes) {
                continue;
            }
            self.runtime.block_on(self.send_file(&from, &to))?;
        }
        Ok(())
    }

    /// Sends a file, whole or not at all: a store shows what was sent in pieces once the last one is there.
    async fn send_file(&self, from: &std::path::Path, to: &Path) -> Result<()> {
        let unread = || format!("cannot read {}", from.display());
        let mut file = fs::File::open(from).with_context(unread)?;
        let mut sent = BufWriter::with_capacity(Arc::clone(&self.place.store), to.clone(), PIECE);
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            (&mut file).take(PIECE as u64).read_to_end(&mut piece).with_context(unread)?;
            if piece.is_empty() {
                return sent.shutdown().await.with_context(|| self.failed("write", to));
            }
            sent.put(piece.into()).await.with_context(|| self.failed("write", to))?;
        }
    }

    /// Puts a generation into `store`, checked, if it is not there yet.
    ///
    /// # Errors
    /// A store that can't be reached; a generation that is not whole, or not signed as `store` wants it.
    pub fn fetch(&self, store: &Store, id: &GenerationId) -> Result<()> {
        if store.list()?.contains(id) {
            return Ok(());
        }
        let listed = self.list(&self.folder_of(id))?;
        store.receive(id, |folder| {
            listed.iter().try_for_each(|file| {
                let Some(name) = file.location.filename() else { return Ok(()) };
                self.runtime.block_on(self.fetch_file(&file.location, &folder.join(name)))
            })
        })
    }

    async fn fetch_file(&self, from: &Path, to: &std::path::Path) -> Result<()> {
        let failed = || self.failed("read", from);
        let unwritten = || format!("cannot write {}; check the space left", to.display());
        let mut pieces = self.place.store.get(from).await.with_context(failed)?.into_stream();
        let mut file = fs::File::create_new(to).with_context(unwritten)?;
        while let Some(piece) = pieces.next().await {
            file.write_all(&piece.with_context(failed)?).with_context(unwritten)?;
        }
        file.sync_all().with_context(unwritten)
    }

    /// Ids of the generations that are whole, newest first.
    pub(super) fn generations(&self) -> Result<Vec<GenerationId>> {
        let listed = self.list(&self.place.prefix)?;
        let whole = listed.iter().filter(|file| file.location.filename() == Some(MANIFEST));
        let mut ids: Vec<GenerationId> =
            whole.filter_map(|file| file.location.parts().rev().nth(1)?.as_ref().parse().ok()).collect();
        ids.sort_unstable_by(|left, right| right.cmp(left));
        Ok(ids)
    }

    /// Deletes a generation, the manifest first: what is left of one that could not be deleted whole is never taken for whole.
    pub(super) fn delete(&self, id: &GenerationId) -> Result<()> {
        let mut files: Vec<Path> = self.list(&self.folder_of(id))?.into_iter().map(|file| file.location).collect();
        files.sort_unstable_by_key(|path| path.filename() != Some(MANIFEST));
        for path in files {
            self.runtime.block_on(self.place.store.delete(&path)).with_context(|| self.failed("delete", &path))?;
        }
        Ok(())
    }

    pub(super) fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let listed = self.runtime.block_on(self.place.store.list(Some(prefix)).try_collect());
        listed.with_context(|| self.failed("list", prefix))
    }
}
