//! The life of a server: killed and started again on the same log, given new generations under load, broken ones, and asked to stop.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::{
    collections::BTreeSet,
    fs,
    net::TcpStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use faces_ingest::{decode::Format, encode};
use faces_proto::v1::{self, EventType, batch_recommend_entry::Outcome};
use faces_testbroker::Broker;
use house::{
    House,
    calls::{ask, event, filter, key, reason},
    clients::Clients,
    eventually, faces_says,
    process::{Process, http_get, signal},
    shops::{self, BUS, CINEMA, ITEMS, MARKET, id, item},
};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

/// A slate without what depends on the moment of asking.
type View = (String, Vec<(String, Option<v1::Reason>)>);

async fn view_of(clients: &mut Clients, keys: &[v1::SourceKey], bu: &str) -> View {
    let slate = clients.slate(ask(keys, bu)).await;
    (slate.generation_id, slate.items.into_iter().map(|item| (item.item_id, item.reason)).collect())
}

async fn profile_of(clients: &mut Clients, who: &v1::SourceKey) -> (Vec<v1::SourceKey>, Vec<v1::Behaviour>) {
    let request = v1::GetProfileRequest { keys: vec![who.clone()] };
    let profile = clients.profiles.get_profile(request).await.unwrap().into_inner();
    (profile.keys, profile.behaviours)
}

async fn consumed(clients: &mut Clients, records: u64) -> v1::IngestCounts {
    eventually("all records to be consumed", async || {
        let status = clients.status().await;
        status.ingest.filter(|counts| counts.consumed >= records && status.trends_settled)
    })
    .await
}

/// Changes one byte in the middle of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_server_that_was_killed_comes_back_with_the_same_profiles_and_the_same_slates() {
    let Some(mut house) = House::open(&BUS, &[]).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    // By the fixed blend: what people took together is counted anew from what is held, which a learned ranker may weigh.
    let fixed = ["--set", "training.ranker.examples_max=0"];
    let generation = shops::rebuild(&house.path(""), &house.generations(), 0, &fixed);
    clients.next_generation("").await;
    let people: Vec<_> = (0..6).map(|n| key(BUS[n % 2], &format!("u{n}"))).collect();
    for (n, who) in people.iter().enumerate() {
        let kinds = [EventType::View, EventType::Purchase, EventType::Cart, EventType::Dislike, EventType::Impression];
        let acts = kinds.iter().enumerate().map(|(step, kind)| event(*kind, who, &id(&who.bu, (n + step * 4) % ITEMS)));
        clients.act(acts.collect()).await;
    }
    clients.link(&people[0], &people[1]).await;
    clients.link(&people[2], &people[3]).await;
    clients.unlink(&people[2], &people[3]).await;
    clients
        .catalog
        .delete_items(v1::DeleteItemsRequest { items: vec![house::calls::item_ref(CINEMA, "c19")], updated_time_ms: 0 })
        .await
        .unwrap();
    eventually("c19 to be gone", async || (!clients.items(ask(&[], CINEMA)).await.contains(&"c19".into())).then_some(())).await;

    let (mut profiles, mut views) = (Vec::new(), Vec::new());
    for who in &people {
        profiles.push(profile_of(&mut clients, who).await);
        for bu in BUS {
            views.push(view_of(&mut clients, std::slice::from_ref(who), bu).await);
        }
    }
    assert!(views.iter().all(|(by, items)| *by == generation && items.len() == 10));
    assert_eq!(profiles.iter().map(|(keys, _)| keys.len()).collect::<Vec<_>>(), [2, 2, 1, 1, 1, 1]);
    let before = clients.status().await;

    for round in 0..2 {
        house.kill();
        house.start().await;
        clients = house.clients().await;
        let counts = consumed(&mut clients, before.ingest.unwrap().consumed).await;
        assert_eq!(Some(counts), before.ingest, "round {round}: every record counts once, as before");
        let after = clients.status().await;
        assert_eq!(
            (after.fragments, after.behaviours, after.items, after.live_links),
            (before.fragments, before.behaviours, before.items, before.live_links)
        );
        for (n, who) in people.iter().enumerate() {
            assert_eq!(profile_of(&mut clients, who).await, profiles[n], "round {round}");
            for (place, bu) in BUS.iter().enumerate() {
                let view = view_of(&mut clients, std::slice::from_ref(who), bu).await;
                assert_eq!(view, views[n * 2 + place], "round {round}: {who:?} in {bu}");
            }
        }
    }
}

