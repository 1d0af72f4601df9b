//! Which files a path, a folder, a pattern or a URL names.
//!
//! Local paths and `s3://`, `gs://`, `az://` URLs alike; credentials of stores come from the environment under their usual names
//! (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, …).

use std::{path::Path, sync::Arc};

use futures::TryStreamExt as _;
use glob::{MatchOptions, Pattern};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, path::Path as StorePath};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::{LakeError, stores};

/// A file in a store.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its full URL, as SQL names it.
    pub url: String,
    /// As people know it: a path, or its URL.
    pub name: String,
    /// Where it lies in its store.
    pub location: StorePath,
    /// Its length.
    pub bytes: u64,
    /// Its store's own mark of this content (time of change, tag): another content has another one.
    pub mark: String,
}

/// The files that one argument names, and the store that they lie in.
#[derive(Debug, Clone)]
pub struct Source {
    /// As it was given.
    pub given: String,
    /// The store's root, by which SQL knows it.
    pub root: Url,
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The files, by name.
    pub files: Vec<SourceFile>,
}

/// What names are spelt otherwise for in a URL: all but this, a `%` too, as there are folders `hour=10%3A00`.
const SPELT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'=');

/// What there can be in names of files.
const EXTENSIONS: [&str; 3] = [".parquet", ".csv", ".csv.zst"];

impl Source {
    /// Finds the files: one file; all tables in a folder and below; or all that match a pattern (`*` within a folder, `**` across).
    /// Files and folders whose name begins with `.` or `_`, and empty folders, are passed over.
    ///
    /// # Errors
    /// [`LakeError::Source`], [`LakeError::Store`], [`LakeError::NoFiles`].
    pub async fn find(given: &str) -> Result<Self, LakeError> {
        let refused = |reason: String| LakeError::Source { given: given.into(), reason };
        let is_url = given.contains("://");
        let url = if is_url { Url::parse(given).map_err(|error| refused(error.to_string()))? } else { local_url(given)? };
        let base = Url::parse(&url[..url::Position::BeforePath]).map_err(|error| refused(error.to_string()))?;
        let store = stores::open(&base).map_err(|error| refused(error.to_string()))?;
        let whole = percent_decoded(url.path());
        let whole = whole.trim_matches('/');
        let fixed: Vec<&str> = whole.split('/').take_while(|part| !part.contains(['*', '?', '['])).collect();
        let is_pattern = fixed.len() < whole.split('/').count();
        let prefix = StorePath::parse(fixed.join("/")).map_err(|error| refused(error.to_string()))?;
        let pattern = Pattern::new(whole).map_err(|error| refused(error.to_string()))?;
        let found = list(store.as_ref(), &prefix, given).await?;
        let below = |meta: &ObjectMeta| meta.location.as_ref().get(prefix.as_ref().len()..).unwrap_or_default().to_owned();
        let hidden = |meta: &ObjectMeta| below(meta).split('/').any(|part| part.starts_with(['.', '_']));
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
        let wanted = |meta: &ObjectMeta| match is_pattern {
            true => pattern.matches_with(meta.location.as_ref(), options),
            false => meta.location == prefix || EXTENSIONS.iter().any(|end| meta.location.as_ref().ends_with(end)),
        };
        let root = &url[..url::Position::BeforePath];
        let mut files: Vec<SourceFile> = found
            .into_iter()
            .filter(|meta| meta.location == prefix || (wanted(meta) && !hidden(meta)))
            .map(|meta| {
                let url = format!("{root}/{}", utf8_percent_encode(meta.location.as_ref(), SPELT));
                let name = format!("{}/{}", if is_url { root } else { "" }, meta.location);
                let mark = meta.e_tag.unwrap_or_else(|| meta.last_modified.to_rfc3339());
                SourceFile { url, name, location: meta.location, bytes: meta.size, mark }
            })
            .collect();
        files.sort_by(|left, right| left.location.cmp(&right.location));
        if files.is_empty() {
            return Err(LakeError::NoFiles { given: given.into() });
        }
        Ok(Self { given: given.into(), root: base, store, files })
    }

    /// Copies a file to a local path, if it is not local.
    ///
    /// # Errors
    /// [`LakeError::Store`], [`LakeError::Io`].
    pub async fn local_copy(&self, file: &SourceFile, folder: &Path) -> Result<std::path::PathBuf, LakeError> {
        if self.root.scheme() == "file" {
            return Ok(file.name.clone().into());
        }
        let failed = |source| LakeError::Store { name: file.name.clone(), source };
        let bytes = self.store.get(&file.location).await.map_err(failed)?.bytes().await.map_err(failed)?;
        let path = folder.join(file.location.filename().unwrap_or("table"));
        std::fs::write(&path, bytes).map_err(LakeError::io("write", &path))?;
        Ok(path)
    }
}

fn local_url(given: &str) -> Result<Url, LakeError> {
    let refused = |reason: String| LakeError::Source { given: given.into(), reason };
    let path = std::path::absolute(given).map_err(|error| refused(error.to_string()))?;
    Url::from_file_path(path).map_err(|()| refused("it has no absolute form".into()))
}

/// A local URL's path has `*` as it is but others, `[` for one, in percent.
fn percent_decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// Everything below a prefix, and the object that has exactly this name.
async fn list(store: &dyn ObjectStore, prefix: &StorePath, given: &str) -> Result<Vec<ObjectMeta>, LakeError> {
    let failed = |source| LakeError::Store { name: given.into(), source };
    match store.head(prefix).await {
        Ok(meta) => return Ok(vec![meta]),
        Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(failed(error)),
    }
    store.list(Some(prefix)).try_collect().await.map_err(failed)
}
