//! Copies of images in an object store, named by URL: made by a thread of their own, fetched where they are newer than what is here.
//!
//! A store's prefix belongs to one process, as a folder does; several that write to one delete what the others need. Everything
//! asynchronous stays inside this module.

mod copy;
mod fetch;

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use url::Url;

use crate::{
    Progress, StateError,
    files::Disk,
    manifest::{FileId, Manifest},
};

/// Where copies go, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOptions {
    /// `file:///folder`; with the features `aws`, `gcp`, `azure` also `s3://bucket/prefix`, `gs://…`, `az://…`. Credentials come
    /// from the environment, under the names that those clouds' own tools use.
    pub url: String,
    /// Least time between the beginnings of two copies.
    pub interval: Duration,
}

/// How copying goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteStatus {
    /// The newest image that is there in full, as far as this process copied it.
    pub copied: Option<u64>,
    /// When that image was made, milliseconds since 1970 UTC.
    pub copied_created_ms: Option<i64>,
    /// Copies that failed.
    pub failures: u64,
    /// Why the last one failed; `None` after one that did not.
    pub error: Option<String>,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Whether a copy is being made.
    pub is_copying: bool,
}

pub(crate) struct Remote {
    place: Arc<Place>,
    interval: Duration,
    sender: Sender<Manifest>,
}

/// A place in an object store.
#[derive(Clone, Debug)]
pub struct ObjectPlace {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// What paths there begin with.
    pub prefix: ObjectPath,
    /// Its URL without what is secret in it, for people.
    pub url: String,
}

impl ObjectPlace {
    /// The place that a URL names: `file:///folder`; with the features `aws`, `gcp`, `azure` also `s3://bucket/prefix`, `gs://…`, `az://…`.
    /// Credentials come from the environment, under the names that those clouds' own tools use.
    ///
    /// # Errors
    /// [`StateError::Remote`] for what is no URL, or one of a store that was not built in.
    pub fn open(url: &str) -> Result<Self, StateError> {
        let refused = |url: &str, reason: String| StateError::Remote { url: url.to_owned(), reason };
        let parsed = Url::parse(url).map_err(|error| refused("(not a URL)", error.to_string()))?;
        let url = shown(&parsed);
        if let Some(feature) = feature_missing(parsed.scheme()) {
            let reason = format!("this program was built without it; build it with: cargo build --release --features {feature}");
            return Err(refused(&url, reason));
        }
        let settings = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let (store, prefix) =
            object_store::parse_url_opts(&parsed, settings).map_err(|error| refused(&url, error.to_string()))?;
        Ok(Self { store: Arc::from(store), prefix, url })
    }
}

/// The feature that stores of a scheme need, where it was not built in.
fn feature_missing(scheme: &str) -> Option<&'static str> {
    match scheme {
        "s3" | "s3a" if !cfg!(feature = "aws") => Some("aws"),
        "gs" if !cfg!(feature = "gcp") => Some("gcp"),
        "abfs" | "abfss" | "adl" | "az" | "azure" if !cfg!(feature = "azure") => Some("azure"),
        _ => None,
    }
}

/// The object store, and what is known of it.
struct Place {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    url: String,
    folder: PathBuf,
    log: String,
    known: Mutex<Known>,
    idle: Condvar,
}

#[derive(Default)]
struct Known {
    status: RemoteStatus,
    copied: Option<FileId>,
    /// Files that are being copied, and must stay.
    pinned: BTreeSet<String>,
    begun: Option<Instant>,
}

impl Remote {
    pub(crate) fn open(options: &RemoteOptions, folder: &Path, log: &str) -> Result<Self, StateError> {
        let place = Arc::new(Place::open(&options.url, folder, log)?);
        let (sender, receiver) = channel();
        let of_thread = Arc::clone(&place);
        let spawned = thread::Builder::new().name("image-copies".into()).spawn(move || of_thread.copy_all(&receiver));
        spawned.map_err(|error| place.error(error))?;
        Ok(Self { place, interval: options.interval, sender })
    }

    pub(crate) fn status(&self) -> RemoteStatus {
        self.place.known().status.clone()
    }

    pub(crate) fn pinned(&self) -> BTreeSet<String> {
        self.place.known().pinned.clone()
    }

    /// Has an image copied, if that is due and none is being copied.
    pub(crate) fn offer(&self, image: &Manifest) {
        let is_due = {
            let known = self.place.known();
            !known.status.is_copying && known.begun.is_none_or(|begun| begun.elapsed() >= self.interval)
        };
        if is_due {
            self.place.begin(image);
            _ = self.sender.send(image.clone()); // the thread lives as long as this
        }
    }

