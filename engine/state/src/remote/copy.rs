//! Copying an image to the object store: segments that are not there yet, then the image, then what nobody needs any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
};

use object_store::{ObjectStoreExt, WriteMultipart};

use super::Place;
use crate::{StateError, manifest::Manifest};

const PART_BYTES: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 4;
/// Images kept there.
const KEPT: usize = 2;

impl Place {
    /// Gives the bytes sent.
    pub(super) async fn copy(&self, image: &Manifest) -> Result<u64, StateError> {
        let there: BTreeMap<String, u64> = self.list().await?.into_iter().collect();
        let mut sent = 0;
        for segment in &image.segments {
            let name = segment.id.segment_name();
            if there.get(&name) != Some(&segment.bytes) {
                sent += self.send(&name).await?;
            }
        }
        sent += self.send(&image.id.image_name()).await?;
        self.clean().await?;
        Ok(sent)
    }

    /// Sends a file of the folder, part by part.
    async fn send(&self, name: &str) -> Result<u64, StateError> {
        let path = self.folder.join(name);
        let mut file = File::open(&path).map_err(StateError::io("copy", &path))?;
        let upload = self.store.put_multipart(&self.path(name)).await.map_err(|error| self.error(error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut sent = 0;
        loop {
            let mut part = Vec::new();
            if let Err(error) = (&mut file).take(PART_BYTES as u64).read_to_end(&mut part) {
                _ = upload.abort().await;
                return Err(StateError::io("copy", &path)(error));
            }
            if part.is_empty() {
                break;
            }
            sent += part.len() as u64;
            upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(|error| self.error(error))?;
            upload.put(part.into());
        }
        upload.finish().await.map_err(|error| self.error(error))?;
        Ok(sent)
    }

    /// Deletes what no kept image needs; images go before what they need.
    async fn clean(&self) -> Result<(), StateError> {
        let files = self.list().await?;
        let kept = self.images(&files).await?;
        let needed: BTreeSet<String> = kept.iter().take(KEPT).flat_map(Manifest::names).collect();
        let mut dead: Vec<&String> = files.iter().map(|(name, _)| name).filter(|name| !needed.contains(*name)).collect();
        dead.sort_unstable(); // "image" before "segment"
        for name in dead {
            match self.store.delete(&self.path(name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.error(error)),
            }
        }
        Ok(())
    }
}
