//! `faces generations`: what the store holds, and which one serves.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use faces_rebuild::{
    GenerationId, Pace, Store,
    generation::{Collected, Expected, How, Kept, SecretKey},
};
use serde_json::json;

use crate::{
    config::Config,
    mirrored,
    publish::{open_store, take_lease},
    shared::Shared,
};

/// Lists, shows, activates, rolls back and deletes generations of the store.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces generations list
  faces generations show gen-0193a5c1e2f4c0de --json
  faces generations activate gen-0193a5c1e2f4c0de
  faces generations rollback --why 'too many empty slates'
  faces generations gc --keep 5 --dry-run
  faces generations keygen --out /etc/faces/sign.key")]
pub struct GenerationsArgs {
    /// Folder of the store; default: generations.folder of the configuration.
    #[arg(long, value_name = "FOLDER", global = true)]
    folder: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Lists all generations, oldest first; * marks the current one.
    List,
    /// Shows the manifest of one.
    Show {
        /// As `list` prints it.
        id: GenerationId,
    },
    /// Verifies one and makes it the current one, in the shared object store too if there is one; servers that watch swap it in.
    Activate {
        /// As `list` prints it.
        id: GenerationId,
        /// Why, for the history.
        #[arg(long, default_value = "", hide_default_value = true)]
        why: String,
    },
    /// Goes back to what was current before the current one; again, to what was before that.
    Rollback {
        /// Why, for the history.
        #[arg(long, default_value = "", hide_default_value = true)]
        why: String,
    },
    /// Shows which were current, oldest first, with how and why.
    History,
    /// Makes a pair of keys: the secret one, for generations.sign_key, into a new file; the public one, for generations.verify_key, is printed.
    Keygen {
        /// The new file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Deletes old ones, what jobs left half-written, and mirrored queries that no server renews. What is current, what a roll-back would go to and what a server of this machine
    /// loads or serves stay.
    Gc {
        /// How many of the newest stay.
        #[arg(long, default_value_t = 5)]
        keep: usize,
        /// Say what would go.
        #[arg(long)]
        dry_run: bool,
        /// Wait for another job that has the store, instead of leaving.
        #[arg(long)]
        wait: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// A store that can't be read, a generation that does not verify, a pointer that somebody else moved, another job's lease.
pub fn run(args: &GenerationsArgs, config: &Config) -> Result<()> {
    if let Action::Keygen { out } = &args.action {
        return keygen(out, args.json); // before the store is opened, which reads the configured keys: this may be one of them
    }
    let folder = args.folder.as_ref().unwrap_or(&config.generations.folder);
    let may_fetch = matches!(args.action, Action::Activate { .. } | Action::Rollback { .. });
    // Opening a store makes its folder: that is for those who fetch something into it.
    ensure!(
        folder.is_dir() || may_fetch && !config.generations.shared_url.is_empty(),
        "{:?} is no folder: name the one that `faces rebuild` publishes to (generations.folder) by --folder",
        folder.display()
    );
    let store = open_store(args.folder.as_deref(), config)?;
    match &args.action {
        Action::List => list(&store, args.json),
        Action::Show { id } => {
            println!("{}", serde_json::to_string_pretty(&store.manifest(id)?)?);
            Ok(())
        }
        Action::Activate { id, why } => {
            let pointer = store.pointer().ok().flatten();
            let shared = Shared::of(config)?;
            if let Some(shared) = &shared {
                let seen = shared.latest()?;
                shared.fetch(&store, id)?;
                shared.publish(&store, id, seen.as_ref(), How::Activated, why)?;
            }
            store.load_at(id, &mut Pace::gentle())?; // a server may be at work beside
            let expected = pointer.as_ref().map_or(Expected::Any, |pointer| Expected::Still(Some(pointer)));
            store.swing(id, expected, How::Activated, why)?;
            println!("{}", if args.json { json!({ "current": id }).to_string() } else { format!("{id} is current") });
            Ok(())
        }
        Action::Rollback { why } => {
            let (left, current) = match Shared::of(config)? {
                Some(shared) => shared.rollback(&store, why)?,
                None => store.rollback(why)?,
            };
            let text = format!("{current} is current again, instead of {left}");
            println!("{}", if args.json { json!({ "current": current, "left": left }).to_string() } else { text });
            Ok(())
        }
        Action::Keygen { out } => keygen(out, args.json),
        Action::History => history(&store, args.json),
        Action::Gc { keep, dry_run, wait } => {
            let lease = take_lease(&store, "gc", config, *wait)?;
            let (collected, now) = (store.collect(*keep, *dry_run)?, SystemTime::now());
            let mut mirrored = mirrored::collect(store.root(), now, *dry_run)?;
            drop(lease);
            let mut of_shared = Vec::new();
            if let Some(shared) = Shared::of(config)? {
                of_shared = shared.collect(*keep, *dry_run)?;
                mirrored.extend(shared.collect_mirrored(now, *dry_run)?.iter().map(|path| PathBuf::from(path.as_ref())));
            }
            print_collected(&collected, &of_shared, &mirrored, *dry_run, args.json);
            Ok(())
        }
    }
}

fn keygen(out: &Path, json: bool) -> Result<()> {
    let key = SecretKey::of_seed(&rand::random());
    key.write(out)?;
    let public = key.public().to_string();
    println!("{}", if json { json!({ "verify_key": public }).to_string() } else { public });
    Ok(())
}

fn history(store: &Store, json: bool) -> Result<()> {
    for turn in store.history()? {
        if json {
            println!("{}", serde_json::to_string(&turn)?);
            continue;
        }
        let how = match turn.how {
            How::Published => "published",
            How::Activated => "activated",
            How::RolledBack => "rolled back to",
        };
        let why = if turn.why.is_empty() { String::new() } else { format!("  ({})", turn.why) };
        println!("{:>4}  {}  {}  {how}{why}", turn.turn, turn.at, turn.id);
    }
    Ok(())
}

fn print_collected(collected: &Collected, of_shared: &[GenerationId], mirrored: &[PathBuf], is_dry: bool, json: bool) {
    let name = |kept: &Kept| match kept {
        Kept::Current => "current",
        Kept::Before => "before",
        Kept::New => "new",
        Kept::InUse => "in use",
    };
    if json {
        let kept: serde_json::Map<_, _> = collected.kept.iter().map(|(id, why)| (id.to_string(), name(why).into())).collect();
        let Collected { deleted, leftovers, .. } = collected;
        println!(
            "{}",
            json!({
                "deleted": deleted,
                "deleted_shared": of_shared,
                "deleted_mirrored": mirrored,
                "kept": kept,
                "leftovers": leftovers,
                "dry_run": is_dry
            })
        );
        return;
    }
    collected.deleted.iter().for_each(|id| println!("- {id}  {}", if is_dry { "would go" } else { "deleted" }));
    of_shared.iter().for_each(|id| println!("- {id}  {} from the object store", if is_dry { "would go" } else { "deleted" }));
    mirrored.iter().for_each(|path| println!("- {}  {}", path.display(), if is_dry { "would go" } else { "deleted" }));
    collected.kept.iter().for_each(|(id, why)| println!("  {id}  stays: {}", name(why)));
    if collected.leftovers > 0 {
        println!("{} folders of jobs that died{}", collected.leftovers, if is_dry { " would go" } else { " deleted" });
    }
}

fn list(store: &Store, json: bool) -> Result<()> {
    let (current, mut ids) = (store.current(), store.list()?);
    ids.reverse();
    // Who is to mend a pointer that can't be read has to see what it may point at.
    let (current, problem) = current.map_or_else(|error| (None, Some(error)), |current| (current, None));
    // One that is pointed at but missing is broken too.
    let missing = current.as_ref().filter(|current| !ids.contains(current));
    if json {
        let broken: Vec<_> = ids.iter().chain(missing).filter(|id| store.manifest(id).is_err()).collect();
        println!("{}", serde_json::json!({ "current": current, "generations": ids, "broken": broken }));
        return problem.map_or(Ok(()), |problem| Err(problem.into()));
    }
    ids.extend(missing.cloned());
    if ids.is_empty() {
        println!("no generations in {}; run `faces rebuild`", store.root().display());
    }
    for id in ids {
        let mark = if current.as_ref() == Some(&id) { '*' } else { ' ' };
        match store.manifest(&id) {
            Ok(manifest) => {
                let forced = manifest.gates.is_some_and(|verdict| verdict.forced.is_some());
                let counts = manifest.counts;
                let forced = if forced { ", published by force" } else { "" };
                println!(
                    "{mark} {id}  {}  {} items, {} embedded{forced}",
                    manifest.created_at, counts.items, counts.embedded_items
                );
            }
            Err(error) => println!("{mark} {id}  broken: {error}"),
        }
    }
    problem.map_or(Ok(()), |problem| Err(problem.into()))
}
