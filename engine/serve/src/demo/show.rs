//! What the demo prints.

use std::{collections::HashMap, fmt::Write as _};

use faces_proto::v1::{self, CandidateSource};

use super::{
    Change, Person,
    measure::{Freshness, Overlap},
};
use crate::{server::Addresses, simulate::World};

const COLUMN: usize = 62;

/// The group at a glance.
pub(super) fn group(world: &World) -> String {
    let mut text = String::from("A group of shops that share customers\n\n");
    for bu in world.bus() {
        let of_bu = |item: &&v1::Item| item.r#ref.as_ref().is_some_and(|item| item.bu == *bu);
        let items: Vec<&v1::Item> = world.items().iter().filter(of_bu).collect();
        let events = world.history().iter().filter(|event| event.bu == *bu).count();
        let example = items.first().map(|item| item.title.as_str()).unwrap_or_default();
        _ = writeln!(text, "  {bu:<12} {:>5} items, {events:>6} events   e.g. {example}", items.len());
    }
    _ = writeln!(text, "  {} shoppers, {} links between their accounts", world.shoppers().len(), world.links().len());
    text
}

/// Title of an item.
pub(super) fn title<'a>(world: &'a World, bu: &str, item_id: &str) -> &'a str {
    world.item(bu, item_id).map(|item| item.title.as_str()).unwrap_or_default()
}

/// Two people's slates in two columns, each item with its reason.
pub(super) fn side_by_side(world: &World, people: &[Person<'_>], slates: &[Vec<v1::Recommendation>]) -> String {
    let mut text = String::new();
    let columns: Vec<Vec<String>> = people.iter().zip(slates).map(|(person, slate)| column(world, person, slate)).collect();
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    for row in 0..rows {
        let cells: Vec<String> = columns.iter().map(|column| fit(column.get(row).map_or("", String::as_str), COLUMN)).collect();
        _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

fn column(world: &World, person: &Person<'_>, slate: &[v1::Recommendation]) -> Vec<String> {
    let tastes: Vec<&str> = world
        .shoppers()
        .get(person.shopper)
        .into_iter()
        .flat_map(|shopper| shopper.tastes.iter().map(|(theme, _)| *theme))
        .collect();
    let mut lines =
        vec![format!("{} opens the {}", person.name, person.bu), format!("(likes {})", tastes.join(", ")), String::new()];
    for (n, item) in slate.iter().enumerate() {
        lines.push(format!("{:>2}. {}", n + 1, title(world, person.bu, &item.item_id)));
        lines.push(format!("    {}", reason(item)));
    }
    lines
}

fn reason(item: &v1::Recommendation) -> String {
    let Some(reason) = &item.reason else { return String::new() };
    let because = |verb: &str| match reason.because.first() {
        Some(first) => format!("{verb} \"{}\" ({})", reason.because_title, first.bu),
        None => verb.to_owned(),
    };
    match reason.source() {
        CandidateSource::CoVisitation | CandidateSource::Neighbours => because("goes with"),
        CandidateSource::Interest => because("close to"),
        CandidateSource::Content => because("like"),
        CandidateSource::Trending => "trending".into(),
        CandidateSource::TrendingInCategory | CandidateSource::TrendingInRegion => format!("trending in {}", reason.trends_in),
        CandidateSource::History => "again".into(),
        CandidateSource::New => "new".into(),
        CandidateSource::Popular => "popular".into(),
        CandidateSource::Request | CandidateSource::Unspecified => String::new(),
    }
}

/// What browsing changed.
pub(super) fn change(world: &World, change: &Change) -> String {
    let mut text = format!("Now the same person looks at something new in the {}: {}\n", change.bu, change.theme);
    for title in &change.browsed {
        _ = writeln!(text, "  views \"{title}\"");
    }
    _ = writeln!(text, "\n{:.0} ms after the last view the slate is", change.millis);
    let was: HashMap<&str, usize> = change.before.iter().enumerate().map(|(n, item)| (item.item_id.as_str(), n + 1)).collect();
    for (n, item) in change.after.iter().enumerate() {
        let moved = match was.get(item.item_id.as_str()) {
            None => "new".to_owned(),
            Some(before) if *before == n + 1 => String::new(),
            Some(before) => format!("was {before}"),
        };
        _ = writeln!(
            text,
            "{:>2}. {} {:<8} {}",
            n + 1,
            fit(title(world, &change.bu, &item.item_id), 56),
            moved,
            fit(&reason(item), 70).trim_end()
        );
    }
    text
}

/// The figures.
pub(super) fn measured(overlap: &Overlap, freshness: &Freshness) -> String {
    format!(
        "  mean overlap (Jaccard@20) of {} people's slates in the {}: {:.3}\n  event (the first item is bought) to changed slate, {} trials: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms; {} not within 2 s\n",
        overlap.people,
        overlap.bu,
        overlap.mean_jaccard,
        freshness.trials,
        freshness.p50_ms,
        freshness.p99_ms,
        freshness.max_ms,
        freshness.unchanged
    )
}

/// Commands for whoever goes on.
pub(super) fn what_to_try(addresses: &Addresses, world: &World, shopper: usize) -> String {
    let (grpc, admin) = (addresses.grpc, addresses.admin);
    let account = world
        .shoppers()
        .get(shopper)
        .and_then(|shopper| shopper.account("marketplace"))
        .map(|key| key.id.as_str())
        .unwrap_or_default();
    let item = world.new_interest(shopper).items.get(1).and_then(|item| item.r#ref.clone()).unwrap_or_default();
    format!(
        "serving on {grpc}; Ctrl-C ends it. Try, from another terminal:

  faces recommend --server http://{grpc} --key marketplace/account/{account} --bu marketplace
  faces act --server http://{grpc} --key marketplace/account/{account} --event view --item {}/{}
  grpcurl -plaintext -d '{{\"keys\":[{{\"bu\":\"marketplace\",\"kind\":\"KEY_KIND_ACCOUNT\",\"id\":\"{account}\"}}],\"bu\":\"video\",\"explain\":true}}' \\
    {grpc} faces.v1.RecommendationService/Recommend
  grpcurl -plaintext {grpc} list
  curl http://{admin}/metrics
",
        item.bu, item.item_id
    )
}

/// `text` cut or filled to `width` characters.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
