//! Fetching an image from the object store into the folder.

use std::fs::{self, File};

use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::Place;
use crate::{
    Progress, Stage, StateError,
    files::Disk,
    load::Meter,
    manifest::{Manifest, SegmentRef},
    verify::verify,
};

impl Place {
    /// The newest image there, if it was made after `created_ms`; the one before it if a segment is missing or damaged.
    pub(super) async fn fetch_newer_than(
        &self,
        created_ms: Option<i64>,
        disk: &Disk,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Option<Manifest>, StateError> {
        let files = self.list().await?;
        let images = self.images(&files).await?;
        let newer = images.into_iter().filter(|image| created_ms.is_none_or(|created_ms| image.created_ms > created_ms));
        let mut failed = None;
        for image in newer {
            match self.fetch(&image, disk, progress).await {
                Ok(()) => return Ok(Some(image)),
                Err(error) => {
                    tracing::warn!(%error, image = image.id.number, "an image can't be fetched");
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(None), Err)
    }

    async fn fetch(&self, image: &Manifest, disk: &Disk, progress: &(dyn Fn(Progress) + Sync)) -> Result<(), StateError> {
        let meter = Meter::new(progress, Stage::Fetch, image.segment_bytes());
        // What is here is used if all of it is good; else everything comes anew, since nobody can say which byte is wrong.
        let has = |segment: &SegmentRef| {
            let size = fs::metadata(self.folder.join(segment.id.segment_name())).map(|file| file.len());
            size.is_ok_and(|bytes| bytes == segment.bytes)
        };
        let (here, missing): (Vec<&SegmentRef>, Vec<&SegmentRef>) = image.segments.iter().partition(|segment| has(segment));
        for segment in missing {
            self.fetch_segment(segment, disk, &meter).await?;
        }
        if verify(&self.folder, image, &|_| ()).is_err() {
            for segment in here {
                self.fetch_segment(segment, disk, &meter).await?;
            }
            verify(&self.folder, image, &|_| ()).map_err(|reason| self.error(reason))?;
        }
        let path = self.folder.join(image.id.image_name());
        disk.remove(&path)?;
        disk.put(&path, &image.encode().map_err(|error| StateError::io("encode", &path)(error.into()))?)
    }

    async fn fetch_segment(&self, segment: &SegmentRef, disk: &Disk, meter: &Meter<'_>) -> Result<(), StateError> {
        let name = segment.id.segment_name();
        let path = self.folder.join(&name);
        let beside = path.with_extension("tmp");
        disk.remove(&beside)?;
        let mut file: File = disk.create(&beside)?;
        let got = self.store.get(&self.path(&name)).await.map_err(|error| self.error(error))?;
        let mut parts = got.into_stream();
        while let Some(part) = parts.try_next().await.map_err(|error| self.error(error))? {
            disk.append(&mut file, &beside, &part).map_err(StateError::io("write", &beside))?;
            meter.add(part.len() as u64);
        }
        disk.sync(&file, &beside)?;
        disk.rename(&beside, &path)
    }
}
