//! `faces state`: what is stored of the state, its digest, and reading a topic anew.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use faces_core::{digest::Digest, state::State};
use faces_ingest::Positions;
use faces_state::{ImageStore, Options, inspect, rewrite_positions};
use serde_json::{Value, json};

use super::progress;
use crate::{client::Client, config::Config};

/// Shows images of the state, compares states by digest, and has a topic read anew.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces state show                                      images in the folder, with their log positions
  faces state digest                                    of the newest image (stop the server first)
  faces state digest --server http://127.0.0.1:50051    of a running server
  faces state forget-topic faces.events.video           the topic was made anew: read it from its beginning

Two states that hold the same set of records have the same digest, whatever the order, the process and the restarts.")]
pub struct StateArgs {
    /// Folder of the images; default: state.folder of the configuration.
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
    /// A digest of the logical state (every fragment, link, item and count), and the log positions it belongs to.
    Digest {
        /// Ask a running server instead of reading the folder.
        #[arg(long, value_name = "URL")]
        server: Option<String>,
    },
    /// Lists the images, newest first; the exit code is 1 if any is damaged.
    Show {
        /// Read every byte and compare it with its checksum.
        #[arg(long)]
        verify: bool,
    },
    /// Forgets how far a topic was read, so that the next start reads it from its beginning. Safe: a record that is applied again
    /// changes nothing. Needed when a topic was deleted and made anew, or lost records that were not read yet.
    ForgetTopic {
        /// Name of the topic.
        topic: String,
    },
}

/// Runs the command.
///
/// # Errors
/// A folder or server that can't be read, or damaged images, with the way out.
pub fn run(args: &StateArgs, config: &Config) -> Result<()> {
    if let Action::Digest { server: Some(server) } = &args.action {
        return online(server, args.json);
    }
    let folder = args.folder.clone().unwrap_or_else(|| config.state.folder.clone());
    if !folder.is_dir() {
        bail!("{:?} is no folder: name the one that `faces serve` writes to (state.folder) by --folder", folder.display());
    }
    match &args.action {
        Action::Digest { .. } => offline(folder, config, args.json),
        Action::Show { verify } => show(folder, *verify, args.json),
        Action::ForgetTopic { topic } => forget_topic(folder, topic, args.json),
    }
}

/// A digest looks at all that is held: some 100 ns a behaviour.
const DIGEST_LIMIT: Duration = Duration::from_secs(600);

fn online(server: &str, as_json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { Client::connect_for(server, DIGEST_LIMIT).await?.digest().await })?;
    let positions = answer.positions.iter().map(|of| (of.topic.clone(), of.partition, of.position));
    let parts = [&answer.fragments, &answer.links, &answer.items, &answer.demand].map(String::clone);
    print(&answer.digest, parts, positions.collect(), as_json);
    Ok(())
}

fn offline(folder: PathBuf, config: &Config, as_json: bool) -> Result<()> {
    let state = Arc::new(State::new(config.state_options()));
    let (summaries, _) = inspect(&folder, false)?;
    let log = summaries.first().map_or(config.kafka.topic_prefix.clone(), |newest| newest.log.clone());
    let bar = progress::bar(1_000, "reading");
    let mut store = ImageStore::open(&folder, Options::new(&log)).context("`--server URL` asks a running server")?;
    let loaded = store.load(&state, &|at| bar.set_position(1_000 * at.bytes / at.bytes_total.max(1)))?;
    bar.finish_and_clear();
    let loaded = loaded.with_context(|| format!("no image in {}", folder.display()))?;
    let digest = Digest::of(&state.cut().context("the state is being cut")?);
    let positions = positions_of(loaded.positions)?;
    let positions = positions.iter().map(|(topic, partition, at)| (topic.to_owned(), partition, at.next)).collect();
    let parts = [digest.fragments, digest.links, digest.items, digest.demand].map(|part| format!("{part:032x}"));
    print(&digest.to_string(), parts, positions, as_json);
    Ok(())
}