#[tokio::test]
async fn records_written_around_a_kill_count_once() {
    let Some(mut house) = House::open(&[MARKET], &[]).await else { return };
    let views = |people: std::ops::Range<usize>| -> Vec<_> {
        let of = |n: usize| event(EventType::View, &key(MARKET, &format!("u{}", n % 50)), &id(MARKET, n));
        people.map(|n| encode::event(&house.topics, &of(n), Format::Protobuf)).collect()
    };
    let (first, second) = (views(0..2_000), views(2_000..2_100));
    let write = async |house: &House, records: &[faces_ingest::LogRecord]| {
        assert!(house.writer.write(records.to_vec()).await.iter().all(Result::is_ok));
    };
    write(&house, &first).await;
    house.kill(); // somewhere in the middle of reading
    write(&house, &second).await;
    write(&house, &first[..300]).await; // a producer that had no answer writes again
    house.start().await;
    let mut clients = house.clients().await;
    let counts = consumed(&mut clients, 2_400).await;
    assert_eq!((counts.consumed, counts.applied, counts.duplicates, counts.dead), (2_400, 2_100, 300, 0));
    let status = clients.status().await;
    assert_eq!((status.fragments, status.behaviours), (50, 2_100));
}

#[tokio::test]
async fn generations_swap_under_load_without_a_failed_request() {
    // A rebuild beside them slows answers down on a small machine, which is no reason to go back here.
    let Some(house) = House::open(&BUS, &["generations.watch_over.latency_ratio_max=1e9"]).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let who = key(MARKET, "busy");
    clients.act([0, 2].map(|n| event(EventType::View, &who, &id(MARKET, n))).to_vec()).await;
    let first = shops::rebuild(&house.path(""), &house.generations(), 0, &[]);
    assert_eq!(clients.next_generation("").await, first);

    let stop = Arc::new(AtomicBool::new(false));
    let callers = (0..3).map(|_| {
        let (mut clients, stop, who) = (clients.clone(), Arc::clone(&stop), who.clone());
        tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            while !stop.load(Relaxed) {
                let slate = clients.slate(ask(std::slice::from_ref(&who), CINEMA)).await;
                let distinct: BTreeSet<_> = slate.items.iter().map(|item| &item.item_id).collect();
                assert_eq!(distinct.len(), 10, "{slate:?}");
                seen.insert(slate.generation_id);
                let batch = vec![ask(std::slice::from_ref(&who), MARKET), ask(&[], CINEMA)];
                let entries =
                    clients.recommendations.batch_recommend(v1::BatchRecommendRequest { requests: batch }).await.unwrap();
                for entry in entries.into_inner().entries {
                    let is_full = |outcome: &Outcome| matches!(outcome, Outcome::Response(slate) if slate.items.len() == 10);
                    assert!(entry.outcome.as_ref().is_some_and(is_full), "{entry:?}");
                }
            }
            seen
        })
    });
    let callers: Vec<_> = callers.collect();
    let folders = (house.path(""), house.generations());
    let rebuild = |seed: usize| {
        let (folder, generations) = folders.clone();
        tokio::task::spawn_blocking(move || shops::rebuild(&folder, &generations, seed, &[]))
    };
    let second = rebuild(1).await.unwrap();
    assert_eq!(clients.next_generation(&first).await, second);
    let third = rebuild(2).await.unwrap();
    assert_eq!(clients.next_generation(&second).await, third);
    // Back by way of the store, and what is old goes: neither shows in an answer.
    let store = house.generations().display().to_string();
    let generations = |action: &[&str]| faces_says(&[&["generations", "--folder", &store], action].concat());
    generations(&["rollback"]);
    assert_eq!(clients.next_generation(&third).await, second);
    let collected = generations(&["gc", "--keep", "0"]);
    assert!(!collected.contains(&format!("- {second}")) && !collected.contains(&format!("- {third}")), "in use: {collected}");
    stop.store(true, Relaxed);
    let mut seen = BTreeSet::new();
    for caller in callers {
        seen.extend(caller.await.unwrap()); // fails if a single request failed
    }
    assert_eq!(seen, BTreeSet::from([first, second, third]));
}

