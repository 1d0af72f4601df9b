//! Steps whose output is there whole or not at all, and is kept with its checksums: a run that was killed goes on from its last step.
//!
//! ```text
//! folder/request.json           what all steps were asked for
//! folder/<step>/                a step's files; made under the name `<step>.partial`
//! folder/<step>.json            what lies there: rows, checksums, seconds; written last
//! ```

use std::{
    fs,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use faces_rebuild::prepared::PreparedFile;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{LakeError, content::Content};

/// What a step left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) rows: u64,
    pub(crate) content: String,
    pub(crate) files: Vec<PreparedFile>,
    pub(crate) seconds: f64,
}

/// A folder of steps.
pub(crate) struct Steps {
    folder: PathBuf,
    bar: ProgressBar,
}

impl Steps {
    /// Opens the folder. What lies there is kept if it `resumes` and was made for the same request; else it is removed.
    pub(crate) fn open(folder: &Path, request: &str, resumes: bool, bar: ProgressBar) -> Result<Self, LakeError> {
        let known = fs::read_to_string(folder.join("request.json"));
        if resumes && known.as_ref().is_ok_and(|known| known != request) {
            return Err(LakeError::OtherRequest { folder: folder.into() });
        }
        if !resumes && known.is_ok() {
            fs::remove_dir_all(folder).map_err(LakeError::io("empty the folder", folder))?;
        }
        fs::create_dir_all(folder).map_err(LakeError::io("make the folder", folder))?;
        let this = Self { folder: folder.into(), bar };
        this.write_whole("request.json", request.as_bytes())?;
        Ok(this)
    }

    /// Where a step's files lie.
    pub(crate) fn path(&self, step: &str) -> PathBuf {
        self.folder.join(step)
    }

    /// A step's files by their paths.
    pub(crate) fn files(&self, made: &Made) -> Vec<String> {
        made.files.iter().map(|file| self.folder.join(&file.name).display().to_string()).collect()
    }

    /// What the step left, if it is there and whole; else has it made in an empty folder.
    pub(crate) async fn step(
        &self,
        name: &str,
        make: impl AsyncFnOnce(&Path) -> Result<(), LakeError>,
    ) -> Result<Made, LakeError> {
        self.bar.set_message(name.to_owned());
        if let Some(made) = self.made(name)? {
            self.bar.inc(1);
            return Ok(made);
        }
        let started = Instant::now();
        let (partial, whole) = (self.folder.join(format!("{name}.partial")), self.path(name));
        for old in [&partial, &whole] {
            if old.exists() {
                fs::remove_dir_all(old).map_err(LakeError::io("empty the folder", old))?;
            }
        }
        fs::create_dir_all(&partial).map_err(LakeError::io("make the folder", &partial))?;
        if let Err(error) = make(&partial).await {
            // A best effort: what is left under this name is never looked at.
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
        fs::rename(&partial, &whole).map_err(LakeError::io("rename", &partial))?;
        let files = self.parquet_files(name)?;
        let looked_at: Result<Vec<_>, LakeError> = thread::scope(|scope| {
            let looking: Vec<_> = files.iter().map(|file| scope.spawn(|| self.look_at(file))).collect();
            looking.into_iter().map(|looking| looking.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        let (contents, files): (Vec<Content>, Vec<PreparedFile>) = looked_at?.into_iter().unzip();
        let content = contents.into_iter().fold(Content::default(), Content::and);
        let made = Made { rows: content.rows, content: content.text(), files, seconds: started.elapsed().as_secs_f64() };
        self.write_json(&format!("{name}.json"), &made)?;
        self.bar.inc(1);
        Ok(made)
    }

    /// Removes what a step left: it is needed no more, and stays made.
    pub(crate) fn drop_files(&self, name: &str) -> Result<(), LakeError> {
        let path = self.path(name);
        if path.exists() { fs::remove_dir_all(&path).map_err(LakeError::io("remove", &path)) } else { Ok(()) }
    }

    /// Whether a step is there and whole.
    pub(crate) fn made(&self, name: &str) -> Result<Option<Made>, LakeError> {
        let made: Option<Made> = self.read_json(&format!("{name}.json"))?;
        let is_whole = |made: &Made| {
            made.files.iter().all(|file| PreparedFile::of(&self.folder, &file.name).is_ok_and(|found| found == *file))
        };
        Ok(made.filter(is_whole))
    }

    /// Writes a small file at one stroke.
    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), LakeError> {
        let text =
            serde_json::to_vec_pretty(value).map_err(std::io::Error::other).map_err(LakeError::io("write", self.path(name)))?;
        self.write_whole(name, &text)
    }

    /// Reads a small file; `None` where there is none, or none that makes sense.
    pub(crate) fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LakeError> {
        match fs::read(self.path(name)) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LakeError::io("read", self.path(name))(error)),
        }
    }

    fn write_whole(&self, name: &str, text: &[u8]) -> Result<(), LakeError> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        fs::write(&new, text).map_err(LakeError::io("write", &new))?;
        fs::rename(&new, &path).map_err(LakeError::io("write", &path))
    }

    fn look_at(&self, file: &str) -> Result<(Content, PreparedFile), LakeError> {
        let path = self.folder.join(file);
        let prepared = PreparedFile::of(&self.folder, file).map_err(LakeError::io("read", &path))?;
        Ok((Content::of(&path)?, prepared))
    }

    /// The Parquet files of a step with rows or without, in the order of their names.
    fn parquet_files(&self, step: &str) -> Result<Vec<String>, LakeError> {
        let path = self.path(step);
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(LakeError::io("list", &path))? {
            let name = entry.map_err(LakeError::io("list", &path))?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".parquet") {
                names.push(format!("{step}/{name}"));
            }
        }
        names.sort();
        Ok(names)
    }
}
