//! From a trained generation to a published one: written, read back, held against the gates, and only then shown to servers.
//!
//! What a gate refuses is gone without a trace in the store, but for the report; what somebody forces is published with the reason in its
//! manifest. The pointer moves only if it still says what the gates compared with.

mod contest;
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use faces_index::IndexKind;
use faces_rebuild::{
    EmbeddingSource, Generation, GenerationError, GenerationId, Store,
    gates::{Bound, Case, Facets, Finding, Gate, Verdict, examine},
    generation::{Expected, How, Lease, Pointer, Prepared, PublicKey, SecretKey, Turn},
    prepared, training,
};

use xxhash_rust::xxh3::xxh3_64;

use self::contest::Contest;
use crate::{
    causes::causes,
    clock,
    config::{Config, Generations},
    eval::{Log, ReplayOptions},
    mirrored::{self, MirroredQuery},
    shared::Shared,
};

/// How a generation is published.
#[derive(Args, Debug, Default)]
pub struct PublishArgs {
    /// Publish without making it the current generation.
    #[arg(long)]
    pub no_activate: bool,
    /// Publish although a gate refuses it; the reason is printed and kept in its manifest. What is damaged is refused all the same.
    #[arg(long, value_name = "REASON")]
    pub force: Option<String>,
    /// Write what the gates found as a page (HTML).
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Wait for another job that has the store, instead of leaving.
    #[arg(long)]
    pub wait: bool,
}

/// A store of which this job has the lease.
pub struct Publication<'a> {
    store: &'a Store,
    config: &'a Config,
    args: &'a PublishArgs,
    lease: Lease,
    /// What is current; gates compare with it, and it must be so still at the end.
    pointer: Option<Pointer>,
    /// The same of the object store, where machines share one.
    shared: Option<(Shared, Option<Turn>)>,
    /// Of the file of rules, if there is one.
    rules_xxh3: Option<String>,
}

/// What became of a generation.
#[derive(Debug)]
pub struct Published {
    /// Its id; `None` if it was refused.
    pub id: Option<GenerationId>,
    /// What the gates found.
    pub verdict: Verdict,
}

/// The log that a candidate was made from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Tables in files.
    Files {
        /// Events table.
        events: &'a Path,
        /// Items table.
        items: &'a Path,
        /// Links table.
        links: Option<&'a Path>,
        /// What was trained on.
        log: &'a training::Log,
    },
    /// Tables prepared of a data lake.
    Lake(&'a prepared::Prepared),
}

impl Source<'_> {
    /// The tables in memory; of a lake, of its events the latest.
    fn read(&self) -> Result<Log> {
        match self {
            Self::Files { events, items, links, .. } => Log::read(events, Some(items), *links),
            Self::Lake(tables) => Ok(Log { events: tables.moments()?, items: tables.items()?, links: tables.links()? }),
        }
    }

    /// When its newest interaction happened, milliseconds since 1970.
    fn newest_ms(&self) -> i64 {
        let log = match self {
            Self::Files { log, .. } => log,
            Self::Lake(tables) => tables.log(),
        };
        log.interactions().iter().map(|interaction| interaction.ts_ms).max().unwrap_or_default()
    }

    fn lake(&self) -> Option<&prepared::Prepared> {
        match self {
            Self::Files { .. } => None,
            Self::Lake(tables) => Some(tables),
        }
    }
}

impl<'a> Publication<'a> {
    /// Takes the store's lease, and notes what is served.
    ///
    /// # Errors
    /// Another job that has it; a store or a file of rules that can't be read.
    pub fn begin(store: &'a Store, config: &'a Config, args: &'a PublishArgs) -> Result<Self> {
        let rules_xxh3 = rules_hash(&config.ranking.rules)?;
        let lease = take_lease(store, "rebuild", config, args.wait)?;
        let shared = Shared::of(config)?;
        // What everybody serves is what this one has to beat; looked at once, so that it is the very turn that publishing goes on from.
        let shared = shared.map(|shared| anyhow::Ok((shared.follow(store, None)?, shared))).transpose()?;
        let shared = shared.map(|(seen, shared)| (shared, seen));
        Ok(Self { store, config, args, lease, pointer: store.pointer()?, shared, rules_xxh3 })
    }

