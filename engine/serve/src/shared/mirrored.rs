//! What servers were asked lately, beside the generations that they share: `prefix/mirrored/<server>.jsonl`.

use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use object_store::{ObjectStoreExt as _, path::Path};

use super::Shared;
use crate::mirrored::{AGE_MAX, BYTES_MAX, FOLDER, MirroredQuery, parse};

impl Shared {
    /// Replaces a server's file.
    ///
    /// # Errors
    /// A store that can't be reached or written.
    pub fn leave_mirrored(&self, name: &str, text: &str) -> Result<()> {
        let path = self.place.prefix.clone().join(FOLDER).join(name);
        let put = self.place.store.put(&path, text.to_owned().into());
        self.runtime.block_on(put).map(drop).with_context(|| self.failed("write", &path))
    }

    /// Every file that servers left, with its queries or why it can't be read.
    ///
    /// # Errors
    /// A store that can't be reached.
    pub fn mirrored(&self) -> Result<Vec<(Path, Result<Vec<MirroredQuery>>)>> {
        let mut files = self.list(&self.place.prefix.clone().join(FOLDER))?;
        files.sort_unstable_by(|left, right| left.location.cmp(&right.location));
        let queries = |path: &Path, bytes: u64| {
            ensure!(bytes <= BYTES_MAX, "it has {bytes} bytes");
            let read = async { self.place.store.get(path).await?.bytes().await };
            parse(&self.runtime.block_on(read)?)
        };
        Ok(files.into_iter().map(|file| (file.location.clone(), queries(&file.location, file.size))).collect())
    }

    /// Deletes what no server has replaced for a day. Gives what went, or would go.
    ///
    /// # Errors
    /// A store that can't be reached or written.
    pub fn collect_mirrored(&self, now: SystemTime, is_dry: bool) -> Result<Vec<Path>> {
        let age = |changed: SystemTime| now.duration_since(changed).unwrap_or_default();
        let files = self.list(&self.place.prefix.clone().join(FOLDER))?.into_iter();
        let gone: Vec<Path> = files.filter(|file| age(file.last_modified.into()) > AGE_MAX).map(|file| file.location).collect();
        for path in gone.iter().filter(|_| !is_dry) {
            self.runtime.block_on(self.place.store.delete(path)).with_context(|| self.failed("delete", path))?;
        }
        Ok(gone)
    }
}
