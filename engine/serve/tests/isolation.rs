//! Whoever behaves badly gets in nobody's way: slow callers, huge batches, connections that only stay open.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod house;

use std::net::SocketAddr;

use faces_proto::v1;
use h2::client::SendRequest;
use house::{
    House,
    calls::{ask, key},
    eventually,
    shops::{self, BUS, MARKET},
};
use prost::Message as _;
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    task::{JoinHandle, JoinSet},
};
use tonic::codegen::{Bytes, http::Request};

/// One thread, one request at work.
const ONE_AT_A_TIME: [&str; 3] = ["server.threads=1", "overload.concurrency_min=1", "overload.concurrency_max=1"];

async fn raw_connection(address: SocketAddr, builder: &h2::client::Builder) -> (SendRequest<Bytes>, JoinHandle<()>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
    (client, tokio::spawn(async move { _ = connection.await }))
}

fn head(address: SocketAddr) -> Request<()> {
    Request::post(format!("http://{address}/faces.v1.RecommendationService/Recommend"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

fn frame(message: &v1::RecommendRequest) -> Bytes {
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame.into()
}

#[tokio::test]
async fn requests_that_never_arrive_whole_hold_nobody_up_and_end() {
    let Some(house) = House::open(&BUS, &[&ONE_AT_A_TIME[..], &["server.deadline_ms_max=4000"]].concat()).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let (mut slow, connection) = raw_connection(house.grpc_address(), &h2::client::Builder::new()).await;
    let mut halves = Vec::new();
    for _ in 0..100 {
        slow = slow.ready().await.unwrap();
        halves.push(slow.send_request(head(house.grpc_address()), false).unwrap());
    }
    for n in 0..50 {
        assert_eq!(clients.items(ask(&[key(MARKET, &format!("p{n}"))], MARKET)).await.len(), 10);
    }
    for (response, _body) in halves {
        let headers = response.await.unwrap().headers().clone();
        assert_eq!(headers["grpc-status"], "4", "refused at the server's own deadline: {headers:?}");
    }
    let name = |what| format!("faces_{what}_requests");
    assert_eq!([house.metric(&name("in_flight")), house.metric(&name("waiting"))], [0, 0]);
    connection.abort();
}

#[tokio::test]
async fn a_caller_that_does_not_read_its_answers_holds_nobody_up() {
    let Some(house) = House::open(&BUS, &ONE_AT_A_TIME).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let mut no_window = h2::client::Builder::new();
    no_window.initial_window_size(0);
    let (mut deaf, connection) = raw_connection(house.grpc_address(), &no_window).await;
    let mut unread = Vec::new();
    for _ in 0..150 {
        deaf = deaf.ready().await.unwrap();
        let (response, mut body) = deaf.send_request(head(house.grpc_address()), false).unwrap();
        body.send_data(frame(&ask(&[], MARKET)), true).unwrap();
        unread.push(response);
    }
    for n in 0..50 {
        assert_eq!(clients.items(ask(&[key(MARKET, &format!("p{n}"))], MARKET)).await.len(), 10);
    }
    eventually("all of them to have been worked on", async || {
        (house.metric("faces_rpc_total{method=\"Recommend\",code=\"OK\"}") >= 200).then_some(())
    })
    .await;
    connection.abort();
}

#[tokio::test]
async fn a_huge_batch_lets_others_go_first() {
    let Some(house) = House::open(&BUS, &ONE_AT_A_TIME).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let batch = v1::BatchRecommendRequest { requests: vec![ask(&[key(MARKET, "p1")], MARKET); 256] };
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let (mut recommendations, batch) = (clients.recommendations.clone(), batch.clone());
        calls.spawn(async move {
            let answer = recommendations.batch_recommend(batch).await.unwrap().into_inner();
            assert_eq!(answer.entries.len(), 256);
            "batch"
        });
    }
    for _ in 0..5 {
        let mut recommendations = clients.recommendations.clone();
        calls.spawn(async move {
            recommendations.recommend(ask(&[key(MARKET, "p2")], MARKET)).await.unwrap();
            "single"
        });
    }
    let in_order_of_their_end = calls.join_all().await;
    assert_eq!(in_order_of_their_end.last(), Some(&"batch"), "{in_order_of_their_end:?}");
}

#[tokio::test]
async fn connections_are_bounded_and_idle_ones_cost_nobody_an_answer() {
    let Some(house) = House::open(&BUS, &["server.connections_max=300"]).await else { return };
    let mut clients = house.clients().await;
    shops::fill(&mut clients).await;
    let mut idle = Vec::new();
    for _ in 0..299 {
        idle.push(TcpStream::connect(house.grpc_address()).await.unwrap());
    }
    eventually("all of them to be open", async || (house.metric("faces_connections") == 300).then_some(())).await;
    let mut one_more = TcpStream::connect(house.grpc_address()).await.unwrap();
    assert_eq!(one_more.read(&mut [0; 64]).await.unwrap_or(0), 0, "closed at once");
    assert_eq!(house.metric("faces_refused_connections_total"), 1);
    assert_eq!(clients.items(ask(&[], MARKET)).await.len(), 10);
    drop(idle);
    eventually("there to be room again", async || (house.metric("faces_connections") == 1).then_some(())).await;
    assert_eq!(house.clients().await.items(ask(&[], MARKET)).await.len(), 10);
}
