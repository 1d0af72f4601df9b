//! `faces recommend` and `faces act`: the public API from the shell, against a running server.

use anyhow::{Context as _, Result};
use clap::Args;
use faces_proto::v1;

use super::server::ServerArgs;
use crate::{client::Client, clock, config::Config, grpc, rows};

/// Asks a running server for a person's slate.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  faces recommend --key marketplace/account/m-651451 --bu video --count 10")]
pub struct RecommendArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Who asks: unit/kind/id with kind account, device, session, hashed_phone or hashed_email; may be repeated; none: a stranger.
    #[arg(long = "key", value_name = "UNIT/KIND/ID", value_parser = source_key)]
    keys: Vec<v1::SourceKey>,
    /// Business unit whose items are wanted.
    #[arg(long)]
    bu: String,
    /// Items wanted, at most 200.
    #[arg(long, default_value_t = 20)]
    count: i32,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Writes an event through a running server, as a storefront would.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  faces act --key marketplace/account/m-651451 --event view --item marketplace/mk-0007")]
pub struct ActArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Who acts: unit/kind/id.
    #[arg(long, value_name = "UNIT/KIND/ID", value_parser = source_key)]
    key: v1::SourceKey,
    /// What is done: view, click, favourite, cart, purchase, dislike, …
    #[arg(long)]
    event: String,
    /// The item: unit/id.
    #[arg(long, value_name = "UNIT/ID")]
    item: String,
}

pub(super) fn source_key(text: &str) -> Result<v1::SourceKey, String> {
    let mut parts = text.splitn(3, '/');
    let (Some(bu), Some(kind), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("write it as unit/kind/id, e.g. marketplace/account/u1".into());
    };
    let name = format!("KEY_KIND_{}", kind.to_uppercase());
    let kind = v1::KeyKind::from_str_name(&name).filter(|kind| *kind != v1::KeyKind::Unspecified);
    let kind = kind.ok_or("the kind must be account, device, session, hashed_phone or hashed_email")?;
    Ok(v1::SourceKey { bu: bu.into(), kind: kind as i32, id: id.into() })
}

/// Runs `faces recommend`.
///
/// # Errors
/// A server that does not answer, or what it refuses.
pub fn recommend(args: &RecommendArgs, config: &Config) -> Result<()> {
    block_on(async {
        let mut client = Client::connect(&args.server.url(config)).await?;
        let (keys, bu) = (args.keys.clone(), args.bu.clone());
        let request = v1::RecommendRequest { keys, bu, page_size: args.count, explain: true, ..v1::RecommendRequest::default() };
        let answer = client.recommend(request).await?;
        if args.json {
            println!("{}", serde_json::to_string(&answer)?);
            return Ok(());
        }
        for (n, item) in answer.items.iter().enumerate() {
            let reason = item.reason.clone().unwrap_or_default();
            let source = reason.source().as_str_name().trim_start_matches("CANDIDATE_SOURCE_").to_lowercase();
            let because = reason.because.first().map(|of| format!(": {} {} {}", of.bu, of.item_id, reason.because_title));
            println!("{:>3}. {:<24} {:>8.4}  {source}{}", n + 1, item.item_id, item.score, because.unwrap_or_default());
        }
        let filtered: Vec<String> = answer.filtered.iter().map(|count| format!("{} {}", count.removed, count.filter)).collect();
        let generation = if answer.generation_id.is_empty() { "no generation yet" } else { &answer.generation_id };
        let left_out = if filtered.is_empty() { "nothing".into() } else { filtered.join(", ") };
        println!("{generation}; left out: {left_out}{}", level_note(answer.level()));
        Ok(())
    })
}

/// What to add where an answer is not all that it could be.
fn level_note(level: v1::ServiceLevel) -> String {
    match level {
        v1::ServiceLevel::Unspecified | v1::ServiceLevel::Full => String::new(),
        less => format!("; service level {}", level_name(less)),
    }
}

pub(super) const LEVEL_PREFIX: &str = "SERVICE_LEVEL_";

/// A level's name as commands take it.
pub(super) fn level_name(level: v1::ServiceLevel) -> String {
    level.as_str_name().trim_start_matches(LEVEL_PREFIX).to_lowercase()
}

/// Runs `faces act`.
///
/// # Errors
/// A server that does not answer, or what it refuses.
pub fn act(args: &ActArgs, config: &Config) -> Result<()> {
    let (bu, item_id) = args.item.split_once('/').context("--item: write it as unit/id, e.g. marketplace/mk-0007")?;
    let event = v1::Event {
        event_time_ms: clock::now().millis(),
        bu: bu.into(),
        source: Some(args.key.clone()),
        r#type: grpc::event_type(rows::event_kind(&args.event)?) as i32,
        item_id: item_id.into(),
        ..v1::Event::default()
    };
    block_on(async {
        Client::connect(&args.server.url(config)).await?.write(event).await?;
        println!("the log has it");
        Ok(())
    })
}

pub(super) fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_below_full_is_told() {
        assert_eq!(level_note(v1::ServiceLevel::Full), "");
        assert_eq!(level_note(v1::ServiceLevel::CoVisitation), "; service level co_visitation");
    }
}
