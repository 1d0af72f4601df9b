//! s
#![allow(clippy::unwrap_used)]
mod house;
use house::*;
use house::calls::*;
use house::shops::*;
#[tokio::test]
async fn ties() {
    let Some(mut house) = House::open(&["market"], &[]).await else { return };
    let mut clients = house.clients().await;
    let items: Vec<_> = (0..200).map(|n| item("market", n)).collect();
    clients.list(items, 1_600_000_000_000).await;
    for _ in 0..5 {
        let s = clients.items(ask(&[], "market")).await;
        eprintln!("{s:?}");
        house.kill();
        house.start().await;
        clients = house.clients().await;
        eventually("x", async || (clients.status().await.items == 200).then_some(())).await;
    }
}