    /// Writes a generation, holds it against the gates, and publishes it if they let it pass or the caller insists.
    ///
    /// # Errors
    /// What can't be written or read; a pointer that was moved, or a lease that was lost, meanwhile. Nothing is current then that was not.
    pub fn publish(self, mut candidate: Generation, source: Source<'_>) -> Result<Published> {
        candidate.manifest.rules_xxh3.clone_from(&self.rules_xxh3);
        let prepared = self.store.prepare(&candidate)?;
        drop(candidate); // what is judged is what was written
        let mut verdict = self.judge(&prepared, source)?;
        let may_force = !verdict.is_passed() && !is_refused(&verdict, Gate::Integrity);
        verdict.forced = self.args.force.clone().filter(|_| may_force);
        if let Some(path) = &self.args.report {
            let page = report::render(&verdict, prepared.id())?;
            fs::write(path, page).with_context(|| format!("can't write {}; nothing was published", path.display()))?;
        }
        if !verdict.is_passed() && verdict.forced.is_none() {
            return Ok(Published { id: None, verdict }); // dropped, what was prepared is gone
        }
        if let Some(reason) = &verdict.forced {
            let gates: Vec<&str> = verdict.refusals().map(|finding| finding.gate.name()).collect();
            eprintln!("warning: published against {}: {reason}", gates.join(", "));
        }
        self.lease.check()?;
        let id = prepared.finish(Some(verdict.clone()))?;
        if !self.args.no_activate {
            let why = verdict.forced.as_deref().unwrap_or_default();
            if let Some((shared, seen)) = &self.shared {
                shared.publish(self.store, &id, seen.as_ref(), How::Published, why)?;
            }
            self.store.swing(&id, Expected::Still(self.pointer.as_ref()), How::Published, why)?;
        }
        Ok(Published { id: Some(id), verdict })
    }

    fn judge(&self, prepared: &Prepared, source: Source<'_>) -> Result<Verdict> {
        let limits = &self.config.gates;
        let candidate = match prepared.read_back() {
            Ok(candidate) => candidate,
            Err(error @ GenerationError::Io { .. }) => return Err(error.into()),
            Err(error) => {
                let against = self.pointer.as_ref().map(|pointer| pointer.id.clone());
                let damaged = Finding::judged(Gate::Integrity, Bound::AtMost, 1.0, 0.0, error.to_string());
                return Ok(Verdict { against, findings: vec![damaged], forced: None });
            }
        };
        let serving = self.serving();
        let log = source.read()?;
        let training = &self.config.training.embedding;
        let case = Case {
            candidate: &candidate,
            serving: serving.as_ref(),
            dimension: (training.source == EmbeddingSource::Behaviour).then_some(training.dimension),
            newest_ms: source.newest_ms(),
            now_ms: clock::now().millis(),
            facets: &Facets::of(&log.items),
        };
        let mut verdict = examine(&case, limits);
        let skipped = |why: &str| [Gate::Quality, Gate::Latency].map(|gate| Finding::skipped(gate, why));
        let of_served_code = match serving {
            _ if limits.quality_moments_max == 0 => skipped("gates.quality_moments_max is 0"),
            None => skipped("no generation is served yet to hold it against"),
            Some(_) if is_refused(&verdict, Gate::Integrity) => skipped("what contradicts itself can't be asked"),
            Some(serving) => {
                let options = replay_options(self.config);
                let (mirrored, end_ms) = (self.mirrored(), candidate.manifest.cut_off_ms);
                Contest { log, lake: source.lake(), mirrored, options: &options, limits, end_ms }.run(serving, candidate)?
            }
        };
        verdict.findings.extend(of_served_code);
        Ok(verdict)
    }

