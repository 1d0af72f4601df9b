//! Rules, from the outside: a file that the server follows while it serves, what it does to slates, and how it is tried beforehand.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use faces_proto::v1;
use house::{
    House,
    calls::{ask, fields, item_ref, now_ms},
    clients::Clients,
    eventually, faces, faces_says,
    shops::{self, BUS, CINEMA, ITEMS, MARKET, id, item},
};
use serde_json::Value;

const PLACEMENT: &str = "home.top";
/// Item 3 second, item 0 lifted to the top, items of category k3 last but for the pin, item 19 never.
const RULES: &str = r#"
[[pin]]
name = "hero"
bu = "cinema"
placement = "home.top"
item = "c3"
position = 2

[[pin]]
bu = "cinema"
placement = "home.top"
item = "c300"
position = 5
from = 2000-01-01T00:00:00Z
until = 2001-01-01T00:00:00Z

[[boost]]
name = "lift"
bu = "cinema"
items = ["c0"]
add = 10

[[bury]]
name = "sink"
category = "k3"

[[hide]]
bu = "cinema"
items = ["c19", "never-heard-of"]
"#;

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("rules-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Puts a file in place at one stroke, as an operator should.
fn put(path: &Path, text: &str) {
    let unfinished = path.with_extension("part");
    fs::write(&unfinished, text).unwrap();
    fs::rename(unfinished, path).unwrap();
}

async fn opened(rules: &Path) -> Option<(House, Clients)> {
    let house = House::open(&BUS, &[&format!("ranking.rules={}", rules.display())]).await?;
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    Some((house, clients))
}

fn placed(bu: &str) -> v1::RecommendRequest {
    v1::RecommendRequest { placement: PLACEMENT.into(), ..ask(&[], bu) }
}

fn names(numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|n| id(CINEMA, *n)).collect()
}

fn ids(items: &[v1::Recommendation]) -> Vec<String> {
    items.iter().map(|item| item.item_id.clone()).collect()
}

async fn until_slate_is(clients: &mut Clients, expected: &[String]) {
    eventually("the slate to follow the rules", async || (clients.items(placed(CINEMA)).await == expected).then_some(())).await;
}

