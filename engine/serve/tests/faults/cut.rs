//! The network between the broker and everybody else is cut.

use std::time::Duration;

use faces_testbroker::Broker;

use crate::{
    form::form,
    house::{House, calls::ask, eventually},
    proxy::{Line, Proxy},
    traffic::{BUS, Traffic},
    verdict::must_hold,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_network_delays_records_and_loses_none() {
    let test = "cut";
    let proxy = Proxy::start().await;
    let Some(broker) = Broker::behind(proxy.port()) else { return };
    proxy.lead_to(broker.address());
    let settings = ["state.image_seconds=1", "kafka.request_ms_max=500"];
    let mut house = House::closed_at(&proxy.address(), &broker.prefix(), &BUS, &settings).await;
    house.start().await;
    let traffic = Traffic::start(&house, form().seed_of(test));
    let mut clients = house.clients().await;
    for round in 0..form().of(1, 3) {
        for line in [Line::Reset, Line::Silent] {
            traffic.more(200).await;
            proxy.set(line);
            form().say(test, &format!("round {round}: {line:?}"));
            // How long the cut lasts is what is tested; what must happen meanwhile is waited for.
            let lasts = tokio::time::sleep(Duration::from_secs(form().of(2, 5)));
            eventually("the view to age", async || {
                let age = house.admin_get("/metrics")?.1;
                let age = age.lines().find_map(|line| line.strip_prefix("faces_view_age_seconds ")?.parse::<f64>().ok())?;
                (age > 0.0).then_some(())
            })
            .await;
            clients.slate(ask(&[], BUS[0])).await; // answers go on
            lasts.await;
            proxy.set(Line::Whole);
            traffic.more(200).await;
        }
    }
    let written = traffic.end().await;
    must_hold(test, &house, &written).await;
}
