//! What a rebuild over a lake has trained so far, beside its prepared tables: one that was killed goes on from there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use faces_rebuild::{Generation, Store, TrainParams, generation::Input};

/// Steps of training, each kept as a generation in a folder of its own.
pub struct Kept {
    folder: PathBuf,
    resumes: bool,
    parameters: serde_json::Value,
    inputs: Vec<Input>,
}

impl Kept {
    /// Keeps steps in `folder`. Those that are there are taken up if it `resumes` and they were made of the same inputs with the same
    /// parameters.
    ///
    /// # Errors
    /// Parameters that can't be told.
    pub fn new(folder: &Path, resumes: bool, params: &TrainParams, inputs: Vec<Input>) -> Result<Self> {
        Ok(Self { folder: folder.into(), resumes, parameters: serde_json::to_value(params)?, inputs })
    }

    /// What a step left, or else what `make` gives.
    ///
    /// # Errors
    /// What `make` says; a folder that can't be written.
    pub fn step(&self, name: &str, make: impl FnOnce() -> Result<Generation>) -> Result<Generation> {
        let folder = self.folder.join(name);
        if let Some(left) = self.left(&folder)? {
            return Ok(left);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("can't empty the folder {}", folder.display()))?;
        }
        let mut made = make()?;
        made.manifest.inputs.clone_from(&self.inputs);
        Store::open(&folder)?.stage(&made).with_context(|| format!("can't keep what was trained in {}", folder.display()))?;
        Ok(made)
    }

    /// A step that is there, whole, and the same that would be made.
    fn left(&self, folder: &Path) -> Result<Option<Generation>> {
        if !self.resumes || !folder.exists() {
            return Ok(None);
        }
        let store = Store::open(folder)?;
        let newest = store.list()?.into_iter().next();
        let whole = |id| Some(Generation { seed: store.seed(&id).ok()?, ..store.load(&id).ok()? });
        let left = newest.and_then(whole); // one that is damaged is made anew
        Ok(left.filter(|left| left.manifest.parameters == self.parameters && left.manifest.inputs == self.inputs))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use faces_rebuild::{
        train,
        training::{Interaction, Log, TrainingItem},
    };

    use super::*;

    #[test]
    fn a_step_is_made_once_for_the_same_inputs_and_parameters() {
        let folder = tempfile::tempdir().unwrap();
        let items = (0..12).map(|id| TrainingItem { bu: "shop".into(), item_id: format!("i{id}") }).collect();
        let act = |n: u32| Interaction { person: n / 3, item: n % 12, ts_ms: i64::from(n), weight: 1.0 };
        let log = Log::new(items, (0..60).map(act).collect()).unwrap();
        let params = |dimension: usize| {
            let mut params = TrainParams::default();
            params.embedding.dimension = dimension;
            params
        };
        let made = Cell::new(0);
        let step = |resumes: bool, dimension: usize, rows: u64| {
            let inputs = vec![Input { name: "events".into(), bytes: 7, rows }];
            let kept = Kept::new(folder.path(), resumes, &params(dimension), inputs).unwrap();
            let generation = kept.step("trained", || {
                made.set(made.get() + 1);
                Ok(train(&log, &params(dimension), &|_, _| ())?)
            });
            (generation.unwrap().manifest.id, made.get())
        };
        let (first, _) = step(false, 2, 30);
        assert_eq!(step(true, 2, 30), (first, 1), "taken up");
        assert_eq!(step(true, 3, 30).1, 2, "other parameters");
        assert_eq!(step(true, 3, 31).1, 3, "other inputs");
        assert_eq!(step(false, 3, 31).1, 4, "not asked to resume");
        let file = walk(folder.path()).into_iter().find(|path| path.ends_with("items.bin")).unwrap();
        fs::write(file, "damaged").unwrap();
        assert_eq!(step(true, 3, 31).1, 5, "damaged");
    }

    fn walk(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
    }
}