#[tokio::test]
async fn a_server_follows_its_file_of_rules() {
    let folder = folder();
    let file = folder.path().join("rules.toml");
    put(&file, "");
    let Some((house, mut clients)) = opened(&file).await else { return };
    let plain = names(&[19, 18, 17, 16, 15, 14, 13, 12, 11, 10]);
    assert_eq!(clients.items(placed(CINEMA)).await, plain);

    put(&file, RULES);
    let ruled = names(&[0, 3, 17, 16, 15, 14, 12, 11, 10, 9]);
    until_slate_is(&mut clients, &ruled).await;
    let slate = clients.slate(placed(CINEMA)).await;
    let behind: Vec<Vec<String>> = slate.items.iter().map(|item| item.reason.clone().unwrap().rules).collect();
    assert_eq!(behind[..3], [vec!["lift".to_owned()], vec!["hero".to_owned(), "sink".to_owned()], Vec::new()]);
    assert!(slate.filtered.iter().any(|count| count.filter == "hidden" && count.removed == 1), "{:?}", slate.filtered);
    let elsewhere = clients.items(ask(&[], CINEMA)).await;
    assert_eq!(elsewhere, names(&[0, 17, 16, 15, 14, 12, 11, 10, 9, 7]), "the pin is for one placement");
    let batch = v1::BatchRecommendRequest { requests: vec![placed(CINEMA), placed(MARKET)] };
    let batch = clients.recommendations.batch_recommend(batch).await.unwrap().into_inner().entries;
    let outcomes: Vec<_> = batch.into_iter().map(|entry| entry.outcome.unwrap()).collect();
    use v1::batch_recommend_entry::Outcome::Response;
    let [Response(cinema), Response(market)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(ids(&cinema.items), ruled);
    assert!(market.items[0].item_id == "m19" && !ids(&market.items).contains(&"m18".to_owned()), "k3 is buried there too");
    let similar = v1::SimilarItemsRequest { r#ref: Some(item_ref(CINEMA, "c8")), page_size: 50, ..Default::default() };
    let similar = ids(&clients.recommendations.similar_items(similar).await.unwrap().into_inner().items);
    assert!(
        similar.len() == ITEMS - 2 && !similar.contains(&"c19".to_owned()),
        "what is hidden is hidden everywhere: {similar:?}"
    );

    let (mut walked, mut request) = (Vec::new(), v1::RecommendRequest { page_size: 4, ..placed(CINEMA) });
    loop {
        let page = clients.slate(request.clone()).await;
        walked.extend(ids(&page.items));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(walked[..4], ruled[..4]);
    assert_eq!((walked.len(), walked.iter().collect::<BTreeSet<_>>().len()), (ITEMS - 1, ITEMS - 1), "no repeats: {walked:?}");

    let refused = "faces_rules_loads_total{outcome=\"refused\"}";
    put(&file, "[[pin]]\nposition = 0\n[[cap]]\nby = \"brand\"\nshare_max = 0\n");
    eventually("the broken file to be refused", async || (house.metric(refused) == 1).then_some(())).await;
    // The log comes through a pipe, which the metric does not wait for.
    let says = |part: &&str| house.server_log().contains(*part);
    eventually("the log to say why", async || ["position is 0", "share_max is 0"].iter().all(says).then_some(())).await;
    fs::remove_file(&file).unwrap();
    eventually("the missing file to be refused", async || (house.metric(refused) == 2).then_some(())).await;
    assert_eq!(clients.items(placed(CINEMA)).await, ruled, "the rules in force stay");
    assert_eq!((house.metric("faces_rules"), house.metric("faces_pins_total{outcome=\"skipped\"}")), (5, 0));
    put(&file, "[[pin]]\nbu = \"cinema\"\nitem = \"never-heard-of\"\nposition = 1\n");
    until_slate_is(&mut clients, &plain).await;
    assert!(house.metric("faces_pins_total{outcome=\"skipped\"}") > 0 && house.metric("faces_rules") == 1);
}

#[tokio::test]
async fn new_items_are_explored_with_a_propensity() {
    let folder = folder();
    let file = folder.path().join("rules.toml");
    put(&file, "[explore]\nshare = 0.1\n[[boost]]\nbu = \"cinema\"\nitems = [\"c98\", \"c99\"]\nfactor = 0.00001\n");
    let Some((house, mut clients)) = opened(&file).await else { return };
    clients.list(vec![item(CINEMA, 98), item(CINEMA, 99)], now_ms() - 60_000).await;
    let mut seen = BTreeSet::new();
    let day = || now_ms() / 86_400_000; // chance hangs on it
    for person in 0..20 {
        let request = v1::RecommendRequest { keys: vec![house::calls::key(CINEMA, &format!("u{person}"))], ..placed(CINEMA) };
        let today = day();
        let items = clients.slate(request.clone()).await.items;
        let explored: Vec<_> = items.iter().filter(|item| item.propensity > 0.0).collect();
        let [one] = explored[..] else { panic!("{items:?}") };
        assert!(one.propensity == 0.5 && ["c98", "c99"].contains(&&*one.item_id), "{one:?}");
        assert!(one.reason.as_ref().unwrap().rules.contains(&"explore".to_owned()), "{one:?}");
        let again = clients.slate(request).await.items;
        if day() == today {
            // Not the scores: what is new fades from one millisecond to the next.
            let shown =
                |items: &[v1::Recommendation]| items.iter().map(|of| (of.item_id.clone(), of.propensity)).collect::<Vec<_>>();
            assert_eq!(shown(&again), shown(&items), "the same person sees the same");
        }
        seen.insert(one.item_id.clone());
    }
    assert_eq!(seen.len(), 2, "different persons see different ones");
    assert_eq!(house.metric("faces_explored_places_total"), 40);
    let later = v1::SimilarItemsRequest { r#ref: Some(item_ref(CINEMA, "c1")), ..Default::default() };
    let later = clients.recommendations.similar_items(later).await.unwrap().into_inner().items;
    assert!(later.iter().all(|item| item.propensity == 0.0), "only placements give places away");
}

#[tokio::test]
async fn rules_are_tried_without_being_put_in_force() {
    let folder = folder();
    let (in_force, other) = (folder.path().join("rules.toml"), folder.path().join("other.toml"));
    put(&in_force, RULES);
    let Some((house, mut clients)) = opened(&in_force).await else { return };
    let before = clients.items(placed(CINEMA)).await;
    put(&other, &RULES.replace("item = \"c3\"", "item = \"c7\""));
    let server = house.grpc_url();
    let file = other.to_str().unwrap();
    let arguments = ["rules", "try", file, "--server", &server, "--bu", CINEMA, "--placement", PLACEMENT, "--count", "10"];
    let text = faces_says(&arguments);
    assert!(text.lines().any(|line| line.contains("c3") && line.contains("+ c7") && line.contains("hero")), "{text}");
    let tried =
        |more: &[&str]| -> Value { serde_json::from_str(&faces_says(&[&arguments, more, &["--json"]].concat())).unwrap() };
    let of = |answer: &Value, which: &str| -> Vec<String> {
        let items = answer[which]["items"].as_array().unwrap().iter();
        items.map(|item| item["itemId"].as_str().unwrap().to_owned()).collect()
    };
    let answer = tried(&[]);
    assert_eq!((of(&answer, "before"), of(&answer, "after")[1].as_str()), (before.clone(), "c7"));
    assert!(answer["problems"][1]["message"].as_str().unwrap().contains("never-heard-of"), "{answer}");
    // At the time of the second pin, whose item nothing has named.
    assert_eq!(answer["pinsSkipped"], Value::Null);
    assert_eq!(tried(&["--at", "2000-06-01T00:00:00Z"])["pinsSkipped"], Value::from(1));
    put(&other, "[[pin]]\nitem = \"x\"\n[[pin]]\nbu = 7\n");
    let output = faces(&arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("bu is missing") && said.contains("line 4"), "{said}");
    let request = v1::RecommendRequest { page_size: -1, ..placed(CINEMA) };
    let request = v1::TryRulesRequest { rules: String::new(), request: Some(request), at_ms: None };
    assert_eq!(fields(&clients.admin.try_rules(request).await.unwrap_err()), ["request.page_size"]);
    let nothing = clients.admin.try_rules(v1::TryRulesRequest::default()).await.unwrap_err();
    assert_eq!(fields(&nothing), ["request"]);
    assert_eq!(clients.items(placed(CINEMA)).await, before, "nothing was put in force");
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_file_is_checked_without_a_server() {
    let folder = folder();
    let sound = file(&folder, "sound.toml", RULES);
    let said = faces_says(&["rules", "check", sound.to_str().unwrap()]);
    assert!(said.contains("5 rules, no problem"), "{said}");
    let json: Value = serde_json::from_str(&faces_says(&["rules", "check", "--json", sound.to_str().unwrap()])).unwrap();
    assert_eq!(json, serde_json::json!({ "sound": true, "rules": 5, "problems": [] }));
    // All problems at once.
    let broken = file(
        &folder,
        "broken.toml",
        "[[pin]]\nbu = \"m\"\nitem = \"x\"\nposition = 1\n[[hide]]\nbu = \"m\"\nitems = [\"x\"]\n[[cap]]\n",
    );
    let output = faces(&["rules", "check", broken.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    for part in ["broken.toml", "line 1: [[pin]] 1", "[[hide]] 1 (line 5)", "line 8: [[cap]] 1", "share_max is missing"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let output = faces(&["rules", "check", broken.to_str().unwrap(), "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &json["sound"], json["problems"][0]["line"].as_u64()),
        (Some(1), &Value::from(false), Some(1))
    );
    let output = faces(&["rules", "check", "nowhere.toml"]);
    assert!(output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).contains("nowhere.toml"));
    let output = faces(&["rules", "check", "nowhere.toml", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reason = json["problems"][0]["message"].as_str().unwrap();
    assert!(output.status.code() == Some(1) && reason.contains("nowhere.toml") && reason.contains("No such file"), "{json}");
    for action in ["check", "try"] {
        assert!(faces_says(&["rules", action, "--help"]).contains(&format!("  faces rules {action} rules.toml")));
    }
    // A server that is told to follow such rules does not start.
    let rules = format!("ranking.rules={}", broken.display());
    let ports = ["--set", "server.grpc_address=127.0.0.1:0", "--set", "server.admin_address=127.0.0.1:0", "--set", &rules];
    let output = faces(&[&["serve"], &ports[..]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("ranking.rules") && said.contains("share_max is missing"), "{said}");
}