fn print(digest: &str, [fragments, links, items, demand]: [String; 4], mut positions: Vec<(String, i32, i64)>, as_json: bool) {
    positions.sort_unstable();
    if as_json {
        let at = positions.iter().map(|(topic, partition, next)| json!({ "topic": topic, "partition": partition, "next": next }));
        let parts = json!({ "fragments": fragments, "links": links, "items": items, "demand": demand });
        println!("{}", json!({ "digest": digest, "parts": parts, "positions": at.collect::<Vec<_>>() }));
        return;
    }
    println!("{digest}");
    for (name, part) in [("fragments", fragments), ("links", links), ("items", items), ("demand", demand)] {
        println!("  {name:<10} {part}");
    }
    for (topic, partition, next) in positions {
        println!("  {topic}/{partition} up to {next}");
    }
}

fn show(folder: PathBuf, is_thorough: bool, as_json: bool) -> Result<()> {
    let (mut images, mut wrong) = inspect(&folder, is_thorough)?;
    if !wrong.is_empty() {
        // A server at work removes old images: what is gone by now was not damaged.
        (images, wrong) = inspect(&folder, is_thorough)?;
    }
    if as_json {
        let shown = images.iter().map(|image| {
            json!({
                "image": image.image, "name": image.name, "created_ms": image.created_ms, "log": image.log,
                "newest_ms": image.newest_ms, "items": image.items, "segments": image.segments,
                "segment_bytes": image.segment_bytes, "live_bytes": image.live_bytes, "positions": image.positions,
            })
        });
        println!("{}", json!({ "images": shown.collect::<Vec<Value>>(), "damaged": wrong }));
        return refuse_damage(&folder, images.len(), wrong.len());
    }
    if images.is_empty() && wrong.is_empty() {
        println!("no images in {}; `faces serve` writes them", folder.display());
    }
    for image in &images {
        let created = jiff::Timestamp::from_millisecond(image.created_ms).map(|at| at.to_string()).unwrap_or_default();
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "image {}  {created}  {} items, {:.1} MiB in {} segments, {:.1} MiB of them live, of the log {:?}",
            image.image,
            image.items,
            mib(image.segment_bytes),
            image.segments,
            mib(image.live_bytes),
            image.log,
        );
    }
    for reason in &wrong {
        println!("damaged: {reason}");
    }
    refuse_damage(&folder, images.len(), wrong.len())
}

fn refuse_damage(folder: &Path, usable: usize, damaged: usize) -> Result<()> {
    let folder = folder.display();
    match (usable, damaged) {
        (_, 0) => Ok(()),
        (0, _) => bail!(
            "no usable image in {folder} ({damaged} damaged); restore the folder from its object store copy, or delete it to build \
             the state anew from the log"
        ),
        _ => bail!(
            "{damaged} damaged of {} images in {folder}; the server starts from the newest of the {usable} others, and the log \
             supplies the rest",
            usable + damaged
        ),
    }
}

fn forget_topic(folder: PathBuf, topic: &str, as_json: bool) -> Result<()> {
    let (images, _) = inspect(&folder, false)?;
    let newest = images.first().with_context(|| format!("no image in {}: there is nothing to forget", folder.display()))?;
    let mut positions = positions_of(newest.positions.clone())?;
    let partitions = positions.forget_topic(topic);
    if partitions == 0 {
        let image = newest.image;
        bail!("no partition of {topic:?} is noted in image {image}: `faces state show --json` lists those that are");
    }
    // The newest may turn out damaged: then it is the one before whose positions are taken.
    let image = rewrite_positions(&folder, |stored| match positions_of(stored.clone()) {
        Ok(mut positions) => {
            positions.forget_topic(topic);
            serde_json::to_value(positions).unwrap_or(stored)
        }
        Err(_) => stored,
    })?;
    let image = image.unwrap_or_default();
    if as_json {
        println!("{}", json!({ "image": image, "topic": topic, "partitions": partitions }));
    } else {
        println!("image {image}: {partitions} partitions of {topic} will be read from their beginning");
    }
    Ok(())
}

fn positions_of(stored: Value) -> Result<Positions> {
    serde_json::from_value(stored).context("the image's log positions can't be read")
}
