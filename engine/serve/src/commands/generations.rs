//! `faces generations`: what the store holds, and which one serves.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use faces_rebuild::{GenerationId, Store};

use crate::config::Config;

/// Lists, shows and activates generations of the store.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces generations list
  faces generations show gen-0193a5c1e2f4c0de --json
  faces generations activate gen-0193a5c1e2f4c0de")]
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
    /// Verifies one and makes it the current one; servers that watch the folder swap it in. Also the way back after a bad rebuild.
    Activate {
        /// As `list` prints it.
        id: GenerationId,
    },
}

/// Runs the command.
///
/// # Errors
/// A store that can't be read, or a generation that does not verify.
pub fn run(args: &GenerationsArgs, config: &Config) -> Result<()> {
    let store = Store::open(args.folder.clone().unwrap_or_else(|| config.generations.folder.clone()))?;
    match &args.action {
        Action::List => list(&store, args.json),
        Action::Show { id } => {
            println!("{}", serde_json::to_string_pretty(&store.manifest(id)?)?);
            Ok(())
        }
        Action::Activate { id } => {
            store.activate(id)?;
            println!("{}", if args.json { serde_json::json!({ "current": id }).to_string() } else { format!("{id} is current") });
            Ok(())
        }
    }
}

fn list(store: &Store, json: bool) -> Result<()> {
    let (current, mut ids) = (store.current()?, store.list()?);
    ids.reverse();
    if json {
        println!("{}", serde_json::json!({ "current": current, "generations": ids }));
        return Ok(());
    }
    if ids.is_empty() {
        println!("no generations in {}; run `faces rebuild`", store.root().display());
    }
    for id in ids {
        let mark = if current.as_ref() == Some(&id) { '*' } else { ' ' };
        match store.manifest(&id) {
            Ok(manifest) => println!(
                "{mark} {id}  {}  {} items, {} embedded",
                manifest.created_at, manifest.counts.items, manifest.counts.embedded_items
            ),
            Err(error) => println!("{mark} {id}  broken: {error}"),
        }
    }
    Ok(())
}
