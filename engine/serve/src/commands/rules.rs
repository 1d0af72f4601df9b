//! `faces rules`: check a file of rules, and see what it would do before it does.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use faces_proto::v1;

use super::{
    call::{block_on, source_key},
    server::ServerArgs,
};
use crate::{causes::causes, client::Client, config::Config, rules};

/// Checks a file of rules, or tries it on a running server without putting it in force.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces rules check rules.toml
  faces rules try rules.toml --bu market --placement home.top --key market/account/u1

The server follows the file named by ranking.rules; docs/operations.md has every key.")]
pub struct RulesArgs {
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Reads a file and tells all its problems at once; the exit code is 1 if there are any. Needs no server.
    #[command(after_help = "Example:
  faces rules check rules.toml && mv rules.toml /etc/faces/rules.toml")]
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Shows a person's slate under the rules in force and under those of a file, side by side. The server's rules stay as they are.
    #[command(after_help = "Examples:
  faces rules try rules.toml --bu market --placement home.top --key market/account/u1
  faces rules try rules.toml --bu market --placement home.top --at 2026-11-11T12:00:00Z --json")]
    Try(TryArgs),
}

#[derive(Args, Debug)]
struct TryArgs {
    /// The file.
    file: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
    /// Who asks: unit/kind/id with kind account, device, session, hashed_phone or hashed_email; may be repeated; none: a stranger.
    #[arg(long = "key", value_name = "UNIT/KIND/ID", value_parser = source_key)]
    keys: Vec<v1::SourceKey>,
    /// Business unit whose items are wanted.
    #[arg(long)]
    bu: String,
    /// Where the slate is shown.
    #[arg(long, default_value = "")]
    placement: String,
    /// Items wanted, at most 200.
    #[arg(long, default_value_t = 20)]
    count: i32,
    /// The time to try the rules for, e.g. 2026-11-11T12:00:00Z; default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
}

/// Runs the command.
///
/// # Errors
/// A file with problems, a server that does not answer.
pub fn run(args: &RulesArgs, config: &Config) -> Result<()> {
    match &args.action {
        Action::Check { file } => check(file, args.json),
        Action::Try(of) => block_on(try_on(of, config, args.json)),
    }
}

fn check(file: &Path, json: bool) -> Result<()> {
    let result = rules::read(file).map_err(anyhow::Error::from);
    if json {
        let problem = |line: Option<usize>, message: &str| serde_json::json!({ "line": line, "message": message });
        let problems: Vec<_> = match result.as_ref().map_err(|error| (error, error.downcast_ref())) {
            Ok(_) => Vec::new(),
            Err((_, Some(rules::RulesError::Refused { problems, .. }))) => {
                problems.iter().map(|of| problem(Some(of.line), &of.message)).collect()
            }
            Err((error, _)) => vec![problem(None, &causes(error))],
        };
        let count = result.as_ref().map_or(0, |parsed| parsed.rules.count());
        println!("{}", serde_json::json!({ "sound": result.is_ok(), "rules": count, "problems": problems }));
    }
    let parsed = result?;
    if !json {
        println!("{}: {} rules, no problem", file.display(), parsed.rules.count());
    }
    Ok(())
}

async fn try_on(args: &TryArgs, config: &Config, json: bool) -> Result<()> {
    let rules = std::fs::read_to_string(&args.file).with_context(|| format!("can't read {}", args.file.display()))?;
    let request = v1::RecommendRequest {
        keys: args.keys.clone(),
        bu: args.bu.clone(),
        placement: args.placement.clone(),
        page_size: args.count,
        explain: true,
        ..v1::RecommendRequest::default()
    };
    let at_ms = args.at.map(|at| at.as_millisecond());
    let request = v1::TryRulesRequest { rules, request: Some(request), at_ms };
    let answer = Client::connect(&args.server.url(config)).await?.try_rules(request).await?;
    if json {
        println!("{}", serde_json::to_string(&answer)?);
    } else {
        show(&answer);
    }
    for problem in &answer.problems {
        let weight = if problem.is_warning { "warning" } else { "error" };
        eprintln!("{weight}: line {}: {}", problem.line, problem.message);
    }
    if answer.after.is_none() {
        bail!("{} has problems; no slate was made with it", args.file.display());
    }
    Ok(())
}

/// The slates side by side; `+` marks what was not there before, `*` what moved.
fn show(answer: &v1::TryRulesResponse) {
    let items = |of: &Option<v1::RecommendResponse>| of.clone().map(|of| of.items).unwrap_or_default();
    let (before, after) = (items(&answer.before), items(&answer.after));
    println!("{:>4}  {:<32} {:<32} why", "", "in force now", "with the file");
    for place in 0..before.len().max(after.len()) {
        let then = after.get(place);
        let mark = match then.and_then(|item| before.iter().position(|other| other.item_id == item.item_id)) {
            _ if then.is_none() => ' ',
            None => '+',
            Some(at) if at != place => '*',
            Some(_) => ' ',
        };
        let id = |item: Option<&v1::Recommendation>| item.map(|item| item.item_id.clone()).unwrap_or_default();
        let rules = then.and_then(|item| item.reason.as_ref()).map(|reason| reason.rules.join(", ")).unwrap_or_default();
        let chance = then.filter(|item| item.propensity > 0.0).map(|item| format!(" (1 in {:.1})", 1.0 / item.propensity));
        let chance = chance.unwrap_or_default();
        println!("{:>3}.  {:<32} {mark} {:<30} {rules}{chance}", place + 1, id(before.get(place)), id(then));
    }
    let gone: Vec<_> = before.iter().filter(|of| !after.iter().any(|other| other.item_id == of.item_id)).collect();
    if !gone.is_empty() && answer.after.is_some() {
        println!("no longer there: {}", gone.iter().map(|item| item.item_id.as_str()).collect::<Vec<_>>().join(", "));
    }
    if answer.pins_skipped > 0 {
        println!("pins without a place: {}", answer.pins_skipped);
    }
}
