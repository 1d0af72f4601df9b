//! The network between the broker and everybody else is cut.

use faces_ingest::{decode::Format, encode};
use faces_proto::v1::{self, EventType};
use faces_testbroker::Broker;

use crate::{
    form::form,
    house::{
        House,
        calls::{ask, event, key},
        clients::Clients,
        eventually,
    },
    proxy::{Line, Proxy},
    traffic::{BUS, Traffic},
    verdict::must_hold,
};

/// Writes an event through the server; whether the log has it.
async fn write(clients: &mut Clients, event: &v1::Event) -> bool {
    let request = v1::WriteEventsRequest { events: vec![event.clone()] };
    clients.events.write_events(request).await.is_ok_and(|written| written.into_inner().results[0].error.is_none())
}

/// Waits until the server's view is more than so many seconds old.
async fn age(house: &House, seconds: f64) {
    eventually("the view to age", async || {
        let metrics = house.admin_get("/metrics")?.1;
        let age = metrics.lines().find_map(|line| line.strip_prefix("faces_view_age_seconds ")?.parse::<f64>().ok())?;
        (age > seconds).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_network_delays_records_and_loses_none() {
    let test = "cut";
    let proxy = Proxy::start().await;
    let Some(broker) = Broker::behind(proxy.port()) else { return };
    proxy.lead_to(broker.address());
    let settings = ["state.image_seconds=1", "kafka.request_ms_max=500", "server.deadline_ms_max=1500"];
    let mut house = House::closed_at(&proxy.address(), &broker.prefix(), &BUS, &settings).await;
    house.start().await;
    let traffic = Traffic::start(&house, form().seed_of(test));
    let (mut clients, mut through_the_server) = (house.clients().await, Vec::new());
    for round in 0..form().of(1, 3) {
        for line in [Line::Reset, Line::Silent] {
            traffic.more(200).await;
            // Written is not applied: before the cut the server must know of the unit that it is asked for in it.
            eventually("a slate", async || clients.recommendations.recommend(ask(&[], BUS[0])).await.ok()).await;
            proxy.set(line);
            form().say(test, &format!("round {round}: {line:?}"));
            age(&house, 0.0).await;
            clients.slate(ask(&[], BUS[0])).await; // answers go on
            let late = v1::Event { event_id: format!("{round}-{line:?}"), ..event(EventType::Cart, &key(BUS[0], "late"), "i1") };
            assert!(!write(&mut clients, &late).await, "nobody can have taken it");
            age(&house, form().of(2, 5) as f64).await; // the cut lasts that long
            proxy.set(Line::Whole);
            traffic.more(200).await;
            eventually("a write", async || write(&mut clients, &late).await.then_some(())).await;
            through_the_server.push(encode::event(&house.topics, &late, Format::Protobuf));
        }
    }
    let mut written = traffic.end().await;
    written.records.extend(through_the_server);
    must_hold(test, &house, &written).await;
}