    /// Copies an image, or waits until that is done.
    pub(crate) fn copy_now(&self, image: &Manifest) -> Result<(), StateError> {
        let mut known = self.place.known();
        while known.status.is_copying {
            known = self.place.idle.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
        if known.copied == Some(image.id) {
            return Ok(());
        }
        drop(known);
        self.place.begin(image);
        let copied = block_on(self.place.copy(image));
        self.place.end(image, &copied);
        copied.map(drop)
    }

    /// Fetches the newest image if it was made after `created_ms`, with all it needs. It is still to be verified.
    pub(crate) fn fetch_newer_than(
        &self,
        created_ms: Option<i64>,
        disk: &Disk,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Option<Manifest>, StateError> {
        block_on(self.place.fetch_newer_than(created_ms, disk, progress))
    }
}

/// Runs to the end on a thread of its own: the caller may be inside a runtime.
fn block_on<T: Send>(future: impl Future<Output = Result<T, StateError>> + Send) -> Result<T, StateError> {
    let run = || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => Err(StateError::io("begin", "a thread")(error)),
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or(Err(StateError::Misuse("a copy broke off")))
}

impl Place {
    fn open(url: &str, folder: &Path, log: &str) -> Result<Self, StateError> {
        let ObjectPlace { store, prefix, url } = ObjectPlace::open(url)?;
        Ok(Self {
            store,
            prefix,
            url,
            folder: folder.to_owned(),
            log: log.to_owned(),
            known: Mutex::default(),
            idle: Condvar::new(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, error: impl std::fmt::Display) -> StateError {
        StateError::Remote { url: self.url.clone(), reason: error.to_string() }
    }

    fn path(&self, name: &str) -> ObjectPath {
        self.prefix.clone().join(name)
    }

    fn begin(&self, image: &Manifest) {
        let known = &mut *self.known();
        known.pinned = image.names();
        known.begun = Some(Instant::now());
        known.status.is_copying = true;
    }

    fn end(&self, image: &Manifest, copied: &Result<u64, StateError>) {
        let known = &mut *self.known();
        known.pinned.clear();
        let status = &mut known.status;
        status.is_copying = false;
        match copied {
            Ok(bytes) => {
                known.copied = Some(image.id);
                (status.copied, status.copied_created_ms) = (Some(image.id.number), Some(image.created_ms));
                (status.bytes_sent, status.error) = (status.bytes_sent + bytes, None);
            }
            Err(error) => {
                status.failures += 1;
                status.error = Some(error.to_string());
                tracing::warn!(%error, image = image.id.number, "an image was not copied to the object store");
            }
        }
        self.idle.notify_all();
    }

    fn copy_all(&self, images: &Receiver<Manifest>) {
        for image in images {
            let copied = block_on(self.copy(&image));
            self.end(&image, &copied);
        }
    }

    /// Our files that are there, with their sizes.
    async fn list(&self) -> Result<Vec<(String, u64)>, StateError> {
        let listed: Vec<_> = self.store.list(Some(&self.prefix)).try_collect().await.map_err(|error| self.error(error))?;
        let named = listed.iter().filter_map(|file| Some((file.location.filename()?.to_owned(), file.size)));
        Ok(named.filter(|(name, _)| FileId::is_any(name)).collect())
    }

    /// The images among `files`, newest first. One that can't be read is passed over.
    async fn images(&self, files: &[(String, u64)]) -> Result<Vec<Manifest>, StateError> {
        let mut images = Vec::new();
        for (name, _) in files.iter().filter(|(name, _)| FileId::of_image(name).is_some()) {
            let read = async { self.store.get(&self.path(name)).await?.bytes().await };
            let bytes = read.await.map_err(|error| self.error(error))?;
            match Manifest::decode(&bytes) {
                Ok(image) if image.log != self.log => {
                    let (found, expected) = (image.log, self.log.clone());
                    return Err(StateError::OtherLog { folder: self.url.clone().into(), found, expected });
                }
                Ok(image) => images.push(image),
                Err(reason) => tracing::warn!(url = self.url, name, reason, "an image in the object store is damaged"),
            }
        }
        images.sort_by_key(|image| std::cmp::Reverse((image.created_ms, image.id)));
        Ok(images)
    }
}

/// The URL without what may be secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    _ = url.set_password(None);
    _ = url.set_username("");
    url.to_string()
}
