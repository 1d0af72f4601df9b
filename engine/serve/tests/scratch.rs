//! s
mod house;
use faces_proto::v1::EventType;
use house::calls::*;
use house::shops::*;
use house::*;
use std::time::*;
#[tokio::test]
async fn firsts() {
    for wait in [0, 300, 600, 1500, 4000] {
        let Some(house) = House::open(&["market", "cinema"], &[]).await else { return };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let mut clients = house.clients().await;
        let mut times = vec![];
        for bu in ["market", "cinema", "market", "cinema"] {
            let t = Instant::now();
            let r = clients
                .events
                .write_events(faces_proto::v1::WriteEventsRequest { events: vec![event(EventType::View, &key(bu, "u"), "i1")] })
                .await;
            times.push((r.is_ok(), t.elapsed()));
        }
        let t = Instant::now();
        let r = clients
            .catalog
            .upsert_items(faces_proto::v1::UpsertItemsRequest { items: vec![item("market", 1)], updated_time_ms: 0 })
            .await;
        times.push((r.is_ok(), t.elapsed()));
        eprintln!("{wait}: {times:?}");
    }
}