#[tokio::test]
async fn what_a_server_was_asked_the_next_rebuild_asks_both_generations() {
    let Some(house) = House::open(&BUS, &["generations.mirror_seconds=1"]).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let first = shops::rebuild(&house.path(""), &house.generations(), 0, &[]);
    assert_eq!(clients.next_generation("").await, first);
    for n in 0..240 {
        // Of eight queries one is noted: of people of the log, and of strangers.
        clients.slate(ask(&[key(MARKET, &format!("p{n}"))], CINEMA)).await;
    }
    let mirrored = house.generations().join("mirrored");
    let lines = || {
        let files: Vec<_> = fs::read_dir(&mirrored).ok()?.map(|entry| entry.unwrap().path()).collect();
        files
            .iter()
            .find(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let left = eventually("what was asked to be left", async || lines().filter(|lines| lines.len() >= 30)).await;
    assert!(left.iter().any(|line| line.contains(r#""bu":"cinema","wanted":10,"keys":[["market",1,"p"#)), "{left:?}");
    fs::write(mirrored.join("torn.jsonl"), &left[0][..10]).unwrap();

    // A clock must not decide.
    let gates = ["--set", "gates.latency_ratio_max=1e9", "--set", "gates.mirrored_queries_min=30"];
    let (second, warnings) = shops::rebuild_and_warn(&house.path(""), &house.generations(), 1, &gates);
    assert!(warnings.contains("mirrored/torn.jsonl are not asked: line 1 is no query: it breaks off"), "{warnings}");
    assert_eq!(clients.next_generation(&first).await, second);
    let manifest = faces_says(&["generations", "--folder", house.generations().to_str().unwrap(), "show", &second]);
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let findings = manifest["gates"]["findings"].as_array().unwrap();
    let latency = findings.iter().find(|finding| finding["gate"] == "latency").unwrap();
    assert!(latency["outcome"] == "passed" && latency["detail"].as_str().unwrap().ends_with("mirrored queries"), "{latency}");
}

#[tokio::test]
async fn a_generation_after_which_answers_get_worse_is_taken_back_by_itself() {
    let watched = ["generations.watch_over.calls_min=20", "generations.watch_over.latency_ratio_max=1e9"];
    let Some(house) = House::open(&BUS, &watched).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let first = shops::rebuild(&house.path(""), &house.generations(), 0, &[]);
    assert_eq!(clients.next_generation("").await, first);
    let nothing = filter(v1::filter::Condition::Category("no such".into()));
    for _ in 0..40 {
        clients.slate(ask(&[], CINEMA)).await;
    }
    let second = shops::rebuild(&house.path(""), &house.generations(), 1, &[]);
    assert_eq!(clients.next_generation(&first).await, second);
    // From now on every slate is empty, whatever the reason: that is all that the server sees.
    for _ in 0..40 {
        let slate = clients.slate(v1::RecommendRequest { filter: nothing.clone(), ..ask(&[], CINEMA) }).await;
        assert!(slate.items.is_empty());
    }
    assert_eq!(clients.next_generation(&second).await, first, "{}", house.server_log());
    eventually("the roll-back to be counted", async || {
        (house.metric("faces_generation_rollbacks_total{cause=\"empty\"}") == 1).then_some(())
    })
    .await;
    assert!(house.server_log().contains("answers got worse: went back to the generation before"), "{}", house.server_log());
    // The store still names the second, which is not tried again; the next one is.
    let third = shops::rebuild(&house.path(""), &house.generations(), 2, &[]);
    assert_eq!(clients.next_generation(&first).await, third);
}

#[tokio::test]
async fn a_damaged_generation_is_refused_and_the_one_in_service_stays() {
    let Some(house) = House::open(&BUS, &[]).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let first = shops::rebuild(&house.path(""), &house.generations(), 0, &[]);
    assert_eq!(clients.next_generation("").await, first);
    let second = shops::rebuild(&house.path(""), &house.generations(), 1, &["--no-activate"]);
    let folder = house.generations().join(&second);
    let activate = |id: &str| v1::ActivateGenerationRequest { generation_id: id.into() };
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in &files {
        let whole = fs::read(file).unwrap();
        damage(file);
        let refused = clients.admin.activate_generation(activate(&second)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "GENERATION_REFUSED"), "{refused:?}");
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(refused.message().contains(name), "it says what is wrong: {refused:?}");
        assert_eq!(clients.status().await.generation_id, first);
        fs::write(file, whole).unwrap();
    }
    // The same by way of the store, which a careless hand points at the damaged one.
    damage(&files[0]);
    fs::write(house.generations().join("CURRENT"), format!("{second}\n")).unwrap();
    let swaps = |outcome: &str| -> usize {
        let metrics = house.admin_get("/metrics").unwrap().1;
        let name = format!("faces_generation_swaps_total{{outcome=\"{outcome}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
    };
    eventually("the watcher to refuse it", async || (swaps("refused") > files.len()).then_some(())).await;
    let slate = clients.slate(ask(&[], MARKET)).await;
    assert_eq!((slate.generation_id, slate.items.len()), (first.clone(), 10));

    damage(&files[0]); // twice is undone
    let activated = clients.admin.activate_generation(activate("")).await.unwrap().into_inner();
    assert_eq!((activated.generation_id, activated.previous_generation_id), (second.clone(), first.clone()));
    // Rolling back is one call, and stands although the store still names the other one, until the next is published.
    clients.admin.activate_generation(activate(&first)).await.unwrap();
    assert_eq!(clients.status().await.generation_id, first);
    let third = shops::rebuild(&house.path(""), &house.generations(), 2, &[]);
    eventually("the third", async || (clients.status().await.generation_id == third).then_some(())).await;
    assert_eq!(swaps("activated"), 4, "first, second, first, third: nothing undid the roll-back");
}

#[tokio::test]
async fn a_generation_asked_for_is_put_into_service_whole_though_nobody_waits_for_it() {
    let Some(house) = House::open(&BUS, &[]).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let first = shops::rebuild(&house.path(""), &house.generations(), 0, &[]);
    assert_eq!(clients.next_generation("").await, first);
    let second = shops::rebuild(&house.path(""), &house.generations(), 1, &["--no-activate"]);
    let mut admin = clients.admin.clone();
    eventually("the second", async || {
        let asked = admin.activate_generation(v1::ActivateGenerationRequest { generation_id: second.clone() });
        _ = tokio::time::timeout(Duration::from_millis(2), asked).await; // given up while it is loaded, sooner or later
        (clients.status().await.generation_id == second).then_some(())
    })
    .await;
    let activated = "faces_generation_swaps_total{outcome=\"activated\"}";
    eventually("it to be counted, as it is once it is held and watched", async || (house.metric(activated) == 2).then_some(()))
        .await;
}

#[tokio::test]
async fn a_server_that_finds_its_newest_generation_broken_serves_the_one_before() {
    let Some(mut house) = House::closed(&[MARKET], &[]).await else { return };
    let generations: Vec<_> = (0..3).map(|seed| shops::rebuild(&house.path(""), &house.generations(), seed, &[])).collect();
    assert!(generations.is_sorted(), "named by age");
    let damaged = |id: &str| damage(&house.generations().join(id).join("items.bin"));
    let files = fs::read_dir(house.generations().join(&generations[0])).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.contains(&"items.bin".to_owned()), "{names:?}");
    let current = house.generations().join("CURRENT");

    damaged(&generations[2]);
    for (prepare, expected) in [("", 1), ("unreadable", 1), ("two broken", 0)] {
        match prepare {
            "unreadable" => fs::write(&current, "no id\n").unwrap(),
            "two broken" => {
                fs::write(&current, format!("{}\n", generations[2])).unwrap();
                damage(&house.generations().join(&generations[1]).join("items.bin"));
            }
            _ => {}
        }
        house.start().await;
        let mut clients = house.clients().await;
        assert_eq!(clients.status().await.generation_id, generations[expected], "{prepare}: {}", house.server_log());
        assert!(house.server_log().contains("serving the newest one before it that verifies"));
        house.kill();
    }
}

#[tokio::test]
async fn asked_to_stop_it_finishes_what_is_under_way() {
    let Some(broker) = Broker::start().filter(Broker::is_own) else { return };
    let mut house = House::closed_on(&broker, &[MARKET], &[]).await;
    house.start().await;
    let (mut clients, who) = (house.clients().await, key(MARKET, "u1"));
    clients.list(vec![item(MARKET, 1)], 0).await;
    clients.act(vec![event(EventType::View, &who, "m1")]).await;

    // The log holds its breath, so that a write stays under way for as long as this test wants.
    signal("STOP", broker.pid().unwrap());
    let mut writer = clients.events.clone();
    let write = v1::WriteEventsRequest { events: vec![event(EventType::Cart, &who, "m1")] };
    let (sent, was_sent) = tokio::sync::oneshot::channel();
    let write = tokio::spawn(async move {
        let write = writer.write_events(write);
        let mark = async { sent.send(()) };
        tokio::join!(write, mark).0
    });
    was_sent.await.unwrap();
    clients.status().await; // on the same connection, later: when this is answered, the write has arrived
    house.ask_to_stop();
    let page = eventually("the drain", async || house.admin_get("/readyz").filter(|page| page.0 != 200)).await;
    assert_eq!(page, (503, "draining\n".to_owned()));
    eventually("the listener to close", async || TcpStream::connect(house.grpc_address()).is_err().then_some(())).await;
    assert!(!write.is_finished());
    assert_eq!(house.admin_get("/livez").unwrap().0, 200);
    signal("CONT", broker.pid().unwrap());
    let results = write.await.unwrap().unwrap().into_inner().results;
    assert_eq!(results[0].error, None, "the write under way was acknowledged");
    assert_eq!(house.ended().await, Some(0));

    house.start().await;
    let mut clients = house.clients().await;
    eventually("the write", async || (profile_of(&mut clients, &who).await.1.len() == 2).then_some(())).await;
}

#[tokio::test]
async fn who_watches_its_health_is_told_and_does_not_hold_it_up() {
    let Some(mut house) = House::open(&[MARKET], &[]).await else { return };
    let mut health = HealthClient::new(house.clients().await.channel);
    let mut watched = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    while watched.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    house.ask_to_stop();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(watched.message().await.unwrap(), None, "the call ends");
    assert_eq!(house.ended().await, Some(0));
    assert!(!house.server_log().contains("still under way"), "{}", house.server_log());
}

#[tokio::test]
async fn who_connects_and_says_nothing_does_not_hold_it_up() {
    let Some(mut house) = House::open(&[MARKET], &[]).await else { return };
    let _mute = TcpStream::connect(house.grpc_address()).unwrap();
    house.clients().await.status().await; // on a later connection: when this is answered, the first was accepted
    house.ask_to_stop();
    assert_eq!(house.ended().await, Some(0));
    assert!(!house.server_log().contains("still under way"), "{}", house.server_log());
}

#[tokio::test]
async fn asked_to_stop_while_it_loads_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("state")).unwrap();
    // An image that can't be read to its end, as in a store that does not answer.
    let image = path("state/image-00000001-0000000000000000.json");
    assert!(std::process::Command::new("mkfifo").arg(image).status().unwrap().success());
    let set = |value: String| ["--set".to_owned(), value];
    let settings = [
        "server.grpc_address=127.0.0.1:0".to_owned(),
        "server.admin_address=127.0.0.1:0".to_owned(),
        "kafka.brokers=127.0.0.1:1".to_owned(),
        format!("generations.folder={}", path("generations")),
        format!("state.folder={}", path("state")),
    ];
    let mut arguments = vec!["serve".to_owned(), "--addresses-file".to_owned(), path("addresses")];
    arguments.extend(settings.into_iter().flat_map(set));
    let mut server = Process::start(&arguments, folder.path(), 1);
    let addresses = eventually("addresses", async || fs::read_to_string(path("addresses")).ok()).await;
    let addresses: serde_json::Value = serde_json::from_str(&addresses).unwrap();
    let admin = addresses["admin"].as_str().unwrap().parse().unwrap();
    eventually("loading", async || http_get(admin, "/readyz").filter(|page| page.1.starts_with("loading"))).await;
    server.terminate();
    let status = eventually("the end", async || server.ended()).await;
    assert_eq!(status.code(), Some(0), "{}", server.log());
}