    /// What servers were asked in the last day. What can't be read is said and passed over: the log's moments are there in any case.
    fn mirrored(&self) -> Vec<MirroredQuery> {
        let mut files = mirrored::read(self.store.root());
        if let Some((shared, _)) = &self.shared {
            match shared.mirrored() {
                Ok(there) => {
                    // Of a server that shares the folder too, once.
                    let is_here =
                        |name: Option<&str>| files.iter().any(|(path, _)| path.file_name().and_then(|own| own.to_str()) == name);
                    let there = there.into_iter().filter(|(path, _)| !is_here(path.filename()));
                    let there: Vec<_> = there.map(|(path, queries)| (PathBuf::from(path.as_ref()), queries)).collect();
                    files.extend(there);
                }
                Err(error) => eprintln!("warning: mirrored queries of other machines are not asked: {}", causes(&error)),
            }
        }
        let mut queries = Vec::new();
        for (path, of_file) in files {
            match of_file {
                Ok(of_file) => queries.extend(of_file),
                Err(error) => eprintln!("warning: the mirrored queries in {} are not asked: {}", path.display(), causes(&error)),
            }
        }
        mirrored::lately(queries, clock::now())
    }

    /// What servers have; one that can't be loaded they don't have either.
    fn serving(&self) -> Option<Generation> {
        let id = &self.pointer.as_ref()?.id;
        let loaded = self.store.load(id);
        loaded
            .inspect_err(|error| eprintln!("warning: nothing to compare with, the current generation can't be loaded: {error}"))
            .ok()
    }
}

impl Published {
    /// What was refused, each gate with its reason; `None` if it was published.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        if self.id.is_some() {
            return None;
        }
        let reasons: Vec<String> =
            self.verdict.refusals().map(|finding| format!("\n  {}: {}", finding.gate.name(), report::judged(finding))).collect();
        Some(format!(
            "refused by {} of the gates; nothing was published and nothing of it is kept:{}\n\
             mend the inputs, change [gates], or insist with --force \"REASON\"",
            reasons.len(),
            reasons.concat()
        ))
    }
}

/// Opens the configured store, or another folder, with the keys of the configuration.
///
/// # Errors
/// A folder that can't be made; a key that is none.
pub fn open_store(folder: Option<&Path>, config: &Config) -> Result<Store> {
    let Generations { folder: configured, sign_key, verify_key, .. } = &config.generations;
    let mut store = Store::open(folder.unwrap_or(configured))?;
    if !sign_key.as_os_str().is_empty() {
        store = store.signing_with(SecretKey::read(sign_key).context("generations.sign_key can't be used")?);
    }
    if !verify_key.is_empty() {
        store = store.verifying_with(PublicKey::parse(verify_key).context("generations.verify_key can't be used")?);
    }
    Ok(store)
}

/// Takes a store's lease for a job; with `is_patient`, when it is free.
///
/// # Errors
/// Another job that has it; a folder that can't be written.
pub fn take_lease(store: &Store, job: &str, config: &Config, is_patient: bool) -> Result<Lease> {
    /// Between two attempts.
    const PAUSE: Duration = Duration::from_millis(500);
    let mut is_told = false;
    loop {
        match store.lease(job, Duration::from_secs(config.generations.lease_seconds)) {
            Err(error @ GenerationError::Leased { .. }) if is_patient => {
                if !is_told {
                    eprintln!("waiting: {error}");
                    is_told = true;
                }
                std::thread::sleep(PAUSE);
            }
            Err(error) => bail!(error),
            Ok(lease) => return Ok(lease),
        }
    }
}

fn is_refused(verdict: &Verdict, gate: Gate) -> bool {
    verdict.refusals().any(|finding| finding.gate == gate)
}

/// How a log is replayed to learn or to judge by, before a generation is published.
pub(crate) fn replay_options(config: &Config) -> ReplayOptions {
    let mut training = config.training.clone();
    training.index.kind = training.index.kind.or(Some(IndexKind::Exact)); // tuning takes long, and makes hardly a difference to quality
    ReplayOptions {
        state: config.state_options(),
        engine: config.engine_options(),
        training,
        rebuild_days: 0,
        siloed: false,
        wanted: 20,
    }
}

fn rules_hash(rules: &Path) -> Result<Option<String>> {
    if rules.as_os_str().is_empty() {
        return Ok(None);
    }
    let text = fs::read(rules).with_context(|| format!("can't read ranking.rules, {}", rules.display()))?;
    Ok(Some(format!("{:016x}", xxh3_64(&text))))
}
