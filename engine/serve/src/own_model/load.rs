//! From configuration to a model that may be asked, or a reason with a way out.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use faces_core::ranking::OwnModel;
use thiserror::Error;

use super::{Columns, OwnModelConfig, RowScorer, guarded::Guarded, trial::try_out};

/// A file that can't rank.
#[derive(Debug, Error)]
#[error("the ranking model {} (ranking.own_model.path) can't be used", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a model, and the way out.
#[derive(Debug, Error)]
pub enum Problem {
    /// This program has no runtime for models.
    #[error("this program was built without ONNX; build it with: cargo build --release --features onnx")]
    NotBuilt,
    /// The file can't be read.
    #[error("the file can't be read")]
    Unreadable(#[source] io::Error),
    /// The file is larger than any model that could be fast enough.
    #[error("the file has {bytes} bytes; a model may have {bytes_max}")]
    TooLarge {
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        bytes_max: u64,
    },
    /// The file is no ONNX, or one that the runtime does not understand.
    #[error("the runtime does not understand it; export it as ONNX, operator set 9 to 18")]
    NotUnderstood(#[source] anyhow::Error),
    /// It holds operators that the runtime does not know.
    #[error("the runtime does not know its operators {operators}; export it in others (docs/operations.md says how)")]
    Operators {
        /// Their names.
        operators: String,
    },
    /// A feature's name that no feature has.
    #[error("there is no feature {name:?}; there are: {known}")]
    UnknownFeature {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// A feature that is named twice.
    #[error("the feature {name:?} is named twice")]
    FeatureTwice {
        /// The name.
        name: String,
    },
    /// The file names other features than the configuration does.
    #[error("its metadata faces.features names {in_file}, ranking.own_model.features {in_config}; leave the latter away")]
    Contradiction {
        /// What the file says.
        in_file: String,
        /// What the configuration says.
        in_config: String,
    },
    /// An input that is not a row of features a candidate.
    #[error("its input {found}; it must be one float32 [n, {width}], n free, for {width} features{way_out}")]
    Input {
        /// What is wrong.
        found: String,
        /// Features that were named.
        width: usize,
        /// How to change it.
        way_out: &'static str,
    },
    /// An output that is not a score a candidate.
    #[error("its output {found}; it must be one float32 [n] or [n, 1], a score for each row, higher for better")]
    Output {
        /// What is wrong.
        found: String,
    },
    /// It can't be evaluated.
    #[error("it fails on candidates made up")]
    Failed(#[source] anyhow::Error),
    /// It says NaN or infinity of features between 0 and 1.
    #[error("it gives scores that are not finite to features between 0 and 1")]
    NotFinite,
    /// What it says of a row depends on other rows.
    #[error("its score of a row changes with the rows beside it; leave out softmax and normalisation over candidates")]
    NotByRow,
    /// It takes too long.
    #[error(
        "it takes {took_us} µs for {candidates} candidates, and may take {budget_us} µs; make it smaller, or raise \
         ranking.own_model.budget_us",
        candidates = super::trial::CANDIDATES
    )]
    Slow {
        /// How long it takes, in the middle of several times.
        took_us: u128,
        /// How long it may take.
        budget_us: u128,
    },
}

/// Loads the model that is configured, to answer within its budget. `None` if none is configured.
///
/// # Errors
/// [`LoadError`] names the file and the way out.
pub fn for_serving(config: &OwnModelConfig) -> Result<Option<Arc<dyn OwnModel>>, LoadError> {
    load(config, Some(Duration::from_micros(config.budget_us)))
}

/// The same, with all the time it needs: what is measured must not hang on how busy the machine is.
///
/// # Errors
/// [`LoadError`] names the file and the way out.
pub fn for_replay(config: &OwnModelConfig) -> Result<Option<Arc<dyn OwnModel>>, LoadError> {
    load(config, None)
}

fn load(config: &OwnModelConfig, budget: Option<Duration>) -> Result<Option<Arc<dyn OwnModel>>, LoadError> {
    if config.path.as_os_str().is_empty() {
        return Ok(None);
    }
    let loaded = open(config, budget).map(Some);
    loaded.map_err(|problem| LoadError { path: config.path.clone(), problem })
}

#[cfg(not(feature = "onnx"))]
fn open(_config: &OwnModelConfig, _budget: Option<Duration>) -> Result<Arc<dyn OwnModel>, Problem> {
    Err(Problem::NotBuilt)
}

#[cfg(feature = "onnx")]
fn open(config: &OwnModelConfig, budget: Option<Duration>) -> Result<Arc<dyn OwnModel>, Problem> {
    let (scorer, columns) = super::onnx::open(&config.path, &config.features)?;
    let model = behind_guards(scorer, columns, budget)?;
    tracing::info!(path = %config.path.display(), "an own ranking model orders slates");
    Ok(model)
}

/// Tries a model of any runtime on candidates made up, and puts it behind core's port: asked in chunks, for no longer than its budget
/// (`None`: as long as the request may take), and left alone for a while when that is in vain. Cost: some 20 requests' scoring.
///
/// # Errors
/// What keeps it from serving.
pub fn behind_guards(
    scorer: impl RowScorer + 'static,
    columns: Columns,
    budget: Option<Duration>,
) -> Result<Arc<dyn OwnModel>, Problem> {
    try_out(&scorer, &columns, budget, &Instant::now)?;
    Ok(Arc::new(Guarded::new(scorer, columns, budget, Box::new(Instant::now))))
}
