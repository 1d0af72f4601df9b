//! Two small shops with two planted tastes that cross them: who likes even numbers in the market likes even numbers in the cinema.
//!
//! Item `n` of a unit is of category `k<n mod 5>` and costs `10 + n`, so that neither says anything about taste. Popularity rises with
//! the number and has no ties.

use std::path::{Path, PathBuf};

use faces_proto::v1::{self, EventType};

use super::{
    calls::{event, item_ref, key, now_ms},
    clients::Clients,
    faces, write_lines,
};

pub(crate) const MARKET: &str = "market";
pub(crate) const CINEMA: &str = "cinema";
pub(crate) const BUS: [&str; 2] = [MARKET, CINEMA];
pub(crate) const ITEMS: usize = 20; // per unit
const PEOPLE: usize = 60;
const DAY_MS: i64 = 86_400_000;
/// Long ago: none of the items is new.
const LISTED_MS: i64 = 1_600_000_000_000;

/// Id of item `n`: `m7` in the market, `c7` in the cinema.
pub(crate) fn id(bu: &str, n: usize) -> String {
    format!("{}{n}", &bu[..1])
}

/// Number of an item.
pub(crate) fn number(item_id: &str) -> usize {
    item_id[1..].parse().unwrap()
}

/// How many of these items are of the even taste.
pub(crate) fn evens(items: &[String]) -> usize {
    items.iter().filter(|item| number(item).is_multiple_of(2)).count()
}

pub(crate) fn item(bu: &str, n: usize) -> v1::Item {
    v1::Item {
        r#ref: Some(item_ref(bu, &id(bu, n))),
        title: format!("{bu} thing {n}"),
        categories: vec!["all".into(), format!("k{}", n % 5)],
        brand: format!("b{}", n % 3),
        price: Some(10.0 + n as f64),
        currency: "JPY".into(),
        ..v1::Item::default()
    }
}

/// The catalogue, and enough anonymous views that a slate without a person is in falling order of number.
pub(crate) async fn fill(clients: &mut Clients) {
    let items = BUS.iter().flat_map(|bu| (0..ITEMS).map(|n| item(bu, n))).collect();
    clients.list(items, LISTED_MS).await;
    let mut views = Vec::new();
    for bu in BUS {
        for n in 0..ITEMS {
            let crowd = (0..=n).map(|place| key(bu, &format!("crowd-{place}")));
            views.extend(crowd.map(|who| event(EventType::View, &who, &id(bu, n))));
        }
    }
    clients.act(views).await;
}

/// Tables to train on.
pub(crate) struct Tables {
    pub(crate) events: PathBuf,
    pub(crate) items: PathBuf,
    pub(crate) links: PathBuf,
}

/// Writes a history of the shops: people of one taste each, with linked accounts in both units. `seed` varies who took what.
pub(crate) fn write_tables(folder: &Path, seed: usize) -> Tables {
    let tables = Tables {
        events: folder.join(format!("events-{seed}.csv")),
        items: folder.join(format!("items-{seed}.csv")),
        links: folder.join(format!("links-{seed}.csv")),
    };
    let start_ms = now_ms() - 90 * DAY_MS;
    let mut events = vec!["ts_ms,bu,local_user_id,item_id,event_type".to_owned()];
    let mut links = vec!["ts_ms,bu_a,local_user_a,bu_b,local_user_b".to_owned()];
    for person in 0..PEOPLE {
        links.push(format!("{start_ms},{MARKET},p{person},{CINEMA},p{person}"));
        for step in 0..6 {
            let ts_ms = start_ms + DAY_MS * (person as i64 + step as i64 * 4) / 3;
            let taken = (person * 7 + step * 3 + seed * 5) % (ITEMS / 2) * 2 + person % 2;
            let kind = if step % 3 == 0 { "purchase" } else { "view" };
            events.extend(BUS.map(|bu| format!("{ts_ms},{bu},p{person},{},{kind}", id(bu, taken))));
        }
    }
    let items = BUS.iter().flat_map(|bu| {
        (0..ITEMS).map(move |n| format!("{},{bu},{bu} thing {n},all|k{},b{},{}", id(bu, n), n % 5, n % 3, 10 + n))
    });
    write_lines(&tables.items, ["item_id,bu,title,category,brand,price".to_owned()].into_iter().chain(items));
    write_lines(&tables.events, events);
    write_lines(&tables.links, links);
    tables
}

/// Runs `faces rebuild` on a history of the shops; the id of the generation.
pub(crate) fn rebuild(folder: &Path, generations: &Path, seed: usize, options: &[&str]) -> String {
    rebuild_and_warn(folder, generations, seed, options).0
}

/// As [`rebuild`]; the id of the generation, and what was said beside it.
pub(crate) fn rebuild_and_warn(folder: &Path, generations: &Path, seed: usize, options: &[&str]) -> (String, String) {
    let tables = write_tables(folder, seed);
    let [events, items, links] = [&tables.events, &tables.items, &tables.links].map(|path| path.to_str().unwrap());
    let mut arguments = vec!["rebuild", "--events", events, "--items", items, "--links", links, "--json"];
    arguments.extend(["--out", generations.to_str().unwrap(), "--set", "training.embedding.dimension=8"]);
    arguments.extend(options);
    let output = faces(&arguments);
    let warnings = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "faces {arguments:?}: {warnings}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    (said["generation_id"].as_str().unwrap().to_owned(), warnings)
}
