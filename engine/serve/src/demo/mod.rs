//! `faces demo`: the whole way once, with no set-up. A broker inside this process, a simulated group of shops, a generation trained
//! on the spot, the real server on loopback, and a client that calls it as a storefront would.

mod house;
mod measure;
mod show;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use faces_proto::v1;
use serde_json::{Value, json};

use self::house::House;
use crate::{client::Client, clock, shutdown, simulate::World};

/// What a demo is told.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// Seed of the simulated group.
    pub seed: u64,
    /// People.
    pub shoppers: usize,
    /// End after the measurements instead of serving on.
    pub once: bool,
    /// Print JSON.
    pub json: bool,
    /// Trials of event to changed slate.
    pub trials: usize,
    /// Port of the gRPC server; 0 for any.
    pub port: u16,
}

const SLATE: i32 = 10;
/// Longest wait for a slate to follow an event.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the demo, which keeps its files in `folder`.
///
/// # Errors
/// Whatever keeps a part of it from working; being asked to stop before the end of the show.
pub async fn run(options: DemoOptions, folder: &Path) -> Result<()> {
    let house = tokio::select! {
        shown = show_all(options, folder) => shown?,
        () = shutdown::asked_to_stop() => bail!("stopped before the end of the show"),
    };
    if !options.once {
        shutdown::asked_to_stop().await;
        if !options.json {
            println!("closing");
        }
    }
    house.close().await
}

/// Opens the house and shows it.
async fn show_all(options: DemoOptions, folder: &Path) -> Result<House> {
    let started = Instant::now();
    let size = crate::simulate::WorldSize { shoppers: options.shoppers, ..Default::default() };
    let world = World::new(options.seed, size, clock::now().millis());
    let say = |line: String| {
        if !options.json {
            println!("{line}");
        }
    };
    say(show::group(&world));
    let house = House::open(&world, folder, options.port, |step| say(format!("  {step}"))).await?;
    let mut client = Client::connect(&house.server()).await?;
    say(format!("  ready after {:.1} s\n", started.elapsed().as_secs_f64()));

    let (left, right) = world.contrasting_pair();
    let people = [person_at(&world, left, "marketplace")?, person_at(&world, right, "marketplace")?];
    let mut slates = Vec::new();
    for (n, person) in people.iter().enumerate() {
        slates.push(slate(&mut client, person, SLATE).await.with_context(|| format!("person {n}"))?);
    }
    say(show::side_by_side(&world, &people, &slates));

    let change = browse(&mut client, &world, left).await?;
    say(show::change(&world, &change));

    say(format!(
        "measuring: overlap of the slates of {} random people, and {} times event to changed slate …",
        measure::PEOPLE,
        options.trials
    ));
    let overlap = measure::mean_overlap(&mut client, &world, options.seed).await?;
    let freshness = measure::freshness(&mut client, &world, options.seed, options.trials).await?;
    say(show::measured(&overlap, &freshness));

    if options.json {
        println!("{}", report(&world, &people, &slates, &change, &overlap, &freshness, started.elapsed()));
    }
    if !options.once {
        say(show::what_to_try(&house.addresses(), &world, left));
    }
    Ok(house)
}

/// Somebody the demo shows: who, and the shop looked at.
struct Person<'a> {
    name: &'a str,
    shopper: usize,
    bu: &'static str,
    key: v1::SourceKey,
}

fn person_at<'a>(world: &'a World, shopper: usize, bu: &'static str) -> Result<Person<'a>> {
    let person = world.shoppers().get(shopper).context("the simulated group is empty; give --shoppers 10 or more")?;
    let key = person.account(bu).or_else(|| person.keys.first()).cloned().context("a shopper without keys")?;
    Ok(Person { name: &person.name, shopper, bu, key })
}

async fn slate(client: &mut Client, person: &Person<'_>, page_size: i32) -> Result<Vec<v1::Recommendation>> {
    let request = v1::RecommendRequest {
        keys: vec![person.key.clone()],
        bu: person.bu.to_owned(),
        placement: "home.top".into(),
        page_size,
        explain: true,
        ..v1::RecommendRequest::default()
    };
    Ok(client.recommend(request).await?.items)
}

/// What browsing something new did.
struct Change {
    theme: &'static str,
    bu: String,
    browsed: Vec<String>,
    before: Vec<v1::Recommendation>,
    after: Vec<v1::Recommendation>,
    millis: f64,
}

/// The person looks at three items of a theme that is new to them; the slate of that shop before, and as soon as it follows.
async fn browse(client: &mut Client, world: &World, shopper: usize) -> Result<Change> {
    let interest = world.new_interest(shopper);
    let at = person_at(world, shopper, interest.bu)?;
    let before = slate(client, &at, SLATE).await?;
    let mut acted = Instant::now();
    for (n, item) in interest.items.iter().enumerate() {
        let item_id = item.r#ref.as_ref().map(|item| item.item_id.as_str()).unwrap_or_default();
        let event = world.view(shopper, interest.bu, item_id, clock::now().millis(), format!("demo-browse-{n}"));
        acted = Instant::now();
        client.write(event).await?;
    }
    let follows = |slate: &[v1::Recommendation]| {
        let of_theme = |item: &&v1::Recommendation| world.theme_of(interest.bu, &item.item_id) == Some(interest.theme);
        slate.iter().filter(of_theme).count() > before.iter().filter(of_theme).count()
    };
    let mut after = slate(client, &at, SLATE).await?;
    while !follows(&after) && acted.elapsed() < PATIENCE {
        after = slate(client, &at, SLATE).await?;
    }
    let millis = acted.elapsed().as_secs_f64() * 1_000.0;
    anyhow::ensure!(follows(&after), "the slate did not follow within {} s", PATIENCE.as_secs());
    let browsed = interest.items.iter().map(|item| item.title.clone()).collect();
    Ok(Change { theme: interest.theme, bu: interest.bu.to_owned(), browsed, before, after, millis })
}

fn report(
    world: &World,
    people: &[Person<'_>],
    slates: &[Vec<v1::Recommendation>],
    change: &Change,
    overlap: &measure::Overlap,
    freshness: &measure::Freshness,
    took: Duration,
) -> Value {
    let list = |bu: &str, items: &[v1::Recommendation]| -> Vec<Value> {
        items
            .iter()
            .map(|item| json!({ "item_id": item.item_id, "title": show::title(world, bu, &item.item_id), "score": item.score }))
            .collect()
    };
    let people: Vec<Value> = people
        .iter()
        .zip(slates)
        .map(|(person, slate)| json!({ "name": person.name, "shopper": person.shopper, "bu": person.bu, "slate": list(person.bu, slate) }))
        .collect();
    json!({
        "items": world.items().len(), "shoppers": world.shoppers().len(), "events": world.history().len(),
        "people": people,
        "browse": {
            "theme": change.theme, "bu": change.bu, "browsed": change.browsed, "changed_after_ms": change.millis,
            "before": list(&change.bu, &change.before), "after": list(&change.bu, &change.after),
        },
        "overlap": { "people": overlap.people, "bu": overlap.bu, "mean_jaccard_20": overlap.mean_jaccard },
        "freshness": {
            "trials": freshness.trials, "unchanged": freshness.unchanged,
            "p50_ms": freshness.p50_ms, "p99_ms": freshness.p99_ms, "max_ms": freshness.max_ms,
        },
        "seconds": took.as_secs_f64(),
    })
}
