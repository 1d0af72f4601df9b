//! A unary gRPC call without a gRPC client, which would see to deadlines itself: what arrives at the server, and what it answers.

use std::net::SocketAddr;

use prost::Message;
use tonic::codegen::{Bytes, http::Request};

/// `grpc-status` of an answer to `message` with the given `grpc-timeout`.
pub(crate) async fn status_of(address: SocketAddr, method: &str, message: &impl Message, timeout: &str) -> i32 {
    let connection = tokio::net::TcpStream::connect(address).await.unwrap();
    connection.set_nodelay(true).unwrap();
    let (client, connection) = h2::client::handshake(connection).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://{address}/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout);
    let (response, mut body) = client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    body.send_data(Bytes::from(frame), true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    if let Some(status) = head.headers.get("grpc-status") {
        return status.to_str().unwrap().parse().unwrap(); // an answer without a message
    }
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data.unwrap().len()).unwrap();
    }
    let trailers = body.trailers().await.unwrap().unwrap();
    trailers["grpc-status"].to_str().unwrap().parse().unwrap()
}
